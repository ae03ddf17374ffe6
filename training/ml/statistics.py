"""Figures of many rows, taken one after the other: lengths, turns, words, languages, clusters.

Memory grows with the number of different words and clusters, both bounded, not with the texts. What comes out is plain
JSON and depends on the rows, not on their order. Knows no database and no page.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from training.ml.clean.chinese import segmenter, shipped_stop_words
from training.ml.likeness import fold
from training.ml.records import Body, Kind

FORMAT = 1
TOP_WORDS = 60
LARGEST_CLUSTERS = 10
EXAMPLES_OF_CLUSTER = 4
# Lower edges of the bars; the last has no upper one.
LENGTH_EDGES = (0, 1, 5, 10, 20, 30, 50, 100, 200, 500, 1000, 2000, 5000)
TURN_EDGES = (1, 2, 3, 4, 5, 6, 8, 11, 21, 51)
CLUSTER_EDGES = (1, 2, 3, 4, 6, 11, 21, 51, 101)
# Of a long document the start tells the words; jieba cuts half a million characters a second.
_WORD_CHARS = 2000
_EXAMPLE_CHARS = 120
# From here on rare words are forgotten: each can then be off by what it was forgotten with.
_MOST_WORDS, _KEPT_WORDS = 400_000, 200_000
# The texts of so many clusters are remembered; nearly all of them turn out to have one row.
_MOST_REMEMBERED = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is counted of a row; `facts` are columns that are counted by value, such as its state."""

    kind: Kind
    body: Body
    cluster: str = ""
    facts: dict[str, str] = field(default_factory=dict)


def turns_of(kind: Kind, body: Body) -> tuple[list[str], list[str]]:
    """What people wrote and what is answered; a document is all answer."""
    if kind == "document":
        return [], [body["text"]]
    messages = [*body.get("messages", []), *body.get("prompt", [])]
    asked = [message["content"] for message in messages if message["role"] == "user"]
    answered = [message["content"] for message in messages if message["role"] == "assistant"]
    return asked, [*answered, *(body[name] for name in ("chosen", "rejected", "completion") if name in body)]


class Lengths:
    """Numbers, kept as how often each came."""

    def __init__(self, edges: Sequence[int]) -> None:
        self._edges = edges
        self._counts: Counter[int] = Counter()

    def add(self, value: int) -> None:
        self._counts[value] += 1

    def to_json(self) -> dict[str, Any]:
        count = sum(self._counts.values())
        if not count:
            return {"count": 0, "bars": []}
        return {
            "count": count,
            "mean": round(sum(value * times for value, times in self._counts.items()) / count, 2),
            "least": min(self._counts),
            "median": self._at(0.5, count),
            "p95": self._at(0.95, count),
            "most": max(self._counts),
            "bars": list(self._bars()),
        }

    def _at(self, share: float, count: int) -> int:
        """The value below or at which that share of all lies."""
        seen = 0
        for value in sorted(self._counts):
            seen += self._counts[value]
            if seen >= share * count:
                return value
        return max(self._counts)

    def _bars(self) -> Iterator[dict[str, int | None]]:
        """From, to (None: and more) and how many; empty bars at both ends are left out."""
        bars = []
        for number, low in enumerate(self._edges):
            high = self._edges[number + 1] - 1 if number + 1 < len(self._edges) else None
            inside = (
                times for value, times in self._counts.items() if low <= value and (high is None or value <= high)
            )
            bars.append({"from": low, "to": high, "count": sum(inside)})
        filled = [number for number, bar in enumerate(bars) if bar["count"]]
        yield from bars[filled[0] : filled[-1] + 1] if filled else []


class TopWords:
    """How often each word came, without the words that every text has."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self.forgot = False

    def add(self, text: str) -> None:
        self._counts.update(_telling_words(text))
        if len(self._counts) > _MOST_WORDS:
            self._counts = Counter(dict(self._counts.most_common(_KEPT_WORDS)))
            self.forgot = True

    def to_json(self) -> list[list[Any]]:
        ordered = heapq.nsmallest(TOP_WORDS, self._counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return [[word, count] for word, count in ordered]


@cache
def stop_words() -> frozenset[str]:
    """Those of the packages pystopwords and stopwordsiso, Chinese and English."""
    return shipped_stop_words("baidu") | shipped_stop_words("zh") | shipped_stop_words("en")


def _telling_words(text: str) -> Iterator[str]:
    for word in segmenter().cut(fold(text[:_WORD_CHARS])):
        if any(map(str.isalpha, word)) and word not in stop_words():
            yield word


class Clusters:
    """How large the clusters of near-duplicates are, and what the largest say."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._said: dict[str, list[str]] = {}
        self.unknown = 0

    def add(self, name: str, text: str) -> None:
        if not name:
            self.unknown += 1
            return
        self._counts[name] += 1
        start = text[:_EXAMPLE_CHARS]
        said = self._said.get(name, [])
        if start not in said and (said or len(self._said) < _MOST_REMEMBERED):
            # The smallest few, whatever the order in which they come.
            self._said[name] = sorted([*said, start])[:EXAMPLES_OF_CLUSTER]

    def to_json(self) -> dict[str, Any]:
        sizes = Lengths(CLUSTER_EDGES)
        for count in self._counts.values():
            sizes.add(count)
        crowded = ((name, count) for name, count in self._counts.items() if count > 1)
        largest = heapq.nsmallest(LARGEST_CLUSTERS, crowded, key=lambda pair: (-pair[1], pair[0]))
        return {
            "clusters": len(self._counts),
            "alone": sum(count == 1 for count in self._counts.values()),
            "unknown": self.unknown,
            "sizes": sizes.to_json(),
            "largest": [{"id": name, "count": count, "texts": self._said.get(name, [])} for name, count in largest],
        }


class Counting:
    """Figures in the making. tokens: how many ids a row makes, where a tokenizer was chosen."""

    def __init__(self, tokens: Callable[[Kind, Body], int] | None = None) -> None:
        self.rows = 0
        self._tokens = tokens
        self._facts: dict[str, Counter[str]] = {}
        self._lengths = {name: Lengths(LENGTH_EDGES) for name in ("questions", "answers", "rows", "tokens")}
        self._turns = Lengths(TURN_EDGES)
        self._words = {"questions": TopWords(), "answers": TopWords()}
        self._clusters = Clusters()

    def add(self, row: Row) -> None:
        self.rows += 1
        for name, value in {"kind": row.kind, **row.facts}.items():
            self._facts.setdefault(name, Counter())[value] += 1
        asked, answered = turns_of(row.kind, row.body)
        self._measure("questions", asked)
        self._measure("answers", answered)
        self._lengths["rows"].add(sum(map(len, asked)) + sum(map(len, answered)))
        if row.kind != "document":
            self._turns.add(len(asked) + len(answered))
        if self._tokens:
            self._lengths["tokens"].add(self._tokens(row.kind, row.body))
        self._clusters.add(row.cluster, (asked or answered or [""])[0])

    def _measure(self, side: str, texts: Iterable[str]) -> None:
        for text in texts:
            self._lengths[side].add(len(text))
            self._words[side].add(text)

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "rows": self.rows,
            "facts": {name: dict(counts.most_common()) for name, counts in self._facts.items()},
            "lengths": {name: lengths.to_json() for name, lengths in self._lengths.items()},
            "turns": self._turns.to_json(),
            "words": {side: words.to_json() for side, words in self._words.items()},
            "rare_words_forgotten": any(words.forgot for words in self._words.values()),
            "clusters": self._clusters.to_json(),
        }
