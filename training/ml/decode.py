"""Batched decoding: sequences join and leave at every step, prompts are read in chunks beside those who write.

One flat forward pass a step (`slots.py`), one draw a sequence (`sampling.py`). Used by the engine, by evaluation and
by rollouts. Knows token ids only: no text, no requests, no threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, cast

import torch
from torch import Tensor
from transformers.modeling_utils import PreTrainedModel

from training.ml.config import SamplingConfig
from training.ml.errors import BadModel, PromptTooLong
from training.ml.render import CONTEXT_FIELDS
from training.ml.sampling import Drawn, Sampler, draw
from training.ml.slots import Chunk, SlotCache, active, plan, slot_attention
from training.ml.texts import gettext_noop

# Prompt ids read in one step beside decoding sequences: more would stall them visibly.
SHARED_CHUNK = 64
ALONE_CHUNK = 256
DEFAULT_ROWS = 16


@dataclass(eq=False, slots=True)
class Row:
    """One sequence. `cached` ids have keys and values; `last` is drawn but not yet read by the model."""

    prompt: list[int]
    sampler: Sampler
    slot: int
    cached: int = 0
    last: int | None = None

    @property
    def reading(self) -> bool:
        return self.cached < len(self.prompt)


@dataclass(frozen=True, slots=True)
class Made:
    """What one step gave a row. drawn None: its logits were no numbers, and it has to be removed."""

    row: Row
    drawn: Drawn | None


class Decoder:
    """Rows of one model. The first rows decode, the others still read their prompts; a row's slot is its place.

    The model must be inside `slot_attention`. Not thread-safe: one thread steps, adds and removes.
    """

    def __init__(
        self, model: PreTrainedModel, *, max_rows: int = DEFAULT_ROWS, kv_dtype: torch.dtype | None = None
    ) -> None:
        self.model = model
        self.max_rows = max_rows
        self.context = context_of(model)
        self.vocabulary = vocabulary_of(model)
        self.rows: list[Row] = []
        self._decoding = 0
        self._group = _query_group(model)
        self._waiting: list[Row] = []  # those who read, in the order of their arrival
        # bfloat16 attention is twice slower than float32 on CPUs.
        chosen = kv_dtype or (torch.float32 if model.device.type == "cpu" else model.dtype)
        self.cache = SlotCache(dtype=chosen, device=model.device, max_slots=max_rows, max_length=self.context)

    @property
    def free(self) -> int:
        return self.max_rows - len(self.rows)

    def add(self, prompt: Sequence[int], sampler: Sampler) -> Row:
        """Raises PromptTooLong, and ValueError for no room, no ids or ids that the model does not have."""
        if not self.free:
            raise ValueError(f"all {self.max_rows} rows are taken")
        if not prompt or min(prompt) < 0 or max(prompt) >= self.vocabulary:
            raise ValueError(f"a prompt needs ids from 0 to {self.vocabulary - 1}")
        if len(prompt) >= self.context:
            raise too_long(len(prompt), self.context)
        row = Row(prompt=list(prompt), sampler=sampler, slot=len(self.rows))
        self.rows.append(row)
        self._waiting.append(row)
        return row

    @torch.inference_mode()
    def remove(self, row: Row) -> None:
        """Take a row out at any time. The last row of its kind takes its place."""
        if row.last is None:
            self.cache.wipe(row.slot)  # it may hold NaN, which would spread to the slot's next row
        hole = row.slot
        if hole < self._decoding:
            self._decoding -= 1
            hole = self._fill(hole, self._decoding)
        self._fill(hole, len(self.rows) - 1)
        self.rows.pop()
        if row in self._waiting:
            self._waiting.remove(row)
        if not self.rows:
            self.cache.release()

    def clear(self) -> None:
        """Drop all rows, whatever state a failed step left them in."""
        self.rows.clear()
        self._waiting.clear()
        self._decoding = 0
        self.cache.drop()

    @torch.inference_mode()
    def step(self) -> list[Made]:
        """One id for each decoding row, and for each row whose prompt is read to its end now."""
        if not self.rows:
            return []
        deciding = self.rows[: self._decoding]
        chunks = self._next_chunks()
        logits = self._forward(deciding, chunks)
        readers = [self.rows[chunk.slot] for chunk in chunks]
        for row in deciding:
            row.cached += 1
        for row, chunk in zip(readers, chunks, strict=True):
            row.cached = chunk.end
        drawing = deciding + [row for row in readers if not row.reading]
        drawn = draw(logits, [row.sampler for row in drawing]) if drawing else []
        made = [self._note(row, item) for row, item in zip(drawing, drawn, strict=True)]
        self._promote(drawing[len(deciding) :])
        return made

    def _next_chunks(self) -> list[Chunk]:
        budget = SHARED_CHUNK if self._decoding else ALONE_CHUNK
        start = self._decoding
        chunks = []
        for row in self._waiting:
            count = min(budget, len(row.prompt) - row.cached)
            if count == 0:
                break
            chunks.append(Chunk(slot=row.slot, start=start, count=count, begin=row.cached))
            budget -= count
            start += count
        return chunks

    def _forward(self, deciding: list[Row], chunks: list[Chunk]) -> Tensor:
        """Logits (rows that draw, vocabulary): decoding rows first, then the readers who come to an end."""
        device = self.model.device
        lengths = [row.cached for row in deciding]
        ids = [row.last or 0 for row in deciding]
        ends = list(range(len(deciding)))
        for chunk in chunks:
            prompt = self.rows[chunk.slot].prompt
            ids += prompt[chunk.begin : chunk.end]
            if chunk.end == len(prompt):
                ends.append(chunk.start + chunk.count - 1)
        longest = max([length + 1 for length in lengths] + [chunk.end for chunk in chunks])
        self.cache.reserve(len(self.rows), longest)
        steps = plan(lengths, chunks, group=self._group, device=device)
        with active(self.cache, steps):
            output = self.model(
                input_ids=torch.tensor([ids], device=device),
                position_ids=steps.positions[None],
                past_key_values=self.cache,
                use_cache=True,
                # An empty index would mean a pass without logits, which some models refuse.
                logits_to_keep=torch.tensor(ends or [0], device=device),
            )
        return output.logits[0][: len(ends)]  # type: ignore[no-any-return]

    @staticmethod
    def _note(row: Row, drawn: Drawn | None) -> Made:
        row.last = drawn.id if drawn else None
        return Made(row=row, drawn=drawn)

    def _promote(self, ready: list[Row]) -> None:
        """Rows at the end of their prompts move up behind the decoding ones."""
        for row in ready:
            self._waiting.remove(row)
            other = self.rows[self._decoding]
            if other is not row:
                self.cache.swap(row.slot, other.slot, max(row.cached, other.cached))
                self.rows[row.slot], self.rows[other.slot] = other, row
                row.slot, other.slot = other.slot, row.slot
            self._decoding += 1

    def _fill(self, hole: int, last: int) -> int:
        """Move the row at `last` into the hole; returns the new hole."""
        if hole != last:
            moved = self.rows[last]
            self.cache.move(last, hole, moved.cached)
            self.rows[hole], moved.slot = moved, hole
        return last


def too_long(tokens: int, context: int) -> PromptTooLong:
    return PromptTooLong(
        gettext_noop(
            "The prompt has %(tokens)d tokens; the model's window has %(context)d, and at least one is for the answer."
        ),
        tokens=tokens,
        limit=context - 1,
        context=context,
    )


def context_of(model: PreTrainedModel) -> int:
    """Positions a sequence may use. Bounded by a sliding window, because every slot is attended to as a whole."""
    config = model.config.get_text_config()
    length = next((value for name in CONTEXT_FIELDS if isinstance(value := getattr(config, name, None), int)), None)
    if length is None:
        text = gettext_noop("The model's %(file)s says no context length (%(fields)s).")
        raise BadModel(text, file="config.json", fields=", ".join(CONTEXT_FIELDS))
    window = getattr(config, "sliding_window", None)
    slides = getattr(config, "use_sliding_window", True)
    return min(length, window) if window and slides else length


def vocabulary_of(model: PreTrainedModel) -> int:
    """How many ids the model knows; often more than its tokenizer has."""
    return int(cast("torch.nn.Embedding", model.get_input_embeddings()).num_embeddings)


def _query_group(model: PreTrainedModel) -> int:
    config = model.config.get_text_config()
    shared = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return int(config.num_attention_heads // shared)


# --- whole answers ---

Reason = Literal["stop", "length", "failed"]


@dataclass(slots=True)
class Generated:
    """ids with the stop id, if one was drawn. logprobs: the model's own, in nats."""

    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    reason: Reason = "length"


