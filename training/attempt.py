"""One attempt at one claimed run, inside the trainer process: fit -> evaluate -> publish -> register -> succeeded.

Every write is filtered by the claim token, so a trainer that outlived its claim can write nothing. What it cannot
write, its own death, its worker writes.
"""

from __future__ import annotations

import hashlib
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog
from django.db import transaction
from django.utils.translation import gettext_noop

from training import evaluations, registry, runs, storage, versions
from training.ml import bundle
from training.ml.config import FitConfig
from training.ml.errors import PipelineError, is_disk_full
from training.ml.evaluate import evaluate
from training.ml.fit import fit
from training.ml.records import Event, Metric, Split
from training.ml.texts import Words, words
from training.models import ModelVersion, RunEvent, TrainingRun

Status = TrainingRun.Status
# None stands for the model that is being made.
Figures = list[tuple[ModelVersion | None, list[Metric]]]

log = structlog.get_logger(__name__)


class Stopped(Exception):
    """Raised where the trainer ends because it was told to, or because its claim is gone."""


class Teller:
    """Writes events into the run's rows; what an earlier attempt told and a resumed one tells again is written once.

    Training is a pure function of its checkpoint, so the second telling of a step would say the same.
    """

    def __init__(self, run: TrainingRun, token: str) -> None:
        self.run_pk, self.token = run.pk, token
        self.claim_lost = False
        earlier = list(RunEvent.objects.filter(run=run).exclude(data__has_key="state").values_list("kind", "step"))
        self._last: dict[str, int] = {}
        for kind, step in earlier:
            self._last[kind] = max(step, self._last.get(kind, 0))
        self._checkpoints = {step for kind, step in earlier if kind == "checkpoint"}
        self._told_at_last = Counter((kind, step) for kind, step in earlier if step == self._last[kind])

    def __call__(self, event: Event) -> None:
        if not self._is_told(event) and not runs.record(self.run_pk, self.token, [event]):
            self.claim_lost = True

    def _is_told(self, event: Event) -> bool:
        if event.kind == "started" or event.data.get("code") == "resumed":
            return False
        if event.kind == "checkpoint":
            # There is one a step, whoever asked for it: its time, an evaluation or the end.
            told = event.step in self._checkpoints
            self._checkpoints.add(event.step)
            return told
        last = self._last.get(event.kind, -1)
        if event.step != last:
            return event.step < last
        self._told_at_last[event.kind, last] -= 1
        return self._told_at_last[event.kind, last] >= 0


