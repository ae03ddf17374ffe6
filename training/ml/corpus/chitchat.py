"""GPT2-chitchat's train.txt: one utterance a line, a blank line between dialogues, two speakers who take turns.

Line breaks may be LF or CRLF or both. Two blank lines and a trailing one make no empty dialogue (theirs did).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from training.ml.corpus.lines import Line
from training.ml.corpus.rules import BadRow, Unreadable
from training.ml.records import Dialogue, Message, Role

MOST_UTTERANCES = 1000
# A text of more lines than this without a blank one is no list of dialogues.
_LONGEST_START = 60


def has_dialogues(lines: Iterable[str]) -> bool:
    seen = 0
    for line in lines:
        if not line.strip():
            return True
        seen += 1
    return seen <= _LONGEST_START


def blocks(lines: Iterable[Line | Unreadable]) -> Iterator[list[Line] | Unreadable]:
    """Dialogues as lists of lines. A line that cannot be read spoils its dialogue: the turns would be swapped."""
    block: list[Line] = []
    spoilt = False
    for line in lines:
        if isinstance(line, Unreadable):
            spoilt = True
            yield line
        elif line.text.strip():
            # One more than allowed is kept, so that `to_dialogue` sees that there were too many.
            if len(block) <= MOST_UTTERANCES:
                block.append(line)
        else:
            if block and not spoilt:
                yield block
            block, spoilt = [], False
    if block and not spoilt:
        yield block


def to_dialogue(block: list[Line]) -> tuple[Dialogue, int]:
    """The dialogue and how many turns at its end were left out because nobody answers them (0 or 1)."""
    if len(block) == 1:
        raise BadRow("lone_utterance")
    if len(block) > MOST_UTTERANCES:
        raise BadRow("dialogue_too_long", limit=MOST_UTTERANCES)
    speakers: tuple[Role, Role] = ("user", "assistant")
    answered = block[: len(block) // 2 * 2]
    turns = tuple(Message(role=speakers[index % 2], content=line.text.strip()) for index, line in enumerate(answered))
    return Dialogue(messages=turns), len(block) - len(answered)
