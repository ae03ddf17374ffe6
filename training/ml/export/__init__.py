"""Records to bytes in any format that people exchange, streamed; what a format cannot hold is counted, never bent.

What is written can be uploaded again and gives the same records. Knows nothing of databases.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from training.ml.export.holding import REASONS, CannotHold, Outgoing
from training.ml.export.json_lines import JSON_WRITERS
from training.ml.export.tables import TABLE_WRITERS
from training.ml.export.text_files import TEXT_WRITERS
from training.ml.export.writer import Writer
from training.ml.records import Kind, Record

__all__ = ["REASONS", "WRITERS", "CannotHold", "Outgoing", "Tally", "Writer", "can_hold", "export", "writers_for"]

WRITERS: dict[str, Writer] = {writer.name: writer for writer in (*JSON_WRITERS, *TEXT_WRITERS, *TABLE_WRITERS)}


@dataclass(slots=True)
class Tally:
    """How many rows were written, and how many were left out for which of REASONS."""

    written: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def writers_for(kind: Kind) -> list[Writer]:
    """The formats that are for a kind of rows, the one that holds all of them first."""
    return [writer for writer in WRITERS.values() if kind in writer.kinds]


def can_hold(name: str, record: Record) -> bool:
    try:
        WRITERS[name].encode(Outgoing(record))
    except CannotHold:
        return False
    return True


def export(rows: Iterable[Outgoing], name: str, tally: Tally | None = None) -> Iterator[bytes]:
    """The bytes of a file, piece by piece. `tally` is filled on the way and is whole after the last piece."""
    counts = tally if tally is not None else Tally()
    return WRITERS[name].write(_held(rows, WRITERS[name], counts))


def _held(rows: Iterable[Outgoing], writer: Writer, tally: Tally) -> Iterator[str]:
    for row in rows:
        try:
            if writer.most_rows is not None and tally.written >= writer.most_rows:
                raise CannotHold("rows")
            encoded = writer.encode(row)
        except CannotHold as cannot:
            tally.left_out[cannot.reason] += 1
            continue
        tally.written += 1
        yield encoded
