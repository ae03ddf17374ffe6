"""Every rule on rows that break it and on rows that only look so; what a remedy makes of a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from training.ml import findings
from training.ml.findings import RULES, Checker, Found, Row, TokenRules, remedied, text_at
from training.ml.findings.across import alike, question_key
from training.ml.findings.words import REMEDIES
from training.ml.records import Body, Kind
from training.ml.render import Renderer
from training.ml.texts import fill
from training.ml.tokenizer import CHAT_TEMPLATE, END, SPECIAL_TOKENS, special_token


def dialogue(*texts: str, first: str = "user") -> Body:
    roles = ("user", "assistant") if first == "user" else ("assistant", "user")
    return {"messages": [{"role": roles[number % 2], "content": text} for number, text in enumerate(texts)]}


def turns(*said: tuple[str, str]) -> Body:
    return {"messages": [{"role": role, "content": text} for role, text in said]}


def pair(prompt: str, chosen: str, rejected: str) -> Body:
    return {"prompt": [{"role": "user", "content": prompt}], "chosen": chosen, "rejected": rejected}


def row(body: Body, kind: Kind = "dialogue", *, key: int = 1, **columns: Any) -> Row:
    return Row(key=key, kind=kind, body=body, **columns)


def of_one(body: Body, kind: Kind = "dialogue") -> dict[str, list[Found]]:
    found: dict[str, list[Found]] = {}
    for one in findings.in_one_row(row(body, kind)):
        found.setdefault(one.rule, []).append(one)
    return found


def of_all(bodies: Sequence[Body], **columns: Sequence[Any]) -> list[tuple[int | None, Found]]:
    checker = Checker()
    rows = [
        row(body, key=number, **{name: values[number - 1] for name, values in columns.items()})
        for number, body in enumerate(bodies, 1)
    ]
    checker.look(rows)
    return [(key, found) for key, found in checker.compare() if found.rule != "few_examples"]


def spans(body: Body, rule: str) -> list[str]:
    return [text_at(body, found.where)[found.start : found.end] for found in of_one(body).get(rule, [])]


def word(number: int) -> str:
    """Six characters that no other number has two of in a row."""
    return "".join(chr(0x4E00 + (number * 131 + place * 977) % 20000) for place in range(6))


# --- one text -------------------------------------------------------------------------------------------------------


def test_personal_data_is_found_where_it_stands_and_masked():
    body = dialogue("怎么联系", "打13912345678，或写信到 li.lei@sina.com")

    assert spans(body, "personal") == ["13912345678", "li.lei@sina.com"]
    assert remedied("mask", body) == dialogue("怎么联系", "打<手机号>，或写信到 <邮箱>")
    assert remedied("mask", dialogue("Reach you?", "Call 13912345678")) == dialogue("Reach you?", "Call <phone>")


@pytest.mark.parametrize(
    "text", ["订单号 20231123456789", "写信到 someone@example.com", "共 13912345678 元", "π=3.14159265358979"]
)
def test_numbers_and_examples_are_nobodys(text):
    assert spans(dialogue("问题", text), "personal") == []


@pytest.mark.parametrize(
    ("text", "was"),
    [
        ("浣犲ソ鍚楋紵", "你好吗？"),
        ("ä½\xa0å¥½å\x90\x97", "你好吗"),
        ("In the cafÃ© on Monday", "In the café on Monday"),
        ("â€œquotedâ€\x9d", "“quoted”"),
        ("他说：浠婂ぉ，对吗", "他说：浠婂ぉ，对吗"),
    ],
)
def test_broken_characters_are_read_again_where_that_is_certain(text, was):
    assert remedied("mend_encoding", dialogue("问题", text)) == dialogue("问题", was)


@pytest.mark.parametrize(
    "text", ["锟斤拷锟斤拷", "戏剧\ufffd\ufffd品", "烫烫烫烫烫", "naÃ¯ve", "浣犲ソ鍚楋紵", "ï¿½ï¿½"]
)
def test_broken_characters_are_found(text):
    assert spans(dialogue("问题", f"前面 {text} 后面"), "mojibake")


@pytest.mark.parametrize(
    "text",
    [
        "café, naïve, Ångström, ¿Qué?",
        "价格¥100±5°C",
        "「繁體中文」也是好的",
        "“smart” – quotes…",
        "火锅很烫烫",
        "Ελληνικά и русский",
        "한국어 テスト",
        "涓涓细流，浣纱溪边",
    ],
)
def test_foreign_letters_are_not_broken(text):
    assert "mojibake" not in of_one(dialogue("问题", text))


def test_private_characters_are_left_out_on_demand():
    body = dialogue("在吗", "\ue011在\ue418")

    assert of_one(body)["private_use"][0].facts == {"count": 2, "code": "E011"}
    assert remedied("drop_private", body) == dialogue("在吗", "在")


@pytest.mark.parametrize(
    "mark",
    ["<|im_start|>", "<|user|>", "[INST]", "[/INST]", "<<SYS>>", "</s>", "<start_of_turn>", "### Human:", "[gMASK]"],
)
def test_marks_of_templates_are_found(mark):
    assert spans(dialogue("问题", f"{mark} 好的"), "marker") == [mark]
    assert remedied("strip_marks", dialogue("问题", f"{mark} 好的")) == dialogue("问题", "好的")


def test_a_mark_between_words_may_divide_turns_and_is_for_people():
    body = dialogue("问题", "好的\n### Human: 还有呢\n### Assistant: 没有了")

    found = of_one(body)["marker"]

    assert [one.facts["found"] for one in found] == ["### Human:", "### Assistant:"]
    assert {one.remedy for one in found} == {""}
    assert remedied("strip_marks", body) == body


@pytest.mark.parametrize(
    "text",
    ["a <b and c|> d", "<s>旧价</s> 新价", "### 步骤一：打开", "[1] 引用", "Human nature: 人性", "a[INDEX]", "<|>"],
)
def test_other_brackets_are_no_marks(text):
    assert "marker" not in of_one(dialogue("问题", text))


# --- one row --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["null", "NaN", "N/A", "暂无回答", "（暂无）", "[null]"])
def test_an_answer_of_an_empty_cell_is_removed(answer):
    [found] = of_one(dialogue("多少钱", answer))["empty_answer"]

    assert (found.remedy, REMEDIES[found.remedy].safe) == ("remove_empty", True)
    assert remedied(found.remedy, dialogue("多少钱", answer)) is None


def test_what_may_be_an_answer_is_removed_by_people_only():
    [found] = of_one(dialogue("有没有附加费用", "无"))["empty_answer"]

    assert not REMEDIES[found.remedy].safe


def test_in_a_longer_dialogue_an_empty_answer_is_told_and_nothing_offered():
    [found] = of_one(dialogue("在吗", "在的", "多少钱", "null"))["empty_answer"]

    assert (found.where, found.remedy) == ("messages[3].content", "")


@pytest.mark.parametrize(
    "answer", ["没有", "无论如何都可以", "👍", "3", "None of them fit", "nothing to worry about", "空调"]
)
def test_short_answers_are_answers(answer):
    assert not {"empty_answer", "wordless_answer"} & of_one(dialogue("多少", answer)).keys()


def test_an_answer_of_marks_only_is_noted():
    assert "wordless_answer" in of_one(dialogue("你觉得呢", "……？"))
    assert "empty_question" in of_one(dialogue("无", "多喝水"))


@pytest.mark.parametrize("answer", ["今天天气怎么样", "今天天气怎么样？", "今天天气怎么样啊"])
def test_a_parroted_question_is_found(answer):
    assert "copied_question" in of_one(dialogue("今天天气怎么样？", answer))


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("新年快乐，万事如意", "新年快乐，万事如意"),
        ("哈哈哈哈哈哈哈", "哈哈哈哈哈哈哈"),
        ("Happy new year to you", "Happy new year to you!"),
        ("Desmond", "Desmond啊"),
        ("什么是人寿保险", "什么是人寿保险？它是一种以人的寿命为标的的保险。"),
        ("再见", "再见"),
    ],
)
def test_greetings_and_answers_that_begin_with_the_question_are_no_copies(question, answer):
    assert "copied_question" not in of_one(dialogue(question, answer))


@pytest.mark.parametrize(
    ("answer", "after"),
    [
        ("作为一个AI语言模型，我建议您多喝水。", "我建议您多喝水。"),
        ("作为人工智能助手，可以这样做。", "可以这样做。"),
        ("As an AI language model, I suggest tea.", "I suggest tea."),
        ("很抱歉，作为一个语言模型，我没有看法。", "我没有看法。"),
        ("我很抱歉，作为由OpenAI训练的大型语言模型，我没有看法。", "我没有看法。"),
    ],
)
def test_what_other_assistants_say_of_themselves_is_cut_out(answer, after):
    body = dialogue("怎么办", answer)

    assert of_one(body)["boilerplate"][0].remedy == "cut_phrase"
    assert remedied("cut_phrase", body) == dialogue("怎么办", after)


def test_the_name_of_another_assistant_is_told():
    assert spans(dialogue("你是谁", "我是由OpenAI训练的ChatGPT"), "boilerplate") == ["我是由OpenAI"]
    assert "boilerplate" not in of_one(dialogue("你是谁", "我是公司的小助手，作为客服，我很乐意帮忙"))
    assert "boilerplate" not in of_one(dialogue("ChatGPT是什么", "OpenAI做的语言模型"))
    assert "boilerplate" not in of_one(dialogue("用了什么", "采用GPT-2作为模型，效果不错。作为助手，他很称职"))


def test_turns_out_of_order_are_told_and_joined():
    body = turns(("system", "s"), ("user", "一"), ("user", "二"), ("assistant", "三"))

    [found] = of_one(body)["speaker_order"]

    assert (found.where, found.remedy, found.facts["turn"]) == ("messages[2].content", "merge_turns", 3)
    assert remedied("merge_turns", body) == turns(("system", "s"), ("user", "一\n二"), ("assistant", "三"))
    assert "speaker_order" in of_one(dialogue("我先说", "你说", first="assistant"))
    assert "speaker_order" in of_one(turns(("user", "一"), ("system", "s"), ("assistant", "二")))
    assert "speaker_order" not in of_one(dialogue("一", "二", "三", "四"))


def test_a_last_turn_that_nobody_answers_is_left_out():
    body = dialogue("一", "二", "三")

    [found] = of_one(body)["no_final_answer"]

    assert found.remedy == "drop_unanswered"
    assert remedied(found.remedy, body) == dialogue("一", "二")
    assert of_one(dialogue("只有问题"))["no_final_answer"][0].remedy == "remove_row"


def test_the_worse_answer_of_a_pair_may_be_bad():
    body = pair("怎么办呢", "多喝水", "作为一个AI语言模型，我不知道")

    assert of_one(body, "pair") == {}
    assert "boilerplate" in of_one(pair("怎么办呢", "作为一个AI语言模型，我不知道", "多喝水"), "pair")


# --- all rows -------------------------------------------------------------------------------------------------------


def test_copies_and_near_copies_are_told_apart():
    answer = "请在订单页面点击申请退款按钮，然后填写原因"
    found = of_all(
        [
            dialogue("请问如何申请退款啊", answer),
            dialogue("请问如何申请退款啊", answer),
            dialogue("请问如何申请退款啊？", answer + "即可"),
            dialogue("天气预报怎么看", "打开天气应用"),
        ]
    )

    assert [(key, one.rule, one.facts["first"]) for key, one in found] == [
        (2, "duplicate", 1),
        (3, "near_duplicate", 1),
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("七天之内可以退货吗亲", "七天之内不可以退货吗亲"),
        ("第1条规定的内容是什么", "第2条规定的内容是什么"),
        ("how do I turn the motor on", "how do I turn the motor off"),
        ("上海今天的天气怎么样", "广州明天的车票有没有"),
    ],
)
def test_a_number_a_not_or_an_opposite_makes_another_text(one, other):
    assert not alike(one, other)


def test_one_question_with_two_answers_is_told_once():
    [(key, found)] = of_all(
        [
            dialogue("请问退款要几天呢？", "三天之内到账"),
            dialogue("退款要几天", "一个月也不一定"),
            dialogue("退货要几天", "看快递"),
        ]
    )

    assert (key, found.rule, found.facts["count"], found.facts["rows"]) == (1, "conflict", 2, [1, 2])


def test_nearly_the_same_question_counts_when_it_says_a_few_words_more():
    asked = "如何在你们网站上申请办理退款"
    near = [dialogue(asked, "点击退款按钮"), dialogue(f"{asked}手续", "打电话给客服")]
    other = [dialogue(f"{asked}手续", "点击退款按钮"), dialogue(f"{asked}优惠", "打电话给客服")]

    assert [one.rule for _, one in of_all(near)] == ["conflict"]
    assert of_all(other) == []


def test_rows_of_one_paraphrase_group_must_not_contradict_each_other():
    bodies = [dialogue("退款要几天", "三天之内到账"), dialogue("钱什么时候回来", "一个月也不一定")]

    assert of_all(bodies) == []
    assert [one.rule for _, one in of_all(bodies, group=["g", "g"])] == ["conflict"]


@pytest.mark.parametrize(
    "bodies",
    [
        [dialogue("猫怕狗吗", "怕的呀"), dialogue("狗怕猫吗", "一点不怕")],
        [dialogue("第1条是什么", "总则"), dialogue("第2条是什么", "附则")],
        [dialogue("可以退吗", "可以退的，请放心"), dialogue("可以退吗", "可以退的，请放心。")],
        [turns(("system", "你是猫"), ("user", "你是谁"), ("assistant", "喵")), dialogue("你是谁", "小助手")],
    ],
)
def test_what_only_looks_like_a_contradiction_is_none(bodies):
    assert "conflict" not in {one.rule for _, one in of_all(bodies)}


def test_polite_words_do_not_make_another_question():
    assert question_key("请问如何退款呢？") == question_key("怎么退款")
    assert question_key("怎么退款") != question_key("怎么退货")


def test_a_trained_row_that_resembles_a_held_out_one_leaks():
    bodies = [
        dialogue("如何申请办理退款手续", "点按钮"),
        dialogue("如何申请办理退款的手续", "写邮件"),
        dialogue("别的", "无关"),
    ]

    found = of_all(bodies, split=["train", "test", "train"])

    assert [(key, one.facts["other"]) for key, one in found if one.rule == "leak"] == [(1, 2)]
    assert not [one for _, one in of_all(bodies, split=["train", "train", ""]) if one.rule == "leak"]


def test_an_answer_to_everything_is_told_with_its_share():
    rows = [dialogue(word(number), "好的亲" if number < 30 else word(number + 5000)) for number in range(200)]

    [(_, found)] = [each for each in of_all(rows) if each[1].rule == "common_answer"]

    assert (found.facts["count"], found.facts["percent"]) == (30, "15.0")


def test_a_row_far_longer_than_the_rest_is_noted():
    rows = [dialogue(word(number), word(number + 5000)) for number in range(200)]
    rows[7] = dialogue("长的", "".join(word(number) for number in range(2000)))

    found = {one.rule: (key, one) for key, one in of_all(rows)}

    assert found["length_outlier"][0] == 8
    assert found["length_skew"][1].facts["rows"] == 2


def test_fewer_than_a_hundred_is_said_and_what_to_expect():
    def told(count: int) -> list[Found]:
        checker = Checker()
        checker.look([row(dialogue(word(number), word(number + 900)), key=number) for number in range(count)])
        return [found for _, found in checker.compare() if found.rule == "few_examples"]

    assert [found.facts for found in told(99)] == [{"count": 99}]
    assert told(100) == []
    assert "hardly new facts" in RULES["few_examples"].why


# --- tokens ---------------------------------------------------------------------------------------------------------


def word_pieces() -> Renderer:
    """A tokenizer of the old sort: one token a character, and one for all that it has not."""
    known = ["[UNK]", *SPECIAL_TOKENS, "你", "好"]
    tokenizer = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(known)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens([special_token(text) for text in SPECIAL_TOKENS])
    return Renderer(tokenizer, CHAT_TEMPLATE, context_length=64, stop_ids=[known.index(END)])


def test_rows_that_do_not_fit_the_model_are_told():
    rules = TokenRules(word_pieces())

    long, short = rules.find([row(dialogue("你", "好" * 70)), row(dialogue("你", "好"))])

    assert [(found.rule, found.facts) for found in long] == [("too_long", {"tokens": 75, "limit": 64})]
    assert short == []


def test_characters_that_the_tokenizer_does_not_know_are_shown():
    rules = TokenRules(word_pieces())

    [found] = rules.find([row(dialogue("你好", "好魑魅好"))])

    assert [(one.rule, one.facts["found"], one.start) for one in found] == [("unknown_tokens", "魑", 1)]


# --- always ---------------------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *("13912345678", "a@b.com", "浣犲ソ鍚楋紵", "锟斤拷", "cafÃ©", "\ue000", "\ufffd", "\udc00", "😀", "1", "null"),
        *("<|user|>", "</s>", "[INST]", "### Human:", "作为一个AI语言模型，", "As an AI language model, ", " ", "\n\n"),
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=8), min_size=1, max_size=6).map("".join).filter(str.strip)
ROLES = st.sampled_from(["user", "assistant", "system"])
DIALOGUES = st.lists(st.tuples(ROLES, TEXTS), min_size=1, max_size=5).map(lambda said: turns(*said))
PAIRS = st.builds(pair, TEXTS, TEXTS, TEXTS)
DOCUMENTS = st.builds(lambda text: {"text": text}, TEXTS)
ROWS = st.one_of(
    st.builds(lambda body: row(body, "dialogue"), DIALOGUES),
    st.builds(lambda body: row(body, "pair"), PAIRS),
    st.builds(lambda body: row(body, "document"), DOCUMENTS),
)


@settings(max_examples=200, deadline=None)
@given(ROWS)
def test_rules_never_raise_and_every_span_lies_in_its_text(one):
    for found in findings.in_one_row(one):
        text = text_at(one.body, found.where)
        assert fill(findings.what(found.rule, found.facts))
        assert found.remedy in {"", *REMEDIES}
        if found.start is not None and found.end is not None:
            assert 0 <= found.start < found.end <= len(text)


@settings(max_examples=200, deadline=None)
@given(ROWS, st.sampled_from(sorted(REMEDIES)))
def test_a_remedy_done_twice_changes_nothing_more_and_leaves_no_text_empty(one, remedy):
    if remedy == "drop_unanswered" and one.kind != "dialogue":
        return

    once = remedied(remedy, one.body)

    if once is not None:
        assert remedied(remedy, once) == once
        assert all(place.text for place in findings.places(once))


@settings(max_examples=30, deadline=None)
@given(st.lists(ROWS, max_size=6))
def test_comparing_rows_never_raises(rows):
    checker = Checker()
    checker.look([Row(key=number, kind=one.kind, body=one.body) for number, one in enumerate(rows, 1)])

    counts = Counter(found.rule for _, found in checker.compare())

    assert counts.keys() <= RULES.keys()
