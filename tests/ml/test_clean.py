"""Cleaning steps: what each does, what it leaves alone, and what all of them promise."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.ml import clean
from training.ml.clean import Recipe
from training.ml.clean.characters import _tidied
from training.ml.clean.finder import WordFinder
from training.ml.records import Dialogue, Message

LIST = "a" * 64


def dialogue(*texts: str) -> Dialogue:
    turns = (Message(role="assistant" if n % 2 else "user", content=text) for n, text in enumerate(texts))
    return Dialogue(messages=tuple(turns))


def done(step, text, listed="", **chosen):
    """The text after a step with these settings; None when the step dropped it."""
    recipe = Recipe.from_json([{"step": step} | chosen], {LIST: listed})
    cleaned = recipe.clean(dialogue(text + "尾", "答"))
    return None if cleaned.record is None else clean.texts_of(cleaned.record)[0][:-1]


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [
        ("whitespace@1", "　你 好  吗 \r\n\r\n\r\n\r\n好 ", "你 好 吗\n\n好"),
        ("whitespace@1", "if a:\n    b  c", "if a:\n    b c"),
        ("control@1", "a\u200bb\x07c\ufeff\td\n", "abc\td\n"),
        ("control@1", "👨\u200d👩", "👨\u200d👩"),
        ("width@1", "ＡＢｃ１２，。", "ABc12，。"),
        ("punctuation@1", "你好,在吗?(我)等你! ok, 3:20 a.com/b?c", "你好，在吗？（我）等你！ ok, 3:20 a.com/b?c"),
        ("nfkc@1", "①㎏ﬁ，ｶﾞ", "1kgfi,ガ"),
        ("laughter@1", "呵呵呵，哈哈哈哈 hhhh 233 23333", "笑，笑 笑 笑 笑"),
        ("laughter@1", "233元 第233页 哈哈镜 ohhh 1233", "233元 第233页 哈哈镜 ohhh 1233"),
        ("laughter@2", "呵呵呵，哈哈哈哈 hhhh 233 23333 hahaha", "笑，笑 笑 笑 笑 笑"),
        ("laughter@2", "笑死我了2333 好啊233", "笑死我了2333 好啊笑"),
        ("laughter@2", "太逗了！233333", "太逗了！笑"),
        ("laughter@2", "哈哈嘻嘻哈哈 hhh233", "笑 笑笑"),
        (
            "laughter@2",
            "233元 第2333页 哈哈镜 哈哈哈镜 ohhh 1233 乐呵呵 嘻嘻哈哈 哈哈大笑 端口:2333 12333 2333年 Haha",
            "233元 第2333页 哈哈镜 哈哈哈镜 ohhh 1233 乐呵呵 嘻嘻哈哈 哈哈大笑 端口:2333 12333 2333年 笑",
        ),
        ("repeats@1", "啊啊啊啊啊！！！！！ 10000 好好好", "啊啊啊！！！ 10000 好好好"),
        ("repeats@2", "啊啊啊啊啊！！！！！ 10000 好好好 www ------ ====", "啊啊啊！！！ 10000 好好好 www ------ ===="),
        ("emoji@1", "好😂👍🏽 ★★★ © 2024 👨‍👩‍👧 [doge]", "好[笑cry][赞] ★★★ © 2024 [man] [doge]"),
        ("emoji@1", "1️⃣第一🇨🇳🤗🐹", "1第一[CN][抱抱][hamster face]"),
        ("html@1", "<p>你好<br/>吗</p><script>x<1</script><!-- 注 --><a href='b'>去</a>", "\n你好\n吗\n去"),
        ("html@1", "a &lt; b &amp;amp; &#20320; &x; AT&T", "a < b &amp; 你 &x; AT&T"),
        (
            "html@1",
            "a < b and c > d，<手机号>，if a<b and c>d，<!-- 没完",
            "a < b and c > d，<手机号>，if a<b and c>d，<!-- 没完",
        ),
        ("urls@1", "看https://t.cn/A6x?b=1#c，和 www.a.com/b。t.cn/RxYz12 O网页链接", "看，和 。 "),
        ("urls@1", "用 example.com 和 a/b，1.5 网页链接在哪", "用 example.com 和 a/b，1.5 网页链接在哪"),
        ("mentions@1", "@张三 你好 回复@li-si:好的 a@b.com 的@b.com", " 你好 好的 a@b.com 的@b.com"),
        ("topics@1", "#春晚#真好 C# 和 F# 语言 # 标题", "春晚真好 C# 和 F# 语言 # 标题"),
        ("topics@1", "车型是#CX，车牌是#CP", "车型是#CX，车牌是#CP"),
        ("reposts@1", "说得对//@张三:哈哈//@李四:原文", "说得对"),
        ("reposts@1", "转发微博//@张三:哈哈", ""),
        ("reposts@1", "见 http://a.com/ 和 a//b", "见 http://a.com/ 和 a//b"),
        ("simplify@1", "漢語\ud800資料 software", "汉语\ud800资料 software"),
        ("personal@1", "电话138-1234-5678，13812345678-13912345678", "电话<手机号>，<手机号>-<手机号>"),
        ("segment@1", "我来到北京清华大学\n好", "我 来到 北京 清华大学\n好"),
        ("stopwords@1", "我 喜欢 你\n你的书", "喜欢\n书"),
    ],
)
def test_a_step_does_what_it_says(step, before, after):
    assert clean.STEPS[step].run(before) == after


@pytest.mark.parametrize(
    ("step", "chosen", "before", "after"),
    [
        ("urls@1", {"to": "<链接>"}, "看http://a.com 吧", "看<链接> 吧"),
        ("mentions@1", {"to": "@某人"}, "@张三 你好", "@某人 你好"),
        ("topics@1", {"topics": "remove"}, "#春晚#真好", "真好"),
        ("emoji@1", {"emoji": "remove", "codes": "remove"}, "好😂[doge]的[1]", "好的[1]"),
        ("emoji@1", {"codes": "remove"}, "好❤[心]", "好[心]"),
        ("emoji@1", {"emoji": "keep"}, "好❤[心]", "好❤[心]"),
        ("laughter@2", {"to": "哈哈"}, "哈哈哈哈", "哈哈"),
        ("repeats@2", {"most": 1}, "啊啊啊", "啊"),
        ("simplify@1", {"from": "tw2sp"}, "軟體", "软件"),
        ("personal@1", {"mask": "shape"}, "138-1234-5678", "***-****-****"),
        ("personal@1", {"mask": "en", "kinds": ["email"]}, "a@b.com 13812345678", "<email> 13812345678"),
        ("sensitive@1", {"words": LIST}, "坏蛋和ＢＡＤ和badly", "**和***和badly"),
        ("sensitive@1", {"words": LIST, "action": "drop"}, "坏蛋", None),
        ("sensitive@1", {"words": LIST, "action": "drop"}, "好人", "好人"),
        ("adverts@1", {}, "加微信包邮", None),
        ("adverts@1", {}, "代购请打13812345678", None),
        ("adverts@1", {}, "我们在公众号里聊过兼容", "我们在公众号里聊过兼容"),
        ("adverts@1", {}, "优惠券" + "讲" * 200 + "包邮", "优惠券" + "讲" * 200 + "包邮"),
        ("adverts@1", {"action": "line"}, "你好\n扫码领红包\n再见", "你好\n再见"),
        ("adverts@1", {"words": LIST, "least": 1}, "坏蛋", None),
        ("characters@1", {"least": 3}, "好", None),
        ("characters@1", {"most": 3}, "好好好好", None),
        ("characters@1", {"least": 4, "of": "row"}, "好好", "好好"),
        ("segment@1", {"words": LIST}, "这是坏蛋", "这是 坏蛋 "),
        ("segment@1", {"mode": "search"}, "清华大学。", "清华 华大 大学 清华大学 。 "),
        ("stopwords@1", {"lists": ["en"], "words": LIST}, "the bad cat", "cat"),
    ],
)
def test_a_step_does_what_its_settings_say(step, chosen, before, after):
    assert done(step, before, listed="# 注释\n坏蛋\nbad\n\n坏蛋", **chosen) == after


def test_a_row_is_only_counted_where_that_is_asked():
    recipe = Recipe.from_json([{"step": "sensitive@1", "words": LIST, "action": "flag"}], {LIST: "坏蛋"})

    cleaned = recipe.clean(dialogue("坏蛋", "好"))

    assert (cleaned.record, cleaned.flags) == (dialogue("坏蛋", "好"), ("sensitive",))


def test_length_is_counted_in_the_tokens_of_a_tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    recipe = Recipe.from_json([{"step": "tokens@1", "tokenizer": LIST, "most": 4}], {LIST: words.to_str()})

    assert recipe.clean(dialogue("a b", "c \ud800")).dropped == ""
    assert recipe.clean(dialogue("a b", "c d e")).dropped == "too_many_tokens"


def test_a_user_dictionary_stays_in_its_own_segmenter():
    assert done("segment@1", "坏蛋云计算", listed="坏蛋云 5 n\n空 0", words=LIST).startswith("坏蛋云 ")
    assert clean.STEPS["segment@1"].run("坏蛋云计算") == "坏蛋 云 计算"


# --- what all steps promise -----------------------------------------------------------------------------------------

PLAIN = [name for name, info in clean.STEPS.items() if None not in info.defaults.values()]
TEXTS = [name for name in PLAIN if name not in ("characters@1", "adverts@1")]
HARD = st.text(
    st.sampled_from("a1 @#/:<>&;.哈呵乐23hH\n\t　Ａ漢😂\u200d\ufe0f\ud800\x00#坏[]doge//@加微信-"), max_size=40
)


@pytest.mark.parametrize("step", [name for name in TEXTS if clean.STEPS[name].settles])
@given(text=st.text() | HARD)
def test_a_step_done_twice_changes_nothing_more(step, text):
    run = clean.STEPS[step].run

    assert run(run(text)) == run(text)


@pytest.mark.parametrize("step", PLAIN)
@settings(max_examples=40)
@given(text=st.text(st.characters()) | HARD)
def test_no_text_breaks_a_step_and_its_answer_is_always_the_same(step, text):
    recipe, row = Recipe(steps=(step,)), dialogue(text, "答 " + text)

    assert recipe.clean(row) == recipe.clean(row)


@given(text=st.text(st.sampled_from("ab \n\t\r\u3000\x1c\x85"), max_size=12))
def test_looking_first_gives_the_same_white_space(text):
    assert clean.STEPS["whitespace@1"].run(text) == _tidied(text)


@pytest.mark.parametrize("step", PLAIN)
def test_a_hostile_text_takes_no_long(step):
    """Each is a shape on which a careless pattern takes the square of the length, or more."""
    recipe = Recipe(steps=(step,))
    for part in ("<a ", "<a =", "&#", "//@", "@", "#a", "<!--", "<script>", "1", "1 ", "a@", "哈", "[", "www."):
        assert recipe.clean(dialogue(part * (20_000 // len(part)), "答")).changed is not None


@given(words=st.lists(st.text(st.sampled_from("ab坏蛋Ａ"), min_size=1, max_size=3)), text=HARD)
def test_found_words_lie_within_the_text_and_are_words(words, text):
    spans = WordFinder(words).find(text)

    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert {text[start:end].lower().replace("Ａ", "a").replace("ａ", "a") for start, end in spans} <= {
        word.lower().replace("ａ", "a") for word in words
    }


def test_every_step_can_be_written_down_and_has_words_for_people():
    for name, info in clean.STEPS.items():
        assert name.rpartition("@")[2].isdecimal()
        assert info.label
        assert json.loads(json.dumps(info.defaults)) == info.defaults
        for parameter in info.parameters:
            assert parameter.label
            assert parameter.default is None or parameter.check(parameter.default) == parameter.default
