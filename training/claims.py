"""Rows as a queue for short jobs: claim by compare-and-set, a lease kept alive by beats, a take-over when it runs out.

For Check, Collection, Corpus, DatasetVersion and Statistics, which share the columns status, claim_token and beat.
Knows not what the job is.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any, TypeVar

from django.db.models import Exists
from django.utils import timezone

from training.models import Check, Collection, Corpus, DatasetVersion, Statistics

Claimed = TypeVar("Claimed", Check, Collection, Corpus, DatasetVersion, Statistics)

# Longer than any silent stretch of a reader or freezer: they beat at every batch.
LEASE_SECONDS = 30


class ClaimLost(Exception):
    """Raised when another worker took the row over, or a person took it back; nothing more may be written."""


def release_lost(model: type[Claimed], *, working: str, waiting: str) -> int:
    """Put rows whose worker gave no sign of life back into the queue; returns how many."""
    limit = timezone.now() - timedelta(seconds=LEASE_SECONDS)
    lost = model._default_manager.filter(status=working, beat__lt=limit)
    return lost.update(status=waiting, claim_token="")


def take(model: type[Claimed], *, working: str, waiting: str, alone: bool = False) -> Claimed | None:
    """The oldest waiting row, claimed for this caller; None when there is none.

    alone: take nothing while another row of the model is being worked on.
    """
    release_lost(model, working=working, waiting=waiting)
    manager = model._default_manager
    for pk in manager.filter(status=waiting).order_by("pk").values_list("pk", flat=True):
        free = manager.filter(pk=pk, status=waiting)
        if alone:
            free = free.exclude(Exists(manager.filter(status=working)))
        # Two workers may see the same row: the update succeeds for one of them.
        if free.update(status=working, claim_token=uuid.uuid4().hex, beat=timezone.now(), error="") == 1:
            return manager.get(pk=pk)
    return None


def beat(row: Claimed, **columns: Any) -> None:
    """A sign of life, with progress. Raises ClaimLost when the row is no longer ours."""
    ours = type(row)._default_manager.filter(pk=row.pk, claim_token=row.claim_token)
    if ours.update(beat=timezone.now(), **columns) != 1:
        raise ClaimLost


def settle(row: Claimed, to: str, **columns: Any) -> None:
    """The last write of a job: the state it ends in. Raises ClaimLost when the row is no longer ours."""
    sources = [source for source, targets in row.TRANSITIONS.items() if to in targets]
    ours = type(row)._default_manager.filter(pk=row.pk, claim_token=row.claim_token, status__in=sources)
    if ours.update(status=to, claim_token="", **columns) != 1:
        raise ClaimLost
    row.refresh_from_db()
