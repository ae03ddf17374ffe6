"""Cleaning steps and recipes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.ml import clean
from training.ml.clean import Recipe, Tally
from training.ml.errors import BadConfig
from training.ml.records import Dialogue, Message, Pair


def dialogue(*texts: str) -> Dialogue:
    turns = (Message(role="assistant" if n % 2 else "user", content=text) for n, text in enumerate(texts))
    return Dialogue(messages=tuple(turns))


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [
        ("whitespace@1", "　你 好  吗 \r\n\r\n\r\n\r\n好 ", "你 好 吗\n\n好"),
        ("whitespace@1", "if a:\n    b  c", "if a:\n    b c"),
        ("control@1", "a\u200bb\x07c\ufeff\td\n", "abc\td\n"),
        ("control@1", "👨\u200d👩", "👨\u200d👩"),
        ("width@1", "ＡＢｃ１２，。", "ABc12，。"),
        ("laughter@1", "呵呵呵，哈哈哈哈 hhhh 233 23333", "笑，笑 笑 笑 笑"),
        ("laughter@1", "233元 第233页 哈哈镜 ohhh 1233", "233元 第233页 哈哈镜 ohhh 1233"),
        ("repeats@1", "啊啊啊啊啊！！！！！ 10000 好好好", "啊啊啊！！！ 10000 好好好"),
    ],
)
def test_a_step_does_what_it_says(step, before, after):
    assert clean.STEPS[step].run(before) == after


@pytest.mark.parametrize("step", clean.STEPS)
@given(text=st.text())
def test_a_step_done_twice_changes_nothing_more(step, text):
    once = clean.STEPS[step].run(text)

    assert clean.STEPS[step].run(once) == once


def test_what_becomes_empty_is_dropped_with_its_reason():
    cleaned = clean.DEFAULT.clean(dialogue("问", "\u200b \x07"))

    assert (cleaned.record, cleaned.dropped) == (None, "empty")


def test_a_pair_whose_answers_become_equal_is_dropped():
    pair = Pair(prompt=(Message(role="user", content="p"),), chosen="ＡＢ", rejected="AB")

    assert Recipe(steps=("width@1",)).clean(pair).dropped == "same_answers"


def test_a_tally_counts_kept_changed_and_dropped():
    tally = Tally()
    for row in (dialogue("a", "b"), dialogue(" a ", "b"), dialogue("a", " ")):
        tally.add(clean.DEFAULT.clean(row))

    assert tally.to_json() == {"kept": 2, "changed": {"whitespace@1": 2}, "dropped": {"empty": 1}}


def test_the_default_takes_no_words_away():
    assert clean.DEFAULT.to_json() == ["whitespace@1", "control@1"]


def test_a_recipe_is_known_by_its_steps_and_their_order():
    one, other = Recipe(steps=("width@1", "laughter@1")), Recipe(steps=("laughter@1", "width@1"))

    assert one.sha256 == Recipe.from_json(one.to_json()).sha256
    assert one.sha256 != other.sha256
    with pytest.raises(BadConfig):
        Recipe(steps=("laughter@9",))
