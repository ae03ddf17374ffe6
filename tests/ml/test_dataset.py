"""Freezing: content-addressed, split without leaks, sticky, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections import defaultdict
from pathlib import Path

import pytest

from training.ml import clean, dataset
from training.ml.clean import Recipe
from training.ml.dataset import Candidate, FrozenDataset
from training.ml.errors import BadDataset
from training.ml.records import SPLITS, body_hash


def word(name: str) -> str:
    """Eight Han characters that no other name has in common with this one."""
    return "".join(
        chr(0x4E00 + byte * 20 + index) for index, byte in enumerate(hashlib.sha256(name.encode()).digest()[:8])
    )


def row(key: str, question: str, answer: str, *, group: str = "", split: str = "") -> Candidate:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return Candidate(key=key, kind="dialogue", body={"messages": messages}, group=group, split=split)


def facts(count: int, *, phrasings: int = 1, start: int = 0) -> list[Candidate]:
    """`count` facts with as many different questions each."""
    return [
        row(f"{fact}/{number}", word(f"q{fact}/{number}"), word(f"a{fact}"), group=f"g{fact}")
        for fact in range(start, start + count)
        for number in range(phrasings)
    ]


def places(frozen: FrozenDataset) -> dict[str, str]:
    return {item.key: split for split in SPLITS for item in frozen.iterate(split)}


def again(rows: list[Candidate], known: dict[str, str]) -> list[Candidate]:
    """The same rows as a later version sees them."""
    return [
        Candidate(key=item.key, kind=item.kind, body=item.body, group=item.group, split=known.get(item.key, ""))
        for item in rows
    ]


def test_the_same_rows_and_recipe_give_the_same_hash_in_any_order(tmp_path):
    rows = facts(40, phrasings=3)
    shuffled = random.Random(1).sample(rows, len(rows))

    one = dataset.freeze(rows, tmp_path / "a", kind="dialogue")
    other = dataset.freeze(shuffled, tmp_path / "b", kind="dialogue")

    assert one.hash == other.hash
    assert places(one) == places(other)
    assert one.directory == tmp_path / "a" / one.hash


def test_another_recipe_or_another_row_gives_another_hash(tmp_path):
    rows = facts(10)

    hashes = {
        dataset.freeze(rows, tmp_path, kind="dialogue").hash,
        dataset.freeze(rows, tmp_path, kind="dialogue", recipe=Recipe(steps=())).hash,
        dataset.freeze(rows[1:], tmp_path, kind="dialogue").hash,
    }

    assert len(hashes) == 3


def test_what_was_frozen_is_read_back(tmp_path):
    frozen = dataset.freeze(facts(30), tmp_path, kind="dialogue")

    loaded = dataset.load(frozen.directory)

    assert loaded.manifest == frozen.manifest
    assert loaded.counts == {split: len(loaded.rows(split)) for split in SPLITS}
    assert sum(loaded.counts.values()) == 30
    item = loaded.rows("train")[0]
    assert item.hash == body_hash("dialogue", item.body)
    assert json.loads((frozen.directory / "dataset.json").read_text())["format"] == 1


def test_the_manifest_says_what_counted_as_near_duplicates_and_an_older_one_is_still_read(tmp_path):
    frozen = dataset.freeze(facts(5), tmp_path, kind="dialogue")
    assert frozen.manifest["clusters"] == 2
    older = {name: value for name, value in frozen.manifest.items() if name != "clusters"}
    (frozen.directory / "dataset.json").write_text(json.dumps(older))

    assert dataset.load(frozen.directory).hash == frozen.hash


def test_ways_to_ask_for_one_fact_never_fall_into_test_and_train(tmp_path):
    frozen = dataset.freeze(facts(200, phrasings=3), tmp_path, kind="dialogue")

    splits = defaultdict(set)
    for key, split in places(frozen).items():
        splits[key.split("/")[0]].add(split)
    assert {frozenset(found) for found in splits.values()} <= {
        frozenset({"train"}),
        frozenset({"test"}),
        frozenset({"validation"}),
        frozenset({"train", "phrasing"}),
    }
    assert (frozen.counts["validation"], frozen.counts["test"]) == (30, 30)
    assert frozen.counts["phrasing"] == 18  # a tenth of the 180 trained facts lends one of its phrasings


def test_near_duplicates_and_equal_answers_share_a_split(tmp_path):
    long = word("near") * 4
    alike = [row(f"n{n}", long + "啊" * n, word(f"x{n}")) for n in range(3)]
    same_answer = [row(f"s{n}", word(f"y{n}"), word("shared answer")) for n in range(3)]

    found = places(dataset.freeze([*facts(60), *alike, *same_answer], tmp_path, kind="dialogue"))

    assert len({found[item.key] for item in alike}) == 1
    # Three different questions with one answer are a fact: one of them may be held out as an unseen phrasing.
    assert {found[item.key] for item in same_answer} in ({"train"}, {"test"}, {"validation"}, {"train", "phrasing"})


def test_a_held_out_phrasing_has_no_near_duplicate_in_training(tmp_path):
    rows = facts(30, phrasings=3)
    copies = [
        row(f"{item.key}+", item.body["messages"][0]["content"] + "？", word("a0"), group=item.group) for item in rows
    ]

    frozen = dataset.freeze([*rows, *copies], tmp_path, kind="dialogue")

    held = {item.cluster for item in frozen.iterate("phrasing")}
    assert held
    assert held.isdisjoint(item.cluster for item in frozen.iterate("train"))


def test_a_row_keeps_its_split_for_ever(tmp_path):
    rows = facts(60, phrasings=3)
    first = places(dataset.freeze(rows, tmp_path, kind="dialogue"))

    more = again(rows, first) + facts(200, phrasings=3, start=1000)
    second = places(dataset.freeze(more, tmp_path, kind="dialogue"))

    assert {key: second[key] for key in first} == first


def test_new_rows_follow_what_they_resemble_even_outside_the_selection(tmp_path):
    rows = facts(60)
    first = places(dataset.freeze(rows, tmp_path, kind="dialogue"))
    tested = [item for item in again(rows, first) if item.split == "test"]
    newcomers = [
        row(f"new-{item.key}", item.body["messages"][0]["content"] + "？", word(f"z{item.key}")) for item in tested
    ]

    frozen = dataset.freeze([*facts(60, start=500), *newcomers], tmp_path, kind="dialogue", anchors=tested)

    found = places(frozen)
    assert newcomers
    assert {found[item.key] for item in newcomers} == {"test"}
    assert all(item.key not in found for item in tested)


def test_a_row_that_joins_trained_and_tested_ones_is_left_out(tmp_path):
    rows = [
        row("a", word("1"), word("A"), group="one", split="train"),
        row("b", word("2"), word("B"), group="two", split="test"),
        row("bridge", word("1") + "？", word("C"), group="two"),
    ]

    frozen = dataset.freeze([*facts(10), *rows], tmp_path, kind="dialogue")

    found = places(frozen)
    assert "bridge" not in found
    assert (found["a"], found["b"]) == ("train", "test")
    assert frozen.report["between_splits"] == 1


def test_of_equal_rows_one_is_kept_and_the_rest_counted(tmp_path):
    frozen = dataset.freeze([*facts(10), row("copy", word("q0/0"), word("a0"))], tmp_path, kind="dialogue")

    assert frozen.report["duplicates"] == 1
    assert sum(frozen.counts.values()) == 10


def test_a_small_set_still_has_something_to_test_on(tmp_path):
    counts = dataset.freeze(facts(6), tmp_path, kind="dialogue").counts

    assert counts == {"train": 4, "validation": 1, "test": 1, "phrasing": 0}


def test_a_tiny_set_is_all_trained_on_and_says_so(tmp_path):
    frozen = dataset.freeze(facts(3), tmp_path, kind="dialogue")

    assert frozen.counts == {"train": 3, "validation": 0, "test": 0, "phrasing": 0}
    assert frozen.report["too_small_to_hold_out"]


def test_pairs_and_labels_freeze_too(tmp_path):
    prompt = [{"role": "user", "content": "问"}]
    pair = Candidate(key="p", kind="pair", body={"prompt": prompt, "chosen": "好", "rejected": "坏"})
    label = Candidate(key="l", kind="label", body={"prompt": prompt, "completion": "好", "label": True})

    assert dataset.freeze([pair], tmp_path, kind="pair").rows("train")[0].body == pair.body
    assert dataset.freeze([label], tmp_path, kind="label").rows("train")[0].body == label.body


@pytest.mark.parametrize(
    ("rows", "rule"),
    [
        ([], "no_rows"),
        ([row("a", " ", "b")], "no_rows"),
        ([row("a", word("1"), word("2"), split="test")], "no_training_rows"),
    ],
)
def test_nothing_to_freeze_is_said(tmp_path, rows, rule):
    with pytest.raises(BadDataset) as caught:
        dataset.freeze(rows, tmp_path, kind="dialogue")

    assert caught.value.facts["rule"] == rule
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["train.arrow", "test.arrow", "dataset.json"])
@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_damage_is_found_on_load_and_mended_by_freezing_again(tmp_path, name, harm):
    frozen = dataset.freeze(facts(30), tmp_path, kind="dialogue")
    _harm(frozen.directory / name, harm)

    with pytest.raises(BadDataset):
        dataset.load(frozen.directory)

    mended = dataset.freeze(facts(30), tmp_path, kind="dialogue")
    assert dataset.load(mended.directory).hash == frozen.hash


def _harm(path: Path, harm: str) -> None:
    content = path.read_bytes()
    if harm == "remove":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 0x80]) + content[middle + 1 :])


def test_a_later_format_is_refused_by_name(tmp_path):
    frozen = dataset.freeze(facts(5), tmp_path, kind="dialogue")
    manifest = frozen.directory / "dataset.json"
    manifest.write_text(json.dumps(frozen.manifest | {"format": 99}))

    with pytest.raises(BadDataset, match="99"):
        dataset.load(frozen.directory)


def test_the_recipe_is_in_the_manifest(tmp_path):
    recipe = Recipe(steps=("laughter@1",))

    frozen = dataset.freeze([*facts(4), row("l", "为什么", "哈哈哈哈")], tmp_path, kind="dialogue", recipe=recipe)

    assert frozen.manifest["recipe"] == ["laughter@1"]
    assert frozen.report["changed"] == {"laughter@1": 1}
    assert clean.DEFAULT.to_json() != frozen.manifest["recipe"]


def test_a_directory_with_another_dataset_s_files_is_moved_out_of_the_way(tmp_path):
    first = dataset.freeze(facts(40), tmp_path, kind="dialogue")
    other = dataset.freeze(facts(41), tmp_path, kind="dialogue")
    shutil.rmtree(first.directory)
    shutil.copytree(other.directory, first.directory)

    frozen = dataset.freeze(facts(40), tmp_path, kind="dialogue")

    assert frozen.directory.name == first.hash
    assert dataset.load(frozen.directory).hash == first.hash
