"""XLSX and DOCX are ZIP archives: their packed sizes are checked before a library unpacks them into memory."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from training.ml.corpus.base import Source
from training.ml.corpus.rules import bad_file

MOST_BYTES = 1 << 30  # of a workbook's sheets, which are streamed
MOST_HELD_BYTES = 64 << 20  # of what is held in memory: texts that all sheets share, a whole document
MOST_RATIO = 200
MOST_MEMBERS = 10_000
_SMALL_BYTES = 10 << 20  # below this no ratio is a trap
_HELD = ("xl/sharedStrings.xml", "xl/styles.xml", "word/")


@contextmanager
def opened(source: Source) -> Iterator[IO[bytes]]:
    """The archive's bytes. Raises BadFile when it is none, or unpacks to more than the memory holds."""
    with source.open() as packed, _seekable(packed, source) as file:
        _check(file)
        yield file


@contextmanager
def _seekable(file: IO[bytes], source: Source) -> Iterator[IO[bytes]]:
    """A ZIP is read from its end: one that is packed once more is copied first."""
    if not source.packed:
        yield file
        return
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(file, copy, 1 << 20)
        copy.seek(0)
        yield copy


def _check(file: IO[bytes]) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise bad_file("bad_office_file", why=str(error)[:200]) from error
    held = sum(member.file_size for member in members if member.filename.startswith(_HELD))
    whole = sum(member.file_size for member in members)
    if held > MOST_HELD_BYTES or whole > MOST_BYTES or len(members) > MOST_MEMBERS or any(map(_is_trap, members)):
        raise bad_file("office_file_too_large", limit=(MOST_HELD_BYTES if held > MOST_HELD_BYTES else MOST_BYTES) >> 20)
    file.seek(0)


def _is_trap(member: zipfile.ZipInfo) -> bool:
    return member.file_size > _SMALL_BYTES and member.file_size > MOST_RATIO * max(1, member.compress_size)
