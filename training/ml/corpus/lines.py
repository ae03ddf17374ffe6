"""Bytes to numbered lines, one bounded line after another.

Memory stays flat whatever the file is: no more than LONGEST_LINE_BYTES of it are held. Knows no row format.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from training.ml.corpus.base import Head, Readable, Source
from training.ml.corpus.encodings import BOMS, ENCODING_NAMES, codec_of
from training.ml.corpus.rules import BadRow, Unreadable, storable
from training.ml.errors import BadFile

LONGEST_LINE_BYTES = 1 << 20
EXCERPT_CHARS = 80
_SAMPLE_LINES = 200
_SAMPLE_CHARS = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line without its break. `end_byte`: how far into the file reading has come."""

    number: int
    text: str
    end_byte: int


def excerpt(text: str) -> str:
    """The start of a line, safe to store and to show."""
    clean = storable(text[: EXCERPT_CHARS + 1]).strip()
    return clean if len(text) <= EXCERPT_CHARS else clean[:EXCERPT_CHARS] + "…"


def unreadable(line: Line, bad: BadRow) -> Unreadable:
    return Unreadable(
        line=line.number, rule=bad.rule, facts=bad.facts, excerpt=excerpt(line.text), end_byte=line.end_byte
    )


def head_of(source: Source, encoding: str) -> Head:
    rest = itertools.dropwhile(_is_blank, read_lines(source, encoding))
    sample, size = [], 0
    for line in itertools.islice(_up_to_damage(rest), _SAMPLE_LINES):
        sample.append(line)
        size += len(line.text) if isinstance(line, Line) else 0
        if size > _SAMPLE_CHARS:
            break
    lines = [line for line in sample if isinstance(line, Line)]
    return Head(
        encoding=encoding,
        lines=[line.text for line in lines],
        whole=len(sample) < _SAMPLE_LINES and size <= _SAMPLE_CHARS,
        start=lines[0].number if lines else 1,
        unreadable=len(lines) < len(sample),
    )


def _up_to_damage(lines: Iterator[Line | Unreadable]) -> Iterator[Line | Unreadable]:
    """Of an archive that was cut off, what comes before."""
    read_any = False
    try:
        for line in lines:
            read_any = True
            yield line
    except BadFile:
        if not read_any:
            raise


def _is_blank(line: Line | Unreadable) -> bool:
    return isinstance(line, Line) and not line.text.strip()


def texts(source: Source, encoding: str) -> Iterator[Line | Unreadable]:
    """The lines that are not blank."""
    return (line for line in read_lines(source, encoding) if isinstance(line, Unreadable) or line.text.strip())


def per_line(source: Source, encoding: str, read_line: Callable[[Line], Readable]) -> Iterator[Readable | Unreadable]:
    """One row for each line that is not blank; what `read_line` raises as BadRow becomes a complaint."""
    for line in texts(source, encoding):
        if isinstance(line, Unreadable):
            yield line
            continue
        try:
            yield read_line(line)
        except BadRow as bad:
            yield unreadable(line, bad)


def _skip_line(readline: Callable[[int], bytes | str]) -> int:
    """Read on to the next line break; returns the size of what was passed over."""
    passed = 0
    while piece := readline(LONGEST_LINE_BYTES):
        passed += len(piece)
        if piece[-1:] in (b"\n", "\n"):
            break
    return passed


def _decode(raw: bytes | str, encoding: str) -> str:
    if isinstance(raw, str):
        if "\ufffd" in raw:
            raise BadRow("wrong_encoding", encoding=ENCODING_NAMES[encoding], byte=2 * raw.index("\ufffd") + 1)
        return raw
    try:
        return raw.decode(codec_of(encoding))
    except UnicodeDecodeError as error:
        raise BadRow("wrong_encoding", encoding=ENCODING_NAMES[encoding], byte=error.start + 1) from error


def _checked(raw: bytes | str, encoding: str) -> str:
    text = _decode(raw, encoding)
    if "\x00" in text:
        raise BadRow("nul")
    # Files that were put together keep the marks at their starts.
    return text.rstrip("\r\n") if text[:1] != "\ufeff" else text[1:].rstrip("\r\n")


def _shown(raw: bytes | str, encoding: str) -> str:
    return excerpt(raw[:400].decode(codec_of(encoding), "replace") if isinstance(raw, bytes) else raw)


def read_lines(source: Source, encoding: str) -> Iterator[Line | Unreadable]:
    """Every line in order, counted from 1; a line that cannot be decoded or is too long comes out as Unreadable."""
    with source.open() as file:
        wide = encoding.startswith("utf-16")
        pass_mark(file)
        lines: IO[bytes] | io.TextIOWrapper = (
            io.TextIOWrapper(file, encoding, errors="replace", newline="\n") if wide else file
        )
        number = 0
        while raw := lines.readline(LONGEST_LINE_BYTES):
            number += 1
            if len(raw) == LONGEST_LINE_BYTES and raw[-1:] not in (b"\n", "\n"):
                size = (len(raw) + _skip_line(lines.readline)) * (2 if wide else 1)
                facts = {"bytes": size, "limit": LONGEST_LINE_BYTES}
                shown = _shown(raw, encoding)
                yield Unreadable(line=number, rule="line_too_long", facts=facts, excerpt=shown, end_byte=file.tell())
                continue
            try:
                yield Line(number=number, text=_checked(raw, encoding), end_byte=file.tell())
            except BadRow as bad:
                yield Unreadable(
                    line=number, rule=bad.rule, facts=bad.facts, excerpt=_shown(raw, encoding), end_byte=file.tell()
                )


def pass_mark(file: IO[bytes]) -> None:
    """Leave the file behind its byte order mark, where it has one."""
    start = file.read(3)
    for mark, _ in BOMS:
        if start.startswith(mark):
            file.seek(len(mark))
            return
    file.seek(0)
