"""What the page of one example shows beside its form: history with what changed, alike rows, marks, fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from training import review, scores, similar
from training.admin.pages import bubbles
from training.ml.changes import Piece
from training.ml.records import Body
from training.ml.words import differences
from training.models import Example

ACTIONS = {
    "added": _("Added"),
    "approved": _("Approved"),
    "rejected": _("Rejected"),
    "edited": _("Edited"),
    "reopened": _("Back to draft"),
    "replaced": _("Replaced by its author"),
    "withdrawn": _("Withdrawn by its author"),
    "undone": _("Undone"),
    "scored": _("Margin from marks"),
    "tagged": _("Tag added"),
    "untagged": _("Tag removed"),
}
_EVENTS_SHOWN = 50
_ANSWERS = {"chosen": _("Better answer"), "rejected": _("Worse answer"), "completion": _("Answer"), "text": _("Text")}


def history(example: Example) -> list[dict[str, Any]]:
    """Newest first; an event that changed words says which."""
    shown, after = [], example.body
    for event in example.events.select_related("user").order_by("-id")[:_EVENTS_SHOWN]:
        shown.append(
            {
                "at": event.at,
                "who": event.user.get_username() if event.user else "",
                "what": ACTIONS.get(event.action, event.action),
                "note": event.note,
                "changes": changes(event.before, after) if event.before else [],
                "before": bubbles(event.before) if event.before else [],
            }
        )
        after = event.before or after
    return shown


def changes(before: Body, after: Body) -> list[tuple[str, list[Piece]]]:
    """The texts that differ: where, and word by word."""
    old, new = _named_texts(before), _named_texts(after)
    if before.get("margin") != after.get("margin"):
        old |= {str(_("Margin")): str(before.get("margin", ""))}
        new |= {str(_("Margin")): str(after.get("margin", ""))}
    places = dict.fromkeys([*old, *new])
    return [
        (place, differences(old.get(place, ""), new.get(place, "")))
        for place in places
        if old.get(place) != new.get(place)
    ]


def _named_texts(body: Body) -> dict[str, str]:
    """By the names that people see; turns of one speaker are told apart by their number."""
    places = review.texts_of(body)
    names = [bubble["name"] for bubble in bubbles(body)]
    numbered = [
        f"{number}. {name}" if "[" in place else name
        for number, (place, name) in enumerate(zip(places, names, strict=True), 1)
    ]
    return dict(zip(numbered, places.values(), strict=True))


def answer_fields(example: Example, posted: Mapping[str, str]) -> list[dict[str, str]]:
    """The single texts of a pair, label or document, as fields."""
    return [
        {"name": name, "label": str(label), "text": posted.get(name, example.body[name])}
        for name, label in _ANSWERS.items()
        if name in example.body
    ]


def siblings(example: Example) -> QuerySet[Example]:
    """Other ways to ask for the same fact."""
    if not example.group:
        return Example.objects.none()
    return Example.objects.filter(group=example.group).exclude(pk=example.pk)[:20]


def alike(example: Example) -> list[dict[str, Any]]:
    """Similar rows, and whether one and this one make a pair by their marks."""
    return [
        {
            "row": found.example,
            "percent": round(100 * found.share),
            "mark": scores.last_mark(found.example),
            "can_pair": scores.can_pair(example, found.example),
        }
        for found in similar.similar_to(example)
    ]


def marks(example: Example) -> list[dict[str, Any]]:
    """Every answer that can be marked, and the mark that counts."""
    given, texts = scores.current(example), review.texts_of(example.body)
    return [
        {"place": place, "text": texts[place], "value": given.get(place)}
        for place in scores.answers_of(example.kind, example.body)
    ]
