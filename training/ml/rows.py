"""Turns the rows of a frozen dataset into token rows for one method, and says what had to be cut.

Knows the renderer and the records; knows nothing of models or trainers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from training.ml.batches import RowsBuilder, TokenRows
from training.ml.config import METHODS_FOR, Method
from training.ml.errors import BadConfig, BadDataset
from training.ml.records import Dialogue, Document, Message, Record, Split, record_from_body
from training.ml.render import Rendered, Renderer
from training.ml.texts import gettext_noop, words

if TYPE_CHECKING:
    from training.ml.dataset import FrozenDataset

CHUNK_ROWS = 1000


@dataclass(slots=True)
class Prepared:
    """cut: rows that lost their end; dropped: rows with nothing left to learn."""

    rows: TokenRows
    cut: int = 0
    dropped: int = 0


@dataclass(slots=True)
class _Tally:
    builder: RowsBuilder = field(default_factory=RowsBuilder)
    cut: int = 0
    dropped: int = 0

    def add(self, rendered: Rendered) -> None:
        if any(rendered.mask[1:]):
            self.builder.add(rendered.ids, rendered.mask)
        else:
            self.dropped += 1


def check_kind(method: Method, kind: str) -> None:
    """Raises BadConfig when a method cannot learn from rows of this kind."""
    if method not in METHODS_FOR.get(kind, ()):
        raise BadConfig(
            gettext_noop("The method %(method)s needs rows of the kind %(needed)s, this dataset has %(kind)s rows."),
            method=method,
            needed="/".join(known for known, methods in METHODS_FOR.items() if method in methods),
            kind=kind,
            field="method",
        )


def records(dataset: FrozenDataset, split: Split) -> Iterator[Record]:
    return (record_from_body(dataset.kind, row.body) for row in dataset.iterate(split))


def prepare(
    renderer: Renderer, dataset: FrozenDataset, split: Split, *, method: Method, max_length: int, most_tokens: int = 0
) -> Prepared:
    """Token rows of a split, in the dataset's order. most_tokens: stop after about so many (0 = all)."""
    tally = _Tally()
    stream = records(dataset, split)
    used = 0
    while chunk := list(islice(stream, CHUNK_ROWS)):
        for rendered in _render(renderer, chunk, method, max_length, tally):
            tally.add(rendered)
            used += len(rendered.ids)
        if most_tokens and used >= most_tokens:
            break
    return Prepared(rows=tally.builder.build(), cut=tally.cut, dropped=tally.dropped)


def _render(
    renderer: Renderer, chunk: Sequence[Record], method: Method, max_length: int, tally: _Tally
) -> Iterator[Rendered]:
    if isinstance(chunk[0], Document):
        texts = [record.text for record in chunk if isinstance(record, Document)]
        for ids in renderer.documents(texts):
            yield from _windows(ids, max_length)
        return
    dialogues = [record.messages for record in chunk if isinstance(record, Dialogue)]
    for messages, rendered in zip(dialogues, renderer.render_many(dialogues), strict=True):
        if method == "pretrain":
            yield from _windows(rendered.ids, max_length)
        elif len(rendered.ids) <= max_length:
            yield rendered
        else:
            tally.cut += 1
            yield shorten(renderer, messages, rendered, max_length)


def _windows(ids: list[int], size: int) -> Iterator[Rendered]:
    """Everything is a target; a text longer than a row continues in the next row."""
    # A last window of one id would have nothing to predict.
    for start in range(0, max(len(ids) - 1, 1), size):
        window = ids[start : start + size]
        yield Rendered(ids=window, mask=[1] * len(window))


def shorten(renderer: Renderer, messages: Sequence[Message], rendered: Rendered, max_length: int) -> Rendered:
    """The longest beginning of whole exchanges that fits; when not even the first does, its head."""
    ends = [index + 1 for index, message in enumerate(messages) if message.role == "assistant"]
    for end in reversed(ends[:-1]):
        shorter = renderer.render(messages[:end])
        if len(shorter.ids) <= max_length:
            return shorter
    return Rendered(ids=rendered.ids[:max_length], mask=rendered.mask[:max_length])


def require_rows(prepared: Prepared, split: Split) -> None:
    if not len(prepared.rows):
        text = gettext_noop(
            "The split %(split)s of this dataset has no usable row (%(dropped)d rows have no answer to learn)."
        )
        raise BadDataset(text, split=split, dropped=prepared.dropped)


def cut_note(prepared: Prepared, max_length: int) -> dict[str, Any] | None:
    """The data of a note event, None when nothing was cut."""
    if not prepared.cut and not prepared.dropped:
        return None
    text = gettext_noop(
        "%(cut)d rows were longer than %(limit)d tokens and were cut; "
        "%(dropped)d rows had nothing to learn and were left out."
    )
    return {"code": "rows_cut", "words": words(text, cut=prepared.cut, limit=max_length, dropped=prepared.dropped)}
