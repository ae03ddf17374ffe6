"""Figures of rows: what they say does not depend on the order in which the rows come."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from training.ml.statistics import LENGTH_EDGES, Counting, Lengths, Row


def dialogue(*texts: str, cluster: str = "", **facts: str) -> Row:
    messages = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]
    return Row(kind="dialogue", body={"messages": messages}, cluster=cluster, facts=facts)


def counted(rows: list[Row]) -> dict[str, Any]:
    counting = Counting()
    for row in rows:
        counting.add(row)
    return counting.to_json()


def test_questions_and_answers_are_counted_apart():
    figures = counted([dialogue("怎么上传数据？", "点击上传按钮", "Thanks for the dataset", "不客气", status="draft")])

    assert figures["facts"] == {"kind": {"dialogue": 1}, "status": {"draft": 1}}
    assert figures["turns"]["median"] == 4
    assert [word for word, _count in figures["words"]["questions"]] == ["dataset", "上传", "数据"]
    assert "点击" in [word for word, _count in figures["words"]["answers"]]
    assert figures["lengths"]["questions"]["bars"] == [
        {"from": 5, "to": 9, "count": 1},
        {"from": 10, "to": 19, "count": 0},
        {"from": 20, "to": 29, "count": 1},
    ]


def test_documents_pairs_and_labels_are_counted_too():
    prompt = [{"role": "user", "content": "问题"}]
    rows = [
        Row(kind="document", body={"text": "一篇很长的文章"}),
        Row(kind="pair", body={"prompt": prompt, "chosen": "更好的回答", "rejected": "坏"}),
        Row(kind="label", body={"prompt": prompt, "completion": "回答", "label": True}),
    ]

    figures = counted(rows)

    assert figures["lengths"]["answers"]["count"] == 4
    assert figures["lengths"]["rows"]["most"] == 8
    assert figures["turns"]["count"] == 2


def test_the_largest_clusters_are_told_with_what_they_say():
    rows = [dialogue(f"问{n}", "答", cluster="a") for n in range(6)] + [
        dialogue("别的", "答", cluster="b"),
        dialogue("x", "y"),
    ]

    clusters = counted(rows)["clusters"]

    assert clusters["largest"] == [{"id": "a", "count": 6, "texts": ["问0", "问1", "问2", "问3"]}]
    assert (clusters["clusters"], clusters["alone"], clusters["unknown"]) == (2, 1, 1)


def test_tokens_are_counted_where_somebody_counts_them():
    counting = Counting(lambda _kind, body: len(body["messages"]) * 10)
    counting.add(dialogue("a", "b"))

    assert counting.to_json()["lengths"]["tokens"]["median"] == 20


def test_the_order_of_rows_does_not_matter():
    draw = random.Random(1)
    rows = [dialogue(f"问题{draw.randrange(9)}", f"回答{draw.randrange(9)}" * draw.randrange(1, 9)) for _ in range(40)]

    assert counted(rows) == counted(draw.sample(rows, len(rows)))


@given(st.lists(st.integers(0, 9000), min_size=1))
def test_every_length_is_in_one_bar(values):
    lengths = Lengths(LENGTH_EDGES)
    for value in values:
        lengths.add(value)

    told = lengths.to_json()

    assert sum(bar["count"] for bar in told["bars"]) == told["count"] == len(values)
    assert told["least"] <= told["median"] <= told["p95"] <= told["most"]
    assert told["median"] == sorted(values)[(len(values) - 1) // 2]
