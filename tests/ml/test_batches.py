"""The order of rows, the cutting of steps and the padding."""

from __future__ import annotations

import numpy as np
import torch

from training.ml.batches import Collator, RowsBuilder, Schedule, TokenRows, micro_batches

LENGTHS = np.random.default_rng(1).integers(3, 60, 500)


def rows_of(*rows: list[int], mask: list[int] | None = None) -> TokenRows:
    builder = RowsBuilder()
    for ids in rows:
        builder.add(ids, mask or [1] * len(ids))
    return builder.build()


def test_every_row_is_visited_once_an_epoch() -> None:
    schedule = Schedule(LENGTHS, batch_size=32, epochs=2, seed=1)

    visits = [row for step in schedule for row in step]

    assert len(list(schedule)) == len(schedule) == 2 * 16
    assert sorted(visits) == sorted([*range(500), *range(500)])


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    first = list(Schedule(LENGTHS, batch_size=32, epochs=2, seed=1))

    assert first == list(Schedule(LENGTHS, batch_size=32, epochs=2, seed=1))
    assert first != list(Schedule(LENGTHS, batch_size=32, epochs=2, seed=2))
    assert first[:16] != first[16:]


def test_part_of_an_epoch_is_the_beginning_of_it() -> None:
    whole = list(Schedule(LENGTHS, batch_size=32, epochs=1, seed=1))

    assert list(Schedule(LENGTHS, batch_size=32, epochs=0.5, seed=1)) == whole[:8]


def test_processes_share_every_step() -> None:
    whole = list(Schedule(LENGTHS, batch_size=32, epochs=1, seed=1))
    shares = [list(Schedule(LENGTHS, batch_size=32, epochs=1, seed=1, rank=rank, ranks=2)) for rank in (0, 1)]

    assert [sorted(a + b) for a, b in zip(*shares, strict=True)] == [sorted(step) for step in whole]


def test_rows_of_a_step_are_alike_in_length() -> None:
    schedule = Schedule(LENGTHS, batch_size=10, epochs=1, seed=1)

    padding = sum(len(step) * LENGTHS[step].max() - LENGTHS[step].sum() for step in schedule)

    assert padding < 0.05 * LENGTHS.sum()


def test_micro_batches_stay_within_the_budget() -> None:
    groups = micro_batches(range(100), LENGTHS, 128)

    assert sorted(row for group in groups for row in group) == list(range(100))
    assert all(len(group) * LENGTHS[group].max() <= 128 for group in groups)


def test_a_row_longer_than_the_budget_goes_alone() -> None:
    assert micro_batches([0, 1], np.array([50, 50]), 10) == [[0], [1]]


def test_padding_is_on_the_right_and_never_a_target() -> None:
    step = Collator(rows_of([5, 6, 7], [8, 9]), budget=100, pad_id=0)([1, 0])

    (micro,) = step["micro"]
    assert micro["input_ids"].tolist() == [[5, 6, 7], [8, 9, 0]]
    assert micro["labels"].tolist() == [[-100, 6, 7], [-100, 9, -100]]
    assert (step["targets"], step["tokens"], step["rows"]) == (3, 5, 2)


def test_masked_ids_are_no_targets() -> None:
    step = Collator(rows_of([5, 6, 7, 8], mask=[0, 0, 1, 1]), budget=100, pad_id=0)([0])

    assert torch.equal(step["micro"][0]["labels"], torch.tensor([[-100, -100, 7, 8]]))
