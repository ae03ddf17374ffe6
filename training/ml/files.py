"""Bytes on disk: their hash, and that they are there to stay. Knows nothing of what is in them."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterable
from pathlib import Path


def sha256(*paths: Path) -> str:
    """Of all the files' bytes, one file after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """A file, or a directory's list of names, survives a power cut from here on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, texts: Iterable[str]) -> None:
    """The texts one after the other as UTF-8, all of them under this name or none."""
    aside = path.with_name(f".{uuid.uuid4().hex}")
    try:
        with aside.open("w", encoding="utf-8", newline="") as file:
            file.writelines(texts)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
