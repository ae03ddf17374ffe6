"""One JSON object to one record: prompt/completion, messages, or prompt/chosen/rejected.

Pure; raises BadRow with the rule that is broken. Knows no files and no line numbers.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal, get_args

from training.ml.corpus.rules import BadRow, storable
from training.ml.records import Dialogue, Document, Kind, Label, Message, Pair, Record, Role
from training.ml.texts import Words, gettext_noop, words

Format = Literal["prompt_completion", "messages", "preference", "chitchat"]

_LARGEST_MARGIN = 1e6
SEPARATOR = " ->"
NEEDED: dict[Format, str] = {
    "prompt_completion": "prompt, completion",
    "messages": "messages",
    "preference": "prompt, chosen, rejected",
}
_SURROGATE = re.compile("[\ud800-\udfff]")
_JSON_NAMES = {
    dict: gettext_noop("an object"),
    list: gettext_noop("a list"),
    str: gettext_noop("text"),
    bool: gettext_noop("true or false"),
    type(None): gettext_noop("null"),
}


def _kind_of(value: object) -> Words:
    return words(_JSON_NAMES.get(type(value), gettext_noop("a number")))


def parse(line: str) -> dict[str, Any]:
    """The JSON object of a line."""
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise _not_json(line, error) from error
    except RecursionError as error:
        raise BadRow("too_deep") from error
    except ValueError as error:  # a number of thousands of digits
        raise BadRow("not_json", why=str(error)[:100], column=1) from error
    if not isinstance(value, dict):
        raise BadRow("not_an_object", found=_kind_of(value))
    return value


def _not_json(line: str, error: json.JSONDecodeError) -> BadRow:
    text = line.strip()
    if re.match(r"\{\s*[“”]", text):
        return BadRow("curly_quotes")
    if re.match(r"\{\s*'", text):
        return BadRow("single_quotes")
    if text.startswith("{") and not text.endswith("}"):
        return BadRow("cut_off")
    return BadRow("not_json", why=error.msg, column=error.colno)


def format_of(row: dict[str, Any]) -> Format | None:
    """Which known format the keys stand for."""
    if "chosen" in row and "rejected" in row and ("prompt" in row or "messages" in row):
        return "preference"
    if "prompt" in row and "completion" in row:
        return "prompt_completion"
    return "messages" if "messages" in row else None


def to_record(row: dict[str, Any], expected: Format, *, prepared: bool = False) -> Dialogue | Pair:
    """The record of a row. A file may mix the formats; `expected` only words the complaint about unknown keys."""
    found = format_of(row)
    if found == "prompt_completion":
        return _from_prompt(row, prepared=prepared)
    if found == "messages":
        return _from_messages(row)
    if found == "preference":
        return _from_preference(row)
    raise BadRow("wrong_keys", found=key_list(row), needed=NEEDED[expected])


def key_list(row: dict[str, Any]) -> str:
    return ", ".join(sorted(str(key)[:40] for key in row)[:12]) or "{}"


def group_of(row: dict[str, Any]) -> str:
    """The paraphrase group that a row may name itself."""
    group = row.get("group")
    return storable(group[:60]) if isinstance(group, str) else ""


def is_prepared(row: dict[str, Any]) -> bool:
    """Does a row look like the output of OpenAI's `prepare_data`: a prompt in ` ->`, a completion from a space?"""
    prompt, completion = row.get("prompt"), row.get("completion")
    return (
        isinstance(prompt, str)
        and isinstance(completion, str)
        and prompt.endswith(SEPARATOR)
        and completion.startswith(" ")
    )


def _text(value: object, key: str) -> str:
    if not isinstance(value, str):
        raise BadRow("not_text", key=key, found=_kind_of(value))
    if not value.strip():
        raise BadRow("empty_text", key=key)
    if "\x00" in value:
        raise BadRow("nul")
    if lone := _SURROGATE.search(value):
        raise BadRow("surrogate", code=f"u{ord(lone[0]):04x}")
    return value


def exchange(question: str, answer: str) -> Dialogue:
    return Dialogue(messages=(Message(role="user", content=question), Message(role="assistant", content=answer)))


def _from_prompt(row: dict[str, Any], *, prepared: bool) -> Dialogue:
    prompt, completion = row["prompt"], row["completion"]
    if prepared and is_prepared(row):
        prompt, completion = prompt.removesuffix(SEPARATOR), completion.strip()
    return exchange(_text(prompt, "prompt"), _text(completion, "completion"))


def _weight(value: object, number: int) -> float:
    # A share would have to weigh the loss, which the trainer does not do: a row that says so is not learnt wrongly.
    if isinstance(value, bool) or value not in (0, 1):
        raise BadRow("bad_weight", number=number, found=str(value)[:40])
    return float(value)


def _message(value: object, number: int, key: str) -> Message:
    if not isinstance(value, dict) or "role" not in value or "content" not in value:
        raise BadRow("not_messages", key=key)
    role = value["role"]
    if role not in get_args(Role):
        raise BadRow("unknown_role", number=number, found=str(role)[:40])
    if role == "system" and number > 1:
        raise BadRow("late_system", number=number)
    content = _text(value["content"], f"{key}[{number}].content")
    return Message(role=role, content=content, weight=_weight(value.get("weight", 1.0), number))


def _messages(value: object, key: str) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise BadRow("not_messages", key=key)
    return tuple(_message(item, number, key) for number, item in enumerate(value, 1))


def _from_messages(row: dict[str, Any]) -> Dialogue:
    messages = _messages(row["messages"], "messages")
    # A question after the last answer teaches nothing and would end the row in the middle.
    while messages and messages[-1].role != "assistant":
        messages = messages[:-1]
    if not messages:
        raise BadRow("no_answer")
    return Dialogue(messages=messages)


def _prompt(row: dict[str, Any]) -> tuple[Message, ...]:
    value = row.get("prompt", row.get("messages"))
    if isinstance(value, list):
        return _messages(value, "prompt" if "prompt" in row else "messages")
    return (Message(role="user", content=_text(value, "prompt")),)


def _answer(value: object, key: str) -> str:
    """An answer as text, as one message or as a list of one message."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        return _message(value, 1, key).content
    return _text(value, key)


def _from_preference(row: dict[str, Any]) -> Pair:
    chosen, rejected = _answer(row["chosen"], "chosen"), _answer(row["rejected"], "rejected")
    if chosen == rejected:
        raise BadRow("same_answers")
    return Pair(prompt=_prompt(row), chosen=chosen, rejected=rejected, margin=_margin(row.get("margin")))


def _margin(value: object) -> float | None:
    if value is None:
        return None
    # NaN and infinity are no JSON, whatever Python's reader takes.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LARGEST_MARGIN:
        raise BadRow("bad_margin", found=str(value)[:40])
    return value


def _from_label(row: dict[str, Any]) -> Label:
    completion = _text(row.get("completion"), "completion")
    return Label(prompt=_prompt(row), completion=completion, desirable=bool(row.get("label")))


def record_of(kind: Kind, row: dict[str, Any]) -> Record:
    """The record of a row that a person typed or another part of the site made. Raises BadRow."""
    match kind:
        case "document":
            return Document(text=_text(row.get("text"), "text"))
        case "pair":
            return _from_preference({"chosen": None, "rejected": None} | row)
        case "label":
            return _from_label(row)
        case _:
            return _from_messages({"messages": None} | row)
