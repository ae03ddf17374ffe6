"""The features of many texts at once, and which of them are worth comparing: MinHash bands and rare character triples.

Features are characters and character pairs: measured against pairs and jieba words, they find more slips of the hand
with fewer false friends, at a third of the time. A Latin letter by itself is no feature: every English text has most.

The permutations are datasketch's, so a text has the MinHash that datasketch would give it; they are computed for all
texts by numpy, because one MinHash object a text takes ten times as long. Works on numbers of texts; whoever calls
keeps the texts in an order that does not depend on the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from training.ml.likeness import slips_allowed

Numbers = NDArray[np.int64]
Hashes = NDArray[np.uint32]
Long = NDArray[np.uint64]

# 24 bands of 5: two texts at 0.7 meet with 0.988, two at 0.15 with 0.002.
BANDS, BAND_ROWS = 24, 5
# In a crowd that shares a hash, each text meets so many of its neighbours in order of the texts, and the first.
_NEIGHBOURS_IN_BAND, _NEIGHBOURS_OF_TRIPLE = 4, 16
_GRAM = 3
_FIRST_TELLING = 0x2E80  # from here on scripts have thousands of characters, and one says something by itself
_PAIRS_AT_ONCE = 50_000
_TEXTS_AT_ONCE = 20_000


class Pairs:
    """Pairs of text numbers, the smaller first, each once, in order."""

    def __init__(self, ones: Numbers, others: Numbers) -> None:
        low, high = np.minimum(ones, others).astype(np.uint64), np.maximum(ones, others).astype(np.uint64)
        self._set(_unique(low << np.uint64(32) | high))

    def _set(self, codes: Long) -> None:
        self._codes = codes
        self.ones = (codes >> np.uint64(32)).astype(np.int64)
        self.others = (codes & np.uint64(0xFFFFFFFF)).astype(np.int64)

    def __len__(self) -> int:
        return len(self.ones)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.ones.tolist(), self.others.tolist(), strict=True)

    def where(self, wanted: NDArray[np.bool_]) -> Pairs:
        chosen = Pairs.__new__(Pairs)
        chosen._set(self._codes[wanted])
        return chosen

    def without(self, others: Pairs) -> Pairs:
        return self.where(~np.isin(self._codes, others._codes, assume_unique=True))

    def __add__(self, more: Pairs) -> Pairs:
        return Pairs(np.concatenate([self.ones, more.ones]), np.concatenate([self.others, more.others]))


class Sketches:
    """The sets of features of texts: their Chinese and alike characters, and hashes of their character pairs.

    All in two arrays: the features, text after text, and where each text begins. No text may be shorter than two.
    """

    def __init__(self, texts: Sequence[str], on_progress: Callable[[int], None] = lambda done: None) -> None:
        parts, sizes = [], []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            features, counts = _features(texts[start : start + _TEXTS_AT_ONCE])
            parts.append(features)
            sizes.append(counts)
            on_progress(start)
        self.features: Hashes = np.concatenate(parts)
        self.sizes: Numbers = np.concatenate(sizes)
        self.starts: Numbers = np.cumsum(self.sizes) - self.sizes
        self._mixed = _mixed(self.features)

    def minhashes(self, first: int, count: int) -> Hashes:
        """Rows first..first+count of every text's MinHash, one array row a permutation."""
        # It brings scipy, a second that a starting web process need not wait.
        from datasketch import MinHash

        factors, terms = MinHash(num_perm=BANDS * BAND_ROWS, scheme="affine32").permutations
        rows = range(first, first + count)
        return np.stack([np.minimum.reduceat(self._mixed * factors[n] + terms[n], self.starts) for n in rows])

    def met_in_band(self, band: int) -> Pairs:
        """Texts whose MinHashes are equal in all rows of a band."""
        joined = np.zeros(len(self.starts), dtype=np.uint64)
        for row in self.minhashes(band * BAND_ROWS, BAND_ROWS):
            joined = (joined ^ row) * np.uint64(0x9E3779B97F4A7C15)
            joined ^= joined >> np.uint64(29)
        order = np.argsort(joined, kind="stable")
        return _together(_neighbours(joined[order], order, _NEIGHBOURS_IN_BAND))

    def jaccard(self, pairs: Pairs) -> NDArray[np.float64]:
        shares = [
            self._jaccard(pairs.ones[start : start + _PAIRS_AT_ONCE], pairs.others[start : start + _PAIRS_AT_ONCE])
            for start in range(0, len(pairs), _PAIRS_AT_ONCE)
        ]
        return np.concatenate(shares) if shares else np.zeros(0)

    def _jaccard(self, ones: Numbers, others: Numbers) -> NDArray[np.float64]:
        tagged = np.concatenate([self._tagged(ones), self._tagged(others)])
        tagged.sort()
        # A set has each feature once, so what comes twice is in both.
        twice = tagged[1:][tagged[1:] == tagged[:-1]] >> np.uint64(32)
        shared = np.bincount(twice.astype(np.int64), minlength=len(ones))
        return shared / (self.sizes[ones] + self.sizes[others] - shared)

    def _tagged(self, texts: Numbers) -> Long:
        """The features of each text, with its place in `texts` in the upper half."""
        sizes = self.sizes[texts]
        owners = np.repeat(np.arange(len(texts)), sizes)
        inside = np.arange(len(owners)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        chosen = self.features[self.starts[texts][owners] + inside]
        return _tag(owners, chosen)


def _unique(values: Long) -> Long:
    """Sorted and each once; several times faster than numpy's, which hashes."""
    ordered = np.sort(values)
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(ordered) else ordered


def _mixed(values: Hashes) -> Hashes:
    """Murmur's last step, which datasketch takes before it permutes."""
    mixed = values ^ values >> np.uint32(16)
    mixed = mixed * np.uint32(0x85EBCA6B)
    mixed ^= mixed >> np.uint32(13)
    mixed = mixed * np.uint32(0xC2B2AE35)
    mixed ^= mixed >> np.uint32(16)
    return mixed


def _features(texts: Sequence[str]) -> tuple[Hashes, Numbers]:
    """All features, text after text, and their number by text."""
    points, owners = _points(texts)
    inside = owners[1:] == owners[:-1]
    pairs = (points[:-1] * np.uint32(0x9E3779B1) ^ points[1:] * np.uint32(0x85EBCA77))[inside]
    alone = points >= _FIRST_TELLING
    tagged = np.concatenate([_tag(owners[alone], points[alone]), _tag(owners[1:][inside], pairs)])
    unique = _unique(tagged)
    sizes = np.bincount((unique >> np.uint64(32)).astype(np.int64), minlength=len(texts))
    return (unique & np.uint64(0xFFFFFFFF)).astype(np.uint32), sizes


def _points(texts: Sequence[str]) -> tuple[Hashes, Numbers]:
    """The code points of all texts, and whose each is."""
    points = np.frombuffer("".join(texts).encode("utf-32-le", "replace"), dtype=np.uint32)
    return points, np.repeat(np.arange(len(texts)), [len(text) for text in texts])


def _tag(owners: Numbers, values: NDArray[np.unsignedinteger]) -> Long:
    return owners.astype(np.uint64) << np.uint64(32) | values.astype(np.uint64)


def _neighbours(values: Long, texts: Numbers, reach: int) -> Iterator[tuple[Numbers, Numbers]]:
    """Texts with equal values, which lie side by side: each with the next ones, and with the first of the crowd."""
    for step in range(1, min(reach, len(values) - 1) + 1):
        same = values[step:] == values[:-step]
        yield texts[:-step][same], texts[step:][same]
    begins = np.concatenate([[True], values[1:] != values[:-1]])
    first = texts[begins][np.cumsum(begins) - 1]
    apart = first != texts
    yield first[apart], texts[apart]


def _together(parts: Iterable[tuple[Numbers, Numbers]]) -> Pairs:
    ones, others = zip(*parts, strict=True)
    return Pairs(np.concatenate(ones), np.concatenate(others))


# --- a few characters apart -----------------------------------------------------------------------------------------


def met_by_triples(texts: Sequence[str]) -> Pairs:
    """Texts that may differ by the slips that `likeness` allows: they share one of their rarest character triples.

    A slip harms three triples, so of the 3k + 1 rarest of two texts that are k slips apart one is in both.
    """
    allowed = np.array([slips_allowed(text) for text in texts], dtype=np.int64)
    chosen = np.flatnonzero(allowed)
    short = [texts[number] for number in chosen.tolist()]
    triples, owners = _rare_triples(short, allowed[chosen])
    if not len(triples):
        return Pairs(owners, owners)
    order = np.lexsort((owners, triples))
    met = _neighbours(triples[order], owners[order], _NEIGHBOURS_OF_TRIPLE)
    near = _together(map(_Nearness(short, allowed[chosen]).filter, met))
    return Pairs(chosen[near.ones], chosen[near.others])


def _rare_triples(texts: Sequence[str], allowed: Numbers) -> tuple[Long, Numbers]:
    points, owners = _points(texts)
    wide = points.astype(np.uint64)
    inside = owners[2:] == owners[:-2]
    triples = (wide[:-2] << np.uint64(42) | wide[1:-1] << np.uint64(21) | wide[2:])[inside]
    whose = owners[2:][inside]
    _names, index, counts = np.unique(triples, return_inverse=True, return_counts=True)
    order = np.lexsort((index, counts[index], whose))
    sizes = np.bincount(whose, minlength=len(texts))
    rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept = order[(rank <= _GRAM * allowed[whose]) & (counts[index][order] > 1)]
    return triples[kept], whose[kept]


class _Nearness:
    """Tells without a look at the texts which cannot be near: too long, or with too many other characters."""

    def __init__(self, texts: Sequence[str], allowed: Numbers) -> None:
        points, owners = _points(texts)
        bits = (points * np.uint32(0x9E3779B1) >> np.uint32(26)).astype(np.uint64)
        self._allowed = allowed
        self._lengths = np.array([len(text) for text in texts])
        self._sets = np.zeros(len(texts), dtype=np.uint64)
        np.bitwise_or.at(self._sets, owners, np.uint64(1) << bits)

    def filter(self, met: tuple[Numbers, Numbers]) -> tuple[Numbers, Numbers]:
        ones, others = met
        slips = np.minimum(self._allowed[ones], self._allowed[others])
        # A slip changes two bits of a set of 64 at most.
        near = np.bitwise_count(self._sets[ones] ^ self._sets[others]) <= 2 * slips
        near &= np.abs(self._lengths[ones] - self._lengths[others]) <= slips
        return ones[near], others[near]
