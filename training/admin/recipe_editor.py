"""The editor of a cleaning recipe: steps as they were posted, moved about, and shown with what they do to a sample.

Knows neither requests nor addresses; the page posts the whole list each time and gets it back changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from training import recipes, wording
from training.ml import clean
from training.ml.clean import Choice, Parameter
from training.ml.clean.preview import StepShown, trace
from training.ml.errors import PipelineError
from training.ml.records import Record
from training.models import WordList

GROUPS = {
    "web": _("From the web"),
    "characters": _("Characters"),
    "chinese": _("Chinese"),
    "safety": _("Safety"),
    "length": _("Length"),
    "words": _("Words (off for training text)"),
}
_SHOWN_ROWS = 4
_MOST_STEPS = 40


@dataclass(slots=True)
class Row:
    """One step on the page. `key` names its fields and stays its own while it is moved."""

    key: int
    name: str
    settings: dict[str, Any]
    error: str = ""
    effect: dict[str, Any] | None = None

    @property
    def choice(self) -> Choice:
        return {"step": self.name} | self.settings

    @property
    def label(self) -> str:
        return wording.step_label(self.name)

    @property
    def help(self) -> str:
        text = clean.STEPS[self.name].help
        return gettext(text) if text else ""

    @property
    def fields(self) -> list[dict[str, Any]]:
        return [_field(self, parameter) for parameter in clean.STEPS[self.name].parameters]


@dataclass(slots=True)
class Editor:
    """All that one showing of the editor needs."""

    rows: list[Row]
    sampled: int = 0
    kept: int = 0
    dropped: list[tuple[str, int]] = field(default_factory=list)

    @property
    def choices(self) -> list[Choice]:
        return [row.choice for row in self.rows]

    @property
    def is_right(self) -> bool:
        return not any(row.error for row in self.rows)


# --- reading --------------------------------------------------------------------------------------------------------


def from_steps(steps: Iterable[Choice]) -> Editor:
    """Stored steps; what they record of libraries is not theirs to edit."""
    return Editor(rows=[_row(key, clean.name_of(step), clean.settings_of(step)) for key, step in enumerate(steps)])


def from_post(data: QueryDict) -> Editor:
    rows = []
    for key in data.getlist("row")[:_MOST_STEPS]:
        name = data.get(f"step-{key}", "")
        if key.isdecimal() and name in clean.STEPS:
            parameters = clean.STEPS[name].parameters
            rows.append(
                _row(int(key), name, {one.name: _posted(data, f"set-{key}-{one.name}", one) for one in parameters})
            )
    return Editor(rows=rows)


def _posted(data: QueryDict, name: str, parameter: Parameter) -> Any:
    if parameter.kind == "choices":
        return data.getlist(name)
    value = data.get(name, "").strip() if parameter.kind == "number" else data.get(name, "")
    return int(value) if parameter.kind == "number" and value.lstrip("-").isdecimal() else value


def _row(key: int, name: str, settings: dict[str, Any]) -> Row:
    row = Row(key=key, name=name, settings=settings)
    row.error = _error(row)
    return row


def _error(row: Row) -> str:
    """Why the step cannot run as it is set; also lists that are not there."""
    try:
        _ = recipes.with_lists([row.choice]).ready
    except PipelineError as error:
        return wording.error_text(error)
    return ""


# --- changing -------------------------------------------------------------------------------------------------------


def change(editor: Editor, asked: str, new: str) -> None:
    """What a button asks for: `add` (the step `new`), or `up:KEY`, `down:KEY`, `remove:KEY`."""
    verb, _colon, key = asked.partition(":")
    if verb == "add" and new in clean.STEPS and len(editor.rows) < _MOST_STEPS:
        editor.rows.append(_row(max((row.key for row in editor.rows), default=-1) + 1, new, _first_settings(new)))
        return
    place = next((place for place, row in enumerate(editor.rows) if str(row.key) == key), None)
    if place is None:
        return
    row = editor.rows.pop(place)
    if verb != "remove":
        editor.rows.insert(max(0, place + {"up": -1, "down": 1}.get(verb, 0)), row)


def _first_settings(name: str) -> dict[str, Any]:
    """The defaults; where something has to be chosen, the newest there is."""
    settings = dict(clean.STEPS[name].defaults)
    for parameter in clean.STEPS[name].parameters:
        if parameter.default is None:
            settings[parameter.name] = next((value for value, _label in _options(parameter)), "")
    return settings


# --- showing --------------------------------------------------------------------------------------------------------


def _options(parameter: Parameter) -> list[tuple[str, str]]:
    if parameter.kind == "tokenizer":
        return recipes.tokenizers()
    if parameter.kind == "words":
        lists = WordList.objects.filter(use=parameter.use).values_list("sha256", "name", "words")
        none = [("", gettext("none"))] if parameter.default == "" else []
        return none + [(sha256, f"{name} ({words:,})") for sha256, name, words in lists]
    return [(value, gettext(label)) for value, label in parameter.choices]


def _field(row: Row, parameter: Parameter) -> dict[str, Any]:
    value = row.settings.get(parameter.name, parameter.default)
    chosen = value if isinstance(value, list) else [value]
    return {
        "id": f"set-{row.key}-{parameter.name}",
        "kind": parameter.kind,
        "label": gettext(parameter.label),
        "help": gettext(parameter.help) if parameter.help else "",
        "value": value,
        "low": parameter.low,
        "high": parameter.high,
        "use": parameter.use,
        "options": [(name, label, name in chosen) for name, label in _options(parameter)],
    }


def offered() -> list[tuple[str, list[tuple[str, str]]]]:
    """The steps that can be added, by group; those that a better version took the place of are not among them."""
    current = [(name, info) for name, info in clean.STEPS.items() if not info.newer]
    return [
        (str(title), [(name, wording.step_label(name)) for name, info in current if info.group == group])
        for group, title in GROUPS.items()
    ]


def _effect(effect: StepShown) -> dict[str, Any]:
    shown = [
        {"texts": one.texts, "dropped": one.dropped, "reason": _reason(one.dropped, one.flags)} for one in effect.shown
    ]
    counts = {name: getattr(effect, name) for name in ("reached", "changed", "dropped", "flagged")}
    return counts | {"shown": shown}


def _reason(dropped: str, flags: Sequence[str]) -> str:
    return ", ".join(wording.reason_text(reason) for reason in ([dropped] if dropped else flags))


def look(editor: Editor, records: Sequence[Record]) -> None:
    """Fill in what each step does to the rows; nothing where a step is set wrong."""
    if not editor.is_right or not records:
        return
    recipe = recipes.with_lists(editor.choices)
    for row, effect in zip(editor.rows, trace(recipe, records, shown=_SHOWN_ROWS), strict=True):
        row.effect = _effect(effect)
    tally = clean.Tally()
    for record in records:
        tally.add(recipe.clean(record))
    editor.sampled, editor.kept = len(records), tally.kept
    editor.dropped = [(wording.reason_text(reason), count) for reason, count in tally.dropped.most_common()]
