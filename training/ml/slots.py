"""Attention over slots: many sequences of different lengths in one flat forward pass of any transformers model.

The model sees one row of ids: a token of each sequence that decodes, then pieces of new prompts. Keys and values go
to per-sequence slots of a cache, and each token attends to its own slot only. Works for every model that asks
transformers' attention interface (GPT-2, Llama, Qwen ...), grouped-query attention included. Knows no sampling.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.modeling_utils import PreTrainedModel

from training.ml.errors import BadModel
from training.ml.texts import gettext_noop

SLOTS = "chatsite_slots"
FIRST_SLOTS = 4
FIRST_LENGTH = 256


@dataclass(frozen=True, slots=True)
class Chunk:
    """`count` ids of one prompt from position `begin` on, at `start` of the flat row."""

    slot: int
    start: int
    count: int
    begin: int

    @property
    def end(self) -> int:
        return self.begin + self.count


@dataclass(frozen=True, slots=True)
class Plan:
    """Where each flat token belongs. The first `decoding` tokens are one of each of the slots 0..decoding-1.

    mask: (decoding, 1, 1, length) True where a decoding token may look, None when all lengths are equal.
    """

    slots: Tensor  # (T,)
    positions: Tensor  # (T,)
    decoding: int
    length: int
    mask: Tensor | None
    chunks: tuple[Chunk, ...]
    chunk_masks: tuple[Tensor | None, ...]


def plan(lengths: Sequence[int], chunks: Sequence[Chunk], *, group: int, device: torch.device) -> Plan:
    """lengths: ids already cached of each decoding slot. group: query heads that share one key head."""
    slots = [*range(len(lengths)), *(chunk.slot for chunk in chunks for _ in range(chunk.count))]
    positions = [*lengths, *(position for chunk in chunks for position in range(chunk.begin, chunk.end))]
    length = max(lengths, default=0) + 1
    mask = None
    if any(value + 1 != length for value in lengths):
        reach = torch.tensor(lengths, device=device)[:, None, None, None]
        mask = torch.arange(length, device=device) <= reach
    return Plan(
        slots=torch.tensor(slots, device=device),
        positions=torch.tensor(positions, device=device),
        decoding=len(lengths),
        length=length,
        mask=mask,
        chunks=tuple(chunks),
        chunk_masks=tuple(_chunk_mask(chunk, group, device) for chunk in chunks),
    )


def _chunk_mask(chunk: Chunk, group: int, device: torch.device) -> Tensor | None:
    """(1, 1, group * count, end); None where plain causal attention is the same."""
    if chunk.begin == 0 and group == 1:
        return None
    reach = torch.arange(chunk.begin, chunk.end, device=device).repeat(group)
    return (torch.arange(chunk.end, device=device) <= reach[:, None])[None, None]


class SlotCache:
    """Stands in for transformers' Cache. Tensors (slots, heads, length, dim) a layer, made at first use, growing.

    Memory starts as zeros: what a mask hides is still multiplied by 0, and 0 times a leftover NaN would be NaN.
    """

    def __init__(self, *, dtype: torch.dtype, device: torch.device, max_slots: int, max_length: int) -> None:
        self.dtype = dtype
        self.device = device
        self._limits = (max_slots, max_length)
        self._layers: list[tuple[Tensor, Tensor]] = []
        self._first = (min(FIRST_SLOTS, max_slots), min(FIRST_LENGTH, max_length))
        self._size = self._first
        self.plan: Plan | None = None
        self.layer = 0

    # --- what transformers calls ---

    def update(self, key: Tensor, value: Tensor, layer_idx: int, *_args: Any, **_kwargs: Any) -> tuple[Tensor, Tensor]:
        """key, value (1, heads, T, dim): stored at their slots; `attend` reads them from there."""
        assert self.plan is not None  # noqa: S101  (only called inside a step)
        self.layer = layer_idx
        while len(self._layers) <= layer_idx:
            self._layers.append((self._zeros(key), self._zeros(value)))
        keys, values = self._layers[layer_idx]
        where = (self.plan.slots, slice(None), self.plan.positions)
        keys[where] = key[0].transpose(0, 1).to(self.dtype)
        values[where] = value[0].transpose(0, 1).to(self.dtype)
        return key, value

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0

    # --- what the decoder calls ---

    def of_layer(self) -> tuple[Tensor, Tensor]:
        return self._layers[self.layer]

    def reserve(self, slots: int, length: int) -> None:
        """Make room by doubling, so that growing is rare."""
        size = (_grown(self._size[0], slots, self._limits[0]), _grown(self._size[1], length, self._limits[1]))
        if size != self._size:
            old, self._size = self._size, size
            self._layers = [(self._enlarged(keys, old), self._enlarged(values, old)) for keys, values in self._layers]

    def move(self, source: int, target: int, length: int) -> None:
        for pair in self._layers:
            for tensor in pair:
                tensor[target, :, :length] = tensor[source, :, :length]

    def swap(self, one: int, other: int, length: int) -> None:
        for pair in self._layers:
            for tensor in pair:
                tensor[[one, other], :, :length] = tensor[[other, one], :, :length]

    def wipe(self, slot: int) -> None:
        for pair in self._layers:
            for tensor in pair:
                tensor[slot].zero_()

    def release(self) -> None:
        """Give grown memory back; called when no sequence is left."""
        if self._size != self._first:
            self.drop()

    def drop(self) -> None:
        self._layers, self._size = [], self._first

    @property
    def bytes(self) -> int:
        return sum(tensor.nbytes for pair in self._layers for tensor in pair)

    def _zeros(self, like: Tensor) -> Tensor:
        slots, length = self._size
        return torch.zeros(slots, like.shape[1], length, like.shape[3], dtype=self.dtype, device=self.device)

    def _enlarged(self, tensor: Tensor, old: tuple[int, int]) -> Tensor:
        larger = self._zeros(tensor)
        larger[: old[0], :, : old[1]] = tensor
        return larger


def _grown(now: int, needed: int, limit: int) -> int:
    while now < needed:
        now *= 2
    return max(needed, min(now, limit))


# --- the attention function ---

_active = threading.local()


@contextmanager
def active(cache: SlotCache, steps: Plan) -> Iterator[None]:
    """Inside, this thread's forward passes attend to `cache` as `steps` says."""
    cache.plan = steps
    _active.cache = cache
    try:
        yield
    finally:
        _active.cache = cache.plan = None


