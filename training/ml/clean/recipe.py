"""Recipes: ordered steps with their parameters, what they make of a record, and the count over many."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import Any, Self

from training.ml.clean.kinds import Judge, Ready
from training.ml.clean.mapping import map_texts, texts_of
from training.ml.clean.parameters import Materials
from training.ml.clean.steps import STEPS
from training.ml.errors import BadConfig
from training.ml.records import Body, Kind, Pair, Record, record_from_body
from training.ml.texts import gettext_noop, words

# A step as a recipe records it: its name, or {"step": name} with what differs from its defaults.
Choice = str | Mapping[str, Any]

RULES: dict[str, str] = {
    "unknown": gettext_noop("There is no cleaning step %(step)s. Known: %(known)s."),
    "setting": gettext_noop("The cleaning step %(step)s has no setting %(setting)s."),
    "missing": gettext_noop("The cleaning step %(step)s needs a value for %(setting)s."),
    "range": gettext_noop("The cleaning step %(step)s would drop every row: at least %(least)d, at most %(most)d."),
    "material": gettext_noop(
        "The cleaning step %(step)s names a list or tokenizer that is not here any more (%(sha256)s)."
    ),
    "library": gettext_noop(
        "This recipe was made with %(library)s %(recorded)s, and %(installed)s is installed: the rows would come out "
        "otherwise. Save the recipe again as a new version."
    ),
}


def _bad(rule: str, **facts: Any) -> BadConfig:
    return BadConfig(RULES[rule], field="steps", **facts)


# --- one step -------------------------------------------------------------------------------------------------------


def name_of(choice: Choice) -> str:
    name = choice if isinstance(choice, str) else choice.get("step")
    if not isinstance(name, str) or name not in STEPS:
        raise _bad("unknown", step=str(name), known=", ".join(STEPS))
    return name


def _given(choice: Choice) -> dict[str, Any]:
    return {} if isinstance(choice, str) else {key: value for key, value in choice.items() if key != "step"}


def settings_of(choice: Choice) -> dict[str, Any]:
    """Every parameter with its checked value. Raises BadConfig."""
    name, given = name_of(choice), _given(choice)
    info = STEPS[name]
    if strange := set(given) - set(info.defaults) - set(info.libraries):
        raise _bad("setting", step=name, setting=", ".join(sorted(map(str, strange))))
    settings = {}
    for parameter in info.parameters:
        value = given.get(parameter.name, parameter.default)
        if value is None:
            raise _bad("missing", step=words(info.label), setting=words(parameter.label))
        settings[parameter.name] = parameter.check(value)
    if settings.get("least", 0) > settings.get("most", float("inf")):
        raise _bad("range", step=words(info.label), least=settings["least"], most=settings["most"])
    return settings


def canonical(choice: Choice) -> Choice:
    """The one way to record a step: what is as by default is left out, versions of libraries are put in."""
    name, given, settings = name_of(choice), _given(choice), settings_of(choice)
    info = STEPS[name]
    told = {key: value for key, value in settings.items() if value != info.defaults[key]}
    told |= {library: str(given.get(library) or version(library)) for library in info.libraries}
    return {"step": name} | told if told else name


def materials_of(choice: Choice) -> list[str]:
    """The sha256 of each list and tokenizer that the step names."""
    settings = settings_of(choice)
    named = (settings[one.name] for one in STEPS[name_of(choice)].parameters if one.names_material)
    return [sha256 for sha256 in named if sha256]


def _check_libraries(choice: Choice) -> None:
    for library in STEPS[name_of(choice)].libraries:
        recorded, installed = _given(choice)[library], version(library)
        if recorded != installed:
            raise _bad("library", library=library, recorded=recorded, installed=installed)


def _made_ready(choice: Choice, materials: Materials) -> Ready:
    _check_libraries(choice)
    for sha256 in materials_of(choice):
        if sha256 not in materials:
            raise _bad("material", step=words(STEPS[name_of(choice)].label), sha256=sha256[:12])
    return STEPS[name_of(choice)].make(settings_of(choice), materials)


# --- what became of records -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What became of a record: the new one, or None and why; `changed` names the steps that did something."""

    record: Record | None
    changed: tuple[str, ...] = ()
    dropped: str = ""
    flags: tuple[str, ...] = ()


@dataclass(slots=True)
class Tally:
    """Counts over many records: kept, changed by step, dropped by reason, flagged by mark."""

    kept: int = 0
    changed: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    flagged: Counter[str] = field(default_factory=Counter)

    def add(self, cleaned: Cleaned) -> None:
        self.count(changed=cleaned.changed, dropped=cleaned.dropped, flags=cleaned.flags)

    def count(self, *, changed: Iterable[str], dropped: str, flags: Iterable[str]) -> None:
        self.changed.update(changed)
        if dropped:
            self.dropped[dropped] += 1
        else:
            self.kept += 1
            self.flagged.update(flags)

    def to_json(self) -> dict[str, Any]:
        plain: dict[str, Any] = {"kept": self.kept, "changed": dict(self.changed), "dropped": dict(self.dropped)}
        return plain | {"flagged": dict(self.flagged)} if self.flagged else plain


# --- recipes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Steps in the order in which they run.

    materials: the lists and tokenizers that they name by sha256. Only who cleans needs them; the hash has the names.
    """

    steps: tuple[Choice, ...]
    materials: Materials = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(canonical(choice) for choice in self.steps))

    @classmethod
    def from_json(cls, steps: Iterable[Choice], materials: Materials | None = None) -> Self:
        return cls(steps=tuple(steps), materials=materials or {})

    def to_json(self) -> list[Any]:
        return [choice if isinstance(choice, str) else dict(choice) for choice in self.steps]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name_of(choice) for choice in self.steps)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(json.dumps(self.to_json(), separators=(",", ":")).encode()).hexdigest()

    @cached_property
    def ready(self) -> tuple[tuple[str, Ready], ...]:
        """The steps made ready once. Raises BadConfig where a library or a list is not what it was."""
        return tuple((name_of(choice), _made_ready(choice, self.materials)) for choice in self.steps)

    def __reduce__(self) -> tuple[Any, ...]:
        # What was made ready holds functions, which do not travel to other processes.
        return _rebuilt, (self.to_json(), dict(self.materials))

    def clean(self, record: Record) -> Cleaned:
        changed: list[str] = []
        flags: list[str] = []
        for name, step in self.ready:
            if isinstance(step, Judge):
                verdict = step.judge(record)
                if verdict.dropped:
                    return Cleaned(record=None, changed=tuple(changed), dropped=verdict.dropped)
                flags += verdict.flags
                continue
            after = map_texts(record, step)
            if after is not record:
                changed.append(name)
                record = after
        return _judged(record, tuple(changed), tuple(flags))

    def clean_body(self, kind: Kind, body: Body) -> Cleaned:
        return self.clean(record_from_body(kind, body))


def _rebuilt(steps: list[Choice], materials: Materials) -> Recipe:
    return Recipe.from_json(steps, materials)


def _judged(record: Record, changed: tuple[str, ...], flags: tuple[str, ...]) -> Cleaned:
    """What no recipe may let through: an empty text, and a preference between equals."""
    if not all(text and not text.isspace() for text in texts_of(record)):
        return Cleaned(record=None, changed=changed, dropped="empty")
    if isinstance(record, Pair) and record.chosen == record.rejected:
        return Cleaned(record=None, changed=changed, dropped="same_answers")
    return Cleaned(record=record, changed=changed, flags=flags)


# What training text gets unless somebody asks for more: nothing here takes words away.
DEFAULT = Recipe(steps=("whitespace@1", "control@1"))
