"""Text that was read in a wrong encoding: where it stands, and what it was where that can be told for certain.

UTF-8 read as GBK (浣犲ソ), UTF-8 read as Latin (Ã©, ä½), and the traces of what is lost for good (锟斤拷, ï¿½, �).
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

import ftfy
from ftfy.badness import BADNESS_RE

_LOST = re.compile("(?:锟斤拷)+|锟斤|锘匡豢|烫{4,}|屯{4,}|\ufffd+|(?:ï¿½)+")
_LATIN_HINT = re.compile(
    "[\u0080-\u00ff][\u0080-\u00ff\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
)
# No byte of such text is ASCII, and what could not be read divides it.
_RUN = re.compile("[^\x00-\x7f\ufffd]{3,}")
_FEWEST_HAN = 2
# The rows of GB 2312 that hold its 3 755 common characters.
_FIRST_LEVEL = range(0xB0, 0xD8)
_PRIVATE = re.compile("[\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd]")


@dataclass(frozen=True, slots=True)
class Broken:
    """A broken stretch; `was`: what it was, empty where that is lost."""

    start: int
    end: int
    was: str = ""


def find(text: str) -> list[Broken]:
    """Broken stretches from left to right, without overlaps."""
    if text.isascii():
        return []
    found = [Broken(*match.span()) for match in _LOST.finditer(text)]
    for other in (*_chinese(text), *_latin(text)):
        if all(other.end <= known.start or known.end <= other.start for known in found):
            found.append(other)
    return sorted(found, key=lambda broken: broken.start)


def mend(text: str) -> str:
    """The text with every stretch that can be told for certain as it was."""
    for broken in reversed(find(text)):
        if broken.was:
            text = text[: broken.start] + broken.was + text[broken.end :]
    return text


def private(text: str) -> list[int]:
    """Where characters stand that have a meaning in one font or program only."""
    return [] if text.isascii() else [match.start() for match in _PRIVATE.finditer(text)]


def without_private(text: str) -> str:
    return _PRIVATE.sub("", text)


def _chinese(text: str) -> list[Broken]:
    """UTF-8 that was read as GBK. By chance a Chinese text is hardly ever UTF-8 of common characters."""
    found = []
    for match in _RUN.finditer(text):
        was, left = _from_gbk(match[0])
        if was:
            found.append(Broken(*match.span(), was="" if left else was))
    return found


def _from_gbk(run: str) -> tuple[str, int]:
    """What it was, empty where it is none; and how many bytes at its end are half a character."""
    try:
        raw = run.encode("gb18030")
        # Final bytes that begin a character wait for more of it.
        was, used = codecs.utf_8_decode(raw, "strict")
    except UnicodeError:
        return "", 0
    han = [character for character in was if "\u4e00" <= character <= "\u9fff"]
    good = len(han) >= _FEWEST_HAN and 2 * len(han) >= len(was) and all(map(_is_common, han))
    return (was, len(raw) - used) if good else ("", 0)


def _is_common(character: str) -> bool:
    """One of the 3 755 characters of the first level of GB 2312."""
    try:
        return character.encode("gb2312")[0] in _FIRST_LEVEL
    except UnicodeEncodeError:
        return False


def _latin(text: str) -> list[Broken]:
    if not _LATIN_HINT.search(text):
        return []
    found = []
    for match in _words(text):
        word = match[0]
        if BADNESS_RE.search(word) and (was := ftfy.fix_encoding(word)) != word:
            found.append(Broken(*match.span(), was=was))
    return found


def _words(text: str) -> list[re.Match[str]]:
    """Stretches of Latin and its marks; a space may be half of a broken character, so only plain ones divide."""
    return [
        match for match in re.finditer("[^ \t\n\r\u3000-\u9fff\uff00-\uffef]+", text) if _LATIN_HINT.search(match[0])
    ]
