"""What is written out in any format and read again is the same; what a format cannot hold is counted."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training.ml import corpus
from training.ml.corpus import Readable
from training.ml.export import REASONS, WRITERS, Outgoing, Tally, can_hold, export, writers_for
from training.ml.records import Dialogue, Document, Kind, Label, Message, Pair, Record

ODD = st.sampled_from(
    [
        "=1+1",
        "'=x",
        "''-2",
        "@a",
        "\tx",
        "a ->",
        " b\n",
        "E",
        "M a",
        "“引号”",
        '"',
        "a,b",
        "a\nb",
        "a\r\nb",
        "- x",
        "#",
        "\u2028",
        "\x85x",
        "你好",
        "𝒳",
        "\n\nHuman: x",
        "{",
        "[1]",
        "null",
        "_x0041_",
        "\ufeffa",
        "a\tb",
        "无",
        "好 的 谢 谢 你 啊 好 的 谢 谢 你 啊",
        "'",
    ]
)
TEXT = st.one_of(ODD, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1)).filter(
    lambda text: bool(text.strip())
)


Turns = list[tuple[Any, str, float]]


def messages(last: str) -> st.SearchStrategy[tuple[Message, ...]]:
    """Turns in any order, a system text at most first, `last` at the end."""
    free = st.lists(
        st.tuples(st.sampled_from(["user", "assistant"]), TEXT, st.sampled_from([1.0, 1.0, 0.0])), max_size=3
    )
    in_turn = st.lists(st.tuples(TEXT, TEXT), max_size=2).map(alternating)
    system = st.one_of(st.just(None), st.just(None), TEXT)
    answer = TEXT if last == "assistant" else st.just(None)
    return st.builds(joined, system, st.one_of(in_turn, free), TEXT, answer)


def alternating(pairs: list[tuple[str, str]]) -> Turns:
    return [turn for asked, answer in pairs for turn in (("user", asked, 1.0), ("assistant", answer, 1.0))]


def joined(system: str | None, turns: Turns, asked: str, answer: str | None) -> tuple[Message, ...]:
    first: Turns = [("system", system, 1.0)] if system else []
    last: Turns = [("assistant", answer, 1.0)] if answer else []
    everything = [*first, *turns, ("user", asked, 1.0), *last]
    return tuple(Message(role=role, content=text, weight=weight) for role, text, weight in everything)


def different(pair: Pair) -> bool:
    return pair.chosen != pair.rejected


MARGINS = st.one_of(st.none(), st.integers(-5, 5), st.floats(-5, 5))
RECORDS: dict[Kind, st.SearchStrategy[Any]] = {
    "dialogue": st.builds(Dialogue, messages=messages("assistant")),
    "pair": st.builds(Pair, prompt=messages("user"), chosen=TEXT, rejected=TEXT, margin=MARGINS).filter(different),
    "label": st.builds(Label, prompt=messages("user"), completion=TEXT, desirable=st.booleans()),
    "document": st.builds(Document, text=TEXT),
}


def written(path: Path, name: str, records: list[Record], **beside: str) -> Tally:
    tally = Tally()
    with path.open("wb") as file:
        for piece in export((Outgoing(record, **beside) for record in records), name, tally):
            file.write(piece)
    return tally


def read(path: Path, name: str | None = None) -> list[Record]:
    detected = corpus.detect(path, format=name, encoding="utf-8" if name and path.suffix != ".xlsx" else None)
    rows = list(corpus.read(path, detected))
    assert [row for row in rows if not isinstance(row, Readable)] == []
    return [row.record for row in rows if isinstance(row, Readable)]


def holds(name: str, record: Record, path: Path) -> bool:
    return written(path, name, [record]).written == 1


@pytest.mark.parametrize("name", [name for name in WRITERS if not name.endswith("xlsx")])
def test_any_rows_that_a_format_takes_come_back_as_they_were(tmp_path_factory, name):
    writer = WRITERS[name]
    path = tmp_path_factory.mktemp("round") / f"rows{writer.suffix}"

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(RECORDS[writer.kinds[0]], min_size=1, max_size=4))
    def round_trip(records: list[Record]) -> None:
        tally = written(path, name, records)
        kept = [record for record in records if holds(name, record, path)]
        assert (tally.written, sum(tally.left_out.values())) == (len(kept), len(records) - len(kept))
        if kept:
            written(path, name, records)
            assert read(path, writer.read_as) == kept

    round_trip()


def test_cells_that_a_spreadsheet_would_run_are_marked_and_read_back(tmp_path):
    texts = ["=1+1", "+1", "-1", "@a", "\tx", "'=1", "''", "it's"]
    records: list[Record] = [corpus.exchange(text, text) for text in texts]

    written(tmp_path / "a.csv", "csv", records)

    lines = (tmp_path / "a.csv").read_bytes().decode("utf-8-sig").splitlines()
    assert [line.split(",")[0].strip('"') for line in lines[1:]] == [
        "'=1+1", "'+1", "'-1", "'@a", "'\tx", "''=1", "''", "it's"
    ]  # fmt: skip
    assert read(tmp_path / "a.csv") == records


def test_what_is_left_out_is_counted_with_its_reason(tmp_path):
    system = Message(role="system", content="s")
    turns = corpus.exchange("q", "a").messages
    records: list[Record] = [
        Dialogue(messages=(system, *turns)),
        Dialogue(messages=turns * 2),
        Dialogue(messages=(turns[0], Message(role="assistant", content="a", weight=0.0))),
        corpus.exchange("two\nlines", "a"),
        corpus.exchange(" edge", "a"),
        Document(text="a text"),
        Dialogue(messages=turns),
    ]

    tally = written(tmp_path / "a.txt", "tab_pairs", records)

    assert tally.written == 1
    assert tally.left_out == Counter(["system", "turns", "weight", "lines", "edges", "kind"])
    assert set(tally.left_out) <= set(REASONS)


def test_groups_and_splits_stand_beside_json_rows(tmp_path):
    path = tmp_path / "a.jsonl"
    written(path, "messages", [corpus.exchange("q", "a")], group="g", split="train")

    row = json.loads(path.read_text("utf-8"))
    assert (row["group"], row["split"]) == ("g", "train")
    assert [row.group for row in corpus.read(path, corpus.detect(path)) if isinstance(row, Readable)] == ["g"]


def test_a_format_with_a_most_of_rows_counts_the_others(monkeypatch):
    tally = Tally()
    few = replace(WRITERS["xlsx"], most_rows=2)
    monkeypatch.setitem(WRITERS, "xlsx", few)

    assert list(export([Outgoing(corpus.exchange("q", "a"))] * 5, "xlsx", tally))
    assert (tally.written, tally.left_out) == (2, Counter({"rows": 3}))


def test_no_rows_are_a_file_too(tmp_path):
    for name, writer in WRITERS.items():
        assert written(tmp_path / f"a{writer.suffix}", name, []).written == 0


@pytest.mark.parametrize("kind", list(RECORDS))
def test_every_kind_has_a_format_that_holds_all_of_it(kind):
    best = writers_for(kind)[0].name

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(RECORDS[kind])
    def holds_all(record: Record) -> None:
        assert can_hold(best, record)

    holds_all()


@pytest.mark.parametrize("name", [name for name in WRITERS if name.endswith("xlsx")])
def test_workbooks_give_their_rows_back(tmp_path_factory, name):
    path = tmp_path_factory.mktemp("round") / "rows.xlsx"

    @settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(RECORDS[WRITERS[name].kinds[0]], min_size=1, max_size=8))
    def round_trip(records: list[Record]) -> None:
        kept = [record for record in records if holds(name, record, path)]
        if kept:
            written(path, name, records)
            assert read(path) == kept

    round_trip()


def test_a_table_of_thumbs_with_long_cells_is_never_read_as_dialogues(tmp_path):
    lines = "\n".join(f"line {number}, with, commas" for number in range(30))
    asked = (Message(role="user", content=lines),)
    records: list[Record] = [
        Label(prompt=asked, completion=f"{number}\n{lines}", desirable=number % 2 == 0) for number in range(40)
    ]

    written(tmp_path / "a.csv", "label_csv", records)

    assert read(tmp_path / "a.csv") == records
