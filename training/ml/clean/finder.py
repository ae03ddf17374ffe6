"""Many words found in a text at once, fast with tens of thousands of them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from operator import add

# Full-width forms and capitals are as good as plain ones; one character stays one, so that places hold.
_FOLD: dict[int, int | str] = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_FOLD |= {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
_FOLD |= {ord(letter) + 0xFEE0: letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
_FOLDABLE = re.compile("[A-Z！-～]")
_LATIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")


def lines_of(text: str) -> list[str]:
    """The words of a list: one a line, without blank lines, comments (#) and repeats, in their order."""
    stripped = (line.strip() for line in text.lstrip("\ufeff").splitlines())
    return list(dict.fromkeys(line for line in stripped if line and not line.startswith("#")))


def _folded(text: str) -> str:
    return text.translate(_FOLD) if _FOLDABLE.search(text) else text


class WordFinder:
    """Looks only at places where a word's first two characters stand.

    Most texts have none of those pairs, and asking that of a whole text is one loop that Python does not see. One
    pattern of all words would try thousands of branches at each character. Case and width do not matter; a word of
    Latin letters is not found inside a longer one.
    """

    def __init__(self, words: Iterable[str]) -> None:
        folded = {_folded(word) for word in words} - {""}
        self._singles = frozenset(word for word in folded if len(word) == 1)
        self._words: dict[str, list[str]] = defaultdict(list)
        for word in sorted(folded - self._singles, key=lambda word: (-len(word), word)):
            self._words[word[:2]].append(word)
        self._heads = frozenset(self._words)

    def find(self, text: str) -> list[tuple[int, int]]:
        """Places of the words from left to right, the longest one first, without overlaps."""
        text = _folded(text)
        if self._heads.isdisjoint(map(add, text, text[1:])) and self._singles.isdisjoint(text):
            return []
        pairs = enumerate(map(add, text, text[1:] + "\n"))
        found, place = [], 0
        for start in [start for start, pair in pairs if pair in self._heads or pair[0] in self._singles]:
            if start >= place and (word := self._at(text, start)):
                place = start + len(word)
                found.append((start, place))
        return found

    def _at(self, text: str, start: int) -> str:
        for word in self._words.get(text[start : start + 2], ()):
            if text.startswith(word, start) and _stands_alone(text, start, start + len(word)):
                return word
        single = text[start]
        return single if single in self._singles and _stands_alone(text, start, start + 1) else ""


def _stands_alone(text: str, start: int, end: int) -> bool:
    cut_left = text[start] in _LATIN and start > 0 and text[start - 1] in _LATIN
    return not cut_left and not (text[end - 1] in _LATIN and end < len(text) and text[end] in _LATIN)
