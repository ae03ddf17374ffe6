"""May this model replace the one that answers? Compares stored figures; computes and changes nothing.

Blocks when the candidate is no better on its own held-out test rows, or worse on the operator's canary rows than
chance explains. Where there are no test rows, or too few to tell, it only notes that. An operator may override; that
is logged with the reason.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from training.models import Activation, DatasetVersion, Evaluation, ModelVersion
from training.narration import metric_name
from training.versions import CANARY

HIGHER_IS_BETTER = {"token_accuracy", "sequence_accuracy", "exact_match", "bleu", "preference_accuracy"}
DECIDING = {"pair": "preference_accuracy", "label": "preference_accuracy"}
DECIDING_OTHERWISE = "bits_per_byte"
# With fewer rows even a clean sweep is chance: one half to the power of four is more than 5 %.
FEWEST_ROWS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One figure of both models on the same rows. `gain` is positive where the candidate is better."""

    split: str
    metric: str
    candidate: float
    active: float
    n: int

    @property
    def gain(self) -> float:
        difference = self.candidate - self.active
        return difference if self.metric in HIGHER_IS_BETTER else -difference


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReport:
    """`reasons` say why it is closed; empty = open. `notes` say what could not be looked at."""

    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)

    @property
    def blocked(self) -> bool:
        return bool(self.reasons)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"blocked": self.blocked}


def compare(candidate: ModelVersion, active: ModelVersion | None) -> GateReport:
    if active is None:
        return GateReport(notes=[_("No model answers yet, there is nothing to compare with.")])
    if Activation.objects.filter(model=candidate).exists():
        return GateReport(notes=[_("This model has answered before; going back needs no comparison.")])
    pairs = _figures_of_both(candidate, active)
    reasons, notes = _own_test(candidate, pairs)
    canary_reasons, canary_notes = _canaries(pairs)
    return GateReport(
        reasons=reasons + canary_reasons,
        notes=notes + canary_notes,
        comparisons=[_comparison(mine, theirs) for mine, theirs in pairs],
    )


Pair = tuple[Evaluation, Evaluation]


def _figures_of_both(candidate: ModelVersion, active: ModelVersion) -> list[Pair]:
    theirs = {_rows_and_metric(item): item for item in Evaluation.objects.filter(model=active)}
    mine = Evaluation.objects.filter(model=candidate).order_by("-split", "metric")
    return [(item, theirs[_rows_and_metric(item)]) for item in mine if _rows_and_metric(item) in theirs]


def _rows_and_metric(item: Evaluation) -> tuple[int | None, str, str]:
    return item.dataset_id, item.split, item.metric


def _comparison(mine: Evaluation, theirs: Evaluation) -> Comparison:
    return Comparison(split=mine.split, metric=mine.metric, candidate=mine.value, active=theirs.value, n=mine.n)


def _own_test(candidate: ModelVersion, pairs: list[Pair]) -> tuple[list[str], list[str]]:
    """Reasons and notes: nothing to measure on is a note, not measured yet is a reason."""
    dataset = candidate.dataset
    if dataset is None:
        return [], [_("Not compared: it was trained on no dataset version of this site.")]
    split = _deciding_split(dataset)
    if not dataset.counts.get(split):
        return [], [_("Not compared: its dataset version is too small to have test rows.")]
    wanted = (dataset.pk, split, DECIDING.get(dataset.kind, DECIDING_OTHERWISE))
    for mine, theirs in pairs:
        if _rows_and_metric(mine) == wanted:
            return _judge(_comparison(mine, theirs))
    return [_("Not compared: the active model was not measured on the test rows of this model's dataset version.")], []


def _deciding_split(dataset: DatasetVersion) -> str:
    """Nobody can guess a fact never told: where phrasings of trained facts are held out, these decide."""
    return "phrasing" if dataset.counts.get("phrasing", 0) >= FEWEST_ROWS else "test"


def _judge(found: Comparison) -> tuple[list[str], list[str]]:
    if found.gain > 0:
        return [], []
    if found.n < FEWEST_ROWS:
        text = ngettext(
            "No gain on its own test rows, but %(count)d row is too few to tell.",
            "No gain on its own test rows, but %(count)d rows are too few to tell.",
            found.n,
        )
        return [], [text % {"count": found.n}]
    text = _("No gain on its own test rows: %(metric)s is %(candidate).4g, the active model has %(active).4g.")
    facts = {"metric": metric_name(found.metric), "candidate": found.candidate, "active": found.active}
    return [text % facts], []


def _canaries(pairs: list[Pair]) -> tuple[list[str], list[str]]:
    looked = [
        (mine, theirs) for mine, theirs in pairs if mine.split.startswith(CANARY) and mine.metric == DECIDING_OTHERWISE
    ]
    if not looked:
        text = _(
            "There are no canary rows: approve examples with the tag “canary” to guard what must stay. "
            "They are measured, never trained on."
        )
        return [], [text]
    mine, theirs = max(looked, key=lambda pair: pair[0].pk)
    limit = theirs.value if theirs.high is None else theirs.high
    if mine.value <= limit:
        return [], []
    text = _("Worse on the canary rows: %(candidate).4g bits per byte, more than the active model's %(limit).4g.")
    return [text % {"candidate": mine.value, "limit": limit}], []
