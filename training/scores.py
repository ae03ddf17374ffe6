"""Experts' marks for answers, 1 to 5: the newest of an answer counts, for the words that were marked.

The two answers of a pair that were marked differently have the difference as their margin; two dialogues that answer
one question with different marks become a pair.
"""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_noop

from training import curation, preferences, search
from training.curation import WITHDRAWN, NotMovable
from training.examples import filled
from training.ml.records import Body, Kind, body_hash
from training.models import AnswerScore, Example

CHAT = "chat"  # provenance.source of what people gave in the chat


def answers_of(kind: str, body: Body) -> list[str]:
    """The places of the answers that can be marked."""
    if kind == "dialogue":
        turns = enumerate(body["messages"])
        return [f"messages[{number}]" for number, turn in turns if turn["role"] == "assistant"]
    return {"pair": ["chosen", "rejected"], "label": ["completion"]}.get(kind, [])


def marked_hash(kind: str, body: Body) -> str:
    """What a mark is bound to: the words. A margin, which follows from marks, is none of them."""
    return body_hash(cast("Kind", kind), {name: value for name, value in body.items() if name != "margin"})


def current(example: Example) -> dict[str, int]:
    """The marks that count for the words as they are now, by answer."""
    marks = example.scores.filter(content_hash=marked_hash(example.kind, example.body)).order_by("pk")
    return dict(marks.values_list("answer", "value"))


def score(pk: int, answer: str, value: int, *, user: User) -> Example:
    """Mark an answer; a pair of which both have a mark gets its margin. Raises NotMovable for what is no answer."""
    with transaction.atomic():
        example = Example.objects.select_for_update().get(pk=pk)
        if answer not in answers_of(example.kind, example.body) or value not in range(1, 6):
            raise NotMovable(gettext_noop("Only answers have marks, from 1 to 5."))
        words = marked_hash(example.kind, example.body)
        AnswerScore.objects.create(example=example, answer=answer, content_hash=words, value=value, user=user)
        if example.kind == "pair":
            _set_margin(example, user)
    return example


def _set_margin(example: Example, user: User) -> None:
    """The difference of the marks; none while one is missing, or where they say that the other answer is better."""
    marks = current(example)
    if len(marks) < 2:  # noqa: PLR2004 - chosen and rejected
        return
    difference = marks["chosen"] - marks["rejected"]
    body = {name: value for name, value in example.body.items() if name != "margin"}
    if difference > 0:
        body["margin"] = float(difference)
    if body != example.body:
        before = example.body
        # No word changed: the row stays approved or rejected.
        _store(example, body, user, "scored", before)


def _store(example: Example, body: Body, user: User, action: str, before: Body, **columns: Any) -> None:
    changes = filled(cast("Kind", example.kind), body) | columns
    version = F("row_version") + 1
    Example.objects.filter(pk=example.pk).update(**changes, row_version=version, updated_at=timezone.now())
    curation.tell([example.pk], action, user, before=before)
    example.refresh_from_db()


def is_upside_down(example: Example) -> bool:
    """Whether the answer that stands as the worse one has the higher mark."""
    marks = current(example) if example.kind == "pair" else {}
    return bool(marks) and marks.get("rejected", 0) > marks.get("chosen", 5)


def swap(pk: int, *, row_version: int, user: User) -> Example:
    """Exchange the two answers of a pair, marks and all; it goes back to review. Raises StaleEdit, NotMovable."""
    with transaction.atomic():
        example = Example.objects.select_for_update().get(pk=pk)
        if example.row_version != row_version:
            raise curation.stale(pk)
        if example.kind != "pair":
            raise NotMovable(gettext_noop("Only a pair has two answers."))
        marks, before = current(example), example.body
        body = {**before, "chosen": before["rejected"], "rejected": before["chosen"]}
        body.pop("margin", None)
        if len(marks) > 1 and marks["rejected"] > marks["chosen"]:
            body["margin"] = float(marks["rejected"] - marks["chosen"])
        _store(example, body, user, "edited", before, status=Example.Status.DRAFT)
        search.put([pk])
        other = {"chosen": "rejected", "rejected": "chosen"}
        words = marked_hash("pair", body)
        AnswerScore.objects.bulk_create(
            AnswerScore(example=example, answer=other[answer], content_hash=words, value=value, user=user)
            for answer, value in marks.items()
        )
    return example


# --- two dialogues --------------------------------------------------------------------------------------------------


def last_mark(example: Example) -> int | None:
    """The mark of the answer that ends a dialogue."""
    if example.kind != "dialogue":
        return None
    return current(example).get(f"messages[{len(example.body['messages']) - 1}]")


def can_pair(one: Example, other: Example) -> bool:
    """Whether two dialogues answer the same question, and experts think differently of the answers."""
    if one.pk == other.pk or not one.kind == other.kind == "dialogue" or _question(one) != _question(other):
        return False
    if any(_is_a_persons(example) for example in (one, other)):
        return False
    marks = last_mark(one), last_mark(other)
    return None not in marks and marks[0] != marks[1]


def _question(example: Example) -> list[tuple[str, str]]:
    return [(turn["role"], turn["content"]) for turn in example.body["messages"][:-1]]


def _is_a_persons(example: Example) -> bool:
    """What people gave in the chat follows their consent; a pair made of it would not."""
    return example.provenance.get("source") == CHAT or WITHDRAWN in example.provenance


def pair_of(one: Example, other: Example, *, user: User) -> Example:
    """A draft pair of the last answers of two dialogues; the same two give the same row. Raises NotMovable."""
    if not can_pair(one, other):
        text = gettext_noop(
            "These two make no pair: it takes the same question, different marks, and no feedback from the chat."
        )
        raise NotMovable(text)
    better, worse = sorted((one, other), key=lambda example: -(last_mark(example) or 0))
    return preferences.add_pair(
        source_key=f"scores:{better.pk}:{worse.pk}:{marked_hash('dialogue', better.body)[:8]}",
        prompt=better.body["messages"][:-1],
        chosen=better.body["messages"][-1]["content"],
        rejected=worse.body["messages"][-1]["content"],
        margin=float((last_mark(better) or 0) - (last_mark(worse) or 0)),
        provenance={"source": "scores", "examples": [better.pk, worse.pk]},
        group=better.group or worse.group,
        user=user,
    )
