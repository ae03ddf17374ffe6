"""The blocks of a document to draft dialogues with the place they were found in. Pure; knows no file format.

Questions with answers are found by their marks (Q: and A:, 问： and 答：), in lists of terms and tables of two columns,
and in headings that are questions. Any other heading with its text becomes a draft that a curator has to finish.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise, takewhile
from typing import Any

from training.ml.corpus.base import Readable
from training.ml.corpus.rows import exchange
from training.ml.corpus.rules import Unreadable

TO_FINISH = "to-finish"
MOST_CHARS = 20_000  # of one answer
_START = r"^[\s>*_#\-•]*(?:\d+[.、)]\s*)?[*_]*"
_ASKED = re.compile(_START + r"(?:Q|Question|问|问题|提问)\s*\d*\s*[*_]*[:：][*_\s]*", re.IGNORECASE)
_ANSWERED = re.compile(_START + r"(?:A|Answer|答|回答|答案|解答)\s*\d*\s*[*_]*[:：][*_\s]*", re.IGNORECASE)
_QUESTION_END = re.compile(r"[?？][\s*_)）”\"]*$")


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a document from line `start` to `end` (counted from 1).

    level: of a heading, 0 for text. question: what `text` answers, where the document itself says so.
    """

    text: str
    start: int
    end: int
    level: int = 0
    question: str = ""


@dataclass(slots=True)
class _Section:
    path: list[str]
    start: int
    blocks: list[Block] = field(default_factory=list)


def drafts(blocks: Iterable[Block], *, title: str, unit: str = "lines") -> Iterator[Readable | Unreadable]:
    """title: stands for a heading where there is none. unit: what the places count (lines, paragraphs)."""
    seen: dict[int, int] = {}
    for section in _sections(blocks, title):
        for question, answer, span, tags in sorted(_found(section), key=lambda found: found[2]):
            nth = seen.get(span[0], 0)
            seen[span[0]] = nth + 1
            if len(answer) > MOST_CHARS:
                facts = {"heading": question[:80], "limit": MOST_CHARS}
                yield Unreadable(line=span[0], rule="section_too_long", facts=facts, excerpt=answer[:80])
                continue
            where: dict[str, Any] = {"heading": " › ".join(section.path)[:300], unit: list(span)}
            yield Readable(line=span[0], nth=nth, record=exchange(question, answer), provenance=where, tags=tags)


def _sections(blocks: Iterable[Block], title: str) -> Iterator[_Section]:
    """A heading with everything up to the next one."""
    path: list[tuple[int, str]] = []
    section = _Section(path=[title], start=1)
    for block in blocks:
        if not block.level:
            section.blocks.append(block)
            continue
        yield section
        path = [above for above in path if above[0] < block.level] + [(block.level, block.text)]
        section = _Section(path=[text for _, text in path], start=block.start)
    yield section


Found = tuple[str, str, tuple[int, int], tuple[str, ...]]


def _found(section: _Section) -> Iterator[Found]:
    """Questions and answers of a section: those that the document itself marks, else its heading and its text."""
    texts = [block for block in section.blocks if not block.question]
    terms = [block for block in section.blocks if block.question and block.text.strip()]
    asked = list(_asked(texts))
    heading = section.path[-1]
    heading_asks = bool(_QUESTION_END.search(heading))
    yield from (_of_term(block, heading if heading_asks else "") for block in terms)
    yield from asked
    # Text before marked questions may lead up to them, or be the heading's own answer: a curator sees which.
    before = list(takewhile(lambda block: not _ASKED.search(block.text), texts)) if asked else texts
    answer = _paragraphs([block.text for block in before if block.text.strip()])
    if answer and (heading_asks or len(section.path) > 1 if asked else heading_asks or not terms):
        yield heading, answer, (section.start, before[-1].end), () if heading_asks and not asked else (TO_FINISH,)


def _of_term(block: Block, asked: str) -> Found:
    """A term under a heading that asks is one case of that question."""
    answer, span = block.text.strip(), (block.start, block.end)
    if not asked or _QUESTION_END.search(block.question):
        return block.question, answer, span, ()
    return f"{asked} {block.question}", answer, span, (TO_FINISH,)


def _asked(texts: list[Block]) -> Iterator[Found]:
    """What stands behind Q: and A:, in one block or in several."""
    question, start, end = "", 0, 0
    answer: list[str] = []
    for number, text in _lines(texts):
        if mark := _ASKED.match(text):
            if question and _joined(answer):
                yield question, _joined(answer), (start, end), ()
            question, answer, start = text[mark.end() :].strip(" *_"), [], number
            continue
        mark = _ANSWERED.match(text) if question else None
        if mark or answer:
            answer.append(text[mark.end() :] if mark else text)
            end = number if text.strip() else end
    if question and _joined(answer):
        yield question, _joined(answer), (start, end), ()


def _lines(texts: list[Block]) -> Iterator[tuple[int, str]]:
    """Number and text of every line; an empty one after each block."""
    for block in texts:
        for offset, text in enumerate(block.text.split("\n")):
            yield min(block.start + offset, block.end), text
        yield block.end, ""


def _paragraphs(texts: list[str]) -> str:
    """Apart by blank lines; the items of a list are not."""
    parts = [
        text if before.startswith("- ") and text.startswith("- ") else f"\n{text}" for before, text in pairwise(texts)
    ]
    return "\n".join([*texts[:1], *parts]).strip()


def _joined(lines: list[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
