"""The blocks of a DOCX: headings by their style, paragraphs, tables of two columns. Paragraphs are counted from 1."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from training.ml.corpus import office
from training.ml.corpus.base import Source
from training.ml.corpus.columns import role_of
from training.ml.corpus.drafts import Block
from training.ml.corpus.rules import bad_file

if TYPE_CHECKING:
    from docx.document import Document

_HEADING = re.compile(r"(?:heading|标题)\s*([1-9])", re.IGNORECASE)
_LIST = re.compile(r"list|列表|列出段落", re.IGNORECASE)
_PAIR = 2


def blocks(source: Source) -> Iterator[Block]:
    with office.opened(source) as file:
        document = _opened(file)
    styles = _Styles(document)
    for number, part in enumerate(document.iter_inner_content(), 1):
        if hasattr(part, "rows"):
            yield from _table(part, number)
        elif text := part.text.strip():
            level = styles.level_of(part)
            mark = "- " if not level and styles.is_list(part) else ""
            yield Block(mark + text, number, number, level=level)


def _opened(file: Any) -> Document:
    from docx import Document as open_document

    try:
        return open_document(file)
    except Exception as error:  # python-docx raises whatever a damaged file makes it stumble over
        raise bad_file("bad_office_file", why=str(error)[:200] or type(error).__name__) from error


class _Styles:
    """What a paragraph's style means; each is looked up once, because a look-up goes through the whole list."""

    def __init__(self, document: Document) -> None:
        self.names = {style.style_id: style.name or "" for style in document.styles}

    def _name(self, paragraph: Any) -> str:
        return self.names.get(paragraph._p.style or "", "")

    def level_of(self, paragraph: Any) -> int:
        name = self._name(paragraph)
        if name in ("Title", "标题"):
            return 1
        found = _HEADING.match(name)
        return int(found[1]) if found else 0

    def is_list(self, paragraph: Any) -> bool:
        return bool(_LIST.search(self._name(paragraph)))


def _table(table: Any, number: int) -> Iterator[Block]:
    rows = [_cells(row) for row in table._tbl.tr_lst]
    if all(len(cells) == _PAIR for cells in rows):
        kept = rows[1:] if rows and any(map(role_of, rows[0])) else rows
        yield from (Block(answer, number, number, question=asked) for asked, answer in kept if asked and answer)
    elif rows:
        yield Block("\n".join(" | ".join(cells) for cells in rows), number, number)


def _cells(row: Any) -> list[str]:
    # The XML itself: the library's cells look for their neighbours each time, which is slow in large tables.
    return ["\n".join(paragraph.text for paragraph in cell.p_lst).strip() for cell in row.tc_lst]
