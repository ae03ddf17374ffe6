"""GPT2-chitchat's train.txt: one utterance a line, a blank line between dialogues, two speakers who take turns.

Line breaks may be LF or CRLF or both. Two blank lines and a trailing one make no empty dialogue (theirs did).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from training.ml.corpus.base import Detected, Head, Readable, Source
from training.ml.corpus.lines import Line, read_lines, unreadable
from training.ml.corpus.rows import in_turn
from training.ml.corpus.rules import BadRow, Unreadable

MOST_UTTERANCES = 1000
MOST_CHARS = 4 << 20
# Longer lines on the whole are the paragraphs of a text, and so are blocks that mostly have one line.
_LONGEST_UTTERANCE = 200


def detect(_source: Source, head: Head) -> Detected | None:
    blocks = _sample(head)
    if not blocks or (len(blocks) == 1 and not head.whole):
        return None
    several = sum(len(block) > 1 for block in blocks)
    lengths = sorted(len(line) for block in blocks for line in block)
    looks = several * 2 >= len(blocks) and lengths[len(lengths) // 2] <= _LONGEST_UTTERANCE
    return Detected(format="chitchat", encoding=head.encoding) if looks else None


def _sample(head: Head) -> list[list[str]]:
    blocks: list[list[str]] = [[]]
    for line in head.lines:
        if line.strip():
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    return [block for block in blocks if block]


def forced(_source: Source, head: Head, name: str) -> Detected:
    return Detected(format=name, encoding=head.encoding)


def read(source: Source, detected: Detected) -> Iterator[Readable | Unreadable]:
    for block in blocks(read_lines(source, detected.encoding)):
        yield block if isinstance(block, Unreadable) else of_block(block)


def of_block(block: list[Line]) -> Readable | Unreadable:
    try:
        if len(block) > MOST_UTTERANCES or sum(len(line.text) for line in block) > MOST_CHARS:
            raise BadRow("dialogue_too_long", limit=MOST_UTTERANCES)
        record, left_out = in_turn([line.text.strip() for line in block])
    except BadRow as bad:
        return unreadable(block[0], bad)
    return Readable(line=block[0].number, record=record, left_out=left_out, end_byte=block[-1].end_byte)


def blocks(lines: Iterable[Line | Unreadable]) -> Iterator[list[Line] | Unreadable]:
    """Dialogues as lists of lines. A line that cannot be read spoils its dialogue: the turns would be swapped."""
    block: list[Line] = []
    spoilt = False
    size = 0
    for line in lines:
        if isinstance(line, Unreadable):
            spoilt = True
            yield line
        elif line.text.strip():
            # A little more than allowed is kept, so that `of_block` sees that there was too much.
            if len(block) <= MOST_UTTERANCES and size <= MOST_CHARS:
                block.append(line)
                size += len(line.text)
        else:
            if block and not spoilt:
                yield block
            block, spoilt, size = [], False, 0
    if block and not spoilt:
        yield block
