"""Two answers to one prompt, in all the ways in which people write that down; and the prompt itself.

TRL (prompt, chosen, rejected; or two whole conversations), OpenAI (input, preferred_output, non_preferred_output),
LLaMA-Factory (conversations or instruction, chosen, rejected), hh-rlhf (two whole transcripts). Pure; raises BadRow.
"""

from __future__ import annotations

import re

from training.ml.corpus.rows import Row, message, messages, text
from training.ml.corpus.rules import BadRow
from training.ml.records import Message, Pair, Role

_LARGEST_MARGIN = 1e6
_TURN = re.compile(r"\n\n(Human|Assistant): ?")
_SPEAKERS: dict[str, Role] = {"Human": "user", "Assistant": "assistant"}


def prompt(row: Row) -> tuple[Message, ...]:
    """What was asked: text or messages under `prompt`, `messages`, `conversations`, or an instruction."""
    for key in ("prompt", "messages"):
        if isinstance(row.get(key), list):
            return messages(row[key], key)
    if "conversations" in row:
        return turns(row, "conversations")
    if "instruction" in row and "prompt" not in row:
        return instruction(row)
    return (*_system(row), Message(role="user", content=text(row.get("prompt", row.get("messages")), "prompt")))


def turns(row: Row, key: str) -> tuple[Message, ...]:
    """ShareGPT's conversation; its system text may stand beside it."""
    value = row[key]
    if not isinstance(value, list) or not value:
        raise BadRow("not_turns", key=key)
    system = _system(row)
    said = tuple([message(item, number + len(system), key) for number, item in enumerate(value, 1)])
    return (*system, *said)


def _system(row: Row) -> tuple[Message, ...]:
    said = row.get("system")
    return (Message(role="system", content=text(said, "system")),) if said else ()


def instruction(row: Row) -> tuple[Message, ...]:
    """Alpaca's instruction with its input, behind the system text and the history where there are any."""
    asked = text(row["instruction"], "instruction")
    if row.get("input"):
        asked += "\n" + text(row["input"], "input")
    return (*_system(row), *_history(row.get("history")), Message(role="user", content=asked))


def _history(value: object) -> tuple[Message, ...]:
    if not value:
        return ()
    if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):  # noqa: PLR2004
        raise BadRow("not_history")
    roles: tuple[Role, Role] = ("user", "assistant")
    return tuple(
        Message(role=role, content=text(said, "history"))
        for pair in value
        for role, said in zip(roles, pair, strict=True)
    )


def answer(value: object, key: str) -> str:
    """An answer as text, as one message or as a list of one message."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        said = message(value, 1, key)
        if said.role != "assistant":
            raise BadRow("not_one_answer", key=key)
        return said.content
    if isinstance(value, list):
        raise BadRow("not_one_answer", key=key)
    return text(value, key)


def from_chosen(row: Row) -> Pair:
    chosen, rejected = row["chosen"], row["rejected"]
    if _is_list(chosen) and _is_list(rejected):
        return _of_conversations(row, messages(chosen, "chosen"), messages(rejected, "rejected"))
    if not _has_prompt(row):
        return _of_conversations(row, _transcript(chosen, "chosen"), _transcript(rejected, "rejected"))
    return _pair(row, prompt(row), answer(chosen, "chosen"), answer(rejected, "rejected"))


def _is_list(value: object) -> bool:
    return isinstance(value, list) and len(value) > 1


def _has_prompt(row: Row) -> bool:
    return any(key in row for key in ("prompt", "messages", "conversations", "instruction"))


def _transcript(value: object, key: str) -> tuple[Message, ...]:
    """hh-rlhf: a text of turns, each behind a blank line and the name of who speaks."""
    if isinstance(value, list):
        return messages(value, key)
    _before, *parts = _TURN.split("\n\n" + text(value, key).lstrip("\n"))
    said = tuple(
        Message(role=_SPEAKERS[who], content=text(words.strip(), key))
        for who, words in zip(parts[::2], parts[1::2], strict=True)
    )
    if not said or said[-1].role != "assistant":
        raise BadRow("not_a_transcript", key=key)
    return said


def _of_conversations(row: Row, chosen: tuple[Message, ...], rejected: tuple[Message, ...]) -> Pair:
    """The prompt is what both have before their last answers."""
    if chosen[:-1] != rejected[:-1] or not chosen[:-1]:
        raise BadRow("other_prompts")
    for key, turn in (("chosen", chosen[-1]), ("rejected", rejected[-1])):
        if turn.role != "assistant":
            raise BadRow("not_one_answer", key=key)
    return _pair(row, chosen[:-1], chosen[-1].content, rejected[-1].content)


def from_openai(row: Row) -> Pair:
    asked = row.get("input")
    if not isinstance(asked, dict):
        raise BadRow("not_messages", key="input.messages")
    return _pair(
        row,
        messages(asked.get("messages"), "input.messages"),
        answer(row["preferred_output"], "preferred_output"),
        answer(row["non_preferred_output"], "non_preferred_output"),
    )


def _pair(row: Row, asked: tuple[Message, ...], chosen: str, rejected: str) -> Pair:
    if chosen == rejected:
        raise BadRow("same_answers")
    return Pair(prompt=asked, chosen=chosen, rejected=rejected, margin=_margin(row.get("margin")))


def _margin(value: object) -> float | None:
    if value is None:
        return None
    # NaN and infinity are no JSON, whatever Python's reader takes.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LARGEST_MARGIN:
        raise BadRow("bad_margin", found=str(value)[:40])
    return value
