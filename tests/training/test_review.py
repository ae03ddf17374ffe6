"""The review queue: each reviewer gets other rows, decides on what was seen, and can take it back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from training import bulk, curation, preferences, review, search
from training.curation import NotMovable, StaleEdit
from training.filters import Filter
from training.ml.corpus import BadRow
from training.models import Example

pytestmark = pytest.mark.django_db

DRAFTS = Filter(status="draft")


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann")


@pytest.fixture
def ben() -> User:
    return User.objects.create_user("ben")


@pytest.fixture
def rows() -> list[Example]:
    return [curation.add_pair_of_qa(f"问{number}", f"答{number}", user=None)[0] for number in range(6)]


def keys(examples: list[Example]) -> list[int]:
    return [example.pk for example in examples]


def actions(example: Example) -> list[str]:
    return [event.action for event in example.events.all()]


# --- the queue ------------------------------------------------------------------------------------------------------


def test_two_reviewers_get_different_rows_until_the_five_minutes_are_over(ann, ben, rows):
    assert keys(review.take(ann, DRAFTS, count=2)) == keys(rows[:2])
    assert keys(review.take(ben, DRAFTS, count=2)) == keys(rows[2:4])
    assert keys(review.take(ann, DRAFTS, count=2)) == keys(rows[:2])

    Example.objects.filter(leased_by=ann).update(leased_until=timezone.now() - timedelta(seconds=1))

    assert keys(review.take(ben, DRAFTS, count=2)) == keys(rows[:2])


def test_what_is_given_back_is_there_for_others_and_nobody_gives_back_anothers(ann, ben, rows):
    review.take(ann, DRAFTS, count=3)
    review.release(ben, keys(rows))
    assert keys(review.take(ben, DRAFTS, count=1)) == keys(rows[3:4])

    review.release(ann, keys(rows))

    assert keys(review.take(ben, DRAFTS, count=1)) == keys(rows[:1])


def test_the_queue_goes_on_behind_a_row_and_counts_what_waits(ann, rows):
    taken, left = review.begin(ann, DRAFTS, after=rows[3].pk, count=5)

    assert (keys(taken), left) == (keys(rows[4:]), 6)


def test_counting_ends_where_nobody_counts_any_more(ann, rows, monkeypatch):
    monkeypatch.setattr(review, "MOST_COUNTED", 2)

    taken, left = review.begin(ann, DRAFTS, after=rows[4].pk)

    assert (keys(taken), left) == (keys(rows[5:]), 3)


# --- deciding -------------------------------------------------------------------------------------------------------


def test_a_decision_moves_the_row_and_ends_the_lease(ann, rows):
    [row] = review.take(ann, DRAFTS, count=1)

    decided = review.decide(row.pk, Example.Status.REJECTED, row_version=1, user=ann, reason="wrong").example

    assert (decided.status, decided.reviewer, decided.leased_by, decided.row_version) == ("rejected", ann, None, 2)
    assert decided.events.values_list("note", flat=True).last() == "wrong"


def test_an_edit_in_the_queue_saves_and_approves_in_one_step(ann, rows):
    decided = review.decide(
        rows[0].pk, Example.Status.APPROVED, row_version=1, user=ann, texts={"messages[1]": " 更好的答案\r\n"}
    )

    row = decided.example
    assert (row.status, row.body["messages"][1]["content"]) == ("approved", "更好的答案")
    assert actions(row) == ["added", "edited", "approved"]
    assert keys(list(Filter(q="更好").rows())) == [row.pk]


def test_an_unchanged_text_is_no_edit(ann, rows):
    decided = review.decide(
        rows[0].pk, Example.Status.APPROVED, row_version=1, user=ann, texts={"messages[1]": "答0", "nowhere": "x"}
    )

    assert actions(decided.example) == ["added", "approved"]


def test_an_emptied_answer_is_refused_and_nothing_is_written(ann, rows):
    with pytest.raises(BadRow):
        review.decide(rows[0].pk, Example.Status.APPROVED, row_version=1, user=ann, texts={"messages[1]": " "})

    assert actions(rows[0]) == ["added"]


@pytest.mark.parametrize("texts", [None, {"messages[1]": "mine"}])
def test_who_comes_second_is_told_who_was_first_and_when(ann, ben, rows, texts):
    review.decide(rows[0].pk, Example.Status.REJECTED, row_version=1, user=ben)

    with pytest.raises(StaleEdit, match=r"Changed by ben at \d{4}-"):
        review.decide(rows[0].pk, Example.Status.APPROVED, row_version=1, user=ann, texts=texts)

    rows[0].refresh_from_db()
    assert rows[0].status == "rejected"


def test_saying_again_what_a_row_is_changes_nothing(ann, rows):
    first = review.decide(rows[0].pk, Example.Status.APPROVED, row_version=1, user=ann)

    again = review.decide(rows[0].pk, Example.Status.APPROVED, row_version=2, user=ann)

    assert (first.since is None, again.since) == (False, None)
    assert actions(again.example) == ["added", "approved"]


def test_what_its_author_took_back_is_never_approved(ann):
    prompt = [{"role": "user", "content": "问"}]
    row = preferences.add_label(source_key="chat:1:x", prompt=prompt, completion="答", desirable=True)
    preferences.withdraw("chat:1:")

    with pytest.raises(NotMovable, match="took it back"):
        review.decide(row.pk, Example.Status.APPROVED, row_version=2, user=ann)


# --- taking back ----------------------------------------------------------------------------------------------------


def test_undo_brings_back_the_state_and_the_text(ann, rows):
    row = rows[0]
    decided = review.decide(row.pk, Example.Status.APPROVED, row_version=1, user=ann, texts={"messages[1]": "别的"})

    assert decided.since
    undone = review.undo(row.pk, since=decided.since, status=Example.Status.DRAFT, row_version=3, user=ann)

    assert (undone.status, undone.body, undone.content_hash) == ("draft", row.body, row.content_hash)
    assert actions(undone) == ["added", "edited", "approved", "undone"]
    assert not Filter(q="别的").rows().exists()
    assert undone.leased_by == ann


def test_nobody_undoes_what_another_did_or_what_was_changed_since(ann, ben, rows):
    pk = rows[0].pk
    decided = review.decide(pk, Example.Status.APPROVED, row_version=1, user=ann)
    back: dict[str, Any] = {"since": decided.since, "status": Example.Status.DRAFT}

    with pytest.raises(NotMovable):
        review.undo(pk, **back, row_version=2, user=ben)
    curation.reject(Example.objects.filter(pk=pk), user=ben)
    with pytest.raises(StaleEdit, match="ben"):
        review.undo(pk, **back, row_version=2, user=ann)
    with pytest.raises(NotMovable):
        review.undo(pk, **back, row_version=3, user=ann)


# --- many at once ---------------------------------------------------------------------------------------------------


def test_a_deed_for_a_whole_filter_is_done_in_parts_and_leaves_what_came_later(ann, rows, monkeypatch):
    monkeypatch.setattr(bulk, "PART_ROWS", 2)
    until = bulk.newest()
    late = curation.add_pair_of_qa("后来的", "答", user=None)[0]
    parts: list[bulk.Part] = []
    after = 0
    while not parts or not parts[-1].finished:
        parts.append(bulk.do_part("approve", DRAFTS, after=after, until=until, user=ann, seconds=0))
        after = parts[-1].after

    assert [(part.seen, part.changed) for part in parts] == [(2, 2), (2, 2), (2, 2), (0, 0)]
    late.refresh_from_db()
    assert late.status == "draft"
    assert Example.objects.filter(status="approved").count() == 6


def test_tags_are_given_and_taken_with_an_event_each(ann, rows):
    everything = {"after": 0, "until": bulk.newest(), "user": ann}

    assert bulk.do_part("tag", Filter(), **everything, text=" 水果 ").changed == 6
    assert bulk.do_part("tag", Filter(), **everything, text="水果").changed == 0
    assert bulk.do_part("untag", Filter(q="问3"), **everything, text="水果").changed in (0, 1)
    assert bulk.do_part("tag", Filter(), **everything, text="  ").changed == 0

    assert actions(rows[0]) == ["added", "tagged"]
    assert Filter(tag="水果").rows().count() >= 5


def test_the_index_knows_every_row_of_the_queue(rows):
    assert all(search.asked(text) for row in rows for text in review.texts_of(row.body).values())
