"""What feedback teaches: the training rows that follow from one person's thumbs and rewrites below one question.

The rows are worked out anew from what the person thinks now, and the difference is pushed or withdrawn; so a changed
vote, a withdrawn vote and a withdrawn consent all go one way. Only whole answers teach: a stopped, cut or failed one
is no target. Knows nothing of sockets, and of training only the verbs of `training.preferences`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any
from uuid import UUID

import structlog
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.urls import reverse

from chat.models import Consent, Generation, Message, Rating, Rewrite
from training import preferences
from training.ml.corpus import BadRow
from training.models import Example

log = structlog.get_logger(__name__)

Prompt = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One row to be: `content` is what the push verb of its kind takes."""

    kind: str
    key: str
    content: dict[str, Any]
    provenance: dict[str, Any]


def consent_of(user: User) -> str:
    """unknown | granted | refused: the newest row counts."""
    newest = Consent.objects.filter(user=user).order_by("-id").first()
    if newest is None:
        return "unknown"
    return "granted" if newest.granted else "refused"


def sync_question(user: User, question: Message) -> None:
    """Make the training rows fit what `user` thinks now of the answers to `question`."""
    wanted = list(_lessons(user, question)) if consent_of(user) == "granted" else []
    prefix = _prefix(question.pk, user)
    made = Example.objects.filter(source_key__startswith=prefix)
    for key in set(made.values_list("source_key", flat=True)) - {lesson.key for lesson in wanted}:
        preferences.withdraw(key, reason="withdrawn by the person")
    for lesson in wanted:
        _push(lesson, user, question)


def sync_all(user: User) -> None:
    """After a change of consent: all that this person rated or rewrote, and what curators made of their chats."""
    if consent_of(user) != "granted":
        preferences.withdraw(taught_prefix(user), reason="withdrawn by the person")
    touched = Q(children__ratings__rater=user) | Q(children__rewrites__author=user)
    for question in Message.objects.filter(touched).distinct():
        sync_question(user, question)


def taught_prefix(user: User) -> str:
    """How the source keys of examples begin that curators made of this person's conversations."""
    return f"taught:{user.pk}:"


def still_agrees(provenance: dict[str, Any]) -> bool:
    """Whether the person whose conversation a curator teaches from agrees now."""
    owner = User.objects.filter(pk=provenance.get("rater", 0), is_active=True).first()
    return owner is not None and consent_of(owner) == "granted"


def taught_facts(row: Generation, owner: User) -> dict[str, Any]:
    """Where an example comes from that a curator makes of one answer, in ids."""
    consent = Consent.objects.filter(user=owner).order_by("-id").first()
    return {
        "source": "chat",
        "kind": "taught",
        "rater": owner.pk,
        "messages": [str(row.message_id)],
        "models": [row.model.uid],
        "consent": consent.pk if consent else None,
    }


def rows_of(message: Message, user_id: int) -> QuerySet[Example]:
    """The training rows made of what a person thinks of one answer."""
    if message.parent_id is None:
        return Example.objects.none()
    mine = Example.objects.filter(source_key__startswith=f"chat:{message.parent_id.hex}:{user_id}:")
    return mine.filter(source_key__contains=message.pk.hex)


# What follows from what ---------------------------------------------------------------------------------------------


def _lessons(user: User, question: Message) -> Iterator[Lesson]:
    ratings = list(
        Rating.objects.filter(
            rater=user, message__parent=question, superseded_at__isnull=True, withdrawn_at__isnull=True
        ).select_related("message__generation__model")
    )
    rewrites = Rewrite.objects.filter(author=user, target__parent=question, superseded_at__isnull=True)
    whole = [rating for rating in ratings if _is_whole(rating.message)]
    yield from (_label(user, question, rating) for rating in whole)
    yield from _sibling_pairs(user, question, whole)
    for rewrite in rewrites.select_related("target__generation__model", "new_message"):
        yield from _rewrite_lessons(user, question, rewrite)


