"""What changed between two texts or lists of texts, in stretches: the same, gone, new. Pure; knows no words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

Change = Literal["same", "gone", "new"]


class Piece(NamedTuple):
    """A stretch of text, and what became of it."""

    change: Change
    text: str


def stretches(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[Change, Sequence[str]]]:
    """Both in the order of reading, what is gone ahead of what is new in its place; no stretch is empty.

    Takes up to the square of the length.
    """
    for tag, start, end, new_start, new_end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            yield "same", after[new_start:new_end]
            continue
        if end > start:
            yield "gone", before[start:end]
        if new_end > new_start:
            yield "new", after[new_start:new_end]


def compared(before: Sequence[str], after: Sequence[str]) -> list[Piece]:
    """What became of a text: word by word when it comes as words, else character by character."""
    return [Piece(change, "".join(parts)) for change, parts in stretches(before, after)]
