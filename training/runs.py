"""The life of a training run: every change of a TrainingRun row is made here, by compare-and-set.

Knows nothing of processes, queues or torch. Web asks (queue, cancel, pause), the worker claims and settles, the
trainer tells; whoever holds the claim token may write, and a stale writer's update finds no row.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

from django.db import IntegrityError, transaction
from django.db.models import F, Max, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from training import devices, storage
from training.ml.records import Event
from training.ml.texts import Words, fill, words
from training.models import RunEvent, TrainingRun

LEASE_SECONDS = 15
MOST_DEATHS = 3

Status = TrainingRun.Status
Ask = Literal["", "cancel", "pause", "lost"]

# What a told event leaves in the run's own columns: key in the event's data -> column.
PROGRESS: dict[str, dict[str, str]] = {
    "step": {
        "loss": "loss",
        "total": "total_steps",
        "tokens_per_second": "tokens_per_second",
        "eta_seconds": "eta_seconds",
    },
    "evaluated": {"loss": "validation_loss"},
}


class RunRefused(Exception):
    """Raised when a run is not in a state for what is asked. The text is for people."""


# --- moving a run ---------------------------------------------------------------------------------------------------


def advance(
    run: TrainingRun, to: Status, claim_token: str | None = None, /, *, why: Words | None = None, **fields: Any
) -> bool:
    """Move a run along TRANSITIONS; False when it is no longer where that is allowed, or another holds the claim.

    claim_token: the mover's claim; None for the web, which holds none. why: told with the transition, for people.
    `fields` are further columns to set.
    """
    rows = _movable(run.pk, to)
    if claim_token is not None:
        rows = rows.filter(claim_token=claim_token)
    # One transaction, so that a transition is never seen without its event; the update locks the row, which
    # makes the next seq safe to take.
    with transaction.atomic():
        if rows.update(status=to, **_implied(to), **fields) != 1:
            return False
        _append(run.pk, [Event(kind="note", data=_told(to, why, fields))])
        if to in TrainingRun.TERMINAL:
            # No run comes back from here, so its checkpoints are of no use to anybody.
            transaction.on_commit(partial(storage.remove, storage.run_dir(run.pk)), robust=True)
    run.refresh_from_db()
    return True


def _movable(run_pk: int, to: Status) -> QuerySet[TrainingRun]:
    sources = [source for source, targets in TrainingRun.TRANSITIONS.items() if to in targets]
    return TrainingRun.objects.filter(pk=run_pk, status__in=sources)


def _implied(to: Status) -> dict[str, Any]:
    """Columns that follow from the state alone."""
    if to in TrainingRun.ON_DEVICE:
        return {}
    columns: dict[str, Any] = {"claim_token": "", "pid": None, "eta_seconds": None, "pause_requested_at": None}
    if to in TrainingRun.TERMINAL:
        columns["finished_at"] = timezone.now()
    if to == Status.QUEUED:
        columns["queued_at"] = Coalesce(F("queued_at"), timezone.now())
    return columns


def _told(to: Status, why: Words | None, fields: dict[str, Any]) -> dict[str, Any]:
    told = {"state": str(to), "why": why, "device": fields.get("device", "")}
    return {name: value for name, value in told.items() if value}


def fail(run: TrainingRun, claim_token: str, why: Words) -> bool:
    """The end that was not wanted: the column has it in English, the event in words for any language."""
    return advance(run, Status.FAILED, claim_token, why=why, error=fill(why))


# --- what the web asks ----------------------------------------------------------------------------------------------


def queue_run(run: TrainingRun) -> bool:
    """Put a draft into the queue; the caller rings the bell after commit."""
    return advance(run, Status.QUEUED)


def request_cancel(run: TrainingRun) -> None:
    """End a run: at once while it waits, within a step while it trains. Raises RunRefused when it is over."""
    if advance_from(run, (Status.DRAFT, Status.QUEUED, Status.PAUSED), Status.CANCELLED):
        return
    asked = TrainingRun.objects.filter(pk=run.pk, status__in=TrainingRun.ON_DEVICE)
    if not asked.update(cancel_requested_at=Coalesce(F("cancel_requested_at"), timezone.now())):
        raise RunRefused(_("The run is over, there is nothing to cancel."))


def request_pause(run: TrainingRun) -> None:
    """Ask a training run to stop at a checkpoint. Raises RunRefused when it is not training."""
    asked = TrainingRun.objects.filter(pk=run.pk, status=Status.RUNNING)
    if not asked.update(pause_requested_at=timezone.now()):
        raise RunRefused(_("Only a run that is training can be paused."))


def resume_run(run: TrainingRun) -> None:
    """Put a paused run back into the queue; it goes on from its checkpoint. Raises RunRefused otherwise."""
    if not advance_from(run, (Status.PAUSED,), Status.QUEUED):
        raise RunRefused(_("Only a paused run can be resumed."))


def advance_from(run: TrainingRun, sources: Sequence[Status], to: Status) -> bool:
    """`advance`, but only from some of the states that the table allows."""
    with transaction.atomic():
        # Locks the row against a worker that claims it between this look and the move.
        if not TrainingRun.objects.select_for_update().filter(pk=run.pk, status__in=sources).exists():
            return False
        return advance(run, to)


def queue_position(run: TrainingRun) -> int | None:
    """How many runs go before this one; None when it does not wait."""
    if run.status != Status.QUEUED:
        return None
    earlier = Q(priority__gt=run.priority) | Q(priority=run.priority, queued_at__lt=run.queued_at)
    tied = Q(priority=run.priority, queued_at=run.queued_at, pk__lt=run.pk)
    return TrainingRun.objects.filter(earlier | tied, status=Status.QUEUED).count()


# --- what the worker does -------------------------------------------------------------------------------------------


def claim(worker: str) -> TrainingRun | None:
    """Take the best waiting run whose device is free; None when there is none. Safe in any number of workers."""
    for run in TrainingRun.objects.filter(status=Status.QUEUED).order_by("-priority", "queued_at", "pk"):
        device = devices.pick(busy_devices())
        if device is not None and _take(run, worker, device):
            return run
    return None


def busy_devices() -> set[str]:
    return set(TrainingRun.objects.filter(status__in=TrainingRun.ON_DEVICE).values_list("device", flat=True))


def _take(run: TrainingRun, worker: str, device: str) -> bool:
    now = timezone.now()
    token = uuid.uuid4().hex
    taken: dict[str, Any] = {"claim_token": token, "worker": worker, "device": device, "beat": now}
    try:
        return advance(run, Status.RUNNING, **taken, started_at=Coalesce(F("started_at"), now))
    except IntegrityError:
        return False  # one_run_per_device: another worker took the device between our look and our update


def beat(run_pk: int, claim_token: str, **fields: Any) -> bool:
    """A sign of life; False when the claim is lost and the trainer must end."""
    return TrainingRun.objects.filter(pk=run_pk, claim_token=claim_token).update(beat=timezone.now(), **fields) == 1


def asked(run_pk: int, claim_token: str) -> Ask:
    """What people want of a running run. A pause during the evaluation comes too late and is passed over."""
    columns = ("status", "cancel_requested_at", "pause_requested_at")
    row = TrainingRun.objects.filter(pk=run_pk, claim_token=claim_token).values(*columns).first()
    if row is None:
        return "lost"
    if row["cancel_requested_at"]:
        return "cancel"
    return "pause" if row["pause_requested_at"] and row["status"] == Status.RUNNING else ""


def stop(run: TrainingRun, claim_token: str) -> bool:
    """The trainer ended because it was told to: where the run goes is what was asked last."""
    match asked(run.pk, claim_token):
        case "cancel":
            return advance(run, Status.CANCELLED, claim_token)
        case "pause":
            return advance(run, Status.PAUSED, claim_token)
        case _:
            return advance(run, Status.QUEUED, claim_token)


def lose(run: TrainingRun, claim_token: str, why: Words) -> bool:
    """The trainer died unasked: back into the queue, from its checkpoint; failed when that happens too often."""
    wanted = asked(run.pk, claim_token)
    if wanted == "cancel":
        return advance(run, Status.CANCELLED, claim_token)
    if wanted == "pause" or run.attempt < MOST_DEATHS:
        to = Status.PAUSED if wanted == "pause" else Status.QUEUED
        return advance(run, to, claim_token, why=why, attempt=F("attempt") + 1)
    text = gettext_noop("%(why)s That was the last of %(count)d attempts.")
    return fail(run, claim_token, words(text, why=why, count=MOST_DEATHS + 1))


def silent() -> dict[int, datetime]:
    """Runs on a device whose last sign of life is older than the lease, with that moment."""
    limit = timezone.now() - timedelta(seconds=LEASE_SECONDS)
    rows = TrainingRun.objects.filter(status__in=TrainingRun.ON_DEVICE, beat__lt=limit)
    return {pk: beat for pk, beat in rows.values_list("pk", "beat") if beat}


def reap_lost(seen: Mapping[int, datetime]) -> int:
    """Give back every run that is as `silent` as an earlier look saw it; returns how many.

    One look is not enough: after a suspended machine wakes every beat looks old, until the living beat again.
    """
    lost = [pk for pk, beat in silent().items() if seen.get(pk) == beat]
    return sum(_reap(pk, seen[pk]) for pk in lost)


def _reap(run_pk: int, beat: datetime) -> bool:
    with transaction.atomic():
        # Locks the row against a beat between this look and the move.
        run = TrainingRun.objects.select_for_update().filter(pk=run_pk, beat=beat).first()
        return run is not None and lose(run, run.claim_token, words(gettext_noop("The worker was lost.")))


# --- what the trainer tells -----------------------------------------------------------------------------------------


def record(run_pk: int, claim_token: str, events: Iterable[Event]) -> bool:
    """Append events and bring the progress columns up to date; False when the claim is lost (nothing is written)."""
    events = list(events)
    # The update comes first: it proves the claim and locks the row, so that the seq is this writer's alone.
    with transaction.atomic():
        rows = TrainingRun.objects.filter(pk=run_pk, claim_token=claim_token)
        if rows.update(beat=timezone.now(), **_progress(events)) != 1:
            return False
        _append(run_pk, events)
    return True


def _progress(events: Sequence[Event]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for event in events:
        if event.kind == "step":
            columns["step"] = event.step
        keys = PROGRESS.get(event.kind, {})
        columns |= {column: event.data[key] for key, column in keys.items() if event.data.get(key) is not None}
    return columns


def _append(run_pk: int, events: Sequence[Event]) -> None:
    last = RunEvent.objects.filter(run_id=run_pk).aggregate(last=Max("seq"))["last"] or 0
    RunEvent.objects.bulk_create(
        RunEvent(run_id=run_pk, seq=seq, kind=event.kind, step=event.step, data=event.data)
        for seq, event in enumerate(events, start=last + 1)
    )
