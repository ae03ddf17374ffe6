"""Words for the search index, marked words, and what changed between two texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.ml.words import differences, marked, search_words, words_of


def test_words_are_jiebas_lower_cased_and_simplified():
    assert search_words("機器學習可以退款嗎？ＨＥＬＬＯ World") == "机器 学习 可以 退款 吗 hello world"


def test_a_long_word_is_found_by_the_words_inside_it():
    assert {"中华", "人民", "共和国", "中华人民共和国"} <= set(words_of("中华人民共和国"))


def test_marks_and_blanks_are_no_words():
    assert search_words(" ，。！… \n\t😀") == ""


@pytest.mark.parametrize(
    ("text", "wanted", "found"),
    [
        ("我要退款，退款！", ["退款"], ["退款", "退款"]),
        ("我要機器學習", ["机器", "学习"], ["機器", "學習"]),
        ("Hello HELLO", ["hello"], ["Hello", "HELLO"]),
        ("机器学习", ["机器", "学习", "机器学习"], ["机器学习"]),
        ("没有", ["退款"], []),
        ("a.b", ["."], ["."]),
    ],
)
def test_what_was_searched_for_is_marked(text, wanted, found):
    assert [piece.text for piece in marked(text, wanted) if piece.found] == found


def test_changes_are_told_word_by_word():
    pieces = differences("苹果放在三号货架。", "苹果放在五号货架。")

    assert [(piece.change, piece.text) for piece in pieces] == [
        ("same", "苹果放在"),
        ("gone", "三号"),
        ("new", "五号"),
        ("same", "货架。"),
    ]


@given(st.text(max_size=60), st.text(max_size=60), st.lists(st.text(max_size=3), max_size=3))
def test_nothing_of_a_text_is_lost(before, after, wanted):
    pieces = differences(before, after)

    assert "".join(piece.text for piece in pieces if piece.change != "new") == before
    assert "".join(piece.text for piece in pieces if piece.change != "gone") == after
    assert "".join(piece.text for piece in marked(before, wanted)) == before


def test_long_texts_are_compared_by_what_they_begin_and_end_with():
    pieces = differences("始" + "a b " * 3000 + "终", "始" + "c d " * 3000 + "！终")

    assert (pieces[0].text, pieces[-1].text) == ("始", "终")
    assert [piece.change for piece in pieces] == ["same", "gone", "new", "same"]
