"""Examples like an open one: candidates by the rarest words that it has, the exact share of common character pairs
to order them. Fast among a million, because common words are never looked up to their end.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple, cast

from training import search
from training.ml.cluster import normalise, text_of
from training.ml.records import Kind
from training.ml.words import words_of
from training.models import Example

LIKE_ENOUGH = 0.3
_SHOWN = 8
_WORDS_LOOKED_UP = 16
_WORDS_TOGETHER = 4
_ROWS_A_WORD = 300
_CANDIDATES = 60
_COMPARED_CHARS = 2000


class Alike(NamedTuple):
    """An example, and which share of their character pairs it and the open one have in common."""

    example: Example
    share: float


def similar_to(example: Example) -> list[Alike]:
    """The most similar examples, best first."""
    mine = _pairs(example)
    keys = [key for key, _count in _votes(example).most_common(_CANDIDATES)]
    rows = Example.objects.filter(pk__in=keys).select_related("corpus")
    found = [Alike(row, _share(mine, _pairs(row))) for row in rows]
    good = [alike for alike in found if alike.share >= LIKE_ENOUGH]
    return sorted(good, key=lambda alike: (-alike.share, alike.example.pk))[:_SHOWN]


def _votes(example: Example) -> Counter[int]:
    """Other rows by how many words they share; a word counts the more, the rarer it is."""
    votes: Counter[int] = Counter()
    words = sorted({word for word in words_of(_text(example)) if len(word) > 1}, key=lambda word: (-len(word), word))
    if words:
        # Some words together find what is nearly the same even where each word alone is common.
        votes.update(dict.fromkeys(search.newest_having(words[:_WORDS_TOGETHER], _ROWS_A_WORD), _ROWS_A_WORD))
    for word in words[:_WORDS_LOOKED_UP]:
        rows = search.newest_having([word], _ROWS_A_WORD)
        for key in rows:
            votes[key] += 1 + (_ROWS_A_WORD - len(rows)) // 20
    votes.pop(example.pk, None)
    return votes


def _text(example: Example) -> str:
    """What is compared: the question where there is one, else the whole."""
    return text_of(cast("Kind", example.kind), example.body)[:_COMPARED_CHARS]


def _pairs(example: Example) -> frozenset[str]:
    text = normalise(_text(example))
    return frozenset(text[at : at + 2] for at in range(max(1, len(text) - 1)))


def _share(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one or other else 0.0
