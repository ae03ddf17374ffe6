"""XLSX workbooks to rows of cells, streamed.

openpyxl reads the XML through defusedxml. Knows not what a column means.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

from training.ml.corpus import office
from training.ml.corpus.base import Source
from training.ml.corpus.cells import Row
from training.ml.corpus.rules import Unreadable, bad_file

if TYPE_CHECKING:
    from openpyxl import Workbook

MOST_CELL_CHARS = 1 << 20
MOST_COLUMNS = 200


def sheet_names(source: Source) -> list[str]:
    with _opened(source) as book:
        return list(book.sheetnames)


def rows(source: Source, sheet: str = "") -> Iterator[Row | Unreadable]:
    """The rows of a sheet (empty: the first) that are not blank; `line` is the row's number in the sheet."""
    with _opened(source) as book:
        if sheet and sheet not in book.sheetnames:
            raise bad_file("no_such_sheet", sheet=sheet, found=", ".join(book.sheetnames[:20]))
        page = book[sheet or book.sheetnames[0]]
        if not hasattr(page, "reset_dimensions"):
            raise bad_file("sheet_of_charts", sheet=page.title)
        total = page.max_row or 0
        # What a file says of its size is not believed: rows would be filled up to it.
        page.reset_dimensions()
        for number, values in enumerate(_values(page), 1):
            if row := _row(number, values, source.size * min(number, total) // total if total else 0):
                yield row


def _values(page: Any) -> Iterator[tuple[Any, ...]]:
    try:
        yield from page.iter_rows(values_only=True)
    except Exception as error:  # openpyxl raises whatever a damaged sheet makes it stumble over
        raise bad_file("bad_office_file", why=str(error)[:200] or type(error).__name__) from error


def _row(number: int, values: tuple[Any, ...], end_byte: int) -> Row | Unreadable | None:
    if len(values) > MOST_COLUMNS and any(value is not None for value in values[MOST_COLUMNS:]):
        facts = {"count": len(values), "limit": MOST_COLUMNS}
        return Unreadable(line=number, rule="too_many_cells", facts=facts, end_byte=end_byte)
    cells = [_text(value) for value in values[:MOST_COLUMNS]]
    if any(len(cell) > MOST_CELL_CHARS for cell in cells):
        facts = {"limit": MOST_CELL_CHARS}
        return Unreadable(line=number, rule="cell_too_long", facts=facts, end_byte=end_byte)
    return Row(number, cells, end_byte) if any(cells) else None


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "TRUE" if value else "FALSE"
        case float() if value.is_integer():
            return str(int(value))
        case datetime() | date() | time():
            return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
        case _:
            # Excel writes line breaks as CR LF in some versions, and escapes control characters as _x000D_.
            return str(value).replace("_x000D_", "").replace("\r\n", "\n")


@contextmanager
def _opened(source: Source) -> Iterator[Workbook]:
    from openpyxl import load_workbook

    with office.opened(source) as file:
        try:
            book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        except Exception as error:  # see _values
            raise bad_file("bad_office_file", why=str(error)[:200] or type(error).__name__) from error
        try:
            yield book
        finally:
            book.close()
