"""Pairs with a tab between them, one a line, without a header: what was said, what was answered.

Some corpora write every character or word of Chinese apart by a space; where a file is so, they are joined again.
"""

from __future__ import annotations

from collections.abc import Iterator

from training.ml.corpus.base import Detected, Head, Readable, Source
from training.ml.corpus.lines import Line, per_line
from training.ml.corpus.rows import exchange, text
from training.ml.corpus.rules import BadRow, Unreadable
from training.ml.corpus.spacing import is_spaced, joined

_COLUMNS = 2
_FEWEST_PAIRS = 0.9


def detect(_source: Source, head: Head) -> Detected | None:
    found = head.texts
    pairs = sum(text.count("\t") == _COLUMNS - 1 for text in found)
    if not found or pairs < _FEWEST_PAIRS * len(found):
        return None
    return forced(_source, head, "tab_pairs")


def forced(_source: Source, head: Head, name: str) -> Detected:
    return Detected(format=name, encoding=head.encoding, spaced=is_spaced("\n".join(head.lines)))


def read(source: Source, detected: Detected) -> Iterator[Readable | Unreadable]:
    return per_line(source, detected.encoding, lambda line: _of_line(line, spaced=detected.spaced))


def _of_line(line: Line, *, spaced: bool) -> Readable:
    columns = line.text.split("\t")
    if len(columns) != _COLUMNS:
        raise BadRow("not_two_columns", count=len(columns))
    asked, answer = (joined(said).strip() if spaced else said.strip() for said in columns)
    record = exchange(text(asked, "1"), text(answer, "2"))
    return Readable(line=line.number, record=record, end_byte=line.end_byte)
