"""Figures of models on frozen rows: stored once, never changed, and read back for the gate and the pages.

Knows nothing of how a figure is computed, or of what follows from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.db.models import Case, QuerySet, Value, When

from training import storage
from training.ml import dataset as datasets
from training.ml.clean import Recipe
from training.ml.records import FINAL_SPLITS, Metric, Split
from training.models import DatasetVersion, Evaluation, Example, ModelVersion
from training.tags import with_tag
from training.versions import CANARY

# What the gate decides by, after the kind of the rows: kept row by row, so that two models can be paired.
DECIDING = {"pair": "preference_accuracy", "label": "preference_accuracy"}
DECIDING_OTHERWISE = "bits_per_byte"
DECIDING_METRICS = {*DECIDING.values(), DECIDING_OTHERWISE}
# How figures are read, wherever several of them stand below each other; one that is not named here comes last.
READING_ORDER = (
    "perplexity",
    "bits_per_byte",
    "token_accuracy",
    "sequence_accuracy",
    "bleu",
    "exact_match",
    "loss",
    "preference_accuracy",
    "preference_accuracy_per_token",
)


def store(model: ModelVersion, dataset: DatasetVersion, metrics: Iterable[Metric]) -> None:
    """Append figures; one that is there already stays, because neither the model nor the rows can have changed."""
    rows = [
        Evaluation(
            model=model,
            dataset=dataset,
            split=metric.split,
            metric=metric.name,
            value=metric.value,
            low=metric.low,
            high=metric.high,
            n=metric.n,
            signature=metric.signature[:200],
            rows=metric.rows if metric.name in DECIDING_METRICS else (),
        )
        for metric in metrics
    ]
    Evaluation.objects.bulk_create(rows, ignore_conflicts=True)


def splits_with_rows(dataset: DatasetVersion, wanted: Sequence[Split] = FINAL_SPLITS) -> list[Split]:
    return [split for split in wanted if dataset.counts.get(split)]


def figure(model: ModelVersion, dataset: DatasetVersion | None, split: str, metric: str) -> Evaluation | None:
    return Evaluation.objects.filter(model=model, dataset=dataset, split=split, metric=metric).first()


def in_reading_order(rows: QuerySet[Evaluation], *first: str) -> QuerySet[Evaluation]:
    """Split by split, each in READING_ORDER. `first`: columns that go before both, as for `order_by`."""
    places = [When(metric=metric, then=Value(place)) for place, metric in enumerate(READING_ORDER)]
    return rows.order_by(*first, "-split", Case(*places, default=Value(len(places))), "metric")


def is_measured(model: ModelVersion, dataset: DatasetVersion, splits: Sequence[str]) -> bool:
    known = set(Evaluation.objects.filter(model=model, dataset=dataset).values_list("split", flat=True))
    return known.issuperset(splits)


def measure(model: ModelVersion, dataset: DatasetVersion) -> None:
    """Compute and store what is not known yet. Loads torch: for commands and the trainer, never for the web."""
    from training.ml.evaluate import evaluate

    missing = [split for split in splits_with_rows(dataset) if not is_measured(model, dataset, [split])]
    if missing:
        store(
            model,
            dataset,
            evaluate(
                storage.model_dir(model.uid),
                storage.dataset_dir(dataset.sha256),
                splits=missing,
                on_event=lambda event: None,
                stopped=lambda: False,
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Canaries:
    """The operator's canary rows, frozen for one run. `split` names this very set, so figures of others never mix."""

    directory: Path
    split: str


def freeze_canaries(root: Path) -> Canaries | None:
    """None when there are no canary rows."""
    rows = [
        datasets.Candidate(key=example.source_key, kind="dialogue", body=example.body, split="train")
        for example in with_tag(Example.objects.filter(status=Example.Status.APPROVED, kind="dialogue"), CANARY)
    ]
    if not rows:
        return None
    frozen = datasets.freeze(rows, root, kind="dialogue", recipe=Recipe(steps=()))
    return Canaries(directory=frozen.directory, split=f"{CANARY}:{frozen.hash[:8]}")
