"""Short Chinese dialogues made of the segmenter's own words, and copies of them with known changes; seeded."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import jieba

QUESTIONS = (
    "怎么{0}{1}的{2}，需要{3}吗？",
    "为什么{0}和{1}不一样？{2}{3}",
    "{0}什么时候开始{1}？我想{2}",
    "请介绍{0}{1}与{2}的{3}。",
)
ANSWERS = (
    "先{0}，再{1}，最后看{2}。",
    "因为{0}的{1}，所以要{2}{3}。",
    "{0}通常在{1}之后，由{2}负责。",
    "可以，{0}{1}就行。",
)
POLITE = (("请问", "？谢谢"), ("您好，", "呢"), ("麻烦问一下，", ""), ("你好，请问", "，多谢"))
MARKS = ("？！", "。。。", "~", "！！", " ")


def vocabulary() -> list[str]:
    """Common words of two characters, sorted."""
    jieba.initialize()
    return sorted(word for word, times in jieba.dt.FREQ.items() if len(word) == 2 and times > 300 and word.isalpha())


def dialogues(count: int, seed: int = 3) -> Iterator[tuple[str, str]]:
    """Questions of 12 to 24 characters with their answers; no two are meant to be alike."""
    draw, words = random.Random(seed), vocabulary()
    for _ in range(count):
        picked = draw.choices(words, k=8)
        yield draw.choice(QUESTIONS).format(*picked), draw.choice(ANSWERS).format(*picked[4:])


def write(path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        for question, answer in dialogues(count):
            turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            file.write(json.dumps({"messages": turns}, ensure_ascii=False) + "\n")


# --- copies ---------------------------------------------------------------------------------------------------------


def _slips(text: str, draw: random.Random, count: int) -> str:
    letters = list(text)
    for _ in range(count):
        place, other = draw.randrange(len(letters)), chr(draw.randrange(0x4E00, 0x9000))
        change = draw.choice(("put in", "leave out", "mistake"))
        if change == "put in":
            letters.insert(place, other)
        elif change == "leave out":
            del letters[place]
        else:
            letters[place] = other
    return "".join(letters)


def _reordered(text: str, draw: random.Random) -> str:
    words = jieba.lcut(text)
    place = draw.randrange(1, len(words))
    return "".join([*words[place:], *words[:place]])


def _polite(text: str, draw: random.Random) -> str:
    before, after = draw.choice(POLITE)
    return f"{before}{text.rstrip('？。')}{after}"


COPIES: dict[str, Callable[[str, random.Random], str]] = {
    "one_character": lambda text, draw: _slips(text, draw, 1),
    "two_characters": lambda text, draw: _slips(text, draw, 2),
    "three_characters": lambda text, draw: _slips(text, draw, 3),
    "punctuation": lambda text, draw: text.rstrip("？。") + draw.choice(MARKS),
    "word_order": _reordered,
    "politeness": _polite,
}


def another_word(text: str, draw: random.Random, words: list[str]) -> str:
    """The text with one of its words exchanged for another: no copy."""
    parts = jieba.lcut(text)
    places = [number for number, part in enumerate(parts) if len(part) > 1]
    parts[draw.choice(places)] = draw.choice(words)
    return "".join(parts)
