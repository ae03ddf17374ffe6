"""What changed between two frozen versions: rows, recipe, counts. Reads files and rows, changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from training import versions
from training.ml import changes, clean
from training.ml.dataset import FrozenDataset
from training.ml.dataset_diff import Change, Comparison, Difference, Place, compare
from training.ml.records import Body
from training.models import DatasetVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """One row of a comparison with its content on both sides, None where it is not."""

    change: Change
    key: str
    now: Body | None
    before: Body | None
    split: str
    split_before: str


class Sides:
    """Two frozen versions side by side. Raises BadDataset when the files of one are damaged."""

    def __init__(self, now: DatasetVersion, before: DatasetVersion) -> None:
        self.now, self.before = now, before
        self._now, self._before = versions.load(now), versions.load(before)
        self.comparison: Comparison = compare(self._now, self._before)

    def listed(self, change: str = "") -> Sequence[Difference]:
        """The differences of one sort, or all."""
        return [one for one in self.comparison.differences if not change or one.change == change]

    def shown(self, differences: Sequence[Difference]) -> list[Changed]:
        """With their contents; only these rows are read."""
        return [self._shown(one) for one in differences]

    def _shown(self, one: Difference) -> Changed:
        return Changed(
            change=one.change,
            key=one.key,
            now=_body(self._now, one.now),
            before=_body(self._before, one.before),
            split=one.now.split if one.now else "",
            split_before=one.before.split if one.before else "",
        )

    def as_lines(self) -> Iterator[str]:
        """Every difference as a line of JSON."""
        for one in self.comparison.differences:
            changed = self._shown(one)
            line: dict[str, Any] = {"change": changed.change, "key": changed.key}
            if changed.now is not None:
                line["now"] = {"split": changed.split} | changed.now
            if changed.before is not None:
                line["before"] = {"split": changed.split_before} | changed.before
            yield json.dumps(line, ensure_ascii=False) + "\n"


def _body(frozen: FrozenDataset, place: Place | None) -> Body | None:
    return frozen.row(place.split, place.number).body if place else None


def steps_changed(now: DatasetVersion, before: DatasetVersion) -> list[tuple[changes.Change, clean.Choice]]:
    """The cleaning steps of both in order: `same`, `new` or `gone`."""
    old, new = ([json.dumps(step, sort_keys=True) for step in _steps(version)] for version in (before, now))
    return [(change, json.loads(step)) for change, steps in changes.stretches(old, new) for step in steps]


def _steps(version: DatasetVersion) -> list[clean.Choice]:
    return list(version.recipe.steps) if version.recipe else []
