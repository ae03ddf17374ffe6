"""What a format can hold: the checks that a row must pass so that reading the file again gives the same row.

Pure; raises CannotHold with one of REASONS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from training.ml.corpus.spacing import has_many_spaces
from training.ml.records import Dialogue, Label, Message, Pair, Record
from training.ml.texts import gettext_noop

REASONS: dict[str, str] = {
    "kind": gettext_noop("another kind of example than the format is for"),
    "turns": gettext_noop("more than one question and answer"),
    "order": gettext_noop("speakers who do not take turns, or a last turn without an answer"),
    "system": gettext_noop("a system text"),
    "weight": gettext_noop("an answer that is only read, not learnt"),
    "lines": gettext_noop("line breaks or tabs within a text"),
    "edges": gettext_noop("white space around a text, or control characters in it"),
    "spaces": gettext_noop("Chinese with spaces between its words, which reading would join"),
    "marks": gettext_noop("words that the format uses as its marks"),
    "rows": gettext_noop("more rows than the format can have"),
    "length": gettext_noop("a text that is too long for the format"),
}
# Control characters, the byte order mark, and what Unicode or YAML takes for the end of a line.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\u2028\u2029\ufffd-\uffff]")
_BREAKS = re.compile("[\r\n\t]")
_ROLES_IN_TURN = ("user", "assistant")
MOST_UTTERANCES = 1000


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A row with what may stand beside it: its paraphrase group and its split."""

    record: Record
    group: str = ""
    split: str = ""


class CannotHold(Exception):
    """Raised when a row is left out, because the format would not give it back as it is."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def dialogue(record: Record) -> Dialogue:
    """A dialogue that ends with an answer and has a system text at most at its start."""
    if not isinstance(record, Dialogue):
        raise CannotHold("kind")
    _in_order(record.messages)
    if record.messages[-1].role != "assistant":
        raise CannotHold("order")
    return record


def pair(record: Record) -> Pair:
    if not isinstance(record, Pair):
        raise CannotHold("kind")
    _in_order(record.prompt)
    return record


def label(record: Record) -> Label:
    if not isinstance(record, Label):
        raise CannotHold("kind")
    _in_order(record.prompt)
    return record


def _in_order(messages: tuple[Message, ...]) -> None:
    if not messages or any(message.role == "system" for message in messages[1:]):
        raise CannotHold("order")


def unweighted(messages: Iterable[Message]) -> None:
    if any(message.weight != 1 for message in messages):
        raise CannotHold("weight")


def without_system(messages: tuple[Message, ...]) -> None:
    if messages[0].role == "system":
        raise CannotHold("system")


def in_turn(messages: tuple[Message, ...]) -> None:
    """User and assistant take turns from the user on."""
    if any(message.role != _ROLES_IN_TURN[index % 2] for index, message in enumerate(messages)):
        raise CannotHold("order")


def utterances(record: Record) -> list[str]:
    """The texts of a dialogue that nothing but its texts and their order make."""
    messages = dialogue(record).messages
    without_system(messages)
    in_turn(messages)
    unweighted(messages)
    if len(messages) > MOST_UTTERANCES:
        raise CannotHold("length")
    return [message.content for message in messages]


def exchange(record: Record) -> tuple[str, str]:
    """One question and its answer."""
    texts = utterances(record)
    if len(texts) != len(_ROLES_IN_TURN):
        raise CannotHold("turns")
    return texts[0], texts[1]


def question(messages: tuple[Message, ...]) -> str:
    """A prompt that is one question."""
    without_system(messages)
    if len(messages) > 1:
        raise CannotHold("turns")
    in_turn(messages)
    unweighted(messages)
    return messages[0].content


def unspaced(texts: list[str]) -> list[str]:
    """For the formats whose reader joins Chinese that is written with spaces."""
    if any(map(has_many_spaces, texts)):
        raise CannotHold("spaces")
    return texts


def on_one_line(text: str) -> str:
    """A text for a format that has one line for it."""
    if _BREAKS.search(text):
        raise CannotHold("lines")
    return clean(text)


def clean(text: str) -> str:
    """A text for a format without escapes: nothing around it that reading takes away, nothing that is no text."""
    if text != text.strip() or _CONTROL.search(text):
        raise CannotHold("edges")
    return text
