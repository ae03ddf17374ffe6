"""Marks English sentences for translation without knowing Django: makemessages looks for this function's name."""

from __future__ import annotations


def gettext_noop(text: str) -> str:
    """The text itself; whoever shows it to a person passes it through gettext first."""
    return text
