"""CSV, TSV and XLSX to records: what the delimiter is, which column is what, and one record a row.

A mapping is a list of (role, column); questions and answers may take turns over several columns. Where it cannot be
guessed, a table is detected without columns, and a person names them. Knows not how cells are told apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from training.ml.corpus import cells as splitting
from training.ml.corpus import sheets
from training.ml.corpus.base import Detected, Head, Readable, Source, Table
from training.ml.corpus.cells import Row, unmarked
from training.ml.corpus.columns import Columns, guess, is_complete, role_of
from training.ml.corpus.lines import Line, excerpt, read_lines
from training.ml.corpus.rules import BadRow, Unreadable, bad_file
from training.ml.corpus.turns import record_of

__all__ = ["DELIMITERS", "Preview", "detect", "forced", "is_complete", "place", "preview", "read", "try_out"]

DELIMITERS = (",", "\t", ";", "|")
PREVIEW_ROWS = 5
_SAMPLE_ROWS = 50
_PAIR = 2
_NO_TABLE = (0.0, False, 0)
_FEWEST_ALIKE = 0.6  # of the sample's rows, in their number of cells


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The first rows of a table and what its columns are taken for."""

    header: list[str]
    rows: list[list[str]]
    columns: Columns
    sheets: list[str]


# --- detection ------------------------------------------------------------------------------------------------------


def detect(source: Source, head: Head) -> Detected | None:
    """By the name of the file, or by a header whose words are known."""
    texts = head.texts
    if not texts or texts[0][0] in "{[":
        return None
    named = source.suffix in (".csv", ".tsv")
    table = _layout(head.lines, preferred="\t" if source.suffix == ".tsv" else ",")
    if table is None:
        return _detected(source, head, _one_column(head.lines)) if source.suffix == ".csv" else None
    if table.delimiter == "\t" and not table.header and _width(head.lines, "\t") == _PAIR:
        return None  # question, tab, answer: a format of its own
    if named or (table.header and is_complete(table.columns)):
        return _detected(source, head, table)
    return None


def forced(source: Source, head: Head, name: str) -> Detected:
    if name == "xlsx":
        return _workbook(source)
    wanted = "\t" if name == "tsv" else ","
    table = _layout(head.lines, preferred=wanted) or _one_column(head.lines)
    if name == "tsv" and table.delimiter != "\t":
        table = _table(_split(head.lines, "\t") or [[]], delimiter="\t")
    return _detected(source, head, table)


def _detected(source: Source, head: Head, table: Table) -> Detected:
    name = "tsv" if table.delimiter == "\t" else "csv"
    return Detected(format=name, encoding=head.encoding, table=_of_whole_rows(source, head, table))


def _of_whole_rows(source: Source, head: Head, table: Table) -> Table:
    """Columns by rows that are whole: the head's last lines may be pieces of a cell that goes on behind them."""
    reader = splitting.Reader(read_lines(source, head.encoding), table.delimiter)
    rows = list(islice((row.cells for row in reader if isinstance(row, Row)), _SAMPLE_ROWS))
    return _table(rows, delimiter=table.delimiter) if rows else table


def _workbook(source: Source) -> Detected:
    rows = [row.cells for row in islice(sheets.rows(source), _SAMPLE_ROWS) if isinstance(row, Row)]
    if not rows:
        raise bad_file("no_rows")
    return Detected(format="xlsx", encoding="utf-8", table=_table(rows, delimiter=","))


def _layout(lines: list[str], *, preferred: str) -> Table | None:
    """The delimiter that cuts the rows most alike. None: no delimiter does, so the table has one column or is none."""
    cut = {delimiter: _split(lines, delimiter) for delimiter in DELIMITERS}
    scores = {delimiter: _score(rows, preferred=delimiter == preferred) for delimiter, rows in cut.items()}
    best = max(DELIMITERS, key=lambda delimiter: scores[delimiter])
    return _table(cut[best], delimiter=best) if scores[best] > _NO_TABLE else None


def _score(rows: list[list[str]], *, preferred: bool) -> tuple[float, bool, int]:
    """How well a delimiter cuts. A header with known words says more than rows with equally many commas."""
    width = len(rows[0]) if rows else 0
    known = len(guess(rows[0])) if rows else 0
    alike = sum(len(row) == width for row in rows) / len(rows) if rows else 0.0
    if width < _PAIR or (alike < _FEWEST_ALIKE and not known):
        return _NO_TABLE
    return known + alike, preferred, width


def _one_column(lines: list[str]) -> Table:
    return _table(_split(lines, ",") or [[]], delimiter=",")


def _table(rows: list[list[str]], *, delimiter: str) -> Table:
    return Table(delimiter=delimiter, columns=guess(rows[0], rows[1:]), header=_is_header(rows[0]))


