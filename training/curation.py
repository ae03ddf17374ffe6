"""What curators do with examples: add, edit, approve, reject. Every change leaves an event.

An edit names the row version that it saw: whoever comes second is told who was first.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, cast

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop

from training import examples, search
from training import tags as tagging
from training.ml.corpus import exchange, record_of
from training.ml.errors import PipelineError
from training.ml.records import Body, Kind
from training.ml.texts import words
from training.models import Example, ExampleEvent

BY_HAND_TAG = "by-hand"
WITHDRAWN = "withdrawn"  # key in an example's provenance
_CHUNK = 2000

Status = Example.Status


class StaleEdit(PipelineError):
    """Raised when the row changed since the editor opened it. The text says who changed it and when."""

    code = "stale_edit"


class NotMovable(PipelineError):
    """Raised when an example is not in a state for what is asked."""

    code = "not_movable"


def add_dialogue(
    messages: Sequence[dict[str, Any]],
    *,
    user: User | None,
    approve: bool = False,
    group: str = "",
    tags: Sequence[str] = (),
    source_key: str = "",
    provenance: dict[str, Any] | None = None,
) -> Example:
    """One dialogue written by a person. The same source key twice gives the same row. Raises BadRow."""
    body = record_of("dialogue", {"messages": list(messages)}).body()
    key = source_key or f"hand:{uuid.uuid4().hex}"
    columns = {
        "group": group,
        "tags": tagging.tidy([BY_HAND_TAG, *tags]),
        "created_by": user,
        "provenance": provenance or {},
    }
    example = examples.make("dialogue", body, source_key=key, **columns, **_review(user, approve=approve))
    with transaction.atomic():
        stored, created = Example.objects.get_or_create(source_key=key, defaults=_values(example))
        if created:
            search.put([stored.pk])
            _tell([stored.pk], "added", user)
            if approve:
                _tell([stored.pk], "approved", user)
    return stored


def add_pair_of_qa(
    question: str,
    answer: str,
    *,
    phrasings: Sequence[str] = (),
    user: User | None,
    approve: bool = False,
    tags: Sequence[str] = (),
    source_key: str = "",
    provenance: dict[str, Any] | None = None,
) -> list[Example]:
    """A question, its answer, and other ways to ask it: one row a phrasing, all in one paraphrase group."""
    key = source_key or f"hand:{uuid.uuid4().hex}"
    asked = list(dict.fromkeys([question, *phrasings]))
    with transaction.atomic():
        return [
            add_dialogue(
                exchange(text, answer).body()["messages"],
                user=user,
                approve=approve,
                group=key if len(asked) > 1 else "",
                tags=tags,
                source_key=f"{key}:{number}",
                provenance=provenance,
            )
            for number, text in enumerate(asked)
        ]


def _values(example: Example) -> dict[str, Any]:
    names = ("kind", "body", "preview", "content_hash", "language", "status", "group", "tags", "created_by")
    return {name: getattr(example, name) for name in (*names, "provenance", "reviewer", "reviewed_at")}


def _review(user: User | None, *, approve: bool) -> dict[str, Any]:
    if not approve:
        return {"status": Status.DRAFT}
    return {"status": Status.APPROVED, "reviewer": user, "reviewed_at": timezone.now()}


def edit(
    example_id: int, body: Body, *, row_version: int, user: User | None, note: str = "", **columns: Any
) -> Example:
    """Replace the content; an approved or rejected row goes back to draft. `columns`: group, tags.

    Raises StaleEdit when somebody was faster, BadRow when the content is none.
    """
    before = Example.objects.get(pk=example_id)
    kind = cast("Kind", before.kind)
    new = record_of(kind, body).body()
    changes = {**examples.filled(kind, new), **columns, "status": Status.DRAFT}
    with transaction.atomic():
        # Compare-and-set on the version that the editor saw; the event belongs to the same moment.
        current = Example.objects.filter(pk=example_id, row_version=row_version)
        if current.update(**changes, row_version=F("row_version") + 1, updated_at=timezone.now()) != 1:
            raise stale(example_id)
        search.put([example_id])
        _tell([example_id], "edited", user, note=note, before=before.body)
    before.refresh_from_db()
    return before


def stale(example_id: int) -> StaleEdit:
    """Who changed a row last, and when."""
    last = ExampleEvent.objects.filter(example_id=example_id).select_related("user").order_by("-id").first()
    who = last.user.get_username() if last and last.user else words(gettext_noop("somebody"))
    at = f"{timezone.localtime(last.at):%Y-%m-%d %H:%M:%S}" if last else "?"
    text = gettext_noop("Changed by %(who)s at %(at)s while you were editing. Open it again to see the new text.")
    return StaleEdit(text, who=who, at=at)


def approve(rows: QuerySet[Example], *, user: User | None) -> int:
    """Approve every row of the set that is not yet; returns how many changed."""
    return _move(rows, Status.APPROVED, "approved", user)


def reject(rows: QuerySet[Example], *, user: User | None, reason: str = "") -> int:
    """Reject every row of the set that is not yet; returns how many changed."""
    return _move(rows, Status.REJECTED, "rejected", user, note=reason)


def back_to_draft(rows: QuerySet[Example], *, user: User | None, reason: str = "") -> int:
    return _move(rows, Status.DRAFT, "reopened", user, note=reason)


def tag(rows: QuerySet[Example], name: str, *, user: User | None, remove: bool = False) -> int:
    """Give every row of the set a tag, or take it away; returns how many changed. The state of a row stays."""
    [name] = tagging.tidy([name])
    return sum(_tag_chunk(chunk, name, user, remove=remove) for chunk in _chunks(rows))


def _tag_chunk(keys: Sequence[int], name: str, user: User | None, *, remove: bool) -> int:
    with transaction.atomic():
        rows = Example.objects.select_for_update().filter(pk__in=keys).order_by("pk").values_list("pk", "tags")
        # Many rows have the same few lists of tags: one statement for each list.
        alike: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        for key, tags in rows:
            if (name in tags) == remove:
                alike[tuple(tags)].append(key)
        for tags, of_these in alike.items():
            new = [tag for tag in tags if tag != name] if remove else tagging.tidy([*tags, name])
            changes = {"tags": new, "row_version": F("row_version") + 1, "updated_at": timezone.now()}
            Example.objects.filter(pk__in=of_these).update(**changes)
        changed = [key for of_these in alike.values() for key in of_these]
        _tell(changed, "untagged" if remove else "tagged", user, note=name)
    return len(changed)


def _move(rows: QuerySet[Example], to: Status, action: str, user: User | None, *, note: str = "") -> int:
    return sum(_move_chunk(chunk, to, action, user, note) for chunk in _chunks(rows))


def _chunks(rows: QuerySet[Example]) -> Iterator[list[int]]:
    """The keys in parts, each for a transaction of its own: nobody else may write while one is open."""
    chosen = Example.objects.filter(pk__in=rows.order_by().values("pk"))
    keys = list(chosen.order_by("pk").values_list("pk", flat=True))
    return (keys[start : start + _CHUNK] for start in range(0, len(keys), _CHUNK))


def _move_chunk(keys: Sequence[int], to: Status, action: str, user: User | None, note: str) -> int:
    sources = [source for source, targets in Example.TRANSITIONS.items() if to in targets]
    with transaction.atomic():
        # The rows are locked between look and move, so that each change has exactly one event.
        movable = Example.objects.select_for_update().filter(pk__in=keys, status__in=sources)
        if to == Status.APPROVED:
            # The person who gave it took it back: no curator may put it into training again.
            movable = movable.exclude(provenance__has_key=WITHDRAWN)
        moved = list(movable.order_by("pk").values_list("pk", flat=True))
        Example.objects.filter(pk__in=moved).update(
            status=to,
            reviewer=user,
            reviewed_at=timezone.now(),
            updated_at=timezone.now(),
            row_version=F("row_version") + 1,
            leased_by=None,
            leased_until=None,
        )
        _tell(moved, action, user, note=note)
    return len(moved)


def _tell(keys: Sequence[int], action: str, user: User | None, *, note: str = "", before: Body | None = None) -> None:
    events = (ExampleEvent(example_id=key, user=user, action=action, note=note, before=before) for key in keys)
    ExampleEvent.objects.bulk_create(events, batch_size=_CHUNK)


tell = _tell
