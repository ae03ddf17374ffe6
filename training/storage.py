"""Where files lie below the data directory, and how much room is left. Knows no rows."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext_noop

from training.ml.errors import DiskFull


def model_dir(uid: str) -> Path:
    return Path(settings.MODELS_DIR) / uid


def dataset_dir(sha256: str) -> Path:
    return Path(settings.DATA_DIR) / "datasets" / sha256


def run_dir(run_pk: int) -> Path:
    """Checkpoints and the unfinished model of one run; gone once its model is registered."""
    return Path(settings.DATA_DIR) / "runs" / str(run_pk)


def free_bytes() -> int:
    return shutil.disk_usage(settings.DATA_DIR).free


def directory_bytes(directory: Path) -> int:
    return sum(entry.stat().st_size for entry in directory.rglob("*") if entry.is_file())


def need_room(bytes_needed: int) -> None:
    """Raises DiskFull before a long job starts that could not write its result."""
    free = free_bytes()
    if free < bytes_needed:
        raise DiskFull(
            gettext_noop("The job needs about %(needed).0f MB on disk, %(free).0f MB are free."),
            needed=bytes_needed / 1e6,
            free=free / 1e6,
            needed_bytes=bytes_needed,
            free_bytes=free,
        )


def sweep() -> int:
    """Remove what killed processes left half made; returns how many entries. Only while nothing of the site runs."""
    left = [path for path in _working_dirs() for path in path.iterdir() if _is_debris(path)]
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(left)


def _working_dirs() -> list[Path]:
    data = Path(settings.DATA_DIR)
    found = [Path(settings.MODELS_DIR), data / "datasets", data / "runs", data / "uploads"]
    return [directory for directory in found if directory.is_dir()]


def _is_debris(path: Path) -> bool:
    """Everything is made under a name with a dot, then renamed; Django's own temporary uploads end in `.upload`."""
    return path.name.startswith(".") or path.suffix == ".upload"


def remove(directory: Path) -> None:
    """Delete a directory; renamed first, so that nobody ever sees it half there."""
    aside = directory.with_name(f".{directory.name}.gone.{os.getpid()}")
    try:
        directory.rename(aside)
    except FileNotFoundError:
        return
    shutil.rmtree(aside, ignore_errors=True)
