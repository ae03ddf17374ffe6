"""A finding as its page shows it: the row with the span marked, and what its remedy would change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from django.utils.translation import gettext

from training import mending, wording
from training.admin.pages import ROLE_NAMES
from training.ml.changes import Piece, compared
from training.ml.errors import PipelineError
from training.ml.findings import REMEDIES, Place, places
from training.ml.records import Body
from training.models import Example, Finding

_NEAR_CHARS = 60
_TEXT_CHARS = 300
_OTHERS_SHOWN = 5
_NAMES = {"chosen": "Better answer", "rejected": "Worse answer", "completion": "Answer", "text": "Text"}


class Marked(NamedTuple):
    """The stretch that a finding is about."""

    text: str
    change: Literal["marked"] = "marked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A text of a row."""

    name: str
    role: str
    pieces: Sequence[Piece | Marked]


def shown(finding: Finding) -> dict[str, Any]:
    """Everything that the template needs of one finding."""
    example = finding.example
    body: Body = example.body if example else {}
    changed, preview = _preview(finding)
    return {
        "pk": finding.pk,
        "example": example,
        "state": finding.state,
        "what": wording.finding_text(finding),
        "texts": [_marked(place, finding) for place in places(body)],
        "remedy": gettext(REMEDIES[finding.remedy].label) if finding.remedy in REMEDIES else "",
        "removes": changed is None and bool(finding.remedy),
        "preview": preview,
        "others": _others(finding),
    }


def _name(place: Place) -> str:
    if place.where in _NAMES:
        return gettext(_NAMES[place.where])
    return str(ROLE_NAMES.get(place.role, place.role))


def _marked(place: Place, finding: Finding) -> Shown:
    start, end = finding.start, finding.end
    here = place.where == finding.where and start is not None and end is not None
    if not here or not _still_there(place.text, finding):
        return Shown(name=_name(place), role=_role(place), pieces=[Piece("same", _cut(place.text, _TEXT_CHARS))])
    pieces: list[Piece | Marked] = [
        Piece("same", _end_of(place.text[:start])),
        Marked(_cut(place.text[start:end], _TEXT_CHARS)),
        Piece("same", _cut(place.text[end:], _TEXT_CHARS)),
    ]
    return Shown(name=_name(place), role=_role(place), pieces=[piece for piece in pieces if piece.text])


def _role(place: Place) -> str:
    return place.where if place.where in ("chosen", "rejected", "text") else place.role


def _still_there(text: str, finding: Finding) -> bool:
    """An edit since then may have moved the span; then nothing is marked rather than something wrong."""
    start, end = finding.start or 0, finding.end or 0
    return end <= len(text) and text[start:end][:_NEAR_CHARS] in finding.excerpt


def _preview(finding: Finding) -> tuple[Body | None, list[Shown]]:
    """The row after the remedy, and its texts that change; nothing where there is no remedy or nothing to mend."""
    if finding.state != Finding.State.OPEN or finding.example is None:
        return {}, []
    try:
        body = mending.after(finding)
    except PipelineError:
        return {}, []
    if body is None:
        return None, []
    return body, _changes(finding.example.body, body)


def _changes(before: Body, after: Body) -> list[Shown]:
    new = {place.where: place for place in places(after)}
    changed = []
    for place in places(before):
        text = new[place.where].text if place.where in new else ""
        if text != place.text:
            pieces = _shortened(compared(place.text, text))
            changed.append(Shown(name=_name(place), role=_role(place), pieces=pieces))
    return changed


def _shortened(pieces: list[Piece]) -> list[Piece]:
    """What stays the same between two changes is shown near them only."""
    last = len(pieces) - 1
    short = []
    for number, piece in enumerate(pieces):
        if piece.change != "same":
            short.append(piece)
        elif number == 0:
            short.append(Piece("same", _end_of(piece.text)))
        elif number == last:
            short.append(Piece("same", _cut(piece.text, _NEAR_CHARS)))
        elif len(piece.text) > 2 * _NEAR_CHARS:
            short.append(Piece("same", f"{piece.text[:_NEAR_CHARS]} … {piece.text[-_NEAR_CHARS:]}"))
        else:
            short.append(piece)
    return short


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + "…"


def _end_of(text: str) -> str:
    return text if len(text) <= _NEAR_CHARS else "…" + text[-_NEAR_CHARS:]


def _others(finding: Finding) -> list[Example]:
    """The rows that it is about beside its own."""
    facts = finding.facts
    keys = [*facts.get("rows", []), facts.get("first"), facts.get("other")]
    wanted = [key for key in dict.fromkeys(keys) if key and key != finding.example_id][:_OTHERS_SHOWN]
    return list(Example.objects.filter(pk__in=wanted).only("pk", "preview", "status", "split").order_by("pk"))
