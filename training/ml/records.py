"""The nouns of the data: what a row is, before any tokenizer or database sees it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]
Kind = Literal["dialogue", "document", "pair", "label"]
Split = Literal["train", "validation", "test", "phrasing"]
Body = dict[str, Any]

# One encoder for all: a row's hash is asked for a million times.
_CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))

SPLITS: tuple[Split, ...] = ("train", "validation", "test", "phrasing")
# What a finished model is measured on: unseen facts, and unseen phrasings of facts that were trained.
FINAL_SPLITS: tuple[Split, ...] = ("test", "phrasing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn. `weight` 0 keeps an assistant turn in the context but out of the loss."""

    role: Role
    content: str
    weight: float = 1.0

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Message:
        return cls(role=value["role"], content=value["content"], weight=value.get("weight", 1.0))

    def to_json(self) -> dict[str, Any]:
        plain: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.weight != 1.0:
            plain["weight"] = self.weight
        return plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue:
    """Turns in order; every assistant turn with a weight above 0 is a training target."""

    messages: tuple[Message, ...]

    def body(self) -> Body:
        return {"messages": [message.to_json() for message in self.messages]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Plain text for pre-training; every token is a target."""

    text: str

    def body(self) -> Body:
        return {"text": self.text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One prompt, a better and a worse answer. `margin` is how much better, where people said so."""

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    margin: float | None = None

    def body(self) -> Body:
        plain: Body = {
            "prompt": [message.to_json() for message in self.prompt],
            "chosen": self.chosen,
            "rejected": self.rejected,
        }
        return plain if self.margin is None else plain | {"margin": self.margin}


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One prompt and answer with a thumb: desirable or not."""

    prompt: tuple[Message, ...]
    completion: str
    desirable: bool

    def body(self) -> Body:
        return {
            "prompt": [message.to_json() for message in self.prompt],
            "completion": self.completion,
            "label": self.desirable,
        }


Record = Dialogue | Document | Pair | Label


def _messages(values: list[dict[str, Any]]) -> tuple[Message, ...]:
    return tuple(Message.from_json(value) for value in values)


def record_from_body(kind: Kind, body: Body) -> Record:
    """The record a stored JSON body stands for."""
    if kind == "dialogue":
        return Dialogue(messages=_messages(body["messages"]))
    if kind == "document":
        return Document(text=body["text"])
    if kind == "pair":
        return Pair(
            prompt=_messages(body["prompt"]),
            chosen=body["chosen"],
            rejected=body["rejected"],
            margin=body.get("margin"),
        )
    return Label(prompt=_messages(body["prompt"]), completion=body["completion"], desirable=body["label"])


def canonical(body: Body) -> str:
    """The one JSON text of a body, whatever the order of its keys."""
    return _CANONICAL.encode(body)


def canonical_hash(kind: Kind, text: str) -> str:
    """sha256 (hex) of a row whose body has this canonical JSON text."""
    return hashlib.sha256(f'["{kind}",{text}]'.encode("utf-8", "surrogatepass")).hexdigest()


def body_hash(kind: Kind, body: Body) -> str:
    """sha256 (hex) of a row's content: canonical JSON, so key order and spacing do not matter."""
    return canonical_hash(kind, canonical(body))


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One figure on one split. `low`..`high` is the 95 % interval, None where there is none.

    `signature` says how it was computed (sacrebleu's own signature, or our definition and version).
    `rows` holds, for a ratio of sums, what each row adds above and below the line: with it two models can be compared
    row by row. It stays out of `to_json`, which is for people and manifests.
    """

    name: str
    split: str
    value: float
    n: int
    low: float | None = None
    high: float | None = None
    signature: str = ""
    rows: tuple[tuple[float, float], ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "rows"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What a running job tells: `kind` is one of started, step, evaluated, sample, checkpoint, note."""

    kind: Literal["started", "step", "evaluated", "sample", "checkpoint", "note"]
    step: int = 0
    data: dict[str, Any] = field(default_factory=dict)
