"""The review queue: one example at a time for each reviewer, decided with what they saw, and taken back.

An item is one person's for five minutes, so that two reviewers never read the same one; a decision names the row
version that it saw, so that nothing is overwritten when the five minutes were not enough.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop

from training import curation, examples, search
from training.curation import WITHDRAWN, NotMovable
from training.filters import Filter
from training.ml.records import Body, Kind
from training.models import Example, ExampleEvent

LEASE = timedelta(minutes=5)
MOST_COUNTED = 10_000
_DECISIONS = {Example.Status.APPROVED: "approved", Example.Status.REJECTED: "rejected"}
_MESSAGE = re.compile(r"(messages|prompt)\[(\d{1,4})\]")

Status = Example.Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The row as it is now, and the first event of the decision: `undo` goes back to before it."""

    example: Example
    since: int | None


# --- the queue ------------------------------------------------------------------------------------------------------


def take(user: User, chosen: Filter, *, after: int = 0, count: int = 2) -> list[Example]:
    """The next examples of a filter behind a row number, leased to the user; fewer when there are no more."""
    with transaction.atomic():
        return lease(user, _keys(_free(user, chosen).filter(pk__gt=after), count))


def begin(user: User, chosen: Filter, *, after: int = 0, count: int = 2) -> tuple[list[Example], int]:
    """As `take`, and how many wait in all, counted no further than MOST_COUNTED + 1."""
    with transaction.atomic():
        # One look at the rows for both: where few fit, it goes through all of them.
        waiting = _keys(_free(user, chosen), MOST_COUNTED + 1)
        if len(waiting) > MOST_COUNTED and waiting[-1] <= after:
            return take(user, chosen, after=after, count=count), len(waiting)
        return lease(user, [key for key in waiting if key > after][:count]), len(waiting)


def lease(user: User, keys: list[int]) -> list[Example]:
    """Those of the rows that are nobody else's, for five minutes."""
    with transaction.atomic():
        skip = connection.features.has_select_for_update_skip_locked
        free = Example.objects.select_for_update(skip_locked=skip, of=("self",) if skip else ()).filter(
            Q(leased_until=None) | Q(leased_until__lt=timezone.now()) | Q(leased_by=user), pk__in=keys
        )
        rows = list(free.order_by("pk"))
        mine = Example.objects.filter(pk__in=[row.pk for row in rows])
        mine.update(leased_by=user, leased_until=timezone.now() + LEASE)
    return rows


def release(user: User, keys: list[int]) -> None:
    """Give back what was not decided, for others."""
    Example.objects.filter(pk__in=keys, leased_by=user).update(leased_by=None, leased_until=None)


def _keys(rows: QuerySet[Example], most: int) -> list[int]:
    return list(rows.order_by("pk").values_list("pk", flat=True)[:most])


def _free(user: User, chosen: Filter) -> QuerySet[Example]:
    # Asked by themselves: there are few, and the filter's own index knows nothing of leases.
    held = Example.objects.order_by().filter(leased_until__gt=timezone.now()).values_list("pk", "leased_by")
    return chosen.rows().exclude(pk__in=[pk for pk, holder in held if holder != user.pk])


# --- deciding -------------------------------------------------------------------------------------------------------


def decide(
    pk: int,
    to: Status,
    *,
    row_version: int,
    user: User,
    reason: str = "",
    texts: Mapping[str, str] | None = None,
) -> Decided:
    """Approve or reject one row, with other texts where the reviewer changed some (see `with_texts`).

    Raises StaleEdit when somebody was faster, BadRow when the texts are none, NotMovable when its author took it back.
    """
    with transaction.atomic():
        before = Example.objects.get(pk=pk)
        version = row_version
        if texts and (body := with_texts(before.body, texts)) != before.body:
            # The person who looks at the text is the one who answers for it: no second review.
            version = curation.edit(pk, body, row_version=row_version, user=user).row_version
        _move(pk, to, row_version=version, user=user, reason=reason)
        events = ExampleEvent.objects.filter(example_id=pk).order_by("-id").values_list("pk", flat=True)
        since = list(events[: _written(before, to, edited=version != row_version)])
    return Decided(example=Example.objects.get(pk=pk), since=since[-1] if since else None)


def _written(before: Example, to: Status, *, edited: bool) -> int:
    """How many events a decision left: an edit, and a move unless it was there already."""
    return edited + (edited or before.status != to)


def _move(pk: int, to: Status, *, row_version: int, user: User, reason: str) -> None:
    row = Example.objects.select_for_update().get(pk=pk)
    if row.row_version != row_version:
        raise curation.stale(pk)
    if row.status == to:
        release(user, [pk])
        return
    if to == Status.APPROVED and WITHDRAWN in row.provenance:
        raise NotMovable(gettext_noop("Its author took it back. It cannot be approved."))
    _write(row, user, status=to, reviewer=user, reviewed_at=timezone.now())
    curation.tell([pk], _DECISIONS[to], user, note=reason)


def _write(row: Example, user: User, **columns: Any) -> None:
    Example.objects.filter(pk=row.pk).update(
        **columns,
        row_version=F("row_version") + 1,
        updated_at=timezone.now(),
        leased_by=None,
        leased_until=None,
    )


def undo(pk: int, *, since: int, status: Status, row_version: int, user: User) -> Example:
    """Take back one's own last decision: the state and the text from before its first event `since`.

    Raises StaleEdit when somebody changed the row afterwards, NotMovable when there is nothing of one's own to undo.
    """
    with transaction.atomic():
        row = Example.objects.select_for_update().get(pk=pk)
        if row.row_version != row_version:
            raise curation.stale(pk)
        events = list(ExampleEvent.objects.filter(example_id=pk, pk__gte=since).order_by("pk"))
        known = {"edited", *_DECISIONS.values()}
        if not events or any(event.user_id != user.pk or event.action not in known for event in events):
            raise NotMovable(gettext_noop("There is nothing of yours to undo."))
        body = next((event.before for event in events if event.before), None)
        columns = examples.filled(cast("Kind", row.kind), body) if body else {}
        _write(row, user, **columns, status=status)
        if body:
            search.put([pk])
        curation.tell([pk], "undone", user, before=row.body if body else None)
        lease(user, [pk])
    return Example.objects.get(pk=pk)


# --- single texts ---------------------------------------------------------------------------------------------------


def texts_of(body: Body) -> dict[str, str]:
    """Every text by its place: messages[1], prompt[0], chosen, rejected, completion, text."""
    turns = {
        f"{name}[{number}]": turn["content"]
        for name in ("messages", "prompt")
        for number, turn in enumerate(body.get(name, []))
    }
    return turns | {name: body[name] for name in ("completion", "chosen", "rejected", "text") if name in body}


def with_texts(body: Body, texts: Mapping[str, str]) -> Body:
    """The body with other texts at some places; places that it does not have are left out."""
    changed = copy.deepcopy(body)
    for place in texts.keys() & texts_of(body).keys():
        text = texts[place].replace("\r\n", "\n").strip()
        if turn := _MESSAGE.fullmatch(place):
            changed[turn[1]][int(turn[2])]["content"] = text
        else:
            changed[place] = text
    return changed
