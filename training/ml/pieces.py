"""A row as the model sees it, for people: its tokens in readable pieces, what is learned, and what no longer fits.

Knows nothing of models or trainers; torch-free.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from training.ml.records import Body, Dialogue, Document, Kind, Label, Message, Record, record_from_body
from training.ml.render import Rendered, Renderer
from training.ml.texts import gettext_noop

_TOKENS_OF_A_CHARACTER = 4

PARTS: dict[str, str] = {
    "row": gettext_noop("The row"),
    "chosen": gettext_noop("With the better answer"),
    "rejected": gettext_noop("With the worse answer"),
}


@dataclass(frozen=True, slots=True)
class Piece:
    """One token, or the few that make up one character; `cut`: beyond what the model takes."""

    text: str
    ids: tuple[int, ...]
    trained: bool
    special: bool
    cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One sequence of tokens. trained: how many are learned; kept: how many fit; limit: how many would."""

    part: str
    pieces: tuple[Piece, ...]
    tokens: int
    trained: int
    kept: int
    limit: int

    @property
    def cut(self) -> int:
        return self.tokens - self.kept


def seen(renderer: Renderer, kind: Kind, body: Body) -> list[Seen]:
    """What a row becomes: one sequence, or two of a preference pair."""
    limit = renderer.context_length
    return [
        _seen(renderer, part, rendered, _kept(renderer, record, rendered, limit), limit)
        for part, rendered, record in _rendered(renderer, record_from_body(kind, body))
    ]


def _rendered(renderer: Renderer, record: Record) -> Iterator[tuple[str, Rendered, Record]]:
    if isinstance(record, Document):
        ids = renderer.documents([record.text])[0]
        yield "row", Rendered(ids=ids, mask=[1] * len(ids)), record
    elif isinstance(record, Dialogue):
        yield "row", renderer.render(record.messages), record
    elif isinstance(record, Label):
        yield "row", renderer.render([*record.prompt, _answer(record.completion)]), record
    else:
        for part in ("chosen", "rejected"):
            yield part, renderer.render([*record.prompt, _answer(getattr(record, part))]), record


def _answer(text: str) -> Message:
    return Message(role="assistant", content=text)


def _kept(renderer: Renderer, record: Record, rendered: Rendered, limit: int) -> int:
    """How many of the first tokens are trained on."""
    if len(rendered.ids) <= limit or isinstance(record, Document):
        return len(rendered.ids)  # a long document goes on in the next row
    if not isinstance(record, Dialogue):
        return 0  # a pair or thumb that does not fit is left out
    return _whole_exchanges(renderer, record.messages, limit)


def _whole_exchanges(renderer: Renderer, messages: Sequence[Message], limit: int) -> int:
    """Fine-tuning keeps as many whole exchanges from the start as fit; when not even one does, its head."""
    ends = [index + 1 for index, message in enumerate(messages) if message.role == "assistant"]
    lengths = (len(renderer.render(messages[:end]).ids) for end in reversed(ends[:-1]))
    return next((length for length in lengths if length <= limit), limit)


def _seen(renderer: Renderer, part: str, rendered: Rendered, kept: int, limit: int) -> Seen:
    pieces = tuple(_pieces(renderer, rendered, kept))
    return Seen(
        part=part,
        pieces=pieces,
        tokens=len(rendered.ids),
        trained=sum(rendered.mask[:kept]),
        kept=kept,
        limit=limit,
    )


def _pieces(renderer: Renderer, rendered: Rendered, kept: int) -> Iterator[Piece]:
    decode = renderer.tokenizer.decode
    specials = {index for index, token in renderer.tokenizer.get_added_tokens_decoder().items() if token.special}
    edges = {kept, len(rendered.ids), *_mask_edges(rendered)}
    start = 0
    for end in range(1, len(rendered.ids) + 1):
        ids = tuple(rendered.ids[start:end])
        text = decode(ids, skip_special_tokens=False)
        # Several tokens may make up one character: apart, none of them can be read.
        if "\ufffd" in text and end not in edges and len(ids) < _TOKENS_OF_A_CHARACTER:
            continue
        yield Piece(text, ids, bool(rendered.mask[start]), ids[0] in specials, start >= kept)
        start = end


def _mask_edges(rendered: Rendered) -> Iterator[int]:
    return (end for end in range(1, len(rendered.mask)) if rendered.mask[end] != rendered.mask[end - 1])
