"""Where the chat side hands in what people taught: pairs, thumbs and rewritten answers, each once by its source key.

They arrive as drafts; a curator approves them. Knows nothing of chats: the caller sends finished rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from training import curation, examples, search
from training import tags as tagging
from training.curation import WITHDRAWN
from training.ml.corpus import record_of
from training.ml.records import Body, Dialogue, Kind, Label, Message, Pair
from training.models import Example

FEEDBACK_TAG = "feedback"

Messages = Sequence[dict[str, Any]]
Status = Example.Status


def _turns(messages: Messages) -> tuple[Message, ...]:
    return tuple(Message.from_json(message) for message in messages)


def add_pair(
    *,
    source_key: str,
    prompt: Messages,
    chosen: str,
    rejected: str,
    margin: float | None = None,
    provenance: dict[str, Any] | None = None,
    group: str = "",
    tags: Sequence[str] = (),
    user: User | None = None,
) -> Example:
    """A better and a worse answer to one prompt. Raises BadRow when one is empty or both are the same."""
    pair = Pair(prompt=_turns(prompt), chosen=chosen, rejected=rejected, margin=margin)
    return _add("pair", pair.body(), source_key, provenance=provenance, group=group, tags=tags, user=user)


def add_label(
    *,
    source_key: str,
    prompt: Messages,
    completion: str,
    desirable: bool,
    provenance: dict[str, Any] | None = None,
    group: str = "",
    tags: Sequence[str] = (),
    user: User | None = None,
) -> Example:
    """One answer with a thumb."""
    label = Label(prompt=_turns(prompt), completion=completion, desirable=desirable)
    return _add("label", label.body(), source_key, provenance=provenance, group=group, tags=tags, user=user)


def add_dialogue(
    *,
    source_key: str,
    messages: Messages,
    provenance: dict[str, Any] | None = None,
    group: str = "",
    tags: Sequence[str] = (),
    user: User | None = None,
) -> Example:
    """A dialogue whose last answer is the one that a person wanted."""
    body = Dialogue(messages=_turns(messages)).body()
    return _add("dialogue", body, source_key, provenance=provenance, group=group, tags=tags, user=user)


def _add(
    kind: Kind,
    body: Body,
    source_key: str,
    *,
    provenance: dict[str, Any] | None,
    group: str,
    tags: Sequence[str],
    user: User | None,
) -> Example:
    record_of(kind, body)
    columns = examples.filled(kind, body) | {
        "kind": kind,
        "provenance": provenance or {},
        "group": group,
        "tags": tagging.tidy([FEEDBACK_TAG, *tags]),
        "created_by": user,
    }
    with transaction.atomic():
        stored, created = Example.objects.select_for_update().get_or_create(source_key=source_key, defaults=columns)
        if created:
            curation.tell([stored.pk], "added", user)
        elif _may_replace(stored, columns["content_hash"]):
            _replace(stored, columns, user)
    return stored


def _may_replace(stored: Example, content_hash: str) -> bool:
    """The person changed their mind, or came back after withdrawing. What a curator edited stays the curator's."""
    actions = set(stored.events.values_list("action", flat=True))
    if "edited" in actions:
        return False
    return stored.content_hash != content_hash or WITHDRAWN in stored.provenance


def _replace(stored: Example, columns: dict[str, Any], user: User | None) -> None:
    changes = columns | {"status": Status.DRAFT, "updated_at": timezone.now(), "row_version": F("row_version") + 1}
    Example.objects.filter(pk=stored.pk).update(**changes)
    search.put([stored.pk])
    curation.tell([stored.pk], "replaced", user, before=cast("Body", stored.body))
    stored.refresh_from_db()


def withdraw(source_key_prefix: str, *, reason: str = "") -> int:
    """Take back what a person no longer gives: rejected, so in no later version. Returns how many rows changed.

    Versions and models that hold such a row already are found through VersionRow.
    """
    if not source_key_prefix:
        return 0
    with transaction.atomic():
        rows = Example.objects.select_for_update().filter(source_key__startswith=source_key_prefix)
        given = [row for row in rows if WITHDRAWN not in row.provenance]
        for row in given:
            row.provenance = {**row.provenance, WITHDRAWN: timezone.now().isoformat()}
            row.status, row.row_version = Status.REJECTED, row.row_version + 1
            row.save(update_fields=["provenance", "status", "row_version", "updated_at"])
        curation.tell([row.pk for row in given], "withdrawn", None, note=reason)
    return len(given)
