"""What a step lets people set: name, kind, range, default and help of each parameter, and the check of a value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from training.ml.errors import BadConfig
from training.ml.texts import gettext_noop, words

# Checked values of a step's parameters, by name.
Settings = Mapping[str, Any]
# The texts that parameters name by their sha256: word lists, and the tokenizer.json of a model.
Materials = Mapping[str, str]

ParameterKind = Literal["number", "choice", "choices", "text", "words", "tokenizer"]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LONGEST_TEXT = 40
RULES: dict[ParameterKind, str] = {
    "number": gettext_noop("%(setting)s must be a whole number from %(low)d to %(high)d, not %(value)s."),
    "choice": gettext_noop("%(setting)s must be one of %(known)s, not %(value)s."),
    "choices": gettext_noop("%(setting)s must be some of %(known)s, not %(value)s."),
    "text": gettext_noop("%(setting)s must be a text of at most %(high)d characters, not %(value)s."),
    "words": gettext_noop("%(setting)s must name a word list. Choose one, or upload it first."),
    "tokenizer": gettext_noop("%(setting)s must name the tokenizer of a model. Choose one."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One setting of a step. `default` None: it has to be given.

    low, high: the range of a number. choices: (value, label). use: of `words`, what the list is for.
    """

    name: str
    kind: ParameterKind
    label: str
    default: Any = None
    help: str = ""
    low: int = 0
    high: int = 1_000_000
    choices: tuple[tuple[str, str], ...] = ()
    use: str = ""

    @property
    def names_material(self) -> bool:
        return self.kind in ("words", "tokenizer")

    def check(self, value: Any) -> Any:
        """The value as it is recorded. Raises BadConfig."""
        if not self._fits(value):
            high = _LONGEST_TEXT if self.kind == "text" else self.high
            known = ", ".join(name for name, _label in self.choices)
            raise BadConfig(
                RULES[self.kind],
                field=self.name,
                setting=words(self.label),
                value=str(value),
                low=self.low,
                high=high,
                known=known,
            )
        return [name for name, _label in self.choices if name in value] if self.kind == "choices" else value

    def _fits(self, value: Any) -> bool:
        known = [name for name, _label in self.choices]
        match self.kind:
            case "number":
                return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high
            case "choice":
                return value in known
            case "choices":
                return isinstance(value, list | tuple) and bool(value) and all(name in known for name in value)
            case "text":
                return isinstance(value, str) and len(value) <= _LONGEST_TEXT
            case _:
                return isinstance(value, str) and (value == self.default or bool(_SHA256.fullmatch(value)))
