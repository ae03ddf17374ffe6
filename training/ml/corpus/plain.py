"""Plain text: its paragraphs are gathered to documents of a readable size.

A gap of two blank lines, a form feed, or enough text at the end of a paragraph ends a document.
"""

from __future__ import annotations

from collections.abc import Iterator

from training.ml.corpus.base import Detected, Head, Readable, Source
from training.ml.corpus.lines import Line, read_lines
from training.ml.corpus.rules import Unreadable
from training.ml.records import Document

_ENOUGH_CHARS = 2000
_MOST_CHARS = 8000
_GAP = 2


def detect(_source: Source, head: Head) -> Detected | None:
    return Detected(format="text", encoding=head.encoding)


def forced(_source: Source, head: Head, name: str) -> Detected:
    return Detected(format=name, encoding=head.encoding)


def read(source: Source, detected: Detected) -> Iterator[Readable | Unreadable]:
    held: list[Line] = []
    size = blank = 0
    for line in read_lines(source, detected.encoding):
        if isinstance(line, Unreadable):
            yield line
            continue
        said = line.text.strip()
        blank = 0 if said else blank + 1
        if held and (blank >= _GAP or "\f" in line.text or (size > _ENOUGH_CHARS and blank) or size > _MOST_CHARS):
            yield _document(held)
            held, size = [], 0
        if said or held:
            held.append(line)
            size += len(said)
    if held:
        yield _document(held)


def _document(lines: list[Line]) -> Readable:
    text = "\n".join(line.text.rstrip() for line in lines).strip()
    return Readable(line=lines[0].number, record=Document(text=text), end_byte=lines[-1].end_byte)