def _split(lines: list[str], delimiter: str) -> list[list[str]]:
    numbered = (Line(number=number, text=text, end_byte=0) for number, text in enumerate(lines, 1))
    rows = (row.cells for row in splitting.Reader(numbered, delimiter) if isinstance(row, Row))
    return list(islice(rows, _SAMPLE_ROWS))


def _width(lines: list[str], delimiter: str) -> int:
    rows = _split(lines, delimiter)
    return len(rows[0]) if rows else 0


def _is_header(cells: list[str]) -> bool:
    return any(role_of(cell) for cell in cells)


# --- reading --------------------------------------------------------------------------------------------------------


def read(source: Source, detected: Detected) -> Iterator[Readable | Unreadable]:
    """One record a row. Raises BadFile when the mapping names a column that is not there."""
    table = detected.table or Table()
    rows = _rows(source, detected, table)
    header, first = _header(rows, table)
    if not header:
        return
    if not table.columns:
        raise bad_file("columns_unknown", found=", ".join(header)[:200])
    places = [(role, place(which, header)) for role, which in table.columns]
    names = dict(enumerate(header))
    for row in rows if first is None else _chain(first, rows):
        if isinstance(row, Unreadable):
            yield row
        elif any(cell.strip() for cell in row.cells):
            yield _read_row(row, places, names)


def _rows(source: Source, detected: Detected, table: Table) -> Iterator[Row | Unreadable]:
    if detected.format == "xlsx":
        return sheets.rows(source, table.sheet)
    width = len(next((row.cells for row in _opened(source, detected, table, 0) if isinstance(row, Row)), []))
    return iter(_opened(source, detected, table, width))


def _opened(source: Source, detected: Detected, table: Table, width: int) -> splitting.Reader:
    return splitting.Reader(read_lines(source, detected.encoding), table.delimiter, width=width)


def _header(rows: Iterator[Row | Unreadable], table: Table) -> tuple[list[str], Row | None]:
    """The names of the columns, and the first row where it is none of names."""
    for row in rows:
        if isinstance(row, Row):
            # Who names a column by a word says that there is a header.
            if table.header or not all(which.isdecimal() for _, which in table.columns):
                return [cell.strip() for cell in row.cells], None
            return [str(number) for number in range(1, len(row.cells) + 1)], row
    return [], None


def _chain(first: Row, rows: Iterator[Row | Unreadable]) -> Iterator[Row | Unreadable]:
    yield first
    yield from rows


def place(which: str, header: list[str]) -> int:
    """The index of a column that was named by its header or, from 1 on, by its number."""
    if which in header:
        return header.index(which)
    if which.isdecimal() and 1 <= int(which) <= len(header):
        return int(which) - 1
    raise bad_file("no_such_column", column=which, found=", ".join(header)[:200])


def _read_row(row: Row, places: list[tuple[str, int]], names: dict[int, str]) -> Readable | Unreadable:
    try:
        _check_width(row, places, len(names))
        values = [(role, names[at], unmarked(row.cells[at]) if at < len(row.cells) else "") for role, at in places]
        record, group, left_out = record_of(values)
    except BadRow as bad:
        shown = excerpt(row.start or " | ".join(row.cells))
        return Unreadable(line=row.line, rule=bad.rule, facts=bad.facts, excerpt=shown, end_byte=row.end_byte)
    return Readable(line=row.line, record=record, group=group, left_out=left_out, end_byte=row.end_byte)


def _check_width(row: Row, places: list[tuple[str, int]], width: int) -> None:
    """Cells that nobody needs may be missing at the end; more cells than names mean that a text was cut apart."""
    count = len(row.cells)
    if any(cell.strip() for cell in row.cells[width:]) or (count <= max(at for _, at in places) and row.start):
        raise BadRow("wrong_width", count=count, expected=width)


# --- what a person sees before the columns are named ----------------------------------------------------------------


def preview(source: Source, detected: Detected) -> Preview:
    """The header and the first rows, and a guess where nothing was chosen."""
    table = detected.table or Table()
    rows = _rows(source, detected, table)
    header, first = _header(rows, table)
    shown = [first.cells] if first else []
    shown += islice((row.cells for row in rows if isinstance(row, Row)), PREVIEW_ROWS - len(shown))
    columns = table.columns or (guess(header, shown) if table.header else ())
    names = sheets.sheet_names(source) if detected.format == "xlsx" else []
    return Preview(header=header, rows=shown, columns=columns, sheets=names)


def try_out(row: list[str], header: list[str], columns: Columns) -> Readable | Unreadable:
    """What one row of a preview would become."""
    places = [(role, place(which, header)) for role, which in columns]
    return _read_row(Row(1, row, 0), places, dict(enumerate(header)))
