"""A file of any of the old tool's formats as columns of text, with the readings it gave to numbers and gaps."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.ml.legacy_prepare.checks import Advice, Refused, Table

__all__ = ["Table", "read_any_format"]

# What its CSV and Excel readers took for an empty cell.
_EMPTY = frozenset(
    {"#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"}
    | {"<NA>", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null"}
)
_NAMES = {".csv": "CSV", ".tsv": "TSV", ".xlsx": "XLSX", ".txt": "TXT", ".json": "JSON", ".jsonl": "JSONL"}
_NOT_FORMAT = (ValueError, KeyError, TypeError, OSError, csv.Error, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class _Missing:
    """A key that a row does not have; the old reader showed it as the number NaN."""

    def __str__(self) -> str:
        return "nan"


_GAP = _Missing()


def read_any_format(path: str) -> tuple[Table, Advice]:
    """The table of a file, and what is to be said about its format. Raises Refused."""
    name = "read_any_format"
    if not Path(path).is_file():
        raise Refused(name, f"File {path} does not exist.")
    suffix = Path(path).suffix.lower()
    if suffix not in _NAMES:
        raise Refused(name, _unsupported(path))
    try:
        return _READERS[suffix](path)
    except _NOT_FORMAT as error:
        kind = _NAMES[suffix]
        text = (
            f"Your file `{path}` does not appear to be in valid {kind} format. "
            f"Please ensure your file is formatted as a valid {kind} file."
        )
        raise Refused(name, text) from error


def _unsupported(path: str) -> str:
    text = "Your file must have one of the following extensions: .CSV, .TSV, .XLSX, .TXT, .JSON or .JSONL"
    file = path.rsplit("/", 1)[-1]
    if "." not in file:
        return f"{text} Your file `{path}` is missing a file extension."
    return f"{text} Your file `{path}` ends with the extension `.{file.rsplit('.', 1)[-1]}` which is not supported."


def _converted(kind: str, message: str) -> Advice:
    return Advice(message=f"\n- {message}", necessary=f"Your format `{kind}` will be converted to `JSONL`")


def _text(path: str) -> str:
    return Path(path).read_bytes().decode("utf-8")


# --- tables ---------------------------------------------------------------------------------------------------------


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value)
    return "" if text in _EMPTY else text


def _of_rows(rows: list[list[Any]]) -> Table:
    if not rows:
        raise ValueError("no header")
    columns = [str(name) for name in rows[0]]
    body = [row for row in rows[1:] if row]
    if any(len(row) > len(columns) for row in body):
        raise ValueError("too many cells")
    cells = [[_cell(value) for value in row] + [""] * (len(columns) - len(row)) for row in body]
    return Table(columns=columns, rows=cells)


def _separated(path: str, mark: str, kind: str) -> tuple[Table, Advice]:
    text = _text(path).removeprefix("\ufeff")
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=mark))
    said = f"Based on your file extension, your file is formatted as a {kind} file"
    return _of_rows(rows), _converted(kind, said)


def _read_csv(path: str) -> tuple[Table, Advice]:
    return _separated(path, ",", "CSV")


def _read_tsv(path: str) -> tuple[Table, Advice]:
    return _separated(path, "\t", "TSV")


def _read_xlsx(path: str) -> tuple[Table, Advice]:
    # It takes half a second to import, and few files are spreadsheets.
    import openpyxl

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except Exception as error:  # whatever the package stumbles over, it is no spreadsheet to us
        raise ValueError("no spreadsheet") from error
    rows = [list(row) for row in book.worksheets[0].iter_rows(values_only=True)]
    said = "Based on your file extension, your file is formatted as an Excel file"
    if len(book.worksheets) > 1:
        said += (
            "\n- Your Excel file contains more than one sheet. Please either save as csv or ensure all data is present "
            "in the first sheet. WARNING: Reading only the first sheet..."
        )
    return _of_rows(rows), _converted("XLSX", said)


def _read_txt(path: str) -> tuple[Table, Advice]:
    rows = [["", line] for line in _text(path).replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    said = "Based on your file extension, you provided a text file"
    return Table(columns=["prompt", "completion"], rows=rows), _converted("TXT", said)


# --- JSON -----------------------------------------------------------------------------------------------------------


def _lines(path: str) -> list[Any]:
    return [json.loads(line) for line in _text(path).split("\n") if line.strip()]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_text(values: list[Any]) -> list[str]:
    """A column as it was shown: a column of numbers with a fraction or a gap among them becomes fractions."""
    numbers = [value for value in values if _is_number(value)]
    gaps = [value for value in values if value is None or value is _GAP]
    if numbers and len(numbers) + len(gaps) == len(values) and (gaps or any(isinstance(n, float) for n in numbers)):
        return [str(float(value)) if _is_number(value) else "nan" for value in values]
    return [str(value) for value in values]


def _of_objects(rows: list[Any]) -> Table:
    columns = list(dict.fromkeys(key for row in rows for key in _object(row)))
    texts = [_as_text([row.get(name, _GAP) for row in rows]) for name in columns]
    return Table(columns=columns, rows=[list(cells) for cells in zip(*texts, strict=True)])


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("a row that is no object")
    return value


def _whole(path: str) -> Table:
    """One JSON value: a list of rows, or an object of columns."""
    value = json.loads(_text(path))
    if isinstance(value, list):
        return _of_objects(value)
    columns = {name: _cells(cells) for name, cells in _object(value).items()}
    keys = list(dict.fromkeys(key for cells in columns.values() for key in cells))
    return _of_objects([{name: cells.get(key, _GAP) for name, cells in columns.items()} for key in keys])


def _cells(value: Any) -> dict[Any, Any]:
    if isinstance(value, list):
        return dict(enumerate(value))
    return _object(value)


def _read_jsonl(path: str) -> tuple[Table, Advice]:
    rows = _lines(path)
    if len(rows) != 1:
        return _of_objects(rows), Advice()
    said = "Your JSONL file appears to be in a JSON format. Your file will be converted to JSONL format"
    return _whole(path), _converted("JSON", said)


def _read_json(path: str) -> tuple[Table, Advice]:
    try:
        rows = _lines(path)
        table = _of_objects(rows)
    except _NOT_FORMAT:
        return _whole(path), Advice()
    if len(rows) == 1:
        return _whole(path), Advice()
    said = "Your JSON file appears to be in a JSONL format. Your file will be converted to JSONL format"
    return table, _converted("JSON", said)


_READERS = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".xlsx": _read_xlsx,
    ".txt": _read_txt,
    ".json": _read_json,
    ".jsonl": _read_jsonl,
}
