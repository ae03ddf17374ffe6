"""Text as words: for the search index, for what is asked of it, and for saying what changed between two texts.

Words are jieba's, lower-cased and simplified, so that 機器學習 finds 机器学习. Knows no database and no query language.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from training.ml.changes import Piece, compared
from training.ml.clean.chinese import segmenter

if TYPE_CHECKING:
    import opencc

# What of a text is searched: the start of a long document is enough to find it, and jieba takes its time.
SEARCHED_CHARS = 20_000
_WORD_CHARS = 64
# Beyond this, matching word by word takes too long: the whole text counts as replaced.
_COMPARED_WORDS = 4000
_PIECES = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+|[^\W_]+|\s+|.", re.DOTALL)


class Stretch(NamedTuple):
    """A stretch of text, and whether it was searched for."""

    found: bool
    text: str


@functools.cache
def _simplifier() -> opencc.OpenCC:
    import opencc

    return opencc.OpenCC("t2s")


def folded(text: str) -> str:
    """As it is compared: NFKC, simplified, lower case."""
    # A lone surrogate is no text that a converter or a database takes.
    text = unicodedata.normalize("NFKC", text).encode("utf-8", "replace").decode("utf-8")
    return str(_simplifier().convert(text)).lower()


def words_of(text: str) -> Iterator[str]:
    """The words by which a text is found, in order; long ones also by the words inside them."""
    for word in segmenter().cut_for_search(folded(text[:SEARCHED_CHARS])):
        if len(word) <= _WORD_CHARS and any(map(str.isalnum, word)):
            yield word


def search_words(text: str) -> str:
    """A text as a search index takes it: its words, apart by spaces."""
    return " ".join(words_of(text))


def marked(text: str, wanted: list[str]) -> list[Stretch]:
    """The text in stretches, those that were searched for marked."""
    found = [word for word in wanted if word]
    plain = folded(text)
    if len(plain) != len(text):
        # Folding made it longer or shorter: then only what is written in the same way can be pointed at.
        plain = text.lower() if len(text.lower()) == len(text) else text
    if not found:
        return [Stretch(found=False, text=text)] if text else []
    pattern = "|".join(map(re.escape, sorted(set(found), key=len, reverse=True)))
    return list(_stretches(text, re.finditer(pattern, plain)))


def _stretches(text: str, hits: Iterator[re.Match[str]]) -> Iterator[Stretch]:
    at = 0
    for hit in hits:
        if hit.start() > at:
            yield Stretch(found=False, text=text[at : hit.start()])
        yield Stretch(found=True, text=text[hit.start() : hit.end()])
        at = hit.end()
    if at < len(text):
        yield Stretch(found=False, text=text[at:])


# --- what changed ---------------------------------------------------------------------------------------------------


def differences(before: str, after: str) -> list[Piece]:
    """What became of a text, word by word; Chinese words are jieba's."""
    if before == after:
        return [Piece("same", before)] if before else []
    old, new = _cut(before), _cut(after)
    if len(old) + len(new) > _COMPARED_WORDS:
        return [piece for piece in _whole(before, after) if piece.text]
    return compared(old, new)


def _cut(text: str) -> list[str]:
    """The text cut into words and what is between them; joined, it is the text again."""
    parts: list[str] = []
    for piece in _PIECES.findall(text):
        parts += segmenter().lcut(piece) if len(piece) > 1 and piece[0] >= "\u3400" else [piece]
    return parts


def _whole(before: str, after: str) -> Iterator[Piece]:
    """Only the start and the end that both share are told apart."""
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    yield Piece("same", before[:start])
    yield Piece("gone", before[start : len(before) - end])
    yield Piece("new", after[start : len(after) - end])
    yield Piece("same", before[len(before) - end :])
