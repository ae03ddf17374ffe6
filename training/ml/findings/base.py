"""What every rule gets and gives: a row with its texts, and what was found in it. Knows no rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from training.ml.records import Body, Kind

Severity = Literal["error", "warning", "note"]
Key = int
Facts = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row under check. key: a line or a primary key, whatever finds it again; split: where it was frozen into."""

    key: Key
    kind: Kind
    body: Body
    group: str = ""
    split: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """One text of a row. where: its path in the body. learnt: the model is trained to write it."""

    where: str
    role: str
    text: str
    learnt: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One thing that is wrong. start and end count Unicode code points of the text at `where`; facts are plain JSON.

    remedy: the name of what would mend it; empty where only a person can.
    """

    rule: str
    where: str = ""
    start: int | None = None
    end: int | None = None
    facts: Facts = field(default_factory=dict)
    remedy: str = ""


def word_set(words: str) -> frozenset[str]:
    """Words that are written apart by spaces."""
    return frozenset(words.split())


def places(body: Body) -> Iterator[Place]:
    """Every text of a row in the order in which people read it."""
    for name in ("messages", "prompt"):
        for number, message in enumerate(body.get(name, [])):
            learnt = name == "messages" and message["role"] == "assistant" and message.get("weight", 1) > 0
            yield Place(f"{name}[{number}].content", message["role"], message["content"], learnt)
    for name in ("chosen", "rejected", "completion"):
        if name in body:
            learnt = name == "chosen" or (name == "completion" and bool(body.get("label", True)))
            yield Place(name, "assistant", body[name], learnt)
    if "text" in body:
        yield Place("text", "text", body["text"], learnt=True)


def turns(body: Body) -> list[dict[str, Any]]:
    """The messages of a dialogue, or what a pair or label answers to."""
    found: list[dict[str, Any]] = body.get("messages") or body.get("prompt") or []
    return found


def text_at(body: Body, where: str) -> str:
    """The text at a path; empty where there is none (any more)."""
    return next((place.text for place in places(body) if place.where == where), "")


def exchange_of(body: Body) -> tuple[str, Place] | None:
    """Question and answer of a row that is one exchange and nothing more; None for longer ones and for documents."""
    asked = [turn for turn in turns(body) if turn["role"] != "system"]
    if "messages" not in body:
        answer = next((place for place in places(body) if place.where in ("chosen", "completion")), None)
        alone = len(asked) == 1 and asked[0]["role"] == "user"
        return (asked[0]["content"], answer) if alone and answer else None
    if [turn["role"] for turn in asked] != ["user", "assistant"]:
        return None
    return asked[0]["content"], list(places(body))[-1]
