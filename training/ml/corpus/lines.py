"""Bytes to numbered lines: which encoding, and one bounded line after another.

Memory stays flat whatever the file is: no more than LONGEST_LINE_BYTES of it are held. Knows no row format.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from training.ml.corpus.rules import BadRow, Unreadable, bad_file, storable
from training.ml.texts import gettext_noop, words

LONGEST_LINE_BYTES = 1 << 20
EXCERPT_CHARS = 80
# Looked at to guess encoding and format: the head and some windows spread over the rest.
_HEAD_BYTES = 512 << 10
_WINDOW_BYTES = 64 << 10
_WINDOWS = 8
_ZEROS_OF_UTF16 = 0.02
# Below this share of decodable lines the encoding is another one; above it single lines are at fault.
_FEWEST_DECODABLE = 0.5

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "ZIP, XLSX or DOCX"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"7z\xbc\xaf", "7-Zip"),
    (b"Rar!", "RAR"),
    (b"%PDF", "PDF"),
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"\xd0\xcf\x11\xe0", "XLS or DOC"),
    (b"SQLite format 3", "SQLite"),
    (b"ARROW1", "Arrow"),
    (b"PAR1", "Parquet"),
    (b"\x7fELF", gettext_noop("a program")),
)
_BOMS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
ENCODING_NAMES = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 (BOM)",
    "gb18030": "GB18030",
    "utf-16-le": "UTF-16 LE",
    "utf-16-be": "UTF-16 BE",
}


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


def _windows(path: Path) -> list[bytes]:
    """The head, then pieces from all over the file that begin at a line."""
    size = path.stat().st_size
    with path.open("rb") as file:
        pieces = [file.read(_HEAD_BYTES)]
        for index in range(1, _WINDOWS + 1):
            offset = size * index // (_WINDOWS + 1)
            if offset > _HEAD_BYTES:
                file.seek(offset)
                file.readline(_WINDOW_BYTES)
                pieces.append(file.read(_WINDOW_BYTES))
    return pieces


def _share_decodable(pieces: list[bytes], encoding: str) -> float:
    """0..1 of the lines with bytes above 127 that decode; 1 where there are none. Cut-off last lines do not count."""
    good = bad = 0
    for piece in pieces:
        lines = piece.split(b"\n")
        for line in lines[:-1] if len(piece) >= _WINDOW_BYTES else lines:
            if line.isascii():
                continue
            try:
                line.decode(encoding)
                good += 1
            except UnicodeDecodeError:
                bad += 1
    return good / (good + bad) if good + bad else 1.0


def _looks_binary(head: bytes) -> bool:
    control = sum(head.count(byte) for byte in range(32) if byte not in b"\t\n\r\x0c\x1b")
    return control > len(head) / 50


def _utf16_without_mark(head: bytes) -> str:
    """ASCII characters (braces, quotes, line breaks) leave a zero in every second byte of UTF-16."""
    pairs = max(1, len(head) // 2)
    even, odd = head[::2].count(0) / pairs, head[1::2].count(0) / pairs
    if max(even, odd) < _ZEROS_OF_UTF16 or min(even, odd) > max(even, odd) / 10:
        return ""
    return "utf-16-le" if odd > even else "utf-16-be"


def _refuse_packed(head: bytes) -> None:
    for magic, what in _MAGIC:
        if head.startswith(magic):
            raise bad_file("binary_file", what=words(what))
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        raise bad_file("pickle")


def detect_encoding(path: Path) -> str:
    """One of ENCODING_NAMES. Raises BadFile for a file that is empty, packed, binary or in no known encoding."""
    pieces = _windows(path)
    head = pieces[0]
    if not head:
        raise bad_file("empty_file")
    _refuse_packed(head)
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding
    if encoding := _utf16_without_mark(head[: 64 << 10]):
        return encoding
    if _looks_binary(head):
        raise bad_file("binary_file", what=words(gettext_noop("binary data")))
    return _likelier(pieces)


def _likelier(pieces: list[bytes]) -> str:
    # UTF-8 first: text that is valid UTF-8 by chance is rare, GB18030 accepts almost anything.
    shares = {encoding: _share_decodable(pieces, encoding) for encoding in ("utf-8", "gb18030")}
    best = max(shares, key=lambda encoding: shares[encoding])
    if shares[best] < _FEWEST_DECODABLE:
        raise bad_file("unknown_encoding")
    return best


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
            raise BadRow("wrong_encoding", encoding=ENCODING_NAMES[encoding], byte=2 * raw.index("\ufffd"))
        return raw
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadRow("wrong_encoding", encoding=ENCODING_NAMES[encoding], byte=error.start + 1) from error


def _checked(raw: bytes | str, encoding: str) -> str:
    text = _decode(raw, encoding)
    if "\x00" in text:
        raise BadRow("nul")
    return text.rstrip("\r\n")


def _shown(raw: bytes | str, encoding: str) -> str:
    return excerpt(raw[:400].decode(encoding, "replace") if isinstance(raw, bytes) else raw)


def read_lines(path: Path, encoding: str) -> Iterator[Line | Unreadable]:
    """Every line in order, counted from 1; a line that cannot be decoded or is too long comes out as Unreadable."""
    with path.open("rb") as file:
        wide = encoding.startswith("utf-16")
        codec = "utf-8" if encoding == "utf-8-sig" else encoding
        _pass_mark(file)
        source: IO[bytes] | io.TextIOWrapper = (
            io.TextIOWrapper(file, codec, errors="replace", newline="\n") if wide else file
        )
        number = 0
        while raw := source.readline(LONGEST_LINE_BYTES):
            number += 1
            if len(raw) == LONGEST_LINE_BYTES and raw[-1:] not in (b"\n", "\n"):
                size = (len(raw) + _skip_line(source.readline)) * (2 if wide else 1)
                facts = {"bytes": size, "limit": LONGEST_LINE_BYTES}
                shown = _shown(raw, codec)
                yield Unreadable(line=number, rule="line_too_long", facts=facts, excerpt=shown, end_byte=file.tell())
                continue
            try:
                yield Line(number=number, text=_checked(raw, codec), end_byte=file.tell())
            except BadRow as bad:
                yield Unreadable(
                    line=number,
                    rule=bad.rule,
                    facts=bad.facts,
                    excerpt=_shown(raw, codec),
                    end_byte=file.tell(),
                )


def _pass_mark(file: IO[bytes]) -> None:
    start = file.read(3)
    for mark, _ in _BOMS:
        if start.startswith(mark):
            file.seek(len(mark))
            return
    file.seek(0)
