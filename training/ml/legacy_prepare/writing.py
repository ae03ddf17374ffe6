"""The old tool's files: names that overwrite nothing, its JSON to the byte, its split of classification data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from training.ml.files import write_whole
from training.ml.legacy_prepare.checks import Table

SPLIT_QUESTION = "- [Recommended] Would you like to split into training and validation set? [Y/n]: "
_SEED = 42
_MOST_VALIDATION, _TRAIN_SHARE = 1000, 0.8


def write(path: str, table: Table, *, split: bool) -> list[str]:
    """Write one file, or one for training and one for validation; returns their names."""
    names = _free_names(path, ["_train", "_valid"] if split else [""])
    parts = _split(len(table.rows)) if split else [range(len(table.rows))]
    for name, rows in zip(names, parts, strict=True):
        write_whole(Path(name), [_lines(table, rows)])
    return names


def _free_names(path: str, endings: Sequence[str]) -> list[str]:
    """The first number for which none of the files is there yet."""
    stem = path.removesuffix(Path(path).suffix)
    number = 0
    while True:
        count = f" ({number})" if number else ""
        names = [f"{stem}_prepared{ending}{count}.jsonl" for ending in endings]
        if not any(Path(name).is_file() for name in names):
            return names
        number += 1


def _split(count: int) -> list[list[int]]:
    """Row numbers for training, drawn with the old seed, and the rest in its order for validation."""
    train = max(count - _MOST_VALIDATION, int(count * _TRAIN_SHARE))
    drawn = np.random.RandomState(_SEED).permutation(count)[:train].tolist()
    chosen = set(drawn)
    return [drawn, [number for number in range(count) if number not in chosen]]


def _lines(table: Table, rows: Sequence[int]) -> str:
    prompts, completions = table.column("prompt"), table.column("completion")
    lines = (f'{{"prompt":{_json(prompts[row])},"completion":{_json(completions[row])}}}\n' for row in rows)
    return "".join(lines) or "\n"


def _json(text: str) -> str:
    # A slash was written with a backslash before it.
    return json.dumps(text, ensure_ascii=False).replace("/", "\\/")
