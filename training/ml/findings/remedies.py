"""What a remedy makes of a row: a new body, or None for no row at all. Pure; done twice it changes nothing more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from training.ml.clean.safety import PLACEHOLDERS, replace_spans
from training.ml.findings import mojibake
from training.ml.findings.base import Place, places, turns
from training.ml.findings.one_row import without_phrases
from training.ml.findings.one_text import without_marks
from training.ml.privacy import find_personal
from training.ml.records import Body

TextChange = Callable[[Place], str]

_REMOVING = frozenset({"remove_copy", "remove_empty", "remove_row"})


def remedied(remedy: str, body: Body) -> Body | None:
    """The row after a remedy. None: the row is to be removed."""
    if remedy in _REMOVING:
        return None
    if remedy == "merge_turns":
        return _merged(body)
    if remedy == "drop_unanswered":
        return _answered(body)
    return _changed(body, _TEXT_CHANGES[remedy])


def _changed(body: Body, change: TextChange) -> Body:
    """The body with every text changed; one that would be nothing stays as it is."""
    after = {place.where: change(place) for place in places(body)}
    new: Body = {name: after.get(name) or value for name, value in body.items()}
    for name in ("messages", "prompt"):
        if name in body:
            new[name] = [
                message | {"content": after[f"{name}[{number}].content"] or message["content"]}
                for number, message in enumerate(body[name])
            ]
    return new


def _masked(place: Place) -> str:
    text = place.text
    names = PLACEHOLDERS["zh" if any("\u4e00" <= character <= "\u9fff" for character in text) else "en"]
    # A number that is masked may have hidden the one beside it.
    while spans := find_personal(text):
        text = replace_spans(text, spans, lambda span: names[span.kind])
    return text


def _cut(place: Place) -> str:
    return without_phrases(place.text) if place.role == "assistant" else place.text


_TEXT_CHANGES: dict[str, TextChange] = {
    "mask": _masked,
    "mend_encoding": lambda place: mojibake.mend(place.text),
    "drop_private": lambda place: mojibake.without_private(place.text),
    "strip_marks": lambda place: without_marks(place.text) or place.text,
    "cut_phrase": _cut,
}


def _merged(body: Body) -> Body:
    """Turns of one speaker in a row become one; what is learnt is not joined with what is only read."""
    joined: list[dict[str, Any]] = []
    for turn in turns(body):
        last = joined[-1] if joined else None
        if last and last["role"] == turn["role"] and last.get("weight", 1) == turn.get("weight", 1):
            last["content"] += "\n" + turn["content"]
        else:
            joined.append(dict(turn))
    return body | {"messages" if "messages" in body else "prompt": joined}


def _answered(body: Body) -> Body | None:
    kept = list(turns(body))
    while kept and kept[-1]["role"] != "assistant":
        kept.pop()
    return body | {"messages": kept} if kept else None
