"""Settings of a training run and of sampling: ranges, defaults and the reason of every automatic value.

Knows nothing of torch or Django: the web process validates with it, the trainer obeys it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self

from training.ml.errors import BadConfig

Method = Literal["pretrain", "sft", "dpo"]
METHODS: tuple[Method, ...] = ("pretrain", "sft", "dpo")

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
    "devices": (1, 64),
    "beta": (1e-4, 10),
    "warmup_share": (0, 0.5),
    "evaluations": (1, 1000),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FitConfig:
    """One training run. batch_size: rows an optimiser step; max_length: tokens a row.

    patience: evaluations without a better validation loss before stopping, 0 = never;
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
            raise BadConfig(f"The method {self.method!r} is not one of {', '.join(METHODS)}.", field="method")
        for name, (low, high) in FIT_RANGES.items():
            value = getattr(self, name)
            if not (isinstance(value, int | float) and math.isfinite(value) and low <= value <= high):
                raise BadConfig(f"{name} is {value}, it must lie between {low:g} and {high:g}.", field=name)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        known = {item.name for item in fields(cls)}
        return cls(**{name: item for name, item in value.items() if name in known})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """What the automatic values look at: rows and tokens to train on, longest rows, the base's size."""

    rows: int
    p99_tokens: int
    context_length: int
    parameters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Automatic:
    """A complete configuration and, for each automatic field, one plain sentence why."""

    config: FitConfig
    reasons: dict[str, str]


def _epochs(method: Method, rows: int) -> float:
    # About 20 000 row visits: small sets need many passes, large ones one or two.
    if method == "dpo":
        return float(min(6, max(1, 600 // max(rows, 1))))
    return float(min(20, max(1, round(20_000 / max(rows, 1)))))


def _learning_rate(method: Method, parameters: int) -> float:
    # Smaller models stand higher rates; scaled by the square root of the size from 1e-3 at 5 M parameters.
    base = 1e-3 * math.sqrt(5e6 / max(parameters, 1_000_000))
    rate = min(2e-3, base) * {"pretrain": 1.0, "sft": 1.0, "dpo": 0.03}[method]
    return float(f"{rate:.2g}")


def automatic(method: Method, facts: DataFacts, **chosen: Any) -> Automatic:
    """Fill every field that the operator left open; `chosen` values win and get no reason."""
    batch = max(1, min(32, facts.rows // 20 or 1))
    length = min(facts.context_length, max(32, 2 ** math.ceil(math.log2(max(facts.p99_tokens, 2)))))
    values: dict[str, tuple[Any, str]] = {
        "epochs": (_epochs(method, facts.rows), f"about 20 000 row visits for {facts.rows} rows, 1 to 20 passes"),
        "learning_rate": (_learning_rate(method, facts.parameters), f"for {facts.parameters / 1e6:.1f} M parameters"),
        "batch_size": (batch, "at most 32 rows a step, at least 20 steps a pass"),
        "max_length": (length, f"99 % of the rows have at most {facts.p99_tokens} tokens"),
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
                raise BadConfig(f"{name} is {value}, it must lie between {knob.low:g} and {knob.high:g}.", field=name)
        if self.seed is not None and not 0 <= self.seed < 2**31:
            raise BadConfig(f"seed is {self.seed}, it must lie between 0 and {2**31 - 1}.", field="seed")

    def with_seed(self, seed: int) -> SamplingConfig:
        return replace(self, seed=seed)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