def generate(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    *,
    sampling: SamplingConfig,
    stop_ids: Sequence[int],
    max_rows: int = DEFAULT_ROWS,
    stopped: Callable[[], bool] = lambda: False,
) -> list[Generated]:
    """An answer to each prompt, in their order. Prompt number i draws with seed + i, whoever it shares a batch with.

    `stopped` is asked every step; answers are then as far as they got. Raises PromptTooLong.
    """
    answers = [Generated() for _ in prompts]
    with slot_attention(model):
        decoder = Decoder(model, max_rows=max_rows)
        for prompt in prompts:
            if len(prompt) >= decoder.context:
                raise too_long(len(prompt), decoder.context)
        todo = list(range(len(prompts)))[::-1]
        running: dict[Row, int] = {}
        while (todo or running) and not stopped():
            while todo and decoder.free:
                index = todo.pop()
                running[decoder.add(prompts[index], _seeded(sampling, index))] = index
            for made in decoder.step():
                answer = answers[running[made.row]]
                room = decoder.context - len(made.row.prompt)
                if _ends(answer, made.drawn, stop_ids, min(sampling.max_tokens, room)):
                    decoder.remove(made.row)
                    del running[made.row]
    return answers


def _seeded(sampling: SamplingConfig, index: int) -> Sampler:
    seed = None if sampling.seed is None else (sampling.seed + index) % 2**31
    return Sampler.of(replace(sampling, seed=seed))


