"""What is wrong with rows: rules about one text, one row, and all rows together; and what would mend it.

A rule never raises on a row that could be stored, its span lies inside the text it names, and every rule has its words
in `words`. Knows no files and no database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from training.ml.findings.across import FEW, AcrossRows
from training.ml.findings.base import Found, Key, Place, Row, Severity, places, text_at
from training.ml.findings.one_row import ROW_RULES
from training.ml.findings.one_text import TEXT_RULES
from training.ml.findings.remedies import remedied
from training.ml.findings.tokens import TokenRules
from training.ml.findings.words import REMEDIES, RULES, what

__all__ = [
    "FEW",
    "REMEDIES",
    "RULES",
    "Checker",
    "Found",
    "Key",
    "Place",
    "Row",
    "Severity",
    "TokenRules",
    "places",
    "remedied",
    "text_at",
    "what",
]

# Of one rule in one row; a page of numbers need not be told a thousand times.
_MOST_IN_A_ROW = 20


class Checker:
    """One pass over any number of rows: `look` at each batch, then `compare` what was seen."""

    def __init__(self, *, tokens: TokenRules | None = None) -> None:
        self._tokens = tokens
        self._across = AcrossRows()

    def look(self, rows: Sequence[Row]) -> list[list[Found]]:
        """What is wrong with each row by itself."""
        counted = self._tokens.find(rows) if self._tokens else [[] for _ in rows]
        found = []
        for row, more in zip(rows, counted, strict=True):
            self._across.add(row)
            found.append([*in_one_row(row), *more])
        return found

    def compare(self, on_progress: Callable[[int], None] = lambda done: None) -> Iterator[tuple[Key | None, Found]]:
        """What is wrong with the rows together; the key is None where it is about all of them.

        on_progress is called with the number of rows compared, every few hundred.
        """
        return self._across.find(on_progress)


def in_one_row(row: Row) -> Iterator[Found]:
    """What the rules about texts and about one row find."""
    for rule in TEXT_RULES:
        found = [one for place in places(row.body) for one in rule(place)]
        yield from found[:_MOST_IN_A_ROW]
    for look in ROW_RULES:
        yield from list(look(row))[:_MOST_IN_A_ROW]
