"""The blocks of a Markdown document, as its source has them: lists, emphasis and code stay as they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from training.ml.corpus.columns import role_of
from training.ml.corpus.drafts import Block

_DEEPEST = 20
_SUMMARY = re.compile(r"<summary[^>]*>(.*?)</summary>(.*)", re.IGNORECASE | re.DOTALL)
_DETAILS_END = re.compile(r"</details\s*>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]{1,1000}>")
_PAIR = 2


def blocks(lines: list[str]) -> Iterator[Block]:
    """Headings, texts, tables of two columns and folded answers, in order."""
    parser = MarkdownIt("commonmark", {"maxNesting": _DEEPEST}).enable("table")
    tokens = [*parser.parse("\n".join(lines))]
    return _unfolded(_blocks(tokens, lines))


def _blocks(tokens: Sequence[Token], lines: list[str]) -> Iterator[Block]:
    for at, token in enumerate(tokens):
        if token.level or token.map is None:
            continue
        start, end = token.map[0] + 1, token.map[1]
        while end > start and not lines[end - 1].strip():
            end -= 1
        if token.type == "heading_open":
            yield Block(_words(tokens[at + 1]), start, end, level=int(token.tag[1]))
        elif token.type == "table_open":
            yield from _table(tokens[at:], lines, start, end)
        else:
            yield Block("\n".join(lines[start - 1 : end]).strip("\n"), start, end)


def _words(inline: Token) -> str:
    """The text of a heading without its marks."""
    parts = [child.content for child in inline.children or [] if child.type in ("text", "code_inline")]
    return "".join(parts).strip()


def _table(tokens: Sequence[Token], lines: list[str], start: int, end: int) -> Iterator[Block]:
    rows: list[tuple[int, list[str]]] = []
    for at, token in enumerate(tokens):
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            rows.append(((token.map or [start - 1])[0] + 1, []))
        elif token.type in ("th_open", "td_open"):
            rows[-1][1].append(tokens[at + 1].content.strip())
    if any(len(cells) != _PAIR for _, cells in rows):
        yield Block("\n".join(lines[start - 1 : end]), start, end)
        return
    # Markdown's tables always have a header; here it may be the first question.
    for line, (question, answer) in rows[1:] if any(map(role_of, rows[0][1])) else rows:
        yield Block(answer, line, line, question=question)


def _unfolded(found: Iterator[Block]) -> Iterator[Block]:
    """<details> with its <summary> stands over several blocks: the summary is answered by what follows."""
    summary: Block | None = None
    answer: list[str] = []
    for block in found:
        if summary is None:
            if opened := _SUMMARY.search(block.text):
                summary, answer = Block(_bare(opened[1]), block.start, block.end), [_bare(opened[2])]
            else:
                yield block
                continue
        else:
            answer.append(_bare(block.text) if _DETAILS_END.search(block.text) else block.text)
        if _DETAILS_END.search(block.text):
            yield Block("\n\n".join(filter(None, answer)), summary.start, block.end, question=summary.text)
            summary = None
    if summary is not None:
        yield Block("\n\n".join(filter(None, answer)), summary.start, summary.end, question=summary.text)


def _bare(text: str) -> str:
    return _TAG.sub("", text).strip()
