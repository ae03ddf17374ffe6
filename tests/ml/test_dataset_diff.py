"""Two frozen datasets side by side: what was added, removed, changed or moved."""

from __future__ import annotations

import pytest

from tests.ml.test_dataset import again, facts, places, row, word
from training.ml import dataset
from training.ml.dataset_diff import compare
from training.ml.records import SPLITS


def test_rows_are_told_apart_by_key_and_content(tmp_path):
    before = dataset.freeze(facts(20), tmp_path, kind="dialogue")
    known = again(facts(20), places(before))
    changed = [row(item.key, item.body["messages"][0]["content"], "anders", split=item.split) for item in known[:2]]
    now = dataset.freeze([*changed, *known[3:], *facts(2, start=50)], tmp_path, kind="dialogue")

    found = compare(now, before)

    assert found.counts == {"added": 2, "removed": 1, "changed": 2, "moved": 0, "kept": 17}
    assert {one.key for one in found.differences if one.change == "changed"} == {"0/0", "1/0"}
    [gone] = [one for one in found.differences if one.change == "removed"]
    assert (gone.key, gone.now) == ("2/0", None)
    for one in found.differences:
        if one.now:
            assert now.row(one.now.split, one.now.number).hash == one.now.hash
        if one.before:
            assert before.row(one.before.split, one.before.number).key == one.key


def test_a_row_in_another_split_is_moved(tmp_path):
    one = dataset.freeze([row("a", word("1"), word("2"), split="train"), *facts(3)], tmp_path, kind="dialogue")
    other = dataset.freeze([row("a", word("1"), word("2"), split="test"), *facts(3)], tmp_path, kind="dialogue")

    found = compare(other, one)

    assert found.counts == {"added": 0, "removed": 0, "changed": 0, "moved": 1, "kept": 3}


def test_a_dataset_does_not_differ_from_itself(tmp_path):
    frozen = dataset.freeze(facts(9), tmp_path, kind="dialogue")

    assert compare(frozen, frozen).counts == {"added": 0, "removed": 0, "changed": 0, "moved": 0, "kept": 9}


def test_a_row_is_found_by_its_place(tmp_path):
    frozen = dataset.freeze(facts(30), tmp_path, kind="dialogue")

    for split in SPLITS:
        assert [frozen.row(split, number) for number in range(frozen.counts[split])] == frozen.rows(split)
    with pytest.raises(IndexError):
        frozen.row("train", frozen.counts["train"])
    with pytest.raises(IndexError):
        frozen.row("train", -1)
