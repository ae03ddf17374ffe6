"""Near-duplicates are found, different texts are not, and ids do not depend on the order."""

from __future__ import annotations

import random

from training.ml.cluster import cluster, text_of

SUBJECTS = ["上传数据", "冻结版本", "启动训练", "查看曲线", "取消任务", "切换模型", "导出文件", "删除会话", "修改密码"]
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
