"""Lines of a CSV or TSV to rows of cells. A quoted cell may hold line breaks; an unclosed quote costs one row.

Knows not what a column means. Python's own csv is not used: there an unclosed quote swallows the rest of the file.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from training.ml.corpus.lines import LONGEST_LINE_BYTES, Line, excerpt
from training.ml.corpus.rules import Unreadable

MOST_LINES = 2000  # of one cell; a longer one is taken for an unclosed quote
_QUOTED = re.compile(r'([^"]*+(?:""[^"]*+)*+)"')
_MARKED = re.compile(r"'+[=+\-@\t\r]")


@dataclass(frozen=True, slots=True)
class Row:
    """One row; `line` is where it begins."""

    line: int
    cells: list[str]
    end_byte: int
    start: str = ""


class StrayQuote(Exception):
    """Raised when a quote inside a quoted cell is neither doubled nor its end."""


def unmarked(cell: str) -> str:
    """The text without the mark (') that an export puts before what a spreadsheet would run as a formula."""
    return cell[1:] if _MARKED.match(cell) else cell


class _Cells:
    """The cells of one row, given line by line. `open`: the pieces of a quoted cell without its end."""

    def __init__(self, delimiter: str) -> None:
        self.delimiter = delimiter
        self.cells: list[str] = []
        self.open: list[str] = []

    def take(self, text: str) -> None:
        if not self.open:
            self._split(text, 0)
            return
        end = _QUOTED.match(text)
        if end is None:
            self.open.append(_plain(text))
            return
        cell = "\n".join([*self.open, _plain(end[1])])
        self.open = []
        stop = self._close(cell, text, end.end(), strict=True)
        if stop >= 0:
            self._split(text, stop + 1)

    def _split(self, text: str, at: int) -> None:
        if '"' not in text:
            self.cells += text.split(self.delimiter)
            return
        while True:
            if text.startswith('"', at):
                end = _QUOTED.match(text, at + 1)
                if end is None:
                    self.open = [_plain(text[at + 1 :])]
                    return
                stop = self._close(_plain(end[1]), text, end.end(), strict=False)
            else:
                stop = text.find(self.delimiter, at)
                self.cells.append(text[at:] if stop < 0 else text[at:stop])
            if stop < 0:
                return
            at = stop + 1

    def _close(self, cell: str, text: str, at: int, *, strict: bool) -> int:
        """Add a quoted cell that ended before `at`; returns where its delimiter stands, -1 at the end of the row.

        What stands between the quote and the delimiter belongs to the cell, as in Python's csv, unless it has
        a quote itself, or the cell runs over lines (strict): then the quote was no end. Raises StrayQuote.
        """
        stop = text.find(self.delimiter, at)
        tail = text[at:] if stop < 0 else text[at:stop]
        if tail.strip() and (strict or '"' in tail):
            raise StrayQuote
        self.cells.append(cell + (tail if tail.strip() else ""))
        return stop


class Reader:
    """Rows of cells from numbered lines.

    width: how many cells a row has. Where it is known, a row over several lines with another number of cells is taken
    for an unclosed quote, so that the rows that it would swallow are kept.
    """

    def __init__(self, lines: Iterable[Line | Unreadable], delimiter: str, *, width: int = 0) -> None:
        self.lines = iter(lines)
        self.delimiter = delimiter
        self.width = width
        self.again: deque[Line | Unreadable] = deque()

    def __iter__(self) -> Iterator[Row | Unreadable]:
        while (line := self._next()) is not None:
            if isinstance(line, Unreadable):
                yield line
            elif line.text.strip():
                yield from self._row(line)

    def _next(self) -> Line | Unreadable | None:
        return self.again.popleft() if self.again else next(self.lines, None)

    def _row(self, first: Line) -> Iterator[Row | Unreadable]:
        made = _Cells(self.delimiter)
        try:
            made.take(first.text)
        except StrayQuote:
            yield _complaint(first, "stray_quote")
            return
        used = self._go_on(first, made) if made.open else []
        if used is None:
            yield _complaint(first, "unclosed_quote")
        elif spoilt := [line for line in used if isinstance(line, Unreadable)]:
            yield from spoilt
        else:
            yield Row(first.number, made.cells, used[-1].end_byte if used else first.end_byte, first.text)

    def _go_on(self, first: Line, made: _Cells) -> list[Line | Unreadable] | None:
        """The further lines of a row whose last cell is open; None, and they are read anew, when it never ends."""
        used: list[Line | Unreadable] = []
        if self._closes(made, used, len(first.text)) and self.width in (0, len(made.cells)):
            return used
        self.again.extendleft(reversed(used))
        return None

    def _closes(self, made: _Cells, used: list[Line | Unreadable], size: int) -> bool:
        while made.open:
            line = self._next()
            if line is None:
                return False
            used.append(line)
            if isinstance(line, Unreadable):
                continue
            size += len(line.text)
            if len(used) > MOST_LINES or size > LONGEST_LINE_BYTES:
                return False
            try:
                made.take(line.text)
            except StrayQuote:
                return False
        return True


def _plain(text: str) -> str:
    return text.replace('""', '"')


def _complaint(line: Line, rule: str) -> Unreadable:
    return Unreadable(line=line.number, rule=rule, excerpt=excerpt(line.text), end_byte=line.end_byte)
