"""What the live page of a run shows, as plain values: read from rows each time, so a reload loses nothing."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from training import evaluations, narration, runs, wording
from training.models import Evaluation, ModelVersion, RunEvent, TrainingRun

MOST_POINTS = 2000
MOST_LINES = 200
MOST_SAMPLES = 30

Status = TrainingRun.Status
Point = tuple[int, float]


def since(run: TrainingRun, after: int) -> dict[str, Any]:
    """The run now, and everything told after event `after`; a poll with the returned `seq` misses nothing."""
    events = list(RunEvent.objects.filter(run=run, seq__gt=after).order_by("seq"))
    lines = [(event, narration.in_words(event)) for event in events]
    return {
        "run": state(run),
        "seq": events[-1].seq if events else after,
        "losses": thin(_points(events, "step")),
        "validation": thin(_points(events, "evaluated")),
        "lines": [_line(event, text) for event, text in lines if text][-MOST_LINES:],
        "samples": [event.data | {"step": event.step} for event in events if event.kind == "sample"][-MOST_SAMPLES:],
        "figures": figures(run) if run.status == Status.SUCCEEDED else [],
    }


def _points(events: list[RunEvent], kind: str) -> list[Point]:
    return [(event.step, event.data["loss"]) for event in events if event.kind == kind and "loss" in event.data]


def thin(points: list[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most about `most` points: every nth, and always the last one."""
    stride = -(-len(points) // most) or 1
    kept = points[::stride]
    return kept if not points or kept[-1] == points[-1] else [*kept, points[-1]]


def _line(event: RunEvent, text: str) -> dict[str, Any]:
    return {"seq": event.seq, "at": event.at.isoformat(), "text": text}


def state(run: TrainingRun) -> dict[str, Any]:
    model = ModelVersion.objects.filter(run=run).values("pk", "name").first()
    return {
        "status": run.status,
        "label": run.get_status_display(),
        "step": run.step,
        "total": run.total_steps,
        "share": run.share_done,
        "eta_seconds": run.eta_seconds,
        "loss": run.loss,
        "validation_loss": run.validation_loss,
        "tokens_per_second": run.tokens_per_second,
        "ahead": runs.queue_position(run),
        "attempt": run.attempt,
        "error": wording.run_error(run),
        "error_log": run.error_log if run.status == Status.FAILED else "",
        "asked": _asked(run),
        "finished": run.is_finished,
        "model": model,
        "can": {
            "cancel": not run.is_finished and run.cancel_requested_at is None,
            "pause": run.status == Status.RUNNING and run.pause_requested_at is None,
            "resume": run.status == Status.PAUSED,
        },
    }


def _asked(run: TrainingRun) -> str:
    if run.is_finished:
        return ""
    if run.cancel_requested_at:
        return _("Being cancelled …")
    return _("Being paused …") if run.pause_requested_at else ""


def figures(run: TrainingRun) -> list[dict[str, Any]]:
    """The new model's figures beside its base's, split by split."""
    mine = Evaluation.objects.filter(model__run=run, dataset=run.dataset)
    theirs = {
        (item.split, item.metric): item.value for item in Evaluation.objects.filter(model=run.base, dataset=run.dataset)
    }
    return [
        {
            "split": narration.split_name(item.split),
            "metric": narration.metric_name(item.metric),
            "value": item.value,
            "low": item.low,
            "high": item.high,
            "n": item.n,
            "base": theirs.get((item.split, item.metric)),
        }
        for item in evaluations.in_reading_order(mine)
    ]


def words() -> dict[str, str]:
    """The page's script speaks these."""
    return {
        "step": _("step"),
        "loss": _("Training loss"),
        "validation": _("Validation loss"),
        "ahead": _("runs go first"),
        "next": _("goes next"),
        "attempt": _("attempt"),
        "offline": _("No connection, trying again …"),
        "question": _("Question"),
        "answer": _("Answer"),
        "reference": _("Wanted"),
    }
