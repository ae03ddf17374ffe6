"""Do two short texts say nearly the same? What is compared, and what decides when only a few characters differ.

One pair at a time and pure; knows nothing of how candidates are found.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections import Counter

import jieba

# Shorter texts have too little to compare: only equal ones are alike.
SHORTEST = 4
# From here on one changed character in so many may be a slip of the hand; more than three are another text.
SLIP_FROM, SLIP_EVERY, MOST_SLIPS = 6, 4, 3
# A Latin letter says half of what a Chinese character says.
_SLIP_EVERY_LATIN = 10
# In a text shorter than this a change of one character counts only when it broke a word.
_SURE_FROM = 8
# Longer texts with three slips still share most of their character pairs: those are found and judged by Jaccard.
SLIP_UP_TO = 48

# Politeness is at the ends of a text.
_POLITE_CHARS = 40
_MARKS = r"[\s,，.。!！?？~～:：;；、…]*"
_GREETING = r"(?:您好|你好|哈喽|嗨|大家好|hello|hi|hey)(?=[\s,，.。!！~～:：、…]|请|我想问|想问)"
_ASKING = (
    r"(?:我?想?(?:麻烦|打扰|劳驾)(?:一下|下|了)?|我?想?请[问教](?:一下|下)?|我?想问(?:一下|下|问)?|问一?下|请(?=[您你帮告说介解教])"
    r"|(?:您|你)?(?:能不能|可不可以|可以|能)?告诉我(?:一下|下)?"
    r"|please\b|excuse me\b|(?:could|can|would) you (?:please )?tell me\b)"
)
_OPENING = re.compile(rf"^{_MARKS}(?:(?:{_GREETING}|{_ASKING}){_MARKS})+")
_THANKS = (
    r"(?:非常|太)?(?:谢谢|多谢|感谢|拜托)(?:你|您|大家)?(?:了|啦)?|\bthank(?:s| you)(?: a lot| very much)?|\bplease"
)
_CLOSING = re.compile(rf"(?:{_MARKS}(?:{_THANKS}|[呢啊呀吧哦噢喔嘛哈啦哟]))+{_MARKS}$")
# Where one text has more of these than the other it says something else, however alike the two look ...
_DENYING = frozenset("不没无别未")
# ... and where each has one of these that the other has not.
_OPPOSITE = frozenset("上下左右前后你我他她它男女开关大小多少进出买卖")
# Words that ask: one of them in the place of another asks for the same.
_ASKED = frozenset(["怎么", "怎样", "怎么样", "如何", "咋样", "什么", "哪里", "哪儿", "为什么", "为何", "为啥"])
_DIGITS = re.compile(r"\d+")

jieba.setLogLevel(logging.WARNING)


def fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower()


def letters(folded: str) -> str:
    """Letters and digits of every script only; a text of marks alone stays as it is."""
    return "".join(filter(str.isalnum, folded)) or folded.strip()


def essence(text: str) -> str:
    """What is compared: the letters and digits without the polite words at both ends."""
    folded = fold(text)
    polite = _OPENING.match(folded[:_POLITE_CHARS])
    kept = folded[polite.end() :] if polite else folded
    # Only the end is looked at: the pattern takes the square of a row of marks.
    bare = letters(kept[:-_POLITE_CHARS] + _CLOSING.sub("", kept[-_POLITE_CHARS:]))
    return bare if len(bare) >= SHORTEST else letters(folded)


def words_of(text: str) -> list[str]:
    # Without jieba's guesses at unknown words: a slip must not look like a word.
    return list(jieba.cut(text, HMM=False))


def slips_allowed(text: str) -> int:
    """How many characters may differ; 0 where the text is too short or too long for this rule."""
    if not SLIP_FROM <= len(text) <= SLIP_UP_TO:
        return 0
    latin = sum(map(str.isascii, text))
    share = (len(text) - latin) / SLIP_EVERY + latin / _SLIP_EVERY_LATIN
    return min(MOST_SLIPS, int(share))


def distance(one: str, other: str) -> int:
    """Levenshtein's, by Myers' bit vectors; `one` is not empty."""
    places: dict[str, int] = {}
    for number, letter in enumerate(one):
        places[letter] = places.get(letter, 0) | 1 << number
    full, last = (1 << len(one)) - 1, 1 << len(one) >> 1
    up, down, edits = full, 0, len(one)
    for letter in other:
        match = places.get(letter, 0)
        diagonal = (((match & up) + up) ^ up) | match | down
        rise, fall = down | ~(diagonal | up), up & diagonal
        edits += bool(rise & last) - bool(fall & last)
        rise = rise << 1 | 1
        up, down = (fall << 1 | ~(diagonal | rise)) & full, rise & diagonal & full
    return edits


def differs_by_slips(one: str, other: str) -> bool:
    """Do two essences differ by slips of the hand only, not by another word, number, person, side or "not"?"""
    allowed = min(slips_allowed(one), slips_allowed(other))
    if _turned(one, other) or distance(one, other) > allowed:
        return False
    gone, come = _lost_words(one, other), _lost_words(other, one)
    if gone and len(gone) == len(come):
        return False  # one word in the place of another; a slip breaks a word and seldom makes one
    return bool(gone or come) or min(len(one), len(other)) >= _SURE_FROM


def asks_for_another(one: str, other: str) -> bool:
    """Do two short texts of one pattern differ in what they ask for: a number, or a word and one wholly other?"""
    if max(len(one), len(other)) > SLIP_UP_TO:
        return False
    gone, come = _lost_words(one, other), _lost_words(other, one)
    exchanged = gone and len(gone) == len(come) and not set("".join(gone)) & set("".join(come))
    return bool(exchanged) or other_numbers(one, other)


def other_numbers(one: str, other: str) -> bool:
    """Do two short texts differ in a number? Then they ask for different things, however alike the rest is."""
    return max(len(one), len(other)) <= SLIP_UP_TO and sorted(_DIGITS.findall(one)) != sorted(_DIGITS.findall(other))


def _turned(one: str, other: str) -> bool:
    if other_numbers(one, other) or _only(one, _DENYING) != _only(other, _DENYING):
        return True
    mine, theirs = _only(one, _OPPOSITE), _only(other, _OPPOSITE)
    return bool(mine - theirs and theirs - mine)


def _only(text: str, letters_wanted: frozenset[str]) -> Counter[str]:
    return Counter(letter for letter in text if letter in letters_wanted)


def _lost_words(one: str, other: str) -> list[str]:
    """The known words of two characters or more that the first has and the other has not."""
    lost = Counter(words_of(one)) - Counter(words_of(other))
    return [word for word in lost.elements() if len(word) > 1 and word not in _ASKED and jieba.dt.FREQ.get(word)]
