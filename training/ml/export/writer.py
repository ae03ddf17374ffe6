"""What a format that is written out needs to say of itself, and the joining of its rows to pieces of bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from training.ml.export.holding import Outgoing
from training.ml.records import Kind

_PIECE_CHARS = 64 << 10

Encode = Callable[[Outgoing], str]
Write = Callable[[Iterable[str]], Iterator[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """A format to write. `read_as`: the format that a reader is to take it for.

    encode: a row as text; raises CannotHold. write: the whole file from such texts, in pieces. most_rows: None is any.
    """

    name: str
    title: str
    kinds: tuple[Kind, ...]
    suffix: str
    content_type: str
    read_as: str
    encode: Encode
    write: Write
    most_rows: int | None = None


def framed(before: str = "", between: str = "", after: str = "") -> Write:
    """Rows with something before the first, between two and after the last, in UTF-8."""

    def write(rows: Iterable[str]) -> Iterator[bytes]:
        held, size = [before], 0
        first = True
        for row in rows:
            held.append(row if first else between + row)
            first = False
            size += len(row)
            if size >= _PIECE_CHARS:
                yield "".join(held).encode()
                held, size = [], 0
        yield "".join([*held, after]).encode()

    return write