class Attempt:
    """What is known about the run, and the four steps it goes through."""

    def __init__(self, run: TrainingRun, token: str) -> None:
        self.run, self.token = run, token
        self.tell = Teller(run, token)
        self.told_to_end = False
        self.out = storage.run_dir(run.pk)
        self.dataset_dir = storage.dataset_dir(run.dataset.sha256)
        self.model_dir = storage.model_dir(version_id(run))

    def stopped(self) -> bool:
        return self.told_to_end or self.tell.claim_lost

    def work(self) -> None:
        storage.need_room(3 * self.run.base.size_bytes)
        trained = self._fit()
        # A run that was resumed into its evaluation was set back to running by the claim, so this always moves.
        if not runs.advance(self.run, Status.EVALUATING, self.token):
            raise Stopped
        figures = self._evaluate(trained)
        self._publish(trained, figures)

    def _fit(self) -> Path:
        result = fit(
            FitConfig.from_json(self.run.config | {"method": self.run.method}),
            dataset=self.dataset_dir,
            base=storage.model_dir(self.run.base.uid),
            out=self.out,
            on_event=self.tell,
            stopped=self.stopped,
        )
        if result.stopped or self.stopped():
            raise Stopped
        return result.model

    def _evaluate(self, trained: Path) -> Figures:
        """Figures of the new model and of those it will be compared with, all on the same rows."""
        dataset = self.run.dataset
        splits = evaluations.splits_with_rows(dataset)
        canary = evaluations.freeze_canaries(self.out / versions.CANARY)
        figures: Figures = [(None, self._measure(trained, splits, canary, self._tell_final))]
        others = {model.pk: model for model in (self.run.base, registry.active_model()) if model}
        for model in others.values():
            missing = [split for split in splits if not evaluations.is_measured(model, dataset, [split])]
            known = canary is not None and evaluations.is_measured(model, dataset, [canary.split])
            measured = self._measure(storage.model_dir(model.uid), missing, None if known else canary, _tell_nobody)
            figures.append((model, measured))
        return figures

    def _measure(
        self, model_dir: Path, splits: Sequence[Split], canary: evaluations.Canaries | None, on_event: Any
    ) -> list[Metric]:
        metrics: list[Metric] = []
        if splits:
            metrics += evaluate(model_dir, self.dataset_dir, splits=splits, on_event=on_event, stopped=self.stopped)
        if canary:
            found = evaluate(
                model_dir,
                canary.directory,
                splits=["train"],
                on_event=_tell_nobody,
                stopped=self.stopped,
                generate_limit=0,
            )
            metrics += [replace(metric, split=canary.split) for metric in found]
        if self.stopped():
            raise Stopped
        return metrics

    def _tell_final(self, event: Event) -> None:
        """The evaluation counts its own rows; only what it has finished is told, at the run's last step."""
        if event.kind == "step":
            if event.data["done"] < event.data["total"]:
                return
            event = Event(kind="note", data=event.data | {"code": "measured"})
        self.tell(replace(event, step=self.run.step))

    def _publish(self, trained: Path, figures: Figures) -> None:
        # Without a row it is the leftover of an attempt that was killed between here and the registration.
        storage.remove(self.model_dir)
        bundle.publish(trained, self.model_dir, manifest(self.run, figures[0][1]))
        # One transaction: the run has succeeded exactly when its model is registered with its figures.
        with transaction.atomic():
            if not runs.advance(self.run, Status.SUCCEEDED, self.token):
                raise Stopped
            model = registry.register(
                self.model_dir,
                name=registry.trained_name(self.run, self.model_dir.name),
                origin=ModelVersion.Origin.TRAINED,
                parent=self.run.base,
                run=self.run,
            )
            for other, metrics in figures:
                evaluations.store(other or model, self.run.dataset, metrics)


def version_id(run: TrainingRun) -> str:
    """The same run always makes the same version, however often it is resumed."""
    unique = hashlib.sha256(f"{run.pk} {run.created_at.isoformat()}".encode()).hexdigest()[:8]
    return f"run-{run.pk}-{unique}"


def manifest(run: TrainingRun, metrics: Sequence[Metric]) -> dict[str, Any]:
    return {
        "parent": run.base.uid,
        "licence": run.base.licence,
        "lineage": {
            "run": run.pk,
            "method": run.method,
            "config": run.config,
            "base": {"uid": run.base.uid, "weights": run.base.weights_sha256},
            "dataset": {"sha256": run.dataset.sha256, "counts": run.dataset.counts},
        },
        "metrics": [metric.to_json() for metric in metrics],
    }


def execute(run_pk: int, token: str) -> None:
    """Do the run and write how it ended: the only place where the trainer's exceptions become states."""
    run = TrainingRun.objects.select_related("base", "dataset").filter(pk=run_pk, claim_token=token).first()
    if run is None or not token:
        log.warning("the claim is gone", run=run_pk)
        return
    attempt = Attempt(run, token)
    signal.signal(signal.SIGTERM, lambda *_: setattr(attempt, "told_to_end", True))
    try:
        attempt.work()
    except Stopped:
        storage.remove(attempt.model_dir)
        runs.stop(run, token)
    except PipelineError as error:
        runs.fail(run, token, error.words)
    except Exception as error:
        log.exception("run failed", run=run_pk)
        runs.fail(run, token, in_words(error))
        raise SystemExit(1) from error


def in_words(error: Exception) -> Words:
    """What people can act on; anything else is in the log."""
    if "out of memory" in str(error).lower():
        return words(gettext_noop("The device ran out of memory. Try a smaller batch or shorter rows."))
    if is_disk_full(error):
        return words(gettext_noop("The disk is full. Make room and start the run again."))
    return words(gettext_noop("Unexpected error, see the log (%(kind)s)."), kind=type(error).__name__)


def _tell_nobody(event: Event) -> None:
    """What a model says that is only measured for comparison is nobody's news."""
