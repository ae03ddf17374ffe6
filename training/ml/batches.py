"""Token rows in flat arrays, the order they are visited in, and the padded tensors of a step.

The order is a pure function of lengths, seed and epoch, so a resumed run sees exactly the batches it would have seen.
Knows nothing of models or templates.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

IGNORED = -100
# Rows of this many steps are sorted by length together: little padding, yet batches stay well mixed.
BUCKET_STEPS = 50

Micro = dict[str, torch.Tensor]
Step = dict[str, Any]


class TokenRows(Dataset[int]):
    """Rows of ids and masks end to end. As a torch dataset its items are the row numbers: the collator reads rows."""

    def __init__(self, ids: np.ndarray, mask: np.ndarray, ends: np.ndarray) -> None:
        self.ids, self.mask = ids, mask
        self.starts = np.concatenate(([0], ends[:-1])).astype(np.int64)
        self.ends = ends.astype(np.int64)

    @property
    def lengths(self) -> np.ndarray:
        return self.ends - self.starts

    @property
    def tokens(self) -> int:
        return len(self.ids)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> int:
        return index

    def row(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        where = slice(self.starts[index], self.ends[index])
        return self.ids[where], self.mask[where]


class RowsBuilder:
    """Collects rows without a Python object a token."""

    def __init__(self) -> None:
        self._ids, self._mask, self._ends = array("i"), array("B"), array("q")

    def add(self, ids: Sequence[int], mask: Sequence[int]) -> None:
        self._ids.extend(ids)
        self._mask.extend(mask)
        self._ends.append(len(self._ids))

    def build(self) -> TokenRows:
        return TokenRows(
            np.array(self._ids, dtype=np.int32),
            np.array(self._mask, dtype=np.uint8),
            np.array(self._ends, dtype=np.int64),
        )


class Schedule(Sampler[list[int]]):
    """The rows of every step of a whole run, epoch after epoch (the last one may be cut short).

    lengths: tokens a row. rank, ranks: each process takes its share of every step.
    """

    def __init__(
        self, lengths: np.ndarray, *, batch_size: int, epochs: float, seed: int, rank: int = 0, ranks: int = 1
    ) -> None:
        self.lengths, self.batch_size, self.seed = lengths, batch_size, seed
        self.rank, self.ranks = rank, ranks
        self.steps_per_epoch = math.ceil(len(lengths) / batch_size)
        self.total = max(1, math.ceil(self.steps_per_epoch * epochs))

    def __len__(self) -> int:
        return self.total

    def __iter__(self) -> Iterator[list[int]]:
        left = self.total
        for epoch in range(math.ceil(self.total / self.steps_per_epoch)):
            for step in self.epoch(epoch)[:left]:
                yield step[self.rank :: self.ranks] or step[:1]
            left -= self.steps_per_epoch

    def epoch(self, number: int) -> list[list[int]]:
        """Shuffle, sort windows by length, cut into steps, shuffle the steps."""
        draw = np.random.default_rng([self.seed, number])
        order = draw.permutation(len(self.lengths))
        window = self.batch_size * BUCKET_STEPS
        steps: list[list[int]] = []
        for start in range(0, len(order), window):
            rows = order[start : start + window]
            rows = rows[np.argsort(self.lengths[rows], kind="stable")]
            steps.extend(rows[at : at + self.batch_size].tolist() for at in range(0, len(rows), self.batch_size))
        return [steps[index] for index in draw.permutation(len(steps))]


def micro_batches(indices: Sequence[int], lengths: np.ndarray, budget: int) -> list[list[int]]:
    """Cut a step, longest rows first, so that rows x longest row stays within `budget` tokens (one row always may)."""
    groups: list[list[int]] = []
    for index in sorted(indices, key=lambda item: (-int(lengths[item]), item)):
        if groups and (len(groups[-1]) + 1) * int(lengths[groups[-1][0]]) <= budget:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


class Collator:
    """Row numbers of a step -> {"micro": padded tensors, "targets": how many ids are learnt, "rows", "tokens"}."""

    def __init__(self, rows: TokenRows, *, budget: int, pad_id: int) -> None:
        self.rows, self.budget, self.pad_id = rows, budget, pad_id

    def __call__(self, indices: Sequence[int]) -> Step:
        lengths = self.rows.lengths
        micros = [self.pad(group) for group in micro_batches(indices, lengths, self.budget)]
        return {
            "micro": micros,
            "targets": sum(int((micro["labels"] != IGNORED).sum()) for micro in micros),
            "tokens": int(lengths[list(indices)].sum()),
            "rows": len(indices),
        }

    def pad(self, group: Sequence[int]) -> Micro:
        """input_ids and labels, both (B, T), padded on the right: a causal model never looks there, so no mask."""
        width = int(self.rows.lengths[list(group)].max())
        input_ids = np.full((len(group), width), self.pad_id, dtype=np.int64)
        labels = np.full((len(group), width), IGNORED, dtype=np.int64)
        for line, index in enumerate(group):
            ids, mask = self.rows.row(index)
            input_ids[line, : len(ids)] = ids
            labels[line, : len(ids)] = np.where(mask == 1, ids, IGNORED)
        labels[:, 0] = IGNORED  # nothing comes before the first id that could predict it
        return {"input_ids": torch.from_numpy(input_ids), "labels": torch.from_numpy(labels)}
