"""Conversations and their tree of messages: every query carries the owner, so a foreign id is simply not there."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from chat.errors import NotYours
from chat.models import Conversation, Generation, Message

PAGE_SIZE = 30
TITLE_CHARS = 40
MAX_TITLE_CHARS = 120


def mine(user: User) -> QuerySet[Conversation]:
    return Conversation.objects.filter(owner=user, deleted_at__isnull=True)


def get(user: User, conversation_id: UUID) -> Conversation:
    found = mine(user).filter(pk=conversation_id).first()
    if found is None:
        raise NotYours(conversation_id)
    return found


def get_message(user: User, message_id: UUID) -> Message:
    found = (
        Message.objects.select_related("conversation", "generation", "generation__model")
        .filter(pk=message_id, conversation__owner=user, conversation__deleted_at__isnull=True)
        .first()
    )
    if found is None:
        raise NotYours(message_id)
    return found


def get_generation(user: User, generation_id: UUID) -> Generation:
    found = (
        Generation.objects.select_related("message", "model")
        .filter(
            pk=generation_id,
            message__conversation__owner=user,
            message__conversation__deleted_at__isnull=True,
        )
        .first()
    )
    if found is None:
        raise NotYours(generation_id)
    return found


def start(user: User, first_question: str) -> Conversation:
    return Conversation.objects.create(owner=user, title=title_from(first_question))


def title_from(question: str) -> str:
    line = " ".join(question.split())
    return line if len(line) <= TITLE_CHARS else line[: TITLE_CHARS - 1] + "…"


def add_question(
    conversation: Conversation, parent: Message | None, text: str, *, edited_from: Message | None = None
) -> Message:
    return Message.objects.create(
        conversation=conversation,
        parent=parent,
        role=Message.Role.USER,
        author=Message.Author.USER,
        text=text,
        edited_from=edited_from,
    )


def add_answer(question: Message, *, author: str = Message.Author.MODEL, text: str = "") -> Message:
    """An empty answer to be written by its Generation, or a person's finished one. Opens its branch."""
    answer = Message.objects.create(
        conversation_id=question.conversation_id,
        parent=question,
        role=Message.Role.ASSISTANT,
        author=author,
        text=text,
    )
    set_leaf(question.conversation, answer)
    return answer


def set_leaf(conversation: Conversation, leaf: Message) -> None:
    """A new turn: the conversation goes to the top of the list."""
    Conversation.objects.filter(pk=conversation.pk).update(leaf=leaf, updated_at=timezone.now())


def open_branch(conversation: Conversation, leaf: Message) -> None:
    """Looking at another branch changes nothing but what opens first next time. Raises NotYours."""
    if leaf.conversation_id != conversation.pk:
        raise NotYours(leaf.pk)
    Conversation.objects.filter(pk=conversation.pk).update(leaf=leaf)


def rename(conversation: Conversation, title: str) -> str:
    """Returns the title as it is now: an empty one changes nothing."""
    clean = " ".join(title.split())[:MAX_TITLE_CHARS] or conversation.title
    Conversation.objects.filter(pk=conversation.pk).update(title=clean)
    return clean


def delete(conversation: Conversation) -> None:
    """Ends its answers too: whoever writes one finds its row ended."""
    now = timezone.now()
    unfinished = Generation.objects.filter(message__conversation=conversation, status__in=Generation.UNFINISHED)
    for row in unfinished.only("pk", "text"):
        finish_generation(row.pk, Generation.Status.STOPPED, text=row.text)
    Conversation.objects.filter(pk=conversation.pk).update(deleted_at=now, updated_at=now)


def path(message: Message) -> list[Message]:
    """From the first turn to `message`. One query a conversation, not one a turn."""
    by_id = {item.pk: item for item in Message.objects.filter(conversation_id=message.conversation_id)}
    turns: list[Message] = []
    cursor: Message | None = by_id.get(message.pk)
    while cursor is not None:
        turns.append(cursor)
        cursor = by_id.get(cursor.parent_id) if cursor.parent_id else None
    return turns[::-1]


