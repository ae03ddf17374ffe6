"""Uploaded files to records with line numbers, streaming: memory stays flat, good rows are kept, bad ones are told.

`detect` looks at a file, `read` reads it. Knows nothing of databases or of what a record is used for.
Formats: JSON Lines with prompt/completion, messages, or prompt/chosen/rejected; GPT2-chitchat's train.txt
(one utterance a line, a blank line between dialogues, speakers take turns).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.ml.corpus import chitchat, rows
from training.ml.corpus.lines import ENCODING_NAMES, Line, detect_encoding, excerpt, read_lines
from training.ml.corpus.rows import Format, exchange, record_of
from training.ml.corpus.rules import FILE_RULES, ROW_RULES, BadRow, Facts, Unreadable, bad_file, text
from training.ml.records import Dialogue, Pair

__all__ = [
    "ENCODING_NAMES",
    "FILE_RULES",
    "ROW_RULES",
    "BadRow",
    "Detected",
    "Facts",
    "Format",
    "Readable",
    "Unreadable",
    "detect",
    "exchange",
    "read",
    "record_of",
    "text",
]

_SAMPLE_LINES = 200
_LATER = (".csv", ".tsv", ".xlsx", ".yml", ".yaml", ".conv", ".html", ".md", ".docx", ".xml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """What a file is. `prepared`: every row ends its prompt in ` ->` and begins its completion with a space."""

    format: Format
    encoding: str
    prepared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Readable:
    """A good row: `line` is where it begins, `left_out` counts trailing turns without an answer."""

    line: int
    record: Dialogue | Pair
    group: str = ""
    left_out: int = 0
    end_byte: int = 0


def detect(path: Path) -> Detected:
    """Format and encoding, from the start of the file. Raises BadFile, in words, when it is none that is known."""
    if path.suffix.lower() in _LATER:
        raise bad_file("unsupported", suffix=path.suffix.lower())
    encoding = detect_encoding(path)
    sample = _sample(path, encoding)
    if not any(line.text.strip() for line in sample):
        if next(_texts(path, encoding), None) is None:
            raise bad_file("no_rows")
        return Detected(format="chitchat", encoding=encoding)
    if _is_json(sample):
        return _detect_json(path, encoding, sample)
    if not chitchat.has_dialogues(line.text for line in sample):
        raise bad_file("no_blank_lines")
    return Detected(format="chitchat", encoding=encoding)


def _sample(path: Path, encoding: str) -> list[Line]:
    lines = (line for line in read_lines(path, encoding) if isinstance(line, Line))
    return list(itertools.islice(lines, _SAMPLE_LINES))


def _texts(path: Path, encoding: str) -> Iterator[Line | Unreadable]:
    return (line for line in read_lines(path, encoding) if isinstance(line, Unreadable) or line.text.strip())


def _is_json(sample: list[Line]) -> bool:
    texts = [line.text.strip() for line in sample if line.text.strip()]
    starts = [text[0] for text in texts]
    if texts[0] == "{":
        raise bad_file("json_spread")
    if texts[0][0] == "[":
        _refuse_lists(texts, whole=len(sample) < _SAMPLE_LINES)
    return starts.count("{") * 2 >= len(starts)


def _refuse_lists(texts: list[str], *, whole: bool) -> None:
    if texts[0] in ("[", "[{") or (whole and texts[-1] == "]") or len(texts) == 1:
        raise bad_file("json_array")
    if all(text[0] == "[" and text[-1] == "]" for text in texts):
        raise bad_file("row_lists")


def _detect_json(path: Path, encoding: str, sample: list[Line]) -> Detected:
    found = [row for row in map(_object, sample) if row is not None]
    votes = Counter(kind for kind in map(rows.format_of, found) if kind)
    if not votes:
        raise _no_known_row(found, sample)
    kind = votes.most_common(1)[0][0]
    pairs = [row for row in found if rows.format_of(row) == "prompt_completion"]
    prepared = bool(pairs) and all(map(rows.is_prepared, pairs)) and _wholly_prepared(path, encoding)
    return Detected(format=kind, encoding=encoding, prepared=prepared)


def _object(line: Line) -> dict[str, Any] | None:
    try:
        return rows.parse(line.text) if line.text.strip() else None
    except BadRow:
        return None


def _no_known_row(found: list[dict[str, Any]], sample: list[Line]) -> Exception:
    if found:
        return bad_file("unknown_keys", found=rows.key_list(found[0]))
    first = next(line for line in sample if line.text.strip())
    try:
        rows.parse(first.text)
    except BadRow as bad:
        return bad_file("no_json", why=bad.words, line=first.number)
    return bad_file("no_rows")


def _wholly_prepared(path: Path, encoding: str) -> bool:
    # A second pass, only for files whose start looks prepared: stripping a real arrow would change somebody's text.
    found = (_object(line) for line in read_lines(path, encoding) if isinstance(line, Line))
    return all(rows.is_prepared(row) for row in found if row and rows.format_of(row) == "prompt_completion")


def read(path: Path, detected: Detected) -> Iterator[Readable | Unreadable]:
    """Every row in order; no row is read twice and none is held."""
    if detected.format == "chitchat":
        return _read_dialogues(path, detected)
    return _read_json(path, detected)


def _read_json(path: Path, detected: Detected) -> Iterator[Readable | Unreadable]:
    for line in _texts(path, detected.encoding):
        yield line if isinstance(line, Unreadable) else _read_row(line, detected)


def _read_row(line: Line, detected: Detected) -> Readable | Unreadable:
    try:
        row = rows.parse(line.text)
        record = rows.to_record(row, detected.format, prepared=detected.prepared)
    except BadRow as bad:
        return _unreadable(line, bad)
    left_out = len(row["messages"]) - len(record.messages) if isinstance(record, Dialogue) and "messages" in row else 0
    return Readable(
        line=line.number, record=record, group=rows.group_of(row), left_out=left_out, end_byte=line.end_byte
    )


def _unreadable(line: Line, bad: BadRow) -> Unreadable:
    return Unreadable(
        line=line.number, rule=bad.rule, facts=bad.facts, excerpt=excerpt(line.text), end_byte=line.end_byte
    )


def _read_dialogues(path: Path, detected: Detected) -> Iterator[Readable | Unreadable]:
    for block in chitchat.blocks(read_lines(path, detected.encoding)):
        if isinstance(block, Unreadable):
            yield block
            continue
        try:
            record, left_out = chitchat.to_dialogue(block)
        except BadRow as bad:
            yield _unreadable(block[0], bad)
            continue
        yield Readable(line=block[0].number, record=record, left_out=left_out, end_byte=block[-1].end_byte)
