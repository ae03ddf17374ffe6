"""The shapes of JSON rows, by their keys: dialogues, preferences, thumbs, texts.

One list, asked from the top: a row with `messages` and `chosen` is a preference, not a dialogue. Pure; raises BadRow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from training.ml.corpus import preferences
from training.ml.corpus.rows import Row, answered, exchange, in_turn, key_list, kind_of, messages, text
from training.ml.corpus.rules import BadRow
from training.ml.records import Dialogue, Document, Kind, Label, Message, Record

SEPARATOR = " ->"
_LABELS = ("label", "kto_tag")
_MOST_UTTERANCES = 1000

Made = tuple[Record, int]


@dataclass(frozen=True, slots=True)
class Shape:
    """fits: is it a row's shape? make: its record and how many turns were left out. needed: for the complaint."""

    name: str
    needed: str
    fits: Callable[[Row], bool]
    make: Callable[[Row], Made]


def is_prepared(row: object) -> bool:
    """Does a row look like the output of OpenAI's `prepare_data`: a prompt in ` ->`, a completion from a space?

    `"prepared": false`, which our own export writes, says that it only looks so.
    """
    if not isinstance(row, dict) or row.get("prepared") is False:
        return False
    prompt, completion = row.get("prompt"), row.get("completion")
    return (
        isinstance(prompt, str)
        and isinstance(completion, str)
        and prompt.endswith(SEPARATOR)
        and completion.startswith(" ")
    )


def without_marks(row: Row) -> Row:
    """A prepared row as it was before it was prepared."""
    return row | {"prompt": row["prompt"].removesuffix(SEPARATOR), "completion": row["completion"].strip()}


def _prompt_completion(row: Row) -> Made:
    return exchange(text(row["prompt"], "prompt"), text(row["completion"], "completion")), 0


def _messages(row: Row) -> Made:
    return answered(messages(row["messages"], "messages"))


def _sharegpt(row: Row) -> Made:
    return answered(preferences.turns(row, "conversations"))


def _alpaca(row: Row) -> Made:
    asked = preferences.instruction(row)
    answer = Message(role="assistant", content=text(row["output"], "output"))
    return Dialogue(messages=(*asked, answer)), 0


def _label(row: Row) -> Made:
    desirable = _thumb(row)
    if "completion" in row:
        answer = preferences.answer(row["completion"], "completion")
        return Label(prompt=preferences.prompt(row), completion=answer, desirable=desirable), 0
    turns = messages(row["messages"], "messages") if "messages" in row else preferences.turns(row, "conversations")
    if len(turns) == 1 or turns[-1].role != "assistant":
        raise BadRow("no_answer")
    return Label(prompt=turns[:-1], completion=turns[-1].content, desirable=desirable), 0


def _thumb(row: Row) -> bool:
    key = next(key for key in _LABELS if key in row)
    said = _as_bool(row[key])
    if said is None:
        raise BadRow("bad_label", key=key, found=kind_of(row[key]))
    return said


def _as_bool(said: object) -> bool | None:
    if isinstance(said, str):
        return {"true": True, "false": False}.get(said.strip().lower())
    return bool(said) if isinstance(said, bool | int | float) and said in (0, 1) else None


def _document(row: Row) -> Made:
    return Document(text=text(row["text"], "text")), 0


def _has_label(row: Row) -> bool:
    """A thumb, and not some class that a dialogue was sorted into: 0 and 1 are only taken for one at a completion."""
    said = row.get("label", row.get("kto_tag"))
    if said is None or _as_bool(said) is None:
        return False
    if "completion" in row:
        return True
    return isinstance(said, bool | str) and ("messages" in row or "conversations" in row)


SHAPES: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape(
            "openai_preference",
            "input, preferred_output, non_preferred_output",
            lambda row: "preferred_output" in row and "non_preferred_output" in row,
            lambda row: (preferences.from_openai(row), 0),
        ),
        Shape(
            "preference",
            "prompt, chosen, rejected",
            lambda row: "chosen" in row and "rejected" in row,
            lambda row: (preferences.from_chosen(row), 0),
        ),
        Shape("label", "prompt, completion, label", _has_label, _label),
        Shape(
            "prompt_completion",
            "prompt, completion",
            lambda row: "prompt" in row and "completion" in row,
            _prompt_completion,
        ),
        Shape("messages", "messages", lambda row: "messages" in row, _messages),
        Shape("sharegpt", "conversations", lambda row: "conversations" in row, _sharegpt),
        Shape("alpaca", "instruction, output", lambda row: "instruction" in row and "output" in row, _alpaca),
        Shape("documents", "text", lambda row: isinstance(row.get("text"), str), _document),
    )
}
_LIST_SHAPE = "utterances"
NAMES = (*SHAPES, _LIST_SHAPE)


def shape_of(value: object) -> str:
    """The name of a value's shape, empty when it has none that is known."""
    if isinstance(value, dict):
        return next((name for name, shape in SHAPES.items() if shape.fits(value)), "")
    if isinstance(value, list) and value:
        if all(isinstance(item, str) for item in value):
            return _LIST_SHAPE
        if all(isinstance(item, dict) and "role" in item and "content" in item for item in value):
            return "messages"
    return ""


def to_record(value: object, expected: str, *, prepared: bool = False) -> Made:
    """The record of a value. A file may mix the shapes; `expected` is what most of it is."""
    if isinstance(value, list) and expected in (_LIST_SHAPE, "messages"):
        return _of_list(value)
    if not isinstance(value, dict):
        raise BadRow("not_an_object", found=kind_of(value))
    if prepared and is_prepared(value):
        value = without_marks(value)
    for shape in SHAPES.values():
        if shape.fits(value):
            # In a file of thumbs, an unclear one must not become a dialogue: a bad answer would be learnt.
            if expected == "label" and any(key in value for key in _LABELS):
                return _label(value)
            return shape.make(value)
    raise BadRow("wrong_keys", found=key_list(value), needed=needed(expected))


def needed(expected: str) -> str:
    return SHAPES[expected].needed if expected in SHAPES else "messages"


def _of_list(value: list[Any]) -> Made:
    if value and isinstance(value[0], dict):
        return answered(messages(value, "messages"))
    if len(value) > _MOST_UTTERANCES:
        raise BadRow("dialogue_too_long", limit=_MOST_UTTERANCES)
    if not value or not all(isinstance(item, str) for item in value):
        raise BadRow("not_utterances")
    return in_turn([text(item, f"[{number}]") for number, item in enumerate(value, 1)])


def record_of(kind: Kind, row: Row) -> Record:
    """The record of a row that a person typed or another part of the site made. Raises BadRow."""
    match kind:
        case "document":
            return _document({"text": None} | row)[0]
        case "pair":
            return preferences.from_chosen({"chosen": None, "rejected": None, "prompt": None} | row)
        case "label":
            completion = text(row.get("completion"), "completion")
            return Label(prompt=preferences.prompt(row), completion=completion, desirable=bool(row.get("label")))
        case _:
            return _messages({"messages": None} | row)[0]
