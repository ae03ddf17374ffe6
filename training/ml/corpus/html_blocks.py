"""The blocks of an HTML page: headings, texts, lists of terms, tables and folded answers. Scripts are passed over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lxml import etree, html

from training.ml.corpus.columns import role_of
from training.ml.corpus.drafts import Block

_SKIPPED = frozenset(
    {
        "script",
        "style",
        "noscript",
        "template",
        "iframe",
        "object",
        "embed",
        "svg",
        "math",
        "head",
        "nav",
        "form",
        "button",
    }
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_INLINE = frozenset(
    ("a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "del", "dfn", "em", "font", "i", "img", "ins", "kbd",
     "label", "mark", "q", "ruby", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt", "u",
     "var", "wbr")
)  # fmt: skip
_SPACES = re.compile(r"[ \t\r\n\f]+")
_PAIR = 2
_DEEPEST = 200


def blocks(lines: list[str]) -> Iterator[Block]:
    parser = html.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True)
    try:
        page = html.document_fromstring("\n".join(lines).encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError):  # nothing but white space or comments
        return
    collector = _Collector()
    collector.walk(page, 0)
    collector.flush()
    yield from collector.blocks


class _Collector:
    """Text between two blocks is gathered, and given out at the border of the next."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.text: list[str] = []
        self.start = 1

    def flush(self) -> None:
        text = _tidy("".join(self.text))
        self.text = []
        if text:
            self.blocks.append(Block(text, self.start, self.start))

    def walk(self, node: Any, depth: int) -> None:
        self._add(node.text, node)
        for child in node:
            self._enter(child, depth + 1)
            self._add(child.tail, child)

    def _add(self, text: str | None, node: Any) -> None:
        if text:
            if not self.text:
                self.start = node.sourceline or self.start
            self.text.append(_SPACES.sub(" ", text))

    def _enter(self, node: Any, depth: int) -> None:
        tag = node.tag
        if tag in _SKIPPED or depth > _DEEPEST:
            return
        if tag == "br":
            self.text.append("\n")
        elif tag in _INLINE:
            self.walk(node, depth)
        else:
            self.flush()
            self._block(tag, node, depth)
            self.flush()

    def _block(self, tag: str, node: Any, depth: int) -> None:
        line = node.sourceline or self.start
        if tag in _HEADINGS:
            self.blocks.append(Block(_words(node), line, line, level=_HEADINGS[tag]))
        elif tag == "dl":
            self.blocks += _terms(node)
        elif tag == "details" and (summary := node.find("summary")) is not None:
            answer = "\n".join(filter(None, (_words(child) for child in node if child is not summary)))
            loose = _tidy("".join(child.tail or "" for child in node))
            self.blocks.append(Block("\n".join(filter(None, (loose, answer))), line, line, question=_words(summary)))
        elif tag == "table" and (pairs := _pairs(node)):
            self.blocks += pairs
        elif tag == "tr":
            self.blocks.append(Block(" | ".join(_words(cell) for cell in node), line, line))
        elif tag == "pre":
            self.blocks.append(Block("".join(node.itertext()).strip("\n"), line, line))
        else:
            self.text += ["- "] if tag == "li" else []
            self.walk(node, depth)


def _terms(node: Any) -> list[Block]:
    """Each <dt> with the <dd> after it."""
    found: list[Block] = []
    terms: list[str] = []
    for part in node.iter("dt", "dd"):
        line = part.sourceline or 1
        if part.tag == "dt":
            terms.append(_words(part))
        elif terms:
            found.append(Block(_words(part), line, line, question=terms[-1]))
            terms = []
        elif found:
            last = found.pop()
            found.append(Block(f"{last.text}\n{_words(part)}", last.start, line, question=last.question))
    return found


def _pairs(table: Any) -> list[Block]:
    """The rows of a table of two columns; empty for any other."""
    rows = [(row.sourceline or 1, [_words(cell) for cell in row.iterchildren("td", "th")]) for row in table.iter("tr")]
    if not rows or any(len(cells) != _PAIR for _, cells in rows):
        return []
    if any(map(role_of, rows[0][1])):
        rows = rows[1:]
    return [Block(answer, line, line, question=question) for line, (question, answer) in rows if question and answer]


def _words(node: Any) -> str:
    """The text of a node, with a line for each block in it."""
    if node.tag in _SKIPPED:
        return ""
    inner = _Collector()
    inner.walk(node, 0)
    inner.flush()
    return "\n".join(f"{block.question}\n{block.text}" if block.question else block.text for block in inner.blocks)


def _tidy(text: str) -> str:
    return "\n".join(line.strip() for line in text.split("\n")).strip()
