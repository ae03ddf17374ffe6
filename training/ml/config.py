"""Settings of a training run and of sampling: ranges, defaults and the reason of every automatic value.

Knows nothing of torch or Django: the web process validates with it, the trainer obeys it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

from training.ml.errors import BadConfig
from training.ml.texts import Words, gettext_noop, words

Method = Literal["pretrain", "sft", "dpo"]
METHODS: tuple[Method, ...] = ("pretrain", "sft", "dpo")
# What can be learnt from rows of each kind; the first is the one people mean.
METHODS_FOR: dict[str, tuple[Method, ...]] = {
    "dialogue": ("sft", "pretrain"),
    "document": ("pretrain",),
    "pair": ("dpo",),
}

# field -> (lowest, highest) allowed value, both included
FIT_RANGES: dict[str, tuple[float, float]] = {
    "epochs": (0.01, 1000),
    "learning_rate": (1e-8, 0.1),
    "batch_size": (1, 4096),
    "max_length": (8, 32768),
    "weight_decay": (0, 1),
    "dropout": (0, 0.9),
    "patience": (0, 1000),
    "seed": (0, 2**31 - 1),
    # One process trains on one device: starting several for one run is not built.
    "devices": (1, 1),
    "beta": (1e-4, 10),
    "warmup_share": (0, 0.5),
    "evaluations": (1, 1000),
}


def _out_of_range(field: str, value: object, low: float, high: float) -> BadConfig:
    text = gettext_noop("%(field)s is %(value)s, it must lie between %(low).10g and %(high).10g.")
    # As text: it may be no number at all, and NaN is no JSON.
    return BadConfig(text, field=field, value=str(value), low=low, high=high)


@dataclass(frozen=True, slots=True, kw_only=True)
class FitConfig:
    """One training run. batch_size: rows an optimiser step; max_length: tokens a row.

    patience: evaluations without a better validation loss before stopping and going back to the best;
    0 = neither: the last weights are kept;
    evaluations: how often a run validates; beta: DPO's pull to the reference (Rafailov et al. 2023).
    """

    method: Method
    epochs: float = 3.0
    learning_rate: float = 5e-4
    batch_size: int = 32
    max_length: int = 256
    weight_decay: float = 0.01
    dropout: float = 0.1
    patience: int = 3
    seed: int = 42
    devices: int = 1
    beta: float = 0.1
    warmup_share: float = 0.05
    evaluations: int = 10

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            text = gettext_noop("The method %(method)s is not one of %(known)s.")
            raise BadConfig(text, field="method", method=str(self.method), known=", ".join(METHODS))
        for name, (low, high) in FIT_RANGES.items():
            value = getattr(self, name)
            if not (isinstance(value, int | float) and math.isfinite(value) and low <= value <= high):
                raise _out_of_range(name, value, low, high)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        known = {item.name for item in fields(cls)}
        return cls(**{name: item for name, item in value.items() if name in known})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """What the automatic values look at: rows and tokens to train on, longest rows, the base's size.

    phrasings: rows held out as further phrasings of trained facts.
    """

    rows: int
    p99_tokens: int
    context_length: int
    parameters: int
    phrasings: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Automatic:
    """A complete configuration and, for each automatic field, one plain sentence why."""

    config: FitConfig
    reasons: dict[str, Words]


def _epochs(method: Method, rows: int) -> tuple[float, Words]:
    """Small sets need many passes, large ones one or two."""
    if method == "dpo":
        why = gettext_noop("about 600 pair visits for %(rows)d pairs, 1 to 6 passes")
        return float(min(6, max(1, 600 // max(rows, 1)))), words(why, rows=rows)
    why = gettext_noop("about 20 000 row visits for %(rows)d rows, 1 to 20 passes")
    return float(min(20, max(1, round(20_000 / max(rows, 1))))), words(why, rows=rows)


def _learning_rate(method: Method, parameters: int) -> tuple[float, Words]:
    # Smaller models stand higher rates; scaled by the square root of the size from 1e-3 at 5 M parameters.
    base = 1e-3 * math.sqrt(5e6 / max(parameters, 1_000_000))
    rate = min(2e-3, base) * {"pretrain": 1.0, "sft": 1.0, "dpo": 0.03}[method]
    why = gettext_noop("for %(millions).1f M parameters")
    return float(f"{rate:.2g}"), words(why, millions=parameters / 1e6)


def _batch_size(rows: int) -> tuple[int, Words]:
    return max(1, min(32, rows // 20 or 1)), words(gettext_noop("at most 32 rows a step, at least 20 steps a pass"))


def _max_length(facts: DataFacts) -> tuple[int, Words]:
    why = gettext_noop("99 %% of the rows have at most %(tokens)d tokens")
    length = min(facts.context_length, max(32, 2 ** math.ceil(math.log2(max(facts.p99_tokens, 2)))))
    return length, words(why, tokens=facts.p99_tokens)


def _patience(method: Method, facts: DataFacts) -> tuple[int, Words]:
    """Where rows teach facts, a loss on other facts only rises while these are learnt by heart."""
    if method == "sft" and facts.phrasings:
        return 0, words(gettext_noop("the rows teach facts; how well other facts are guessed says nothing about them"))
    return 3, words(gettext_noop("stops after three evaluations without a better validation loss"))


def automatic(method: Method, facts: DataFacts, **chosen: Any) -> Automatic:
    """Fill every field that the operator left open; `chosen` values win and get no reason."""
    values: dict[str, tuple[Any, Words]] = {
        "epochs": _epochs(method, facts.rows),
        "learning_rate": _learning_rate(method, facts.parameters),
        "batch_size": _batch_size(facts.rows),
        "max_length": _max_length(facts),
        "patience": _patience(method, facts),
    }
    filled = {name: value for name, (value, _) in values.items()} | chosen
    reasons = {name: why for name, (_, why) in values.items() if name not in chosen}
    return Automatic(config=FitConfig(method=method, **filled), reasons=reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """One sampling setting as people see it: range, step and default."""

    low: float
    high: float
    step: float
    default: float


SAMPLING_KNOBS: dict[str, Knob] = {
    "temperature": Knob(low=0, high=2, step=0.05, default=0.7),
    "top_k": Knob(low=0, high=200, step=1, default=40),
    "top_p": Knob(low=0.05, high=1, step=0.05, default=0.9),
    "max_tokens": Knob(low=1, high=1024, step=1, default=128),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingConfig:
    """How an answer is drawn. temperature 0 = greedy; top_k 0 = off; top_p 1 = off; seed None = drawn by the server."""

    temperature: float = 0.7
    top_k: int = 40
    top_p: float = 0.9
    max_tokens: int = 128
    seed: int | None = None

    def __post_init__(self) -> None:
        for name, knob in SAMPLING_KNOBS.items():
            value = getattr(self, name)
            if not (isinstance(value, int | float) and math.isfinite(value) and knob.low <= value <= knob.high):
                raise _out_of_range(name, value, knob.low, knob.high)
        if self.seed is not None and not 0 <= self.seed < 2**31:
            raise _out_of_range("seed", self.seed, 0, 2**31 - 1)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
