"""The named cells of one row to a record: a dialogue, a preference, a thumb or a text. Pure; raises BadRow."""

from __future__ import annotations

from training.ml.corpus.rules import BadRow
from training.ml.records import Dialogue, Document, Label, Message, Pair, Record, Role

Value = tuple[str, str, str]  # role, name of the column, text

_YES = frozenset({"1", "true", "yes", "y", "good", "👍", "是", "好", "对", "赞", "desirable", "positive"})
_NO = frozenset({"0", "-1", "false", "no", "n", "bad", "👎", "否", "坏", "差", "错", "踩", "undesirable", "negative"})
# What people write into a cell that has to have something in it.
_NOTHING = frozenset(
    {"", "无", "没有", "暂无", "空", "none", "null", "nan", "n/a", "na", "nil", "-", "--", "—", "/", "."}
)
_LARGEST_MARGIN = 1e6
_PAIR = 2


def record_of(values: list[Value]) -> tuple[Record, str, int]:
    """The record, its group, and how many turns at its end nobody answers."""
    group = _one(values, "group").strip()[:60]
    roles = {role for role, _, _ in values}
    if {"chosen", "rejected"} <= roles:
        return _pair(values), group, 0
    if "answer" not in roles:
        return Document(text=_needed(values, "text")), group, 0
    turns = _turns(values)
    if "label" in roles and turns[-1].role == "assistant":
        label = Label(prompt=(*_system(values), *turns[:-1]), completion=turns[-1].content, desirable=_thumb(values))
        return label, group, 0
    left_out = turns[-1].role == "user"
    messages = turns[:-1] if left_out else turns
    if not messages:
        raise BadRow("empty_text", key=_name(values, "answer"))
    return Dialogue(messages=(*_system(values), *messages)), group, int(left_out)


def is_thumb(text: str) -> bool:
    return text.strip().casefold() in _YES | _NO


def _one(values: list[Value], role: str) -> str:
    return next((text for each, _, text in values if each == role), "")


def _name(values: list[Value], role: str) -> str:
    return next((name for each, name, _ in values if each == role), role)


def _needed(values: list[Value], role: str) -> str:
    text = _one(values, role)
    if not text.strip():
        raise BadRow("empty_text", key=_name(values, role))
    return text


def _system(values: list[Value]) -> tuple[Message, ...]:
    text = _one(values, "system")
    return () if _says_nothing(text) else (Message(role="system", content=text),)


def _says_nothing(text: str) -> bool:
    return text.strip().casefold() in _NOTHING


def _turns(values: list[Value]) -> tuple[Message, ...]:
    """Questions and answers in the order of their columns; empty ones at the end of a shorter dialogue are none."""
    said = [value for value in values if value[0] in ("question", "answer")]
    while len(said) > _PAIR and not said[-1][2].strip():
        said.pop()
    turns: list[Message] = []
    for role, name, text in said:
        speaker: Role = "user" if role == "question" else "assistant"
        if not text.strip():
            raise BadRow("empty_text", key=name)
        if turns and turns[-1].role == speaker:
            raise BadRow("no_turns", key=name)
        turns.append(Message(role=speaker, content=text))
    return (Message(role="user", content=_detailed(turns[0].content, values)), *turns[1:])


def _detailed(question: str, values: list[Value]) -> str:
    details = _one(values, "details")
    if _says_nothing(details) or details.strip() in question:
        return question
    return f"{question}\n{details}"


def _pair(values: list[Value]) -> Pair:
    chosen, rejected = _needed(values, "chosen"), _needed(values, "rejected")
    if chosen == rejected:
        raise BadRow("same_answers")
    prompt = _turns([value for value in values if value[0] in ("question", "answer", "details")])
    return Pair(prompt=(*_system(values), *prompt), chosen=chosen, rejected=rejected, margin=_margin(values))


def _margin(values: list[Value]) -> float | None:
    text = _one(values, "margin").strip()
    if not text:
        return None
    try:
        margin = float(text)
    except ValueError:
        margin = float("nan")
    if not abs(margin) < _LARGEST_MARGIN:
        raise BadRow("bad_margin", found=text[:40])
    return margin


def _thumb(values: list[Value]) -> bool:
    text = _one(values, "label").strip().casefold()
    if text not in _YES | _NO:
        raise BadRow("bad_label", key=_name(values, "label"), found=text[:40])
    return text in _YES
