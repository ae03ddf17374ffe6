"""Which row goes into which split, so that nothing leaks: whole units move together and stay where they once were.

A unit is a connected set of rows: near-duplicates, paraphrases of one fact (same group), and questions with the
same answer. Pure: the result depends on the rows only, neither on their order nor on a seed.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from training.ml.cluster import UnionFind
from training.ml.records import Split

Shares = Mapping[Split, float]

DEFAULT_SHARES: Shares = {"train": 0.9, "validation": 0.05, "test": 0.05, "phrasing": 0.1}
# From here on one unit is held out for validation and one for test whatever the shares say; below, all is trained on.
FEWEST_UNITS = 5
_PHRASINGS = 3
# An answer that more rows share than this is a phrase ("I do not know"), not a fact.
_COMMON_ANSWER = 20
_TRAINED: frozenset[str] = frozenset({"train", "phrasing"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A row as splitting sees it.

    known: its split in an earlier version; answer: what a single exchange answers; anchor: the row is not wanted in
    this version, only its neighbours shall follow it.
    """

    key: str
    cluster: str
    group: str = ""
    answer: str = ""
    known: str = ""
    anchor: bool = False


@dataclass(slots=True, kw_only=True)
class Placement:
    """Split by key, keys that had to be left out, and the number of units."""

    splits: dict[str, Split] = field(default_factory=dict)
    between: set[str] = field(default_factory=set)
    units: int = 0


def _draw(purpose: str, name: str) -> float:
    """0..1, fixed for a name: the hash plays the dice."""
    return int.from_bytes(hashlib.sha256(f"{purpose}:{name}".encode()).digest()[:8], "big") / 2**64


def _shared_answers(items: Sequence[Item]) -> set[str]:
    counts = Counter(item.answer for item in items if item.answer)
    return {answer for answer, count in counts.items() if 1 < count <= _COMMON_ANSWER}


def _facts(items: Sequence[Item], shared: set[str]) -> dict[str, str]:
    """key -> the fact it asks for: its group, else its answer where a few rows share it."""
    facts = {item.key: f"group:{item.group}" for item in items if item.group}
    answered = {item.key: f"answer:{item.answer}" for item in items if item.answer in shared}
    return answered | facts


def _units(items: Sequence[Item], shared: set[str]) -> list[list[Item]]:
    links = UnionFind()
    for item in items:
        row = ("row", item.key)
        links.union(("cluster", item.cluster), row)
        if item.group:
            links.union(("group", item.group), row)
        if item.answer in shared:
            links.union(("answer", item.answer), row)
    units: dict[Hashable, list[Item]] = defaultdict(list)
    for item in items:
        units[links.find(("row", item.key))].append(item)
    return sorted(units.values(), key=_name)


def _name(unit: Iterable[Item]) -> str:
    return min(item.group or item.cluster for item in unit)


class _Placing:
    """The state of one assignment."""

    def __init__(self, units: list[list[Item]]) -> None:
        self.wanted = [unit for unit in units if not all(item.anchor for item in unit)]
        self.placement = Placement(units=len(self.wanted))
        self.free: list[list[Item]] = []
        for unit in self.wanted:
            self._place(unit)

    def _place(self, unit: list[Item]) -> None:
        known = {item.known for item in unit if item.known}
        if not known:
            self.free.append(unit)
        if known <= _TRAINED:
            self._put(unit, "train")
        elif len(known) == 1:
            self._put(unit, "test" if known == {"test"} else "validation")
        else:
            self._bridge(unit)

    def _bridge(self, unit: list[Item]) -> None:
        # New rows that join a trained and a tested one would leak wherever they went.
        self.placement.between.update(item.key for item in unit if not item.known)
        self._put([item for item in unit if item.known], "train")

    def _put(self, unit: list[Item], split: Split) -> None:
        for item in unit:
            self.placement.splits[item.key] = _as_split(item.known) or split

    def hold_out(self, split: Split, share: float) -> None:
        """Move the new units that draw lowest into `split` until it has its share of the units, one at least."""
        if self.placement.units < FEWEST_UNITS:
            return
        held = sum(any(self.placement.splits.get(item.key) == split for item in unit) for unit in self.wanted)
        missing = max(1, round(share * self.placement.units)) - held
        # No single unit of more than a fifth of the rows: it would make the split, or starve training.
        most = max(1, len(self.placement.splits) // 5)
        ordered = sorted((unit for unit in self.free if len(unit) <= most), key=lambda unit: _draw(split, _name(unit)))
        for unit in ordered[: max(0, missing)]:
            self._put(unit, split)
        taken = {id(unit) for unit in ordered[: max(0, missing)]}
        self.free = [unit for unit in self.free if id(unit) not in taken]


def _as_split(known: str) -> Split | None:
    names: tuple[Split, ...] = ("train", "validation", "test", "phrasing")
    return next((name for name in names if name == known), None)


def _spare_clusters(rows: list[Item], members: Mapping[str, list[Item]], keys: set[str]) -> list[str]:
    """Clusters of a fact that may be held out: every row is new and asks for this fact."""
    clusters = {item.cluster for item in rows}
    return sorted(name for name in clusters if all(not item.known and item.key in keys for item in members[name]))


def _hold_phrasings(items: Sequence[Item], facts: Mapping[str, str], placement: Placement, share: float) -> None:
    """From a share of the trained facts one phrasing, with all its near-duplicates, is kept out of training."""
    members: dict[str, list[Item]] = defaultdict(list)
    by_fact: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        members[item.cluster].append(item)
        if item.key in facts and item.answer and placement.splits.get(item.key) in _TRAINED:
            by_fact[facts[item.key]].append(item)
    _follow_held(members, placement)
    for fact in _lenders(by_fact, placement, share):
        rows = by_fact[fact]
        if spare := _spare_clusters(rows, members, {item.key for item in rows}):
            held = min(spare, key=lambda name: _draw("which", name))
            placement.splits.update((item.key, "phrasing") for item in members[held])


def _follow_held(members: Mapping[str, list[Item]], placement: Placement) -> None:
    # A new near-duplicate of a held-out phrasing must not be trained on either.
    for rows in members.values():
        if any(item.known == "phrasing" for item in rows):
            placement.splits.update((item.key, "phrasing") for item in rows if not item.known)


def _lenders(by_fact: Mapping[str, list[Item]], placement: Placement, share: float) -> list[str]:
    """Of the facts with three phrasings or more, those that draw lowest, until `share` of them have lent one."""
    able = [fact for fact, rows in by_fact.items() if len({item.cluster for item in rows}) >= _PHRASINGS]
    lent = {fact for fact in able if any(placement.splits[item.key] == "phrasing" for item in by_fact[fact])}
    free = sorted(set(able) - lent, key=lambda fact: (_draw("phrasing", fact), fact))
    return free[: max(0, round(share * len(able)) - len(lent))]


def place(items: Iterable[Item], shares: Shares = DEFAULT_SHARES) -> Placement:
    """The split of every row. Rows with a known split keep it; units that hold one follow it."""
    ordered = sorted(items, key=lambda item: item.key)
    shared = _shared_answers(ordered)
    placing = _Placing(_units(ordered, shared))
    placing.hold_out("test", shares["test"])
    placing.hold_out("validation", shares["validation"])
    placement = placing.placement
    _hold_phrasings(ordered, _facts(ordered, shared), placement, shares["phrasing"])
    for key in placement.between:
        placement.splits.pop(key, None)
    return placement
