"""What a step is: how people see it, what they can set, and how it is made ready to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from training.ml.clean.mapping import TextStep
from training.ml.clean.parameters import Materials, Parameter, Settings
from training.ml.records import Record

StepGroup = Literal["characters", "web", "chinese", "length", "safety", "words"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a judge says of a record: why it goes, if it does, and the marks it gets otherwise."""

    dropped: str = ""
    flags: tuple[str, ...] = ()


KEEP = Verdict()


@dataclass(frozen=True, slots=True)
class Judge:
    """A step that looks at a whole record and rewrites nothing."""

    judge: Callable[[Record], Verdict]


Ready = TextStep | Judge


@dataclass(frozen=True, slots=True, kw_only=True)
class StepInfo:
    """A step as people choose it.

    libraries: packages whose version changes what it does; the version is part of a recipe that uses it.
    settles: done twice, it changes nothing more. newer: the version that took its place; only old recipes run this.
    """

    make: Callable[[Settings, Materials], Ready]
    label: str
    group: StepGroup
    help: str = ""
    parameters: tuple[Parameter, ...] = ()
    libraries: tuple[str, ...] = ()
    settles: bool = True
    newer: str = ""

    @property
    def defaults(self) -> dict[str, Any]:
        return {parameter.name: parameter.default for parameter in self.parameters}

    @property
    def run(self) -> TextStep:
        """The step on one text, with its defaults."""
        ready = self.make(self.defaults, {})
        if isinstance(ready, Judge):
            raise TypeError(f"{self.label} looks at whole records")
        return ready


def always(step: TextStep) -> Callable[[Settings, Materials], Ready]:
    """A step without parameters."""

    def make(_settings: Mapping[str, Any], _materials: Materials) -> Ready:
        return step

    return make
