"""`.conv` of the subtitle corpora: a line `E` begins a dialogue, `M text` is an utterance, speakers take turns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from training.ml.corpus import chitchat
from training.ml.corpus.base import Detected, Head, Readable, Source
from training.ml.corpus.lines import Line, read_lines, unreadable
from training.ml.corpus.rules import BadRow, Unreadable

_FEWEST_MARKED = 0.9


def detect(_source: Source, head: Head) -> Detected | None:
    found = head.texts
    marked = sum(text in ("E", "M") or text.startswith("M ") for text in found)
    looks = found[:1] == ["E"] and len(found) > 1 and marked >= _FEWEST_MARKED * len(found)
    return Detected(format="conv", encoding=head.encoding) if looks else None


def forced(_source: Source, head: Head, name: str) -> Detected:
    return Detected(format=name, encoding=head.encoding)


def read(source: Source, detected: Detected) -> Iterator[Readable | Unreadable]:
    """An `E` becomes the blank line of a train.txt, and the rest is read as that is."""
    for block in chitchat.blocks(_unmarked(source, detected.encoding)):
        yield block if isinstance(block, Unreadable) else chitchat.of_block(block)


def _unmarked(source: Source, encoding: str) -> Iterator[Line | Unreadable]:
    for line in read_lines(source, encoding):
        if isinstance(line, Unreadable):
            yield line
            continue
        text = line.text.strip()
        if text == "E":
            yield replace(line, text="")
        elif text.startswith(("M ", "M\t")):
            yield replace(line, text=text[2:])
        elif text and text != "M":
            yield unreadable(line, BadRow("not_conv"))
