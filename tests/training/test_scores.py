"""Experts' marks: the newest counts for the words that were marked; differences become margins and pairs."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from training import curation, preferences, scores, similar
from training.curation import NotMovable, StaleEdit
from training.models import AnswerScore, Example

pytestmark = pytest.mark.django_db

PROMPT = [{"role": "user", "content": "怎么申请退款？"}]


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann")


def add_pair() -> Example:
    pair = preferences.add_pair(source_key="x", prompt=PROMPT, chosen="在订单页点退款。", rejected="不知道。")
    curation.approve(Example.objects.all(), user=None)
    return pair


def dialogue(answer: str, question: str = "怎么申请退款？") -> Example:
    return curation.add_pair_of_qa(question, answer, user=None)[0]


def test_the_newest_mark_counts_and_every_one_is_kept(ann):
    row = dialogue("点退款")
    for value in (2, 5):
        scores.score(row.pk, "messages[1]", value, user=ann)

    assert scores.current(row) == {"messages[1]": 5}
    assert list(AnswerScore.objects.values_list("value", flat=True)) == [2, 5]


@pytest.mark.parametrize(
    ("answer", "value"), [("messages[0]", 3), ("chosen", 3), ("messages[1]", 0), ("messages[1]", 6)]
)
def test_only_answers_have_marks_from_one_to_five(ann, answer, value):
    with pytest.raises(NotMovable):
        scores.score(dialogue("点退款").pk, answer, value, user=ann)


def test_a_mark_is_for_the_words_that_were_marked(ann):
    row = dialogue("点退款")
    scores.score(row.pk, "messages[1]", 4, user=ann)

    edited = curation.edit(
        row.pk, {"messages": [*PROMPT, {"role": "assistant", "content": "别的"}]}, row_version=1, user=ann
    )

    assert scores.current(edited) == {}


def test_the_difference_of_two_marks_is_the_margin_and_the_row_stays_approved(ann):
    pair = add_pair()
    scores.score(pair.pk, "chosen", 5, user=ann)
    assert "margin" not in Example.objects.get().body

    scores.score(pair.pk, "rejected", 2, user=ann)

    row = Example.objects.get()
    assert (row.body["margin"], row.status) == (3.0, "approved")
    assert scores.current(row) == {"chosen": 5, "rejected": 2}
    assert row.events.values_list("action", flat=True).last() == "scored"
    scores.score(pair.pk, "rejected", 5, user=ann)
    assert "margin" not in Example.objects.get().body


def test_an_upside_down_pair_is_exchanged_with_its_marks_and_reviewed_again(ann):
    pair = add_pair()
    scores.score(pair.pk, "chosen", 1, user=ann)
    row = scores.score(pair.pk, "rejected", 4, user=ann)
    assert scores.is_upside_down(row)
    assert "margin" not in row.body
    with pytest.raises(StaleEdit):
        scores.swap(pair.pk, row_version=row.row_version - 1, user=ann)

    swapped = scores.swap(pair.pk, row_version=row.row_version, user=ann)

    assert (swapped.body["chosen"], swapped.body["rejected"], swapped.body["margin"]) == (
        "不知道。",
        "在订单页点退款。",
        3.0,
    )
    assert (swapped.status, scores.current(swapped)) == ("draft", {"chosen": 4, "rejected": 1})
    assert not scores.is_upside_down(swapped)


def test_two_answers_to_one_question_with_different_marks_become_a_draft_pair_once(ann):
    good, bad = dialogue("在订单页点退款。"), dialogue("不知道。")
    scores.score(good.pk, "messages[1]", 5, user=ann)
    with pytest.raises(NotMovable):
        scores.pair_of(good, bad, user=ann)
    scores.score(bad.pk, "messages[1]", 1, user=ann)

    made = [scores.pair_of(bad, good, user=ann) for _ in range(2)]

    assert made[0] == made[1]
    assert (made[0].kind, made[0].status) == ("pair", "draft")
    assert made[0].body == {"prompt": PROMPT, "chosen": "在订单页点退款。", "rejected": "不知道。", "margin": 4.0}
    assert made[0].provenance["examples"] == [good.pk, bad.pk]


def test_feedback_of_the_chat_makes_no_pair_because_its_author_may_take_it_back(ann):
    turns = [*PROMPT, {"role": "assistant", "content": "点退款"}]
    given = preferences.add_dialogue(source_key="chat:1:x", messages=turns, provenance={"source": "chat"})
    other = dialogue("不知道。")
    scores.score(given.pk, "messages[1]", 5, user=ann)
    scores.score(other.pk, "messages[1]", 1, user=ann)

    assert not scores.can_pair(given, other)


def test_similar_examples_come_by_how_much_they_share():
    row = dialogue("点退款", "请问怎么申请退款？")
    near, same = dialogue("a", "怎么才能申请退款呢？"), dialogue("b", "请问怎么申请退款？")
    dialogue("c", "明天天气怎么样")

    found = similar.similar_to(row)

    assert [alike.example for alike in found] == [same, near]
    assert found[0].share == 1.0
    assert 0.3 <= found[1].share < 1


def test_an_example_without_words_has_nothing_similar():
    assert similar.similar_to(dialogue("b", "？？")) == []