def _is_whole(message: Message) -> bool:
    generation: Generation | None = getattr(message, "generation", None)
    return generation is not None and generation.status == Generation.Status.COMPLETED and bool(message.text.strip())


def _label(user: User, question: Message, rating: Rating) -> Lesson:
    answer = rating.message
    return Lesson(
        kind="label",
        key=f"{_prefix(question.pk, user)}label:{answer.pk.hex}",
        content={
            "prompt": answer.generation.prompt_messages,
            "completion": answer.text,
            "desirable": rating.value > 0,
        },
        provenance=_facts("rating", user, [answer]) | {"reasons": rating.reasons, "comment": rating.comment},
    )


def _sibling_pairs(user: User, question: Message, ratings: Iterable[Rating]) -> Iterator[Lesson]:
    """A liked and a disliked answer to the same visible words; across versions too, but never across contexts."""
    liked = [rating.message for rating in ratings if rating.value > 0]
    disliked = [rating.message for rating in ratings if rating.value < 0]
    for better, worse in product(liked, disliked):
        prompt = better.generation.prompt_messages
        if prompt == worse.generation.prompt_messages and better.text.strip() != worse.text.strip():
            yield Lesson(
                kind="pair",
                key=f"{_prefix(question.pk, user)}pair:{better.pk.hex}:{worse.pk.hex}",
                content={"prompt": prompt, "chosen": better.text, "rejected": worse.text},
                provenance=_facts("ratings", user, [better, worse]),
            )


def _rewrite_lessons(user: User, question: Message, rewrite: Rewrite) -> Iterator[Lesson]:
    original, wish = rewrite.target, rewrite.new_message
    prompt: Prompt = original.generation.prompt_messages
    provenance = _facts("rewrite", user, [original]) | {"rewrite": rewrite.pk, "new_message": str(wish.pk)}
    # The turns before were not written by this person: context, not target.
    context = [turn | {"weight": 0.0} if turn["role"] == "assistant" else turn for turn in prompt]
    yield Lesson(
        kind="dialogue",
        key=f"{_prefix(question.pk, user)}rewrite:{original.pk.hex}",
        content={"messages": [*context, {"role": "assistant", "content": wish.text}]},
        provenance=provenance,
    )
    if _is_whole(original):
        yield Lesson(
            kind="pair",
            key=f"{_prefix(question.pk, user)}rewrite-pair:{original.pk.hex}",
            content={"prompt": prompt, "chosen": wish.text, "rejected": original.text},
            provenance=provenance,
        )


def _prefix(question_id: UUID, user: User) -> str:
    return f"chat:{question_id.hex}:{user.pk}:"


def _facts(kind: str, user: User, answers: list[Message]) -> dict[str, Any]:
    """Where a row came from, in ids; `link` is the admin page that shows it."""
    page = "rewrite" if kind == "rewrite" else "rating"
    field = "target" if kind == "rewrite" else "message"
    consent = Consent.objects.filter(user=user).order_by("-id").first()
    return {
        "source": "chat",
        "kind": kind,
        "rater": user.pk,
        "messages": [str(answer.pk) for answer in answers],
        "models": [answer.generation.model.uid for answer in answers],
        "prompt_sha256": answers[0].generation.prompt_sha256,
        "consent": consent.pk if consent else None,
        "link": reverse(f"admin:chat_{page}_changelist") + f"?{field}__id__exact={answers[0].pk}",
    }


def _push(lesson: Lesson, user: User, question: Message) -> None:
    verbs: dict[str, Any] = {
        "label": preferences.add_label,
        "pair": preferences.add_pair,
        "dialogue": preferences.add_dialogue,
    }
    try:
        verbs[lesson.kind](
            source_key=lesson.key,
            provenance=lesson.provenance,
            # All that answers one question stays in one split.
            group=f"chat:{question.pk.hex}",
            user=user,
            **lesson.content,
        )
    except BadRow as error:
        # The feedback is kept; only the row cannot be made of it.
        log.warning("feedback makes no training row", key=lesson.key, cause=str(error))
