"""Near-duplicate clusters of texts.

Candidates come from MinHash bands and from rare character triples (`sketches`); Jaccard, or for a few characters
`likeness`, decides. The result depends on the set of texts only, not on their order. Knows nothing of rows, splits
or files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from training.ml.likeness import SHORTEST, asks_for_another, differs_by_slips, essence, fold, letters
from training.ml.records import Body, Kind
from training.ml.sketches import BANDS, Numbers, Pairs, Sketches, met_by_triples

# What counts as a near-duplicate; a frozen dataset says by which it was split.
# 1: Jaccard 0.7 of character pairs and words. 2: of Chinese characters and pairs; also slips, order, politeness.
DEFINITION = 2
SIMILAR = 0.72  # Jaccard of characters and pairs from which two texts count as near-duplicates
# From here on two texts of exactly the same characters are one in another order.
_REORDERED = 0.5


class UnionFind:
    """Connected components over hashable items."""

    def __init__(self) -> None:
        self._parent: dict[Hashable, Hashable] = {}

    def find(self, item: Hashable) -> Hashable:
        root = item
        while (parent := self._parent.setdefault(root, root)) != root:
            root = parent
        while self._parent[item] != root:
            self._parent[item], item = root, self._parent[item]
        return root

    def union(self, one: Hashable, other: Hashable) -> None:
        self._parent[self.find(other)] = self.find(one)


class _Groups:
    """Which texts are in one group so far: each points at a smaller number of its group, or at itself."""

    def __init__(self, count: int) -> None:
        self.firsts: Numbers = np.arange(count)

    def apart(self, pairs: Pairs) -> Pairs:
        return pairs.where(self.firsts[pairs.ones] != self.firsts[pairs.others])

    def join(self, pairs: Pairs) -> None:
        for one, other in pairs:
            low, high = sorted((self._first(one), self._first(other)))
            self.firsts[high] = low
        while (nearer := self.firsts[self.firsts]).tolist() != self.firsts.tolist():
            self.firsts = nearer

    def _first(self, number: int) -> int:
        while (before := int(self.firsts[number])) != number:
            number = before
        return number


def normalise(text: str) -> str:
    """NFKC, lower case, letters and digits of every script only."""
    return letters(fold(text))


def text_of(kind: Kind, body: Body) -> str:
    """The part of a row by which near-duplicates are found.

    For a single exchange the question alone: the same question with another answer must not sit in two splits.
    For longer dialogues the whole, because many begin alike.
    """
    if kind == "document":
        return str(body["text"])
    messages = body["messages"] if kind == "dialogue" else body["prompt"]
    asked = [message["content"] for message in messages if message["role"] == "user"]
    if len(asked) == 1:
        return str(asked[0])
    return "\n".join(message["content"] for message in messages)


def cluster(texts: Sequence[str], *, on_progress: Callable[[int], None] = lambda done: None) -> list[str]:
    """One cluster id a text, in the order given; alike texts get the same id.

    The id is the hash of the cluster's smallest text hash: the same texts give the same ids on any machine.
    on_progress is called with the number of texts done, every second or so.
    """
    compared = [essence(text) for text in texts]
    # Sorted, because which candidates are met depends a little on the order.
    distinct = sorted(set(compared))
    firsts = _grouped(distinct, lambda share: on_progress(int(share * len(texts))))
    keys = [_key(text) for text in distinct]
    names: dict[int, str] = {}
    for key, first in zip(keys, firsts, strict=True):
        names[first] = min(key, names.get(first, key))
    named = {text: names[first] for text, first in zip(distinct, firsts, strict=True)}
    return [named[text] for text in compared]


def _key(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:24]


def _grouped(texts: Sequence[str], on_progress: Callable[[float], None]) -> list[int]:
    """For each text the number of the first of its group."""
    groups = _Groups(len(texts))
    long = np.array([number for number, text in enumerate(texts) if len(text) >= SHORTEST], dtype=np.int64)
    if len(long) > 1:
        compared = [texts[number] for number in long.tolist()]
        found = _Groups(len(compared))
        for near in _near(compared, found, on_progress):
            found.join(near)
        groups.firsts[long] = long[found.firsts]
    result: list[int] = groups.firsts.tolist()
    return result


def _near(texts: Sequence[str], groups: _Groups, on_progress: Callable[[float], None]) -> Iterator[Pairs]:
    """Pairs of near-duplicates, a part at a time; those that are in one group by then are not looked at again."""
    sketches = Sketches(texts, lambda done: on_progress(0.3 * done / len(texts)))
    refused = Pairs(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    for band in range(BANDS):
        pairs = groups.apart(sketches.met_in_band(band)).without(refused)
        likely, near = _judged(texts, pairs, sketches.jaccard(pairs))
        yield likely.where(near)
        # A crowd that differs in its numbers alone meets in every band.
        refused += likely.where(~near)
        on_progress(0.3 + 0.4 * band / BANDS)
    pairs = groups.apart(met_by_triples(texts))
    yield pairs.where(_by_slips(texts, pairs, lambda share: on_progress(0.7 + 0.3 * share)))


def _judged(texts: Sequence[str], pairs: Pairs, shares: NDArray[np.float64]) -> tuple[Pairs, NDArray[np.bool_]]:
    """The pairs that are likely, and which of them are near-duplicates."""
    likely = pairs.where(shares >= _REORDERED)
    near = shares[shares >= _REORDERED] >= SIMILAR
    for number, (one, other) in enumerate(likely):
        if near[number]:
            near[number] = not asks_for_another(texts[one], texts[other])
        else:
            near[number] = sorted(texts[one]) == sorted(texts[other])
    return likely, near


def _by_slips(texts: Sequence[str], pairs: Pairs, on_progress: Callable[[float], None]) -> NDArray[np.bool_]:
    near = np.zeros(len(pairs), dtype=np.bool_)
    for number, (one, other) in enumerate(pairs):
        near[number] = differs_by_slips(texts[one], texts[other])
        if number % 10_000 == 0:
            on_progress(number / len(pairs))
    return near
