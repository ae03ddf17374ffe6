"""JSON that is not one value a line: a large list, an object of rows, values spread over many lines.

Values come out one after the other with the line that they begin on. No more than LONGEST_VALUE characters are held;
a value that cannot be read is told, and reading goes on where the next one seems to begin.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from training.ml.corpus.base import Layout, Source
from training.ml.corpus.encodings import codec_of
from training.ml.corpus.lines import LONGEST_LINE_BYTES, excerpt, pass_mark
from training.ml.corpus.rows import DECODER, not_json
from training.ml.corpus.rules import BadRow, Unreadable

LONGEST_VALUE = LONGEST_LINE_BYTES
_CHUNK_BYTES = 256 << 10
# A value that was cut off at the end of the buffer fails near that end.
_NEAR = 64
_SPACE = re.compile(r"[ \t\r\n]*")
_FIRST_KEY = re.compile(r'\{\s*("(?:[^"\\]|\\.){0,100}")\s*:')
_KEPT_KEYS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A JSON value: `line` is where it begins, `nth` counts on where several begin on one line."""

    line: int
    nth: int
    value: Any
    end_byte: int


def read_values(source: Source, encoding: str, layout: Layout) -> Iterator[Value | Unreadable]:
    """The values one after the other (`values`), or what the one list or object holds (`items`)."""
    with source.open() as file:
        pass_mark(file)
        reader = _Reader(file, encoding)
        yield from reader.items() if layout == "items" else reader.values()


class _Reader:
    def __init__(self, file: IO[bytes], encoding: str) -> None:
        self._file = file
        # What does not decode becomes half a character, which only its own row is refused for.
        errors = "surrogatepass" if encoding.startswith("utf-16") else "surrogateescape"
        self._decoder = codecs.getincrementaldecoder(codec_of(encoding))(errors)
        self._text = ""
        self._at = 0
        self._line = 1
        self._ended = False
        self._last = (0, 0)
        self._starts: list[str] = []

    # --- the buffer ---

    def _fill(self) -> bool:
        """One more piece of the file; False at its end."""
        raw = self._file.read(_CHUNK_BYTES)
        self._ended = not raw
        self._text = self._text[self._at :] + self._decoder.decode(raw)
        self._at = 0
        return not self._ended

    def _pass(self, end: int) -> None:
        self._line += self._text.count("\n", self._at, end)
        self._at = end

    def _peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            self._pass(found.end() if found else self._at)
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended or (not self._fill() and self._at >= len(self._text)):
                return ""

    # --- structure ---

    def values(self) -> Iterator[Value | Unreadable]:
        while mark := self._peek():
            # JSON of several values may part them by commas, as a list without its brackets does.
            if mark == ",":
                self._pass(self._at + 1)
            else:
                yield self._value()

    def items(self) -> Iterator[Value | Unreadable]:
        opening = self._peek()
        self._pass(self._at + 1)
        yield from self._list() if opening == "[" else self._members()

    def _list(self) -> Iterator[Value | Unreadable]:
        while (mark := self._peek()) and mark != "]":
            if mark == ",":
                self._pass(self._at + 1)
            else:
                yield self._value()
        self._pass(min(self._at + 1, len(self._text)))

    def _members(self) -> Iterator[Value | Unreadable]:
        """Of an object: its members that are objects, and what its members that are lists hold."""
        while (mark := self._peek()) and mark != "}":
            if mark in ",:":
                self._pass(self._at + 1)
            elif mark == "[":
                self._pass(self._at + 1)
                yield from self._list()
            else:
                value = self._value()
                if isinstance(value, Unreadable) or isinstance(value.value, dict):
                    yield value

    # --- one value ---

    def _value(self) -> Value | Unreadable:
        line, nth = self._address()
        self._remember()
        try:
            value, end = self._decoded()
        except BadRow as bad:
            shown = excerpt(self._text[self._at : self._at + 200])
            self._resume()
            return Unreadable(line=line, rule=bad.rule, facts=bad.facts, excerpt=shown, end_byte=self._file.tell())
        self._pass(end)
        return Value(line=line, nth=nth, value=value, end_byte=self._file.tell())

    def _address(self) -> tuple[int, int]:
        line, nth = self._last
        self._last = (line, nth + 1) if line == self._line else (self._line, 0)
        return self._last

    def _decoded(self) -> tuple[Any, int]:
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if self._may_be_cut_off(error) and self._fill():
                    continue
                raise self._bad(error) from error
            if end < len(self._text) or self._ended or isinstance(value, dict | list | str) or not self._fill():
                return value, end

    def _may_be_cut_off(self, error: Exception) -> bool:
        if self._ended or len(self._text) - self._at > LONGEST_VALUE or not isinstance(error, json.JSONDecodeError):
            return False
        return error.pos >= len(self._text) - _NEAR or error.msg.startswith("Unterminated string")

    def _bad(self, error: ValueError | RecursionError) -> BadRow:
        if isinstance(error, BadRow):
            return error
        if len(self._text) - self._at > LONGEST_VALUE and not self._ended:
            return BadRow("value_too_long", limit=LONGEST_VALUE)
        rest = self._text[self._at : self._at + LONGEST_VALUE]
        if self._ended and isinstance(error, json.JSONDecodeError) and error.pos >= len(self._text.rstrip()):
            return BadRow("cut_off")
        return not_json(rest, error, whole=False)

    # --- after a value that cannot be read ---

    def _remember(self) -> None:
        """How a row begins here: the next one will begin alike."""
        if len(self._starts) < _KEPT_KEYS and (found := _FIRST_KEY.match(self._text, self._at)):
            start = r"\{\s*" + re.escape(found[1]) + r"\s*:"
            if start not in self._starts:
                self._starts.append(start)

    def _resume(self) -> None:
        """Pass over the text up to where the next row seems to begin, or to the end."""
        start = "|".join(self._starts) if self._starts else r"[\{\[]"
        following = re.compile(rf"(?<=[,\n\]\}}])\s*(?={start})")
        self._pass(min(self._at + 1, len(self._text)))
        while True:
            found = following.search(self._text, self._at)
            if found:
                self._pass(found.end())
                return
            self._pass(max(self._at, len(self._text) - 200))
            if self._ended or not self._fill():
                self._pass(len(self._text))
                return
