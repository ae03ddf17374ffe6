"""Near-duplicate clusters of texts: MinHash and LSH (datasketch) to find candidates, exact Jaccard to decide.

A text is the set of its character pairs and of the jieba words of its start. The result depends on the set of texts
only, not on their order. Knows nothing of rows, splits or files.
"""

from __future__ import annotations

import hashlib
import logging
import unicodedata
import zlib
from collections.abc import Callable, Hashable, Iterable, Sequence

import jieba
import numpy as np
from numpy.typing import NDArray

from training.ml.records import Body, Kind

Features = NDArray[np.uint32]

SIMILAR = 0.7  # Jaccard from which two texts count as near-duplicates
# 24 bands of 5: two texts at 0.7 meet with 0.988, two at 0.15 with 0.002.
_BANDS, _BAND_ROWS = 24, 5
_PERMUTATIONS = _BANDS * _BAND_ROWS
_ESTIMATE_MARGIN = 0.2
# A near-copy of a text that is already in the index would find nothing that the other does not.
_SAME = 0.95
# Shorter texts have too few features for a share to mean anything: only equal ones meet.
_SHORTEST = 4
# jieba cuts half a million characters a second; the start is enough to tell short questions apart.
_WORD_CHARS = 32

jieba.setLogLevel(logging.WARNING)


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


def normalise(text: str) -> str:
    """What is compared: NFKC, lower case, letters and digits of every script only."""
    folded = unicodedata.normalize("NFKC", text).lower()
    return "".join(filter(str.isalnum, folded)) or folded.strip()


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


def _features(text: str) -> Features:
    """Hashes of character pairs and words, sorted and unique."""
    points = np.frombuffer(text.encode("utf-32-le", "replace"), dtype=np.uint32)
    pairs = points[:-1] * np.uint32(0x9E3779B1) ^ points[1:] * np.uint32(0x85EBCA77)
    words = [zlib.crc32(word.encode("utf-8", "replace")) for word in jieba.cut(text[:_WORD_CHARS]) if len(word) > 1]
    return np.unique(np.concatenate([pairs, np.array(words, dtype=np.uint32)]))


def _jaccard(one: Features, other: Features) -> float:
    shared = np.intersect1d(one, other, assume_unique=True).size
    return float(shared / (one.size + other.size - shared))


class _Index:
    """Texts seen so far; `neighbours` finds the similar ones among them and remembers the new one."""

    def __init__(self, count: int) -> None:
        # It brings scipy, a second that a starting web process need not wait.
        from datasketch import MinHash, MinHashLSH

        self._lsh = MinHashLSH(num_perm=_PERMUTATIONS, params=(_BANDS, _BAND_ROWS))
        self._empty = MinHash(num_perm=_PERMUTATIONS, hashfunc=int, scheme="affine32")
        self._signatures = np.zeros((count, _PERMUTATIONS), dtype=np.uint32)
        self._features: list[Features] = []

    def neighbours(self, text: str) -> list[int]:
        features = _features(text)
        sketch = self._empty.copy()
        sketch.update_batch(features.tolist())
        number = len(self._features)
        self._features.append(features)
        self._signatures[number] = sketch.hashvalues
        found = self._similar(number, self._lsh.query(sketch))
        if not any(share >= _SAME for _, share in found):
            self._lsh.insert(number, sketch, check_duplication=False)
        return [other for other, _ in found]

    def _similar(self, number: int, candidates: list[int]) -> list[tuple[int, float]]:
        if not candidates:
            return []
        chosen = np.array(sorted(candidates))
        estimates = (self._signatures[chosen] == self._signatures[number]).mean(axis=1)
        likely = chosen[estimates >= SIMILAR - _ESTIMATE_MARGIN]
        shares = ((int(other), _jaccard(self._features[number], self._features[other])) for other in likely)
        return [(other, share) for other, share in shares if share >= SIMILAR]


def cluster(texts: Sequence[str], *, on_progress: Callable[[int], None] = lambda done: None) -> list[str]:
    """One cluster id a text, in the order given; alike texts get the same id.

    The id is the hash of the cluster's smallest text hash: the same texts give the same ids on any machine.
    on_progress is called with the number of texts done, every few hundred.
    """
    keys = [_key(normalise(text)) for text in texts]
    distinct = {key: normalise(text) for key, text in zip(keys, texts, strict=True)}
    groups = UnionFind()
    # Sorted, because which candidates are met depends a little on the order.
    ordered = sorted(key for key, text in distinct.items() if len(text) >= _SHORTEST)
    index = _Index(len(ordered))
    for number, key in enumerate(ordered):
        for other in index.neighbours(distinct[key]):
            groups.union(ordered[other], key)
        if number % 500 == 0:
            on_progress(number)
    names = _smallest(groups, distinct)
    return [names[groups.find(key)] for key in keys]


def _key(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:24]


def _smallest(groups: UnionFind, keys: Iterable[str]) -> dict[Hashable, str]:
    names: dict[Hashable, str] = {}
    for key in keys:
        root = groups.find(key)
        names[root] = min(key, names.get(root, key))
    return names
