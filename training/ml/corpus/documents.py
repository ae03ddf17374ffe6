"""Markdown, HTML and DOCX to draft dialogues, each with the place it was found in.

A document is read as a whole, so its size is bounded. Nothing in it is run, and nothing it names is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from training.ml.corpus import docx_blocks, html_blocks, markdown_blocks
from training.ml.corpus.base import Detected, Head, Readable, Source
from training.ml.corpus.drafts import drafts
from training.ml.corpus.lines import Line, read_lines
from training.ml.corpus.rules import Unreadable, bad_file

MOST_BYTES = {"markdown": 4 << 20, "html": 16 << 20, "docx": 32 << 20}
_SUFFIXES = {".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html", ".xhtml": "html"}
_HTML = re.compile(r"\s*(?:<\?xml[^>]*>\s*)?<(?:!doctype html|html)\b", re.IGNORECASE)


def detect(source: Source, head: Head) -> Detected | None:
    name = _SUFFIXES.get(source.suffix) or ("html" if _HTML.match("\n".join(head.lines[:5])) else "")
    return Detected(format=name, encoding=head.encoding) if name else None


def forced(source: Source, head: Head, name: str) -> Detected:
    return Detected(format=name, encoding=head.encoding)


def read(source: Source, detected: Detected) -> Iterator[Readable | Unreadable]:
    """Every draft in order. Raises BadFile when the document is too large, or holds nothing to ask for."""
    limit = MOST_BYTES[detected.format]
    if source.size > limit:
        raise bad_file("document_too_large", limit=limit >> 20)
    title = PurePosixPath(source.name).stem
    found = 0
    for row in _read(source, detected, title):
        found += isinstance(row, Readable)
        yield row
    if not found:
        raise bad_file("document_empty")


def _read(source: Source, detected: Detected, title: str) -> Iterator[Readable | Unreadable]:
    if detected.format == "docx":
        return drafts(docx_blocks.blocks(source), title=title, unit="paragraphs")
    return _read_text(source, detected, title)


def _read_text(source: Source, detected: Detected, title: str) -> Iterator[Readable | Unreadable]:
    lines: list[str] = []
    limit, chars = MOST_BYTES[detected.format], 0
    for line in read_lines(source, detected.encoding):
        chars += len(line.text) if isinstance(line, Line) else 0
        if chars > limit:  # what is packed does not say how much it is
            raise bad_file("document_too_large", limit=limit >> 20)
        if isinstance(line, Line):
            lines.append(line.text)
        else:
            lines.append("")  # so that the lines after it keep their numbers
            yield line
    parse = html_blocks.blocks if detected.format == "html" else markdown_blocks.blocks
    yield from drafts(parse(lines), title=title)
