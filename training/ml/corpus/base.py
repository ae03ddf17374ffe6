"""What every format module gets and gives: a source of bytes, what was found out about it, rows with their addresses.

A format module has three functions, and `formats.py` lists it:
    detect(source, head) -> Detected | None     is it mine? asked in the order of the list; BadFile: mine, but broken
    read(source, detected) -> Iterator[Readable | Unreadable]     every row in order, in flat memory
    forced(source, head, name) -> Detected      the same when a person named the format `name`
Knows no format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Protocol

from training.ml.corpus.rules import Unreadable
from training.ml.records import Record

Packing = Literal["", "gzip", "zip"]
# lines: one JSON value a line. values: one after the other, over any lines. items: inside one list or one object.
Layout = Literal["lines", "values", "items"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """How a table is laid out. `columns`: (what it is, the header's word or the number from 1) in any order.

    chosen: by a person, not guessed.
    """

    columns: tuple[tuple[str, str], ...] = ()
    delimiter: str = ","
    sheet: str = ""
    header: bool = True
    chosen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """What a file is. `prepared`: every row ends its prompt in ` ->` and begins its completion with a space.

    spaced: the words or characters of Chinese stand apart by spaces, which reading takes out.
    asked_format, asked_encoding: what a person named, for the members of an archive, each of which is looked at.
    """

    format: str
    encoding: str
    prepared: bool = False
    layout: Layout = "lines"
    spaced: bool = False
    packing: Packing = ""
    table: Table | None = None
    asked_format: str = ""
    asked_encoding: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readable:
    """A good row. `line` is where it begins, `nth` counts on where several begin on one line (the first has 0).

    left_out: trailing turns without an answer. end_byte: how far into the source reading has come.
    member: the file of an archive that it stands in, `member_number` counts those from 1.
    provenance: what else is known of where it stood (a heading, a sheet, a span).
    tags: what a curator should know of it.
    """

    line: int
    record: Record
    group: str = ""
    left_out: int = 0
    end_byte: int = 0
    nth: int = 0
    member: str = ""
    member_number: int = 0
    provenance: dict[str, Any] | None = None
    tags: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Its address in the file, short and the same at every reading: `12`, `12.1`, `3/12`."""
        place = f"{self.line}.{self.nth}" if self.nth else str(self.line)
        return f"{self.member_number}/{place}" if self.member_number else place


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes that can be opened again and again: a file, what is packed in it, or one member of an archive.

    Opened files can be sought in, but going back in a packed one reads it anew (`packed`).
    """

    path: Path
    name: str
    size: int
    packed: bool = False
    opener: Callable[[], BufferedReader] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, path: Path) -> Source:
        return cls(path=path, name=path.name, size=path.stat().st_size)

    def open(self) -> BufferedReader:
        return self.opener() if self.opener else self.path.open("rb")

    @property
    def suffix(self) -> str:
        """`.csv`, in lower case."""
        return PurePosixPath(self.name).suffix.lower()


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a source as text: its first lines without breaks, from the first that is not blank on.

    start: the number of the first of them. whole: these are all there are. unreadable: some were no text or too long.
    """

    encoding: str
    lines: list[str]
    whole: bool
    start: int = 1
    unreadable: bool = False

    @property
    def texts(self) -> list[str]:
        """The lines that are not blank, without the white space around them."""
        return [text for line in self.lines if (text := line.strip())]


class FormatModule(Protocol):
    def detect(self, source: Source, head: Head) -> Detected | None: ...

    def read(self, source: Source, detected: Detected) -> Iterator[Readable | Unreadable]: ...

    def forced(self, source: Source, head: Head, name: str) -> Detected: ...
