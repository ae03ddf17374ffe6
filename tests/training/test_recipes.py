"""Recipes and word lists as rows: stored by content, made ready with their lists, tried on the operator's own rows."""

from __future__ import annotations

import hashlib

import pytest

from training import curation, recipes, versions
from training.ml import clean
from training.ml.errors import BadConfig, BadFile
from training.ml.records import Dialogue
from training.models import DatasetVersion, Example, Recipe, WordList

pytestmark = pytest.mark.django_db


def add_list(text: str = "坏蛋\nbad\n", use: str = "sensitive") -> WordList:
    return recipes.add_word_list(text.encode(), name="坏词", use=use)[0]


def add(question: str, answer: str = "好的，没有问题。") -> Example:
    return curation.add_pair_of_qa(question, answer, user=None, approve=True)[0]


# --- recipes --------------------------------------------------------------------------------------------------------


def test_equal_steps_are_one_recipe_and_the_earlier_version_is_remembered():
    first, is_new = recipes.save(["whitespace@1"], name="一")
    same, again = recipes.save([{"step": "whitespace@1"}], name="二")
    second, _ = recipes.save(["whitespace@1", {"step": "repeats@2", "most": 2}], name="三", parent=first)

    assert (is_new, again, same, same.name) == (True, False, first, "一")
    assert (second.parent, second.steps) == (first, ["whitespace@1", {"step": "repeats@2", "most": 2}])


@pytest.mark.parametrize(
    "steps",
    [["laughter@9"], ["sensitive@1"], [{"step": "sensitive@1", "words": "c" * 64}], [{"step": "nfkc@1", "a": 1}]],
)
def test_a_recipe_that_cannot_run_is_not_stored(steps):
    with pytest.raises(BadConfig):
        recipes.save(steps, name="x")
    assert not Recipe.objects.exists()


def test_a_recipe_needs_a_name():
    with pytest.raises(recipes.NoName):
        recipes.save([], name=" ")


def test_a_stored_recipe_brings_its_lists():
    words = add_list()
    stored, _ = recipes.save([{"step": "sensitive@1", "words": words.sha256}], name="x")

    cleaned = recipes.runnable(Recipe.objects.get(pk=stored.pk)).clean_body("document", {"text": "大坏蛋"})

    assert cleaned.record is not None
    assert cleaned.record.body() == {"text": "大**"}
    assert recipes.users_of(words) == [stored]
    assert recipes.runnable(None) == clean.DEFAULT


def test_a_version_is_frozen_by_a_recipe_with_a_list():
    words = add_list()
    for number in range(12):
        add(f"第{number}个坏蛋是谁，{chr(0x4E00 + number * 37) * 5}？")
    steps: list[clean.Choice] = [{"step": "sensitive@1", "words": words.sha256}, "laughter@2"]
    version = versions.queue_freeze({}, name="v", kind="dialogue", owner=None, recipe=recipes.save(steps, name="x")[0])

    assert versions.freeze_queued()

    version.refresh_from_db()
    assert version.status == DatasetVersion.Status.FROZEN, version.error
    assert version.report["changed"] == {"sensitive@1": 12}
    assert all("坏蛋" not in line for line in versions.as_lines(version))


# --- word lists -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_a_list_is_read_in_any_usual_encoding_without_blanks_comments_and_repeats(encoding):
    content = "# 坏词\r\n坏蛋\r\n\r\n  笨蛋 \r\n坏蛋\r\n".encode(encoding)

    words, is_new = recipes.add_word_list(content, name="x", use="stop")

    assert (words.text, words.words, is_new) == ("坏蛋\n笨蛋\n", 2, True)
    assert words.sha256 == hashlib.sha256(words.text.encode()).hexdigest()
    assert recipes.add_word_list("坏蛋\n笨蛋".encode(), name="y", use="stop") == (words, False)
    assert recipes.add_word_list(content, name="x", use="sensitive")[1]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no word in the list"),
        (b"# only a comment\n\n", "no word in the list"),
        (b"\xff\xfe\x00", "no text in UTF-8"),
        (b"a\x00b", "no text in UTF-8"),
        (b"ok\n" + b"x" * 101, "Word 2 has 101 characters: x{20}…"),
        ("\n".join(map(str, range(200_001))).encode(), "has 200001 words; at most 200000"),
        (b"x" * (recipes.MOST_BYTES + 1), "at most 5 MB"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_with_the_reason(content, told):
    with pytest.raises(BadFile, match=told):
        recipes.add_word_list(content, name="x", use="stop")


# --- rows to look at ------------------------------------------------------------------------------------------------


def test_a_sample_is_random_and_stays_for_its_seed():
    for number in range(40):
        add(f"问题{number}")

    one, same, other = (recipes.sample(seed=seed, rows=5) for seed in (1, 1, 2))

    assert len(one) == 5
    assert one == same != other
    assert recipes.sample(corpus=99) == []


def test_pasted_lines_are_rows():
    rows = recipes.pasted("一\r\n\n二")

    assert [row.messages[0].content for row in rows if isinstance(row, Dialogue)] == ["一", "二"]
