"""What two frozen datasets have not in common: rows added, removed, changed (same key, other content) or moved.

Both are read side by side in the order of their row hashes, without the texts: memory grows with the differences only.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from training.ml.dataset import FrozenDataset
from training.ml.records import SPLITS, Split

Change = Literal["added", "removed", "changed", "moved"]
CHANGES: tuple[Change, ...] = ("added", "removed", "changed", "moved")


class Place(NamedTuple):
    """Where a row lies in a dataset."""

    hash: str
    key: str
    split: Split
    number: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One row: where it is in the later dataset and where it was in the earlier one."""

    change: Change
    now: Place | None
    before: Place | None

    @property
    def key(self) -> str:
        place = self.now or self.before
        return place.key if place else ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """kept: rows that are equal and in the same split."""

    kept: int
    differences: tuple[Difference, ...]

    @property
    def counts(self) -> dict[str, int]:
        counted = Counter(difference.change for difference in self.differences)
        return {change: counted[change] for change in CHANGES} | {"kept": self.kept}


def _places(frozen: FrozenDataset) -> Iterator[Place]:
    """All rows in the order of their hashes; each file is in that order already."""
    return heapq.merge(*(_placed(frozen, split) for split in SPLITS))


def _placed(frozen: FrozenDataset, split: Split) -> Iterator[Place]:
    for number, (row_hash, key, _cluster) in enumerate(frozen.places(split)):
        yield Place(row_hash, key, split, number)


class _Side:
    """One of the two, with a place to look at."""

    def __init__(self, frozen: FrozenDataset) -> None:
        self._places = _places(frozen)
        self.place = next(self._places, None)

    def pop(self) -> Place | None:
        popped, self.place = self.place, next(self._places, None)
        return popped


def compare(now: FrozenDataset, before: FrozenDataset) -> Comparison:
    """The difference of two datasets. Remembered for the last few: what is frozen never changes."""
    return _compare(_Frozen(now), _Frozen(before))


class _Frozen:
    """A dataset that equals every other one with its hash and directory."""

    def __init__(self, frozen: FrozenDataset) -> None:
        self.frozen = frozen
        self._name = (str(frozen.directory), frozen.hash)

    def __hash__(self) -> int:
        return hash(self._name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Frozen) and self._name == other._name


@lru_cache(maxsize=4)
def _compare(now: _Frozen, before: _Frozen) -> Comparison:
    kept, moved, added, removed = _merged(_Side(now.frozen), _Side(before.frozen))
    then = {place.key: place for place in removed}
    changed = [Difference("changed", place, then.pop(place.key)) for place in added if place.key in then]
    same = {difference.key for difference in changed}
    new = [Difference("added", place, None) for place in added if place.key not in same]
    gone = [Difference("removed", None, place) for place in then.values()]
    return Comparison(kept, (*new, *gone, *changed, *moved))


def _merged(now: _Side, before: _Side) -> tuple[int, list[Difference], list[Place], list[Place]]:
    """Rows that are equal, moved, only in the later and only in the earlier one."""
    kept = 0
    moved: list[Difference] = []
    added: list[Place] = []
    removed: list[Place] = []
    while now.place or before.place:
        if before.place is None or (now.place is not None and now.place.hash < before.place.hash):
            added.extend(filter(None, [now.pop()]))
        elif now.place is None or before.place.hash < now.place.hash:
            removed.extend(filter(None, [before.pop()]))
        else:
            here, there = now.place, before.place
            now.pop()
            before.pop()
            kept += here.split == there.split
            if here.split != there.split:
                moved.append(Difference("moved", here, there))
    return kept, moved, added, removed
