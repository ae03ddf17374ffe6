"""Checkpoints of a run: complete or not there, the newest two and the best kept.

A checkpoint is what transformers' Trainer writes plus `complete.json`, written last; without it a directory is
debris of a killed process and is removed. Knows nothing of losses or data.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from training.ml.errors import DiskFull, is_disk_full
from training.ml.files import sync
from training.ml.texts import gettext_noop

COMPLETE = "complete.json"
KEEP_NEWEST = 2
# float32 weights and AdamW's two moments
BYTES_PER_PARAMETER = 12
HEADROOM_BYTES = 32 * 2**20


@dataclass(slots=True, kw_only=True)
class Progress:
    """What a resumed run must know besides weights and optimiser. worse: evaluations in a row without a better one."""

    step: int = 0
    best_step: int = 0
    best_loss: float | None = None
    worse: int = 0
    tokens: int = 0
    seconds: float = 0.0
    finished: bool = False

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        return cls(**{name: value[name] for name in cls.__dataclass_fields__ if name in value})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def path_of(run_dir: Path, step: int) -> Path:
    return run_dir / f"checkpoint-{step}"


def complete_steps(run_dir: Path) -> list[int]:
    """Steps with a complete checkpoint, oldest first."""
    found = (path for path in run_dir.glob("checkpoint-*") if (path / COMPLETE).is_file())
    return sorted(int(path.name.rpartition("-")[2]) for path in found)


def newest(run_dir: Path) -> tuple[Path, Progress] | None:
    """The newest complete checkpoint and what it knows; debris of a killed process is removed on the way."""
    for path in run_dir.glob("checkpoint-*"):
        if not (path / COMPLETE).is_file():
            shutil.rmtree(path, ignore_errors=True)
    steps = complete_steps(run_dir)
    if not steps:
        return None
    path = path_of(run_dir, steps[-1])
    return path, Progress.from_json(json.loads((path / COMPLETE).read_text(encoding="utf-8")))


def seal(run_dir: Path, progress: Progress) -> None:
    """Make the checkpoint of this step count, then remove the ones no longer needed."""
    directory = path_of(run_dir, progress.step)
    for file in directory.iterdir():
        sync(file)
    draft = directory / f"{COMPLETE}.draft"
    draft.write_text(json.dumps(progress.to_json()), encoding="utf-8")
    sync(draft)
    draft.rename(directory / COMPLETE)
    sync(directory)
    _rotate(run_dir, progress.best_step)


def _rotate(run_dir: Path, best_step: int) -> None:
    steps = complete_steps(run_dir)
    for step in steps[:-KEEP_NEWEST]:
        if step != best_step:
            # The marker goes first, so that a kill in between leaves debris and no half checkpoint.
            (path_of(run_dir, step) / COMPLETE).unlink(missing_ok=True)
            shutil.rmtree(path_of(run_dir, step), ignore_errors=True)


def require_space(run_dir: Path, parameters: int, *, bytes_per_parameter: int = BYTES_PER_PARAMETER) -> None:
    """Raises DiskFull before a write that cannot fit."""
    needed = parameters * bytes_per_parameter + HEADROOM_BYTES
    free = shutil.disk_usage(run_dir).free
    if free < needed:
        raise _full(needed, free)


@contextmanager
def telling_disk_full(run_dir: Path, parameters: int) -> Iterator[None]:
    """Turns a write that failed for want of space into DiskFull, whatever library it failed in."""
    try:
        yield
    except Exception as error:
        if is_disk_full(error) and not isinstance(error, DiskFull):
            raise _full(parameters * BYTES_PER_PARAMETER, shutil.disk_usage(run_dir).free) from error
        raise


def _full(needed: int, free: int) -> DiskFull:
    return DiskFull(
        gettext_noop(
            "The disk is full: a checkpoint needs %(needed).0f MiB, %(free).0f MiB are free. "
            "Free some space, then start the run again."
        ),
        needed=needed / 2**20,
        free=free / 2**20,
        needed_bytes=needed,
        free_bytes=free,
    )