def attend(  # noqa: PLR0917  (transformers' signature)
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """query (1, heads, T, dim), key (1, key heads, T, dim) -> (1, T, heads, dim). Raises BadModel for what it lacks."""
    for name in ("softcap", "s_aux"):
        if options.get(name) is not None:
            text = gettext_noop("The model's attention needs %(feature)s, which the engine does not have.")
            raise BadModel(text, feature=name)
    cache = cast("SlotCache", _active.cache)
    steps = cast("Plan", cache.plan)
    heads, dim, key_heads = query.shape[1], query.shape[3], key.shape[1]
    keys, values = cache.of_layer()
    flat = query[0].to(cache.dtype)  # (heads, T, dim)
    done = []
    if steps.decoding:
        rows = slice(0, steps.decoding)
        # The query heads that share a key head stand in for a query length.
        asked = flat[:, rows].transpose(0, 1).reshape(steps.decoding, key_heads, heads // key_heads, dim)
        seen = (keys[rows, :, : steps.length], values[rows, :, : steps.length])
        found = scaled_dot_product_attention(asked, *seen, attn_mask=steps.mask, scale=scaling)
        done.append(found.reshape(steps.decoding, heads, -1))
    for chunk, mask in zip(steps.chunks, steps.chunk_masks, strict=True):
        asked = flat[:, chunk.start : chunk.start + chunk.count].reshape(1, key_heads, -1, dim)
        seen = (keys[chunk.slot, :, : chunk.end][None], values[chunk.slot, :, : chunk.end][None])
        found = scaled_dot_product_attention(asked, *seen, attn_mask=mask, is_causal=mask is None, scale=scaling)
        done.append(found.reshape(heads, chunk.count, -1).transpose(0, 1))
    return torch.cat(done).to(query.dtype)[None], None


AttentionInterface.register(SLOTS, attend)


@contextmanager
def slot_attention(model: PreTrainedModel) -> Iterator[None]:
    """Inside, the model attends to slots and does not train; afterwards it is as before."""
    before, training = model.config._attn_implementation, model.training
    model.set_attn_implementation(SLOTS)
    model.eval()
    try:
        yield
    finally:
        model.set_attn_implementation(before)
        model.train(training)
