"""One deed for every example of a filter, in parts: each is short, so that others can write in between, and a stop
between two parts leaves whole rows. Whoever asks goes on with the next part from where the last one ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import Max, QuerySet

from training import curation, tags
from training.filters import Filter
from training.models import Example

PART_ROWS = 2000
PART_SECONDS = 1.0

Verb = Callable[[QuerySet[Example], User, str], int]

DEEDS: dict[str, Verb] = {
    "approve": lambda rows, user, _text: curation.approve(rows, user=user),
    "reject": lambda rows, user, reason: curation.reject(rows, user=user, reason=reason),
    "reopen": lambda rows, user, reason: curation.back_to_draft(rows, user=user, reason=reason),
    "tag": lambda rows, user, name: curation.tag(rows, name, user=user) if tags.tidy([name]) else 0,
    "untag": lambda rows, user, name: curation.tag(rows, name, user=user, remove=True) if tags.tidy([name]) else 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What was done since `after` was asked for; the next part begins behind the new `after`."""

    after: int
    seen: int
    changed: int
    finished: bool


def newest() -> int:
    """The highest row number there is: what comes later was not meant."""
    return Example.objects.aggregate(newest=Max("pk"))["newest"] or 0


def do_part(
    deed: str, chosen: Filter, *, after: int, until: int, user: User, text: str = "", seconds: float = PART_SECONDS
) -> Part:
    """Go on for about a second. Rows that the deed does not fit are left, such as approved ones for approving."""
    verb, seen, changed = DEEDS[deed], 0, 0
    end = time.monotonic() + seconds
    while True:
        keys = list(
            chosen.rows().filter(pk__gt=after, pk__lte=until).order_by("pk").values_list("pk", flat=True)[:PART_ROWS]
        )
        if keys:
            changed += verb(Example.objects.filter(pk__in=keys), user, text)
            seen, after = seen + len(keys), keys[-1]
        finished = len(keys) < PART_ROWS
        if finished or time.monotonic() >= end:
            return Part(after=after, seen=seen, changed=changed, finished=finished)
