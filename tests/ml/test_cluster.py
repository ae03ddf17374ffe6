"""Near-duplicates are found, different texts are not, and ids do not depend on the order."""

from __future__ import annotations

import random

import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from training.ml.cluster import cluster, text_of
from training.ml.likeness import distance
from training.ml.sketches import BAND_ROWS, BANDS, Sketches

SUBJECTS = ["上传数据", "冻结版本", "启动训练", "查看曲线", "取消任务", "切换模型", "导出文件", "删除会话", "修改密码"]
WORDS = ["菜单", "按钮", "地址", "日志", "权限", "口令", "标签", "步骤"]
VERBS = ["怎么", "哪里可以", "为什么不能", "谁来", "什么时候", "需要多久才能"]


def planted(count: int) -> list[tuple[str, str]]:
    """Pairs of a text and a copy with one character more and other punctuation."""
    draw = random.Random(7)
    words = [f"{subject}{number}" for subject in SUBJECTS for number in range(50)]
    pairs = []
    for _ in range(count):
        text = "，".join(f"{draw.choice(VERBS)}{draw.choice(words)}" for _ in range(6))
        place = draw.randrange(len(text))
        pairs.append((text, f"{text[:place]}呢{text[place:]}？！"))
    return pairs


def test_planted_near_duplicates_meet():
    pairs = planted(300)

    ids = cluster([text for pair in pairs for text in pair])

    met = sum(ids[2 * n] == ids[2 * n + 1] for n in range(len(pairs)))
    assert met >= 0.97 * len(pairs)
    assert len(set(ids)) >= 0.97 * len(pairs)


def test_width_case_and_punctuation_make_no_difference():
    assert len(set(cluster(["如何 ScrollView 滚动？", "如何scrollview滚动", "如何ＳＣＲＯＬＬＶＩＥＷ滚动!"]))) == 1


def test_questions_about_different_things_stay_apart():
    questions = ["如何删除子对象", "如何添加子对象", "怎么上传数据", "怎么下载数据", "你好", "你好吗", "好", "。"]

    assert len(set(cluster(questions))) == len(questions)


def test_ids_do_not_depend_on_the_order():
    texts = [text for pair in planted(40) for text in pair]
    shuffled = random.Random(3).sample(texts, len(texts))

    assert dict(zip(texts, cluster(texts), strict=True)) == dict(zip(shuffled, cluster(shuffled), strict=True))


def test_a_single_exchange_is_known_by_its_question_and_a_long_one_as_a_whole():
    question = {"role": "user", "content": "问"}
    answer = {"role": "assistant", "content": "答"}

    assert text_of("dialogue", {"messages": [question, answer]}) == "问"
    assert text_of("pair", {"prompt": [question], "chosen": "a", "rejected": "b"}) == "问"
    assert text_of("dialogue", {"messages": [question, answer, question, answer]}) == "问\n答\n问\n答"
    assert text_of("document", {"text": "文"}) == "文"


def slipped(text: str, draw: random.Random, slips: int) -> str:
    letters = list(text)
    for _ in range(slips):
        place = draw.randrange(len(letters))
        harm = draw.choice("ride")
        if harm == "d":
            del letters[place]
        elif harm == "i":
            letters.insert(place, draw.choice("云朵风铃茶杯"))
        else:
            letters[place] = draw.choice("云朵风铃茶杯")
    return "".join(letters)


@pytest.mark.parametrize(
    ("change", "least"),
    [
        (lambda text, draw: slipped(text, draw, 1), 0.98),
        (lambda text, draw: slipped(text, draw, 2), 0.95),
        (lambda text, draw: slipped(text, draw, 3), 0.85),  # a fifth of the text is another one
        (lambda text, draw: f"您好，请问{text}？谢谢！", 1),
        (lambda text, draw: "，".join(reversed(text.split("，"))), 0.98),
    ],
    ids=["one slip", "two slips", "three slips", "politeness", "another order"],
)
def test_short_questions_meet_their_altered_copies(change, least):
    draw = random.Random(11)
    texts = [
        f"{draw.choice(VERBS)}{subject}{word}，{draw.choice(SUBJECTS)}的时候" for subject in SUBJECTS for word in WORDS
    ]

    ids = cluster([*texts, *(change(text, draw) for text in texts)])

    met = sum(one == other for one, other in zip(ids, ids[len(texts) :], strict=False))
    assert met >= least * len(texts)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("怎么上传数据", "怎么下载数据"),
        ("请问在后台怎么上传数据？", "请问在后台怎么下载数据？"),
        ("第3章讲的是什么内容", "第4章讲的是什么内容"),
        ("how do I delete a model", "how do I train a model"),
    ],
)
def test_another_word_or_number_is_another_question(one, other):
    assert len(set(cluster([one, other]))) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("怎么上传数据", "怎么上传数剧"),
        ("怎么上传数据", "麻烦问一下，怎么上传数据呢？"),
        ("怎么上传数据", "数据怎么上传"),
        ("How do I upload data?", "hello, could you please tell me how do I upload data, thanks"),
    ],
)
def test_slips_polite_words_and_order_are_the_same_question(one, other):
    assert len(set(cluster([one, other]))) == 1


@given(st.text(min_size=1, max_size=12), st.text(max_size=12))
def test_the_edit_distance_is_levenshteins(one, other):
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, start=1):
        before, row[0] = row[0], number
        for place, against in enumerate(other, start=1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (letter != against))

    assert distance(one, other) == row[-1]


def test_a_text_has_the_minhash_that_datasketch_gives_it():
    sketches = Sketches(["怎么上传数据", "如何删除子对象", "hello world"])

    ours = sketches.minhashes(0, BANDS * BAND_ROWS)

    for number, (start, size) in enumerate(zip(sketches.starts, sketches.sizes, strict=True)):
        theirs = MinHash(num_perm=BANDS * BAND_ROWS, scheme="affine32", hashfunc=int)
        theirs.update_batch(sketches.features[start : start + size].tolist())
        assert ours[:, number].tolist() == theirs.hashvalues.tolist()


@given(st.lists(st.text(alphabet="怎么上传下载数据呢吗，？请问ab1 ", max_size=14), max_size=30), st.randoms())
@settings(max_examples=60, deadline=None)
def test_any_texts_in_any_order_get_the_same_ids(texts, draw):
    shuffled = draw.sample(texts, len(texts))

    assert dict(zip(texts, cluster(texts), strict=True)) == dict(zip(shuffled, cluster(shuffled), strict=True))
