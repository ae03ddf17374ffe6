"""What every JSON row is made of: the parsed value, checked texts, messages with roles and weights.

Pure; raises BadRow with the rule that is broken. Knows no files, no line numbers and no format.
"""

from __future__ import annotations

import json
import re
from typing import Any, get_args

from training.ml.corpus.rules import BadRow, storable
from training.ml.records import Dialogue, Message, Role
from training.ml.texts import Words, gettext_noop, words

Row = dict[str, Any]

_SURROGATE = re.compile("[\ud800-\udfff]")
# What Python's `surrogateescape` makes of a byte that does not decode.
_ESCAPED = re.compile("[\udc80-\udcff]")
_SOURCE_KEYS = ("site", "url", "time", "title", "licence", "fetched")
_JSON_NAMES = {
    dict: gettext_noop("an object"),
    list: gettext_noop("a list"),
    str: gettext_noop("text"),
    bool: gettext_noop("true or false"),
    type(None): gettext_noop("null"),
}
# What other makers of dialogues call the two who speak.
_SPEAKERS: dict[str, Role] = {
    "human": "user",
    "usr": "user",
    "client": "user",
    "customer": "user",
    "prompter": "user",
    "gpt": "assistant",
    "sys": "assistant",
    "counselor": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
}
_ROLES = frozenset(get_args(Role))
_SPEAKERS_IN_TURN: tuple[Role, Role] = ("user", "assistant")


def kind_of(value: object) -> Words:
    return words(_JSON_NAMES.get(type(value), gettext_noop("a number")))


def _object(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) != len(pairs):
        seen: set[str] = set()
        raise BadRow("duplicate_keys", key=next(key for key, _ in pairs if key in seen or seen.add(key))[:40])  # type: ignore[func-returns-value]
    return row


DECODER = json.JSONDecoder(object_pairs_hook=_object)


def parse(line: str) -> Any:
    """The JSON value of a line."""
    try:
        return DECODER.decode(line)
    except (ValueError, RecursionError) as error:
        raise not_json(line, error) from error


def not_json(line: str, error: ValueError | RecursionError, *, whole: bool = True) -> BadRow:
    """What is wrong with a text that is no JSON, in the words of the likeliest cause. whole: it is all there is."""
    if isinstance(error, RecursionError):
        return BadRow("too_deep")
    if not isinstance(error, json.JSONDecodeError):  # a number of thousands of digits
        return BadRow("not_json", why=str(error)[:100], column=1)
    text = line.strip()
    if re.match(r"\{\s*[“”]", text):
        return BadRow("curly_quotes")
    if re.match(r"\{\s*'", text):
        return BadRow("single_quotes")
    if whole and text.startswith("{") and not text.endswith("}"):
        return BadRow("cut_off")
    return BadRow("not_json", why=error.msg, column=error.colno)


def key_list(row: Row) -> str:
    return ", ".join(sorted(str(key)[:40] for key in row)[:12]) or "{}"


def group_of(row: Row) -> str:
    """The paraphrase group that a row may name itself."""
    group = row.get("group")
    return storable(group[:60]) if isinstance(group, str) else ""


def provenance_of(row: object) -> dict[str, Any] | None:
    """Where a collector found the row: its `source`, as far as that is known words."""
    source = row.get("source") if isinstance(row, dict) else None
    if not isinstance(source, dict):
        return None
    return {name: storable(source[name][:2000]) for name in _SOURCE_KEYS if isinstance(source.get(name), str)} or None


def text(value: object, key: str) -> str:
    if not isinstance(value, str):
        raise BadRow("not_text", key=key, found=kind_of(value))
    if not value or value.isspace():
        raise BadRow("empty_text", key=key)
    if value.isascii():
        if "\x00" in value:
            raise BadRow("nul")
        return value
    if "\x00" in value:
        raise BadRow("nul")
    if lone := _SURROGATE.search(value):
        raise _surrogate(lone[0], value)
    return value


def _surrogate(lone: str, value: str) -> BadRow:
    if escaped := _ESCAPED.search(value):
        return BadRow("not_decoded", byte=f"0x{ord(escaped[0]) - 0xDC00:02x}")
    return BadRow("surrogate", code=f"u{ord(lone):04x}")


def message(value: object, number: int, key: str) -> Message:
    if not isinstance(value, dict) or "role" not in value or "content" not in value:
        return _other_message(value, number, key)
    role = _role(value["role"], number)
    if role == "system" and number > 1:
        raise BadRow("late_system", number=number)
    content = value["content"]
    if isinstance(content, list):
        content = _joined(content)
    said = text(content, f"{key}[{number}].content")
    if "weight" not in value:
        return Message(role=role, content=said)
    return Message(role=role, content=said, weight=_weight(value["weight"], number))


def _role(role: object, number: int) -> Role:
    if role in _ROLES:
        return role  # type: ignore[return-value]
    if isinstance(role, str) and role in _SPEAKERS:
        return _SPEAKERS[role]
    raise BadRow("unknown_role", number=number, found=str(role)[:40])


def _joined(parts: list[Any]) -> object:
    """OpenAI's content in parts, where all of them are text."""
    texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in parts]
    return "".join(texts) if all(isinstance(part, str) for part in texts) else parts  # type: ignore[arg-type]


def _other_message(value: object, number: int, key: str) -> Message:
    """`from` and `value` as in ShareGPT; `message` alone, whose speakers take turns, as in KdConv."""
    if isinstance(value, dict) and "from" in value and "value" in value:
        return message({"role": value["from"], "content": value["value"]} | _kept(value), number, key)
    if isinstance(value, dict) and "message" in value:
        return Message(
            role=_SPEAKERS_IN_TURN[(number - 1) % 2], content=text(value["message"], f"{key}[{number}].message")
        )
    raise BadRow("not_messages", key=key)


def _kept(value: Row) -> Row:
    return {"weight": value["weight"]} if "weight" in value else {}


def _weight(value: object, number: int) -> float:
    # A share would have to weigh the loss, which the trainer does not do: a row that says so is not learnt wrongly.
    if isinstance(value, bool) or value not in (0, 1):
        raise BadRow("bad_weight", number=number, found=str(value)[:40])
    return float(value)


def messages(value: object, key: str) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise BadRow("not_messages", key=key)
    return tuple([message(item, number, key) for number, item in enumerate(value, 1)])


def answered(turns: tuple[Message, ...]) -> tuple[Dialogue, int]:
    """The dialogue up to its last answer, and how many turns behind that were left out.

    A question after the last answer teaches nothing and would end the row in the middle.
    """
    end = len(turns)
    while end and turns[end - 1].role != "assistant":
        end -= 1
    if not end:
        raise BadRow("no_answer")
    return Dialogue(messages=turns[:end] if end < len(turns) else turns), len(turns) - end


def in_turn(utterances: list[str]) -> tuple[Dialogue, int]:
    """Texts of two speakers who take turns; and how many were left out because nobody answers them (0 or 1)."""
    if len(utterances) == 1:
        raise BadRow("lone_utterance")
    even = len(utterances) // 2 * 2
    turns = [Message(role=_SPEAKERS_IN_TURN[index % 2], content=said) for index, said in enumerate(utterances[:even])]
    return Dialogue(messages=tuple(turns)), len(utterances) - even


def exchange(question: str, answer: str) -> Dialogue:
    return Dialogue(messages=(Message(role="user", content=question), Message(role="assistant", content=answer)))
