"""Cleaning as an ordered list of named, versioned, pure steps: a record is kept, changed or dropped with a reason.

The same rows and the same recipe give the same bytes anywhere. A step never changes its meaning: a better one gets
a new version, and the old one stays, so that every recorded recipe can be run again. Knows no files and no database.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Self

from training.ml.errors import BadConfig
from training.ml.records import Body, Dialogue, Document, Kind, Label, Message, Pair, Record, record_from_body
from training.ml.texts import gettext_noop

TextStep = Callable[[str], str]


_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
# ZWJ and ZWNJ stay: they hold emoji and some scripts together.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
_HALF = {code: code - 0xFEE0 for first, last in ("０９", "ＡＺ", "ａｚ") for code in range(ord(first), ord(last) + 1)}
_LAUGHTER = re.compile(
    "呵{2,}|哈{2,}(?!镜)|嘿{2,}|嘻{2,}"
    "|(?<![A-Za-z])[hH]{3,}(?![A-Za-z])"
    # 233 alone may be a number: it laughs only where no number or unit goes on. 2333 always laughs.
    r"|(?<![\d.])2333+(?!\d|\.\d)|(?<![\d.\w])233(?=$|[\s,.!?，。！？~～])(?!\.\d)"
)
_REPEATS = re.compile(r"([^\d\s])\1{3,}")


def whitespace(text: str) -> str:
    """Unusual spaces to plain ones, runs inside a line to one, no space at line ends, at most one blank line.

    Spaces at the start of a line stay: they are the shape of code and lists.
    """
    text = _SPACES.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = re.sub(r"(?<=[^\s])[ \t]{2,}", " ", text)
    text = re.sub(r"[ \t]+(?=\n|$)", "", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n").strip() if text else text


def control(text: str) -> str:
    """Without control characters, byte order marks, zero-width and direction marks; tabs and line breaks stay."""
    return _CONTROL.sub("", text)


def width(text: str) -> str:
    """Full-width Latin letters and digits to half width; full-width punctuation is good Chinese and stays."""
    return text.translate(_HALF)


def laughter(text: str) -> str:
    return _LAUGHTER.sub("笑", text)


def repeats(text: str) -> str:
    """The same character four times or more becomes three; digits are left alone."""
    return _REPEATS.sub(r"\1\1\1", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepInfo:
    """A step as people choose it."""

    run: TextStep
    label: str


STEPS: dict[str, StepInfo] = {
    "whitespace@1": StepInfo(run=whitespace, label=gettext_noop("Tidy white space")),
    "control@1": StepInfo(run=control, label=gettext_noop("Remove control and invisible characters")),
    "width@1": StepInfo(run=width, label=gettext_noop("Full-width letters and digits to half width")),
    "laughter@1": StepInfo(run=laughter, label=gettext_noop("Laughter (呵呵呵, 哈哈, hhh, 233) to 笑")),
    "repeats@1": StepInfo(run=repeats, label=gettext_noop("Characters repeated four times or more to three")),
}


def _map_messages(messages: tuple[Message, ...], step: TextStep) -> tuple[Message, ...]:
    return tuple(replace(message, content=step(message.content)) for message in messages)


def map_texts(record: Record, step: TextStep) -> Record:
    """The record with `step` done to each of its texts."""
    match record:
        case Dialogue(messages=messages):
            return Dialogue(messages=_map_messages(messages, step))
        case Document(text=text):
            return Document(text=step(text))
        case Pair():
            return replace(
                record,
                prompt=_map_messages(record.prompt, step),
                chosen=step(record.chosen),
                rejected=step(record.rejected),
            )
        case Label():
            return replace(record, prompt=_map_messages(record.prompt, step), completion=step(record.completion))


def _texts(record: Record) -> Iterable[str]:
    match record:
        case Dialogue(messages=messages):
            return [message.content for message in messages]
        case Document(text=text):
            return [text]
        case Pair():
            return [*(message.content for message in record.prompt), record.chosen, record.rejected]
        case Label():
            return [*(message.content for message in record.prompt), record.completion]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What became of a record: the new one, or None and why; `changed` names the steps that did something."""

    record: Record | None
    changed: tuple[str, ...] = ()
    dropped: str = ""


@dataclass(slots=True)
class Tally:
    """Counts over many records: kept, changed by step, dropped by reason."""

    kept: int = 0
    changed: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)

    def add(self, cleaned: Cleaned) -> None:
        self.changed.update(cleaned.changed)
        if cleaned.record is None:
            self.dropped[cleaned.dropped] += 1
        else:
            self.kept += 1

    def to_json(self) -> dict[str, Any]:
        return {"kept": self.kept, "changed": dict(self.changed), "dropped": dict(self.dropped)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Names of steps in the order in which they run."""

    steps: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in self.steps:
            if name not in STEPS:
                text = gettext_noop("There is no cleaning step %(step)s. Known: %(known)s.")
                raise BadConfig(text, field="steps", step=name, known=", ".join(STEPS))

    @classmethod
    def from_json(cls, steps: Iterable[str]) -> Self:
        return cls(steps=tuple(steps))

    def to_json(self) -> list[str]:
        return list(self.steps)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(json.dumps(self.to_json(), separators=(",", ":")).encode()).hexdigest()

    def clean(self, record: Record) -> Cleaned:
        changed: list[str] = []
        for name in self.steps:
            after = map_texts(record, STEPS[name].run)
            if after != record:
                changed.append(name)
            record = after
        if not all(text.strip() for text in _texts(record)):
            return Cleaned(record=None, changed=tuple(changed), dropped="empty")
        if isinstance(record, Pair) and record.chosen == record.rejected:
            return Cleaned(record=None, changed=tuple(changed), dropped="same_answers")
        return Cleaned(record=record, changed=tuple(changed))

    def clean_body(self, kind: Kind, body: Body) -> Cleaned:
        return self.clean(record_from_body(kind, body))


# What training text gets unless somebody asks for more: nothing here takes words away.
DEFAULT = Recipe(steps=("whitespace@1", "control@1"))
