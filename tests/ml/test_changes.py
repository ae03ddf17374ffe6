"""What changed between two texts: every stretch once, in order, and nothing of either lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.ml.changes import compared, stretches


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("", "", []),
        ("好", "好", [("same", "好")]),
        ("", "好", [("new", "好")]),
        ("好", "", [("gone", "好")]),
        ("三号货架", "五号货", [("gone", "三"), ("new", "五"), ("same", "号货"), ("gone", "架")]),
        (["a ", "b", " c"], ["a ", "bb", " c"], [("same", "a "), ("gone", "b"), ("new", "bb"), ("same", " c")]),
    ],
)
def test_a_change_is_told_as_what_is_gone_and_what_is_new(before, after, told):
    assert compared(before, after) == told


def test_what_is_frequent_in_a_long_text_is_compared_like_anything_else():
    before = "ab" * 200

    assert compared(before, before + "c") == [("same", before), ("new", "c")]


def test_items_stay_apart():
    assert list(stretches(["a", "b"], ["b", "c", "d"])) == [("gone", ["a"]), ("same", ["b"]), ("new", ["c", "d"])]


@given(st.text(max_size=30), st.text(max_size=30))
def test_the_whole_of_both_texts_is_told_and_no_piece_is_empty(before, after):
    pieces = compared(before, after)

    assert all(piece.text for piece in pieces)
    assert "".join(piece.text for piece in pieces if piece.change != "new") == before
    assert "".join(piece.text for piece in pieces if piece.change != "gone") == after
