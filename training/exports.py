"""Examples and frozen versions as files of any format, streamed: a selection is read in short batches, never held.

What is written can be uploaded again. Verbs only; changes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import cast

from django.db.models import QuerySet
from django.utils.text import slugify

from training import versions
from training.ml import export
from training.ml.export import Outgoing, Tally, Writer
from training.ml.records import SPLITS, Kind, record_from_body
from training.models import DatasetVersion, Example

KINDS = cast("tuple[Kind, ...]", tuple(Example.Kind.values))
# So many rows are tried in every format to tell beforehand how many each can hold.
ROWS_TRIED = 5000
_BATCH_ROWS = 1000


def rows_of(examples: QuerySet[Example]) -> Iterator[Outgoing]:
    """The examples in the order of their numbers. No query stays open while a slow reader takes them."""
    columns = ("pk", "kind", "body", "group", "split")
    rows = examples.order_by("pk").values_list(*columns)
    batch = list(rows[:_BATCH_ROWS])
    while batch:
        for _pk, kind, body, group, split in batch:
            yield Outgoing(record_from_body(cast("Kind", kind), body), group=group, split=split)
        batch = list(rows.filter(pk__gt=batch[-1][0])[:_BATCH_ROWS])


def rows_of_version(version: DatasetVersion, split: str = "") -> Iterator[Outgoing]:
    """The rows of one split, or of all. Raises BadDataset, at the call, when the version's files are damaged."""
    frozen = versions.load(version)
    wanted = [name for name in SPLITS if not split or name == split]
    return (
        Outgoing(record_from_body(frozen.kind, row.body), group=row.group, split=name)
        for name in wanted
        for row in frozen.iterate(name)
    )


def kinds_of(examples: QuerySet[Example]) -> list[Kind]:
    """Which kinds of rows there are among the examples."""
    found = set(examples.order_by().values_list("kind", flat=True).distinct())
    return [kind for kind in KINDS if kind in found]


def formats_for(kinds: Iterable[Kind]) -> list[Writer]:
    return [writer for kind in kinds for writer in export.writers_for(kind)]


def try_out(rows: Iterable[Outgoing], kinds: Iterable[Kind]) -> tuple[int, dict[str, int]]:
    """How many of the first rows were looked at, and how many of them each format for these kinds can hold."""
    sample = list(itertools.islice(rows, ROWS_TRIED))
    held = {
        writer.name: sum(export.can_hold(writer.name, row.record) for row in sample) for writer in formats_for(kinds)
    }
    return len(sample), held


def write(rows: Iterable[Outgoing], name: str, tally: Tally | None = None) -> Iterator[bytes]:
    return export.export(rows, name, tally)


def file_name(stem: str, name: str) -> str:
    """`rows-train.jsonl`: letters and digits only, because it stands in a header and on any disk."""
    return f"{slugify(stem) or 'data'}{export.WRITERS[name].suffix}"
