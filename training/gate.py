"""May this model replace the one that answers? Compares stored figures; computes and changes nothing.

Blocks when the candidate is not better on its own held-out test rows, or worse on the operator's canary rows, than
chance explains. Where there are no test rows, or too few to tell, it only notes that. An operator may override; that
is logged with the reason.

Better than chance explains = the whole 95 % interval of the gain lies above zero. Rows that both models answered are
paired (training.ml.metrics.difference). Figures that came without their rows give an interval put together from the
two stored ones by MOVER (Zou and Donner 2008, Statistics in Medicine 27:1693), which takes both figures as independent
and so errs on the side of the model that answers; shares of rows get Wilson's interval there, because resampling five
right rows of five says that there is no doubt at all.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from training import evaluations
from training.ml import metrics
from training.models import Activation, DatasetVersion, Evaluation, ModelVersion
from training.narration import metric_name
from training.versions import CANARY

# Each row is right or wrong.
SHARES_OF_ROWS = {"sequence_accuracy", "exact_match", "preference_accuracy", "preference_accuracy_per_token"}
HIGHER_IS_BETTER = SHARES_OF_ROWS | {"token_accuracy", "bleu"}
# Rows are kept as sums; these make their ratio what the figure says, and keep differences: they are linear.
SCALES = {"bits_per_byte": metrics.bits}
# With fewer rows even a clean sweep is chance: one half to the power of four is more than 5 %.
FEWEST_ROWS = 5
# Of the standard normal distribution: a 95 % interval.
Z = 1.959964


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One figure of both models on the same rows.

    low, high: the 95 % interval of the gain, which is positive where the candidate is better.
    """

    split: str
    metric: str
    candidate: float
    active: float
    n: int
    low: float
    high: float


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
        return going_back()
    pairs = _figures_of_both(candidate, active)
    reasons, notes = _own_test(candidate, pairs)
    canary_reasons, canary_notes = _canaries(pairs)
    return GateReport(
        reasons=reasons + canary_reasons,
        notes=notes + canary_notes,
        comparisons=[_comparison(mine, theirs) for mine, theirs in pairs],
    )


def going_back() -> GateReport:
    return GateReport(notes=[_("This model has answered before; going back needs no comparison.")])


Pair = tuple[Evaluation, Evaluation]


def _figures_of_both(candidate: ModelVersion, active: ModelVersion) -> list[Pair]:
    theirs = {_rows_and_metric(item): item for item in Evaluation.objects.filter(model=active)}
    mine = evaluations.in_reading_order(Evaluation.objects.filter(model=candidate))
    return [(item, theirs[_rows_and_metric(item)]) for item in mine if _rows_and_metric(item) in theirs]


def _rows_and_metric(item: Evaluation) -> tuple[int | None, str, str]:
    return item.dataset_id, item.split, item.metric


def _comparison(mine: Evaluation, theirs: Evaluation) -> Comparison:
    low, high = _gain(mine, theirs)
    return Comparison(
        split=mine.split, metric=mine.metric, candidate=mine.value, active=theirs.value, n=mine.n, low=low, high=high
    )


def _gain(mine: Evaluation, theirs: Evaluation) -> tuple[float, float]:
    """The 95 % interval of how much better `mine` is."""
    better, worse = (mine, theirs) if mine.metric in HIGHER_IS_BETTER else (theirs, mine)
    if better.rows and len(better.rows) == len(worse.rows):
        low, high = metrics.difference(better.rows, worse.rows)
        scale = SCALES.get(mine.metric, float)
        return scale(low), scale(high)
    return _gain_without_rows(better, worse)


def _gain_without_rows(better: Evaluation, worse: Evaluation) -> tuple[float, float]:
    """MOVER."""
    gain = better.value - worse.value
    (low, high), (other_low, other_high) = _interval(better), _interval(worse)
    down = math.hypot(better.value - low, other_high - worse.value)
    up = math.hypot(high - better.value, worse.value - other_low)
    return gain - down, gain + up


def _interval(item: Evaluation) -> tuple[float, float]:
    """Without an interval a figure counts as exact; only one of a single row has none."""
    if item.metric in SHARES_OF_ROWS and item.n:
        return _wilson(item.value, item.n)
    return item.value if item.low is None else item.low, item.value if item.high is None else item.high


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's score interval of a share of n rows (Newcombe 1998 takes differences of it as we do)."""
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    reach = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return middle - reach, middle + reach


def _own_test(candidate: ModelVersion, pairs: list[Pair]) -> tuple[list[str], list[str]]:
    """Reasons and notes: nothing to measure on is a note, not measured yet is a reason."""
    dataset = candidate.dataset
    if dataset is None:
        return [], [_("Not compared: it was trained on no dataset version of this site.")]
    split = _deciding_split(dataset)
    if not dataset.counts.get(split):
        return [], [_("Not compared: its dataset version is too small to have test rows.")]
    wanted = (dataset.pk, split, evaluations.DECIDING.get(dataset.kind, evaluations.DECIDING_OTHERWISE))
    for mine, theirs in pairs:
        if _rows_and_metric(mine) == wanted:
            return _judge(_comparison(mine, theirs))
    return [_("Not compared: the active model was not measured on the test rows of this model's dataset version.")], []


def _deciding_split(dataset: DatasetVersion) -> str:
    """Nobody can guess a fact never told: where phrasings of trained facts are held out, these decide."""
    return "phrasing" if dataset.counts.get("phrasing", 0) >= FEWEST_ROWS else "test"


def _judge(found: Comparison) -> tuple[list[str], list[str]]:
    if found.n < FEWEST_ROWS:
        text = ngettext(
            "It has %(count)d test row of its own, too few to tell whether it is better.",
            "It has %(count)d test rows of its own, too few to tell whether it is better.",
            found.n,
        )
        return [], [text % {"count": found.n}]
    if found.low > 0:
        return [], []
    text = _(
        "No gain on its own test rows beyond chance: %(metric)s is %(candidate).4g, the active model has %(active).4g. "
        "The gain lies between %(low).2g and %(high).2g (95 %% interval, %(count)d rows)."
    )
    return [text % (asdict(found) | {"metric": metric_name(found.metric), "count": found.n})], []


def _canaries(pairs: list[Pair]) -> tuple[list[str], list[str]]:
    looked = [
        (mine, theirs)
        for mine, theirs in pairs
        if mine.split.startswith(CANARY) and mine.metric == evaluations.DECIDING_OTHERWISE
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
