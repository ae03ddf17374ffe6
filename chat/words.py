"""Short words for people, by stable keys: reasons of a thumb, and why an answer ended badly.

Rows keep the keys, so a language switch changes every word and no row.
"""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Label = str | Promise

REASONS_UP: dict[str, Label] = {
    "accurate": _("Correct"),
    "helpful": _("Helpful"),
    "clear": _("Easy to understand"),
    "complete": _("Complete"),
    "friendly": _("Friendly tone"),
}
REASONS_DOWN: dict[str, Label] = {
    "wrong": _("Wrong facts"),
    "off_topic": _("Misses the question"),
    "incomplete": _("Incomplete"),
    "repetitive": _("Repeats itself"),
    "unclear": _("Hard to understand"),
    "language": _("Wrong language"),
    "unsafe": _("Harmful"),
    "other": _("Something else"),
}

ERRORS: dict[str, Label] = {
    "engine_down": _("The model server cannot be reached. Try again in a moment."),
    "engine_lost": _("The connection to the model server broke. You can continue the answer or ask again."),
    "engine_busy": _("Too many people are asking right now. Try again in a moment."),
    "engine_refused": _("The model server refused this question."),
    "lost": _("The site was restarted while this answer was being written. You can continue it or ask again."),
    "internal": _("Something went wrong on the server. Try again."),
}


def reasons(value: int) -> dict[str, Label]:
    return REASONS_UP if value > 0 else REASONS_DOWN


def error(code: str) -> str:
    """What a person is told about an answer that ended badly; "" for one that did not."""
    return str(ERRORS.get(code, ERRORS["internal"])) if code else ""
