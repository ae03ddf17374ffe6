"""Sentences for people that can be said in any language, without knowing Django.

A sentence is kept as its English template and the facts that fill it: the template is the key of its translations,
and both are plain JSON. Whoever shows it looks the template up first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict, TypeGuard


class Words(TypedDict):
    """facts may be Words themselves; they are then said in the same language."""

    text: str
    facts: dict[str, Any]


def gettext_noop(text: str) -> str:
    """The text itself; makemessages looks for this function's name."""
    return text


def words(text: str, /, **facts: Any) -> Words:
    return {"text": text, "facts": facts}


def is_words(value: object) -> TypeGuard[Words]:
    return (
        isinstance(value, dict)
        and value.keys() == {"text", "facts"}
        and isinstance(value["text"], str)
        and isinstance(value["facts"], dict)
    )


def fill(said: Words, translate: Callable[[str], str] = str) -> str:
    """The whole sentence. As in logging, a text without facts is no template: its percent signs stay."""
    facts = {name: fill(fact, translate) if is_words(fact) else fact for name, fact in said["facts"].items()}
    text = translate(said["text"]) if said["text"] else ""
    return text % facts if facts else text
