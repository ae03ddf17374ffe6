"""Recipes: what they record, what they make of rows, and that the number of processes changes nothing."""

from __future__ import annotations

import multiprocessing
import pickle
from importlib.metadata import version

import pytest

from training.ml import clean
from training.ml.clean import Choice, Recipe, Tally, clean_many, parallel
from training.ml.clean.preview import marks, trace
from training.ml.errors import BadConfig
from training.ml.records import Dialogue, Document, Label, Message, Pair

LIST = "b" * 64


def dialogue(*texts: str) -> Dialogue:
    turns = (Message(role="assistant" if n % 2 else "user", content=text) for n, text in enumerate(texts))
    return Dialogue(messages=tuple(turns))


# --- what is recorded -----------------------------------------------------------------------------------------------


def test_the_default_takes_no_words_away_and_its_hash_never_changes():
    assert clean.DEFAULT.to_json() == ["whitespace@1", "control@1"]
    assert clean.DEFAULT.sha256 == "0d599c09b26aa95d6dbc05ed791510650dafabb757622c8ac2aaf723d40e9710"


def test_a_recipe_is_known_by_its_steps_and_their_order():
    one, other = Recipe(steps=("width@1", "laughter@1")), Recipe(steps=("laughter@1", "width@1"))

    assert one.sha256 == Recipe.from_json(one.to_json()).sha256
    assert one.sha256 != other.sha256


def test_a_setting_that_is_as_by_default_is_not_recorded():
    steps: list[Choice] = [{"step": "repeats@2", "most": 3}, {"most": 2, "step": "repeats@2"}, {"step": "nfkc@1"}]

    assert Recipe.from_json(steps).to_json() == ["repeats@2", {"step": "repeats@2", "most": 2}, "nfkc@1"]


def test_the_versions_of_jieba_and_opencc_are_part_of_a_recipe_that_uses_them():
    recipe = Recipe(steps=("simplify@1", "segment@1"))
    older = Recipe(steps=({"step": "simplify@1", "opencc": "1.0"}, "segment@1"))

    assert recipe.to_json() == [
        {"step": "simplify@1", "opencc": version("opencc")},
        {"step": "segment@1", "jieba": version("jieba")},
    ]
    assert older.sha256 != recipe.sha256