def _ends(answer: Generated, drawn: Drawn | None, stop_ids: Sequence[int], limit: int) -> bool:
    if drawn is None:
        answer.reason = "failed"
        return True
    answer.ids.append(drawn.id)
    answer.logprobs.append(drawn.logprob)
    if drawn.id in stop_ids:
        answer.reason = "stop"
        return True
    return len(answer.ids) >= limit


# --- does it work for this model? ---


@torch.inference_mode()
def probe(model: PreTrainedModel) -> None:
    """Compare slot decoding with the model's own forward pass. Raises BadModel when they differ or give no numbers."""
    ids = [index % vocabulary_of(model) for index in range(1, 12)]
    with slot_attention(model):
        decoder = Decoder(model, max_rows=2)
        # A second row, so that slots, masks and the meeting of reading and decoding are part of the proof.
        decoder.add(ids[:5], Sampler(temperature=0))
        first = decoder.step()
        decoder.add(ids, Sampler(temperature=0))
        second = decoder.step()
    found = [(ids[:5], first[0].drawn), (ids[:5] + _ids(first[0]), second[0].drawn), (ids, second[1].drawn)]
    for context, drawn in found:
        expected = model(input_ids=torch.tensor([context], device=model.device), use_cache=False).logits[0, -1].float()
        if drawn is None or not bool(torch.isfinite(expected).all()):
            raise BadModel(gettext_noop("The model computes no numbers (NaN or infinity): its weights are damaged."))
        difference = abs(float(expected.log_softmax(-1)[drawn.id]) - drawn.logprob)
        if difference > (1e-2 if model.dtype == torch.float32 else 0.5):
            text = gettext_noop(
                "The engine computes another result than the model itself (%(kind)s): it cannot serve it."
            )
            raise BadModel(text, kind=type(model).__name__)


def _ids(made: Made) -> list[int]:
    return [made.drawn.id] if made.drawn else [0]
