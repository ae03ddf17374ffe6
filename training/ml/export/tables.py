"""Tables of single questions: CSV, TSV and XLSX.

A spreadsheet runs a cell that begins like a formula. Such a cell gets a mark (') before it, which shows it as text;
so does a cell that begins with such marks and a formula, so that reading takes exactly one mark off again.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator

from training.ml.export import holding
from training.ml.export.holding import CannotHold, Outgoing
from training.ml.export.writer import Writer, framed
from training.ml.records import Kind, Label, Pair, Record
from training.ml.texts import gettext_noop

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_MOST_BREAKS = 1000
_MOST_CELL_CHARS = 32_000  # Excel's own limit is 32 767
_MOST_CHARS = 200_000
_MOST_ROWS = 1_048_575
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|_x[0-9A-Fa-f]{4}_")
_PIECE_BYTES = 64 << 10

HEADERS: dict[Kind, tuple[str, ...]] = {
    "dialogue": ("prompt", "completion"),
    "pair": ("prompt", "chosen", "rejected", "margin"),
    "label": ("prompt", "completion", "label"),
}


def marked(cell: str) -> str:
    """The cell as no spreadsheet runs it."""
    return "'" + cell if _FORMULA.match(cell) else cell


def cells_of(record: Record) -> list[str]:
    """The cells of a row, in the order of its kind's header."""
    match record:
        case Pair():
            margin = "" if record.margin is None else repr(record.margin)
            asked = holding.question(holding.pair(record).prompt)
            return [asked, record.chosen, record.rejected, margin]
        case Label():
            asked = holding.question(holding.label(record).prompt)
            return [asked, record.completion, "true" if record.desirable else "false"]
        case _:
            return list(holding.exchange(record))


def _checked(cell: str, most: int) -> str:
    if "\r" in cell or "\x00" in cell or cell.startswith("\ufeff"):
        raise CannotHold("edges")
    if len(cell) > most or cell.count("\n") > _MOST_BREAKS:
        raise CannotHold("length")
    return marked(cell)


def _delimited(kind: Kind, delimiter: str) -> Callable[[Outgoing], str]:
    def encode(row: Outgoing) -> str:
        cells = [_checked(cell, _MOST_CHARS) for cell in _of_kind(row.record, kind)]
        return delimiter.join('"' + cell.replace('"', '""') + '"' for cell in cells) + "\r\n"

    return encode


def _of_kind(record: Record, kind: Kind) -> list[str]:
    cells = cells_of(record)
    if len(cells) != len(HEADERS[kind]):
        raise CannotHold("kind")
    return cells


def _sheet_row(kind: Kind) -> Callable[[Outgoing], str]:
    def encode(row: Outgoing) -> str:
        cells = [_checked(cell, _MOST_CELL_CHARS) for cell in _of_kind(row.record, kind)]
        if any(_NOT_IN_XML.search(cell) for cell in cells):
            raise CannotHold("edges")
        return json.dumps(cells)

    return encode


def _workbook(header: tuple[str, ...]) -> Callable[[Iterable[str]], Iterator[bytes]]:
    """A workbook is packed: it is written aside first, then sent in pieces."""

    def write(rows: Iterable[str]) -> Iterator[bytes]:
        from openpyxl import Workbook

        book = Workbook(write_only=True)
        sheet = book.create_sheet("data")
        sheet.append(header)
        for row in rows:
            sheet.append(json.loads(row))
        with tempfile.TemporaryFile() as file:
            book.save(file)
            file.seek(0)
            while piece := file.read(_PIECE_BYTES):
                yield piece

    return write


_XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_NAMES: dict[Kind, str] = {"dialogue": "", "pair": "preference_", "label": "label_"}


def _writers(kind: Kind) -> Iterator[Writer]:
    for name, delimiter, title in (
        ("csv", ",", gettext_noop("CSV table")),
        ("tsv", "\t", gettext_noop("TSV table")),
    ):
        header = delimiter.join(HEADERS[kind]) + "\r\n"
        # The mark at its start is what makes Excel read a CSV as UTF-8.
        yield Writer(
            name=_NAMES[kind] + name,
            title=title,
            kinds=(kind,),
            suffix=f".{name}",
            content_type=f"text/{'csv' if name == 'csv' else 'tab-separated-values'}; charset=utf-8",
            read_as=name,
            encode=_delimited(kind, delimiter),
            write=framed(before="\ufeff" + header),
        )
    yield Writer(
        name=_NAMES[kind] + "xlsx",
        title=gettext_noop("Excel table (XLSX)"),
        kinds=(kind,),
        suffix=".xlsx",
        content_type=_XLSX_TYPE,
        read_as="xlsx",
        encode=_sheet_row(kind),
        write=_workbook(HEADERS[kind]),
        most_rows=_MOST_ROWS,
    )


TABLE_WRITERS: tuple[Writer, ...] = tuple(writer for kind in HEADERS for writer in _writers(kind))
