"""What a recipe does to rows, step by step, for people to look at: texts before and after with the changes marked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from training.ml.changes import Piece, compared
from training.ml.clean.kinds import Judge
from training.ml.clean.mapping import TextStep, map_texts, texts_of
from training.ml.clean.recipe import Recipe
from training.ml.records import Record

# Comparing takes the square of the length: longer texts are compared as one block between equal ends.
_MOST_COMPARED = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One row under one step: its texts with the changes marked, or why the step dropped it."""

    row: int
    texts: Sequence[Sequence[Piece]]
    dropped: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepShown:
    """What one step did to the rows that reached it; `shown` has those that it did something to."""

    name: str
    reached: int
    changed: int
    dropped: int
    flagged: int
    shown: Sequence[Shown]


def trace(recipe: Recipe, records: Iterable[Record], *, shown: int = 5) -> list[StepShown]:
    """The rows through each step in turn; of those that it touched the first few are kept to look at."""
    rows = dict(enumerate(records))
    steps = []
    for name, step in recipe.ready:
        reached = len(rows)
        if isinstance(step, Judge):
            touched = _judge_all(step, rows)
        else:
            touched = [after for row in list(rows) if (after := _rewritten(rows, row, step))]
        steps.append(_counted(name, reached, touched, shown))
    return steps


def _judge_all(step: Judge, rows: dict[int, Record]) -> list[Shown]:
    touched = []
    for row, record in list(rows.items()):
        verdict = step.judge(record)
        if verdict.dropped:
            del rows[row]
        if verdict.dropped or verdict.flags:
            texts = [[Piece("same", text)] for text in texts_of(record)]
            touched.append(Shown(row=row, texts=texts, dropped=verdict.dropped, flags=verdict.flags))
    return touched


def _rewritten(rows: dict[int, Record], row: int, step: TextStep) -> Shown | None:
    before = rows[row]
    after = map_texts(before, step)
    if after is before:
        return None
    rows[row] = after
    pairs = zip(texts_of(before), texts_of(after), strict=True)
    return Shown(row=row, texts=[marks(old, new) for old, new in pairs])


def _counted(name: str, reached: int, touched: Sequence[Shown], shown: int) -> StepShown:
    dropped = sum(bool(one.dropped) for one in touched)
    flagged = sum(bool(one.flags) for one in touched)
    return StepShown(
        name=name,
        reached=reached,
        changed=len(touched) - dropped - flagged,
        dropped=dropped,
        flagged=flagged,
        shown=touched[:shown],
    )


def marks(before: str, after: str) -> list[Piece]:
    """`after` and what was taken from `before`, in the order of reading."""
    start = _common(before, after)
    end = _common(before[start:][::-1], after[start:][::-1])
    middle = before[start : len(before) - end], after[start : len(after) - end]
    pieces = [Piece("same", before[:start]), *_compared(*middle), Piece("same", before[len(before) - end :])]
    return [piece for piece in pieces if piece.text]


def _common(one: str, other: str) -> int:
    length = min(len(one), len(other))
    return next((place for place in range(length) if one[place] != other[place]), length)


def _compared(before: str, after: str) -> list[Piece]:
    if max(len(before), len(after)) > _MOST_COMPARED:
        return [Piece("gone", before), Piece("new", after)]
    return compared(before, after)