def text_hash(text: str) -> str:
    """What the page compares at `done`: 16 hex digits of sha256 over UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def begin_generation(generation_id: UUID) -> bool:
    """False when the row has ended in the meantime."""
    now = timezone.now()
    waiting = Generation.objects.filter(pk=generation_id, status=Generation.Status.QUEUED)
    return waiting.update(status=Generation.Status.RUNNING, started_at=now, beat=now) == 1


def save_progress(generation_id: UUID, text: str) -> bool:
    """Text and a sign of life. False when the row has ended in the meantime: somebody else stopped it."""
    unfinished = Generation.objects.filter(pk=generation_id, status__in=Generation.UNFINISHED)
    return unfinished.update(text=text, seq=len(text), beat=timezone.now()) == 1


def finish_generation(generation_id: UUID, status: str, *, text: str, **fields: Any) -> bool:
    """Move to an end state, once: of two that try, the row takes the first. The message gets its final text."""
    return _finish(Generation.objects.filter(pk=generation_id), status, text, **fields)


def lengthen_stopped(generation_id: UUID, whole: str) -> None:
    """Another process stopped it while the row lagged behind the screen: what was seen there is kept in full."""
    stopped = Generation.objects.filter(pk=generation_id, status=Generation.Status.STOPPED)
    row = stopped.only("message_id", "text", "seen_chars_at_stop").first()
    if row is None or row.seen_chars_at_stop is None:
        return
    seen = whole[: row.seen_chars_at_stop]
    if len(seen) <= len(row.text):
        return
    with transaction.atomic():
        stopped.update(text=seen, seq=len(seen))
        Message.objects.filter(pk=row.message_id).update(text=seen)
        # Pages that believed the shorter text read it again.
        Conversation.objects.filter(messages=row.message_id).update(updated_at=timezone.now())


def _finish(row: QuerySet[Generation], status: str, text: str, **fields: Any) -> bool:
    sources = [source for source, ends in Generation.TRANSITIONS.items() if status in ends]
    now = timezone.now()
    # One transaction: a reader must never see a finished answer whose message still lacks its text.
    with transaction.atomic():
        generation = row.filter(status__in=sources).values("pk", "message_id").first()
        moved = generation is not None and row.filter(status__in=sources).update(
            status=status, text=text, seq=len(text), finished_at=now, beat=now, **fields
        )
        if generation is None or not moved:
            return False
        Message.objects.filter(pk=generation["message_id"]).update(text=text)
        Conversation.objects.filter(messages=generation["message_id"]).update(updated_at=now)
    return True


def interrupt_silent(silent_since: datetime) -> int:
    """End the answers whose writer gave no sign of life since then; their text so far is kept."""
    silent = Generation.objects.filter(status__in=Generation.UNFINISHED).filter(
        Q(beat__lt=silent_since) | Q(beat__isnull=True, created_at__lt=silent_since)
    )
    # The beat is compared again in the update: a writer that comes back in between wins.
    return sum(
        _finish(
            Generation.objects.filter(pk=row.pk, beat=row.beat) if row.beat else silent.filter(pk=row.pk),
            Generation.Status.INTERRUPTED,
            row.text,
            error_code="lost",
        )
        for row in silent.only("pk", "beat", "text")
    )


def list_page(
    user: User, *, query: str = "", before: datetime | None = None
) -> tuple[list[Conversation], datetime | None]:
    """The newest conversations, each with `answering`, and the cursor of the next page or None."""
    unfinished = Generation.objects.filter(message__conversation=OuterRef("pk"), status__in=Generation.UNFINISHED)
    rows = mine(user).annotate(answering=Exists(unfinished))
    wanted = query.strip()
    if wanted:
        matches = Message.objects.filter(conversation=OuterRef("pk"), text__icontains=wanted)
        rows = rows.filter(Q(title__icontains=wanted) | Exists(matches))
    if before is not None:
        rows = rows.filter(updated_at__lt=before)
    page: list[Conversation] = list(rows.order_by("-updated_at")[: PAGE_SIZE + 1])
    more = len(page) > PAGE_SIZE
    page = page[:PAGE_SIZE]
    return page, page[-1].updated_at if more else None
