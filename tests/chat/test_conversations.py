"""The tree of messages, the list, and how an answer's row moves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from chat import conversations
from chat.errors import NotYours
from chat.models import Conversation, Generation, Message
from training.models import ModelVersion

pytestmark = pytest.mark.django_db

Status = Generation.Status


def make_generation(owner: User, model: ModelVersion, **changes: Any) -> Generation:
    question = conversations.add_question(conversations.start(owner, "Hello"), None, "Hello")
    facts = {"message": conversations.add_answer(question), "model": model, "seed": 1, "beat": timezone.now()}
    return Generation.objects.create(**(facts | changes))


def test_a_title_is_the_start_of_the_first_question_on_one_line() -> None:
    assert conversations.title_from("  a\n b ") == "a b"
    assert conversations.title_from("字" * 50) == "字" * 39 + "…"


def test_a_branch_is_read_from_its_first_turn(ada: User) -> None:
    first = conversations.add_question(conversations.start(ada, "1"), None, "1")
    left, right = (conversations.add_answer(first, text=text) for text in ("left", "right"))
    last = conversations.add_question(first.conversation, right, "2")

    assert [item.text for item in conversations.path(last)] == ["1", "right", "2"]
    assert [item.text for item in conversations.path(left)] == ["1", "left"]


def test_what_is_deleted_or_anothers_is_not_there(ada: User, ben: User) -> None:
    mine, gone = conversations.start(ada, "1"), conversations.start(ada, "2")
    conversations.delete(gone)

    for user, conversation in ((ben, mine), (ada, gone)):
        with pytest.raises(NotYours):
            conversations.get(user, conversation.pk)


def test_the_list_is_newest_first_and_pages_with_a_cursor(ada: User, ben: User) -> None:
    for number in range(conversations.PAGE_SIZE + 2):
        conversations.start(ada, str(number))
    conversations.start(ben, "not hers")

    first, cursor = conversations.list_page(ada)
    second, end = conversations.list_page(ada, before=cursor)

    titles = [row.title for row in (*first, *second)]
    assert titles == [str(number) for number in reversed(range(conversations.PAGE_SIZE + 2))]
    assert end is None


def test_search_looks_into_titles_and_messages(ada: User) -> None:
    conversations.start(ada, "关于天气")
    other = conversations.start(ada, "别的")
    conversations.add_question(other, None, "明天的天气")
    conversations.start(ada, "无关")

    assert {row.title for row in conversations.list_page(ada, query=" 天气 ")[0]} == {"关于天气", "别的"}


def test_the_list_says_where_an_answer_is_being_written(ada: User, model: ModelVersion) -> None:
    make_generation(ada, model)
    conversations.start(ada, "quiet")

    assert {row.title: row.answering for row in conversations.list_page(ada)[0]} == {"Hello": True, "quiet": False}  # type: ignore[attr-defined]


def test_a_new_title_is_trimmed_and_an_empty_one_changes_nothing(ada: User) -> None:
    conversation = conversations.start(ada, "old")

    assert conversations.rename(conversation, "  new \n title ") == "new title"
    conversation.refresh_from_db()
    assert conversations.rename(conversation, "  ") == "new title"


def test_another_conversations_branch_cannot_be_opened(ada: User) -> None:
    here, there = (conversations.start(ada, text) for text in "ab")
    foreign = conversations.add_question(there, None, "b")

    with pytest.raises(NotYours):
        conversations.open_branch(here, foreign)


# An answer's row -----------------------------------------------------------------------------------------------------


def test_an_answer_ends_once_and_its_message_gets_the_text(ada: User, model: ModelVersion) -> None:
    row = make_generation(ada, model)
    conversations.begin_generation(row.pk)

    ends = [
        conversations.finish_generation(row.pk, Status.STOPPED, text="a"),
        conversations.finish_generation(row.pk, Status.COMPLETED, text="ab"),
        conversations.save_progress(row.pk, "abc"),
        conversations.begin_generation(row.pk),
    ]

    row.refresh_from_db()
    assert ends == [True, False, False, False]
    assert (row.status, row.text, row.seq, Message.objects.get(pk=row.message_id).text) == ("stopped", "a", 1, "a")


def test_a_waiting_answer_cannot_be_completed(ada: User, model: ModelVersion) -> None:
    row = make_generation(ada, model)

    assert not conversations.finish_generation(row.pk, Status.COMPLETED, text="a")


@pytest.mark.parametrize(
    ("status", "age_seconds", "ends"),
    [("running", 13, True), ("queued", 13, True), ("running", 5, False), ("queued", 5, False)],
)
def test_an_answer_whose_writer_is_silent_is_interrupted(
    ada: User, model: ModelVersion, status: str, age_seconds: float, *, ends: bool
) -> None:
    beat = timezone.now() - timedelta(seconds=age_seconds)
    row = make_generation(ada, model, status=status, text="so far", beat=beat)

    count = conversations.interrupt_silent(timezone.now() - timedelta(seconds=12))

    row.refresh_from_db()
    assert count == int(ends)
    assert row.status == ("interrupted" if ends else status)
    assert Message.objects.get(pk=row.message_id).text == ("so far" if ends else "")


def test_an_answer_that_never_beat_is_interrupted_by_its_age(ada: User, model: ModelVersion) -> None:
    make_generation(ada, model, beat=None)

    assert conversations.interrupt_silent(timezone.now() - timedelta(seconds=12)) == 0
    assert conversations.interrupt_silent(timezone.now() + timedelta(seconds=1)) == 1


def test_a_conversation_moves_up_when_it_gets_a_turn_but_not_when_a_branch_is_opened(ada: User) -> None:
    conversation = conversations.start(ada, "x")
    question = conversations.add_question(conversation, None, "x")
    before = Conversation.objects.get().updated_at

    conversations.open_branch(conversation, question)
    looked = Conversation.objects.get().updated_at
    conversations.add_answer(question)

    assert looked == before < Conversation.objects.get().updated_at
