"""Curators add, edit, approve and reject; nobody overwrites unseen what another did."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from training import curation
from training.ml.corpus import BadRow
from training.models import Example

pytestmark = pytest.mark.django_db


def turns(*texts: str) -> list[dict[str, Any]]:
    return [{"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(texts)]


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann")


@pytest.fixture
def ben() -> User:
    return User.objects.create_user("ben")


def actions(example: Example) -> list[str]:
    return [event.action for event in example.events.all()]


def test_a_question_with_phrasings_becomes_one_group(ann):
    rows = curation.add_pair_of_qa(
        "怎么退款？", "点退款。", phrasings=["退款在哪", "怎么退款？"], user=ann, approve=True
    )

    assert [row.body["messages"][0]["content"] for row in rows] == ["怎么退款？", "退款在哪"]
    assert len({row.group for row in rows}) == 1
    assert rows[0].group
    assert [(row.status, row.reviewer, actions(row)) for row in rows] == [("approved", ann, ["added", "approved"])] * 2


def test_a_second_click_adds_nothing(ann):
    for _ in range(2):
        curation.add_pair_of_qa("a", "b", user=ann, source_key="hand:1")
        curation.add_dialogue(turns("c", "d", "e", "f"), user=ann, source_key="hand:2")

    assert Example.objects.count() == 2


@pytest.mark.parametrize("messages", [[], turns("a"), turns("a", " "), [{"role": "robot", "content": "a"}]])
def test_a_dialogue_without_an_answer_is_refused(ann, messages):
    with pytest.raises(BadRow):
        curation.add_dialogue(messages, user=ann)

    assert Example.objects.count() == 0


def test_an_edit_of_an_approved_row_goes_back_to_review_and_keeps_the_old_text(ann, ben):
    row = curation.add_dialogue(turns("a", "b"), user=ann, approve=True)

    edited = curation.edit(row.pk, {"messages": turns("a", "c")}, row_version=1, user=ben, note="typo", tags=["x"])

    assert (edited.status, edited.row_version, edited.tags, edited.preview) == ("draft", 2, ["x"], "a → c")
    assert edited.content_hash != row.content_hash
    event = edited.events.last()
    assert event is not None
    assert (event.action, event.user, event.note, event.before) == (
        "edited",
        ben,
        "typo",
        {"messages": turns("a", "b")},
    )


def test_who_comes_second_is_told_who_was_first(ann, ben):
    row = curation.add_dialogue(turns("a", "b"), user=ann)
    curation.edit(row.pk, {"messages": turns("a", "ben's")}, row_version=1, user=ben)

    with pytest.raises(curation.StaleEdit, match="ben"):
        curation.edit(row.pk, {"messages": turns("a", "ann's")}, row_version=1, user=ann)

    row.refresh_from_db()
    assert row.body["messages"][1]["content"] == "ben's"


def test_an_approval_counts_as_a_change_for_an_editor(ann, ben):
    row = curation.add_dialogue(turns("a", "b"), user=ann)
    curation.approve(Example.objects.all(), user=ben)

    with pytest.raises(curation.StaleEdit):
        curation.edit(row.pk, {"messages": turns("a", "c")}, row_version=1, user=ann)


def test_many_rows_are_approved_and_rejected_with_one_event_each(ann):
    rows = [curation.add_dialogue(turns(f"q{n}", "a"), user=ann) for n in range(5)]

    assert curation.approve(Example.objects.filter(pk__lte=rows[2].pk), user=ann) == 3
    assert curation.approve(Example.objects.all(), user=ann) == 2
    assert curation.approve(Example.objects.all(), user=ann) == 0
    assert curation.reject(Example.objects.filter(pk=rows[0].pk), user=ann, reason="wrong") == 1

    rows[0].refresh_from_db()
    last = rows[0].events.last()
    assert last is not None
    assert (rows[0].status, actions(rows[0]), last.note) == ("rejected", ["added", "approved", "rejected"], "wrong")
    assert curation.back_to_draft(Example.objects.all(), user=ann) == 5


def test_a_sliced_or_joined_choice_of_rows_works_too(ann):
    for number in range(3):
        curation.add_dialogue(turns(f"q{number}", "a"), user=ann)

    assert curation.approve(Example.objects.filter(events__action="added"), user=ann) == 3