def test_a_recipe_of_another_library_version_is_refused_before_it_makes_other_rows():
    older = Recipe(steps=({"step": "simplify@1", "opencc": "1.0"},))

    with pytest.raises(BadConfig, match=r"made with opencc 1\.0"):
        older.clean(dialogue("a", "b"))


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ("laughter@9", "There is no cleaning step laughter@9"),
        ({"most": 3}, "There is no cleaning step None"),
        ({"step": "repeats@2", "most": 0}, "At most in a row must be a whole number from 1 to 20, not 0"),
        ({"step": "repeats@2", "most": True}, "whole number"),
        ({"step": "repeats@2", "most": "3"}, "whole number"),
        ({"step": "repeats@2", "least": 3}, "has no setting least"),
        ({"step": "emoji@1", "emoji": "burn"}, "Emoji must be one of keep, remove, name, not burn"),
        ({"step": "personal@1", "kinds": []}, "some of"),
        ({"step": "personal@1", "kinds": ["mobile", "dna"]}, "some of"),
        ({"step": "urls@1", "to": "x" * 41}, "at most 40 characters"),
        ("sensitive@1", "needs a value for Word list"),
        ({"step": "sensitive@1", "words": "abc"}, "must name a word list"),
        ({"step": "characters@1", "least": 9, "most": 3}, "would drop every row"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_with_the_reason(choice, told):
    with pytest.raises(BadConfig, match=told):
        Recipe.from_json([choice])


def test_a_recipe_whose_list_is_not_here_can_be_read_but_not_run():
    recipe = Recipe.from_json([{"step": "sensitive@1", "words": LIST}])

    assert clean.materials_of(recipe.steps[0]) == [LIST]
    with pytest.raises(BadConfig, match="not here any more"):
        _ = recipe.ready


# --- what becomes of rows -------------------------------------------------------------------------------------------


def test_what_becomes_empty_is_dropped_with_its_reason():
    cleaned = clean.DEFAULT.clean(dialogue("问", "\u200b \x07"))

    assert (cleaned.record, cleaned.dropped) == (None, "empty")


def test_a_pair_whose_answers_become_equal_is_dropped():
    pair = Pair(prompt=(Message(role="user", content="p"),), chosen="ＡＢ", rejected="AB")

    assert Recipe(steps=("width@1",)).clean(pair).dropped == "same_answers"


@pytest.mark.parametrize(
    "record",
    [
        Document(text="Ａ"),
        Pair(prompt=(Message(role="user", content="Ａ"),), chosen="Ａ", rejected="Ｂ", margin=2.0),
        Label(prompt=(Message(role="user", content="Ａ"),), completion="Ａ", desirable=True),
        Dialogue(messages=(Message(role="user", content="Ａ"), Message(role="assistant", content="b", weight=0.0))),
    ],
)
def test_every_text_of_every_kind_of_record_is_cleaned_and_nothing_else_changes(record):
    cleaned = Recipe(steps=("width@1",)).clean(record)

    assert cleaned.changed == ("width@1",)
    assert cleaned.record is not None
    assert str(cleaned.record) == str(record).replace("Ａ", "A").replace("Ｂ", "B")


def test_a_tally_counts_kept_changed_dropped_and_flagged():
    tally = Tally()
    recipe = Recipe.from_json(
        ["whitespace@1", {"step": "sensitive@1", "words": LIST, "action": "flag"}, {"step": "characters@1", "most": 3}],
        {LIST: "坏"},
    )
    for row in (dialogue("a", "坏"), dialogue(" a ", "b"), dialogue("a", " "), dialogue("a", "abcd")):
        tally.add(recipe.clean(row))

    assert tally.to_json() == {
        "kept": 2,
        "changed": {"whitespace@1": 2},
        "dropped": {"too_short": 1, "too_long": 1},
        "flagged": {"sensitive": 1},
    }


# --- on any number of processes -------------------------------------------------------------------------------------


@pytest.fixture
def any_recipe_is_slow(monkeypatch):
    """So that rows go to other processes whatever the recipe."""
    monkeypatch.setattr(parallel, "_SLOW_TRIAL_SECONDS", -1.0)


def test_the_number_of_processes_changes_no_byte(any_recipe_is_slow):
    recipe = Recipe.from_json(
        ["laughter@2", "simplify@1", "personal@1", {"step": "sensitive@1", "words": LIST}], {LIST: "坏蛋\n壞蛋"}
    )
    bodies = [
        dialogue(f"你{number}坏蛋哈哈哈", "" if number % 7 == 0 else f"漢字 1381234{number:04d}").body()
        for number in range(4900)
    ]

    alone, spread = (list(clean_many(recipe, "dialogue", iter(bodies), processes=count)) for count in (1, 2))

    assert alone == spread
    assert sum(row.dropped == "empty" for row in alone) == 700
    assert alone[1].body == dialogue("你1**笑", "汉字 <手机号>").body()


def test_who_stops_asking_for_rows_leaves_no_process_behind(any_recipe_is_slow):
    rows = clean_many(clean.DEFAULT, "dialogue", (dialogue("a", "b").body() for _ in range(20_000)), processes=2)

    assert [next(rows).dropped for _ in range(1500)] == [""] * 1500
    assert len(multiprocessing.active_children()) == 2
    rows.close()
    assert multiprocessing.active_children() == []


def test_a_quick_recipe_stays_in_this_process():
    rows = clean_many(clean.DEFAULT, "dialogue", (dialogue("a", "b").body() for _ in range(5000)), processes=2)

    assert [next(rows).dropped for _ in range(4000)] == [""] * 4000
    assert multiprocessing.active_children() == []


def test_a_recipe_that_cannot_run_says_so_before_the_first_row():
    with pytest.raises(BadConfig):
        clean_many(Recipe.from_json([{"step": "sensitive@1", "words": LIST}]), "dialogue", [], processes=2)


def test_a_recipe_travels_with_its_lists():
    recipe = Recipe.from_json([{"step": "sensitive@1", "words": LIST}], {LIST: "坏"})
    _ = recipe.ready

    assert pickle.loads(pickle.dumps(recipe)).clean(dialogue("坏", "a")).record == dialogue("*", "a")  # noqa: S301


# --- to look at -----------------------------------------------------------------------------------------------------


def test_the_rows_are_followed_through_each_step():
    recipe = Recipe.from_json(["laughter@2", {"step": "characters@1", "least": 2}, "width@1"])
    steps = trace(recipe, [dialogue("哈哈哈好", "行吧"), dialogue("哈哈", "Ａ好"), dialogue("好的", "ＡＢ")])

    assert [(one.name, one.reached, one.changed, one.dropped) for one in steps] == [
        ("laughter@2", 3, 2, 0),
        ("characters@1", 3, 0, 1),
        ("width@1", 2, 1, 0),
    ]
    assert steps[0].shown[0].texts == [[("gone", "哈哈哈"), ("new", "笑"), ("same", "好")], [("same", "行吧")]]
    assert (steps[1].shown[0].row, steps[1].shown[0].dropped) == (1, "too_short")


@pytest.mark.parametrize(
    ("before", "after", "marked"),
    [
        ("abc", "abc", [("same", "abc")]),
        ("aXc", "ac", [("same", "a"), ("gone", "X"), ("same", "c")]),
        ("aaa", "aa", [("same", "aa"), ("gone", "a")]),
        ("", "a", [("new", "a")]),
        ("x" * 2000 + "a", "y" * 2000 + "a", [("gone", "x" * 2000), ("new", "y" * 2000), ("same", "a")]),
    ],
)
def test_changes_are_marked(before, after, marked):
    assert marks(before, after) == marked
