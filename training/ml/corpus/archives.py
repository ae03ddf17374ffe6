"""ZIP and gzip: what is packed becomes sources that are read like files, one after the other.

Nothing is written to disk. An archive that looks like a trap is refused whole, before any of it is read where that can
be told; what unpacks to too much while it is read ends the reading.
"""

from __future__ import annotations

import gzip
import io
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from training.ml.corpus.base import Packing, Source
from training.ml.corpus.encodings import PICKLE_SUFFIXES
from training.ml.corpus.rules import bad_file
from training.ml.errors import BadFile

MOST_MEMBERS = 10_000
MOST_BYTES = 16 << 30
MOST_RATIO = 200
# Small texts of one repeated line may well shrink more than that.
_RATIO_FROM_BYTES = 32 << 20
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_GZIP = b"\x1f\x8b"
_ARCHIVE_SUFFIXES = (".zip", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".tar", ".zst", ".jar")
# What a ZIP holds when it is a document of an office program.
_OFFICE = {"xl/workbook.xml": "xlsx", "word/document.xml": "docx"}
# Those end the reading; other faults only spoil the member that they are in.
TRAPS = ("archive_bomb", "archive_too_large")
_NOISE = ("__MACOSX", ".DS_Store", "Thumbs.db")


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive; `number` counts from 1, gzip has no members and so 0.

    position: where in the archive reading stands, when it stands at that byte of the member.
    """

    source: Source
    number: int
    position: Callable[[int], int]


def packing_of(path: Path) -> Packing:
    with path.open("rb") as file:
        head = file.read(4)
    if head in _ZIP:
        return "zip"
    return "gzip" if head.startswith(_GZIP) else ""


def office_format(path: Path) -> str:
    """`xlsx` or `docx` for a ZIP that is one; empty for any other."""
    with _opened(path) as archive:
        names = set(archive.namelist())
    return next((kind for name, kind in _OFFICE.items() if name in names), "")


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise bad_file("archive_damaged", why=str(error)[:100]) from error


def members(path: Path, packing: Packing) -> Iterator[Member]:
    """What is packed; a member can be read until the next one is asked for. Raises BadFile for a refused archive."""
    return iter([_gunzipped(path)]) if packing == "gzip" else _unzipped(path)


# --- gzip -----------------------------------------------------------------------------------------------------------


def _gunzipped(path: Path) -> Member:
    name = path.name.removesuffix(".gz").removesuffix(".GZ")
    packed = path.stat().st_size
    opened: list[gzip.GzipFile] = []

    def opener() -> io.BufferedReader:
        opened[:] = [gzip.GzipFile(path)]
        return _guarded(lambda: opened[0], name=name, packed=packed, most=MOST_BYTES)

    def position(_inside: int) -> int:
        file: Any = opened[0].fileobj if opened else None
        return int(file.tell()) if file else packed

    # How long it is unpacked nobody knows before the end.
    return Member(Source(path, name, 0, packed=True, opener=opener), 0, position)


# --- ZIP ------------------------------------------------------------------------------------------------------------


def _unzipped(path: Path) -> Iterator[Member]:
    with _opened(path) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir() and not _is_noise(info.filename)]
        _check(path, infos)
        start = 0
        for number, info in enumerate(infos, 1):
            source = Source(path, _shown(info), info.file_size, packed=True, opener=_opener(archive, info))
            yield Member(source, number, _scaled(start, info))
            start += info.compress_size


def _scaled(start: int, info: zipfile.ZipInfo) -> Callable[[int], int]:
    return lambda inside: start + info.compress_size * min(inside, info.file_size) // max(1, info.file_size)


def _shown(info: zipfile.ZipInfo) -> str:
    """The name as its maker wrote it: without the flag for UTF-8, Chinese programs mean GB18030."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("gb18030")
    except UnicodeError:
        return info.filename


def _is_noise(name: str) -> bool:
    return any(part in _NOISE or part.startswith("._") for part in name.split("/"))


def _check(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    if not infos:
        raise bad_file("archive_empty")
    if len(infos) > MOST_MEMBERS:
        raise bad_file("archive_too_many", count=len(infos), limit=MOST_MEMBERS)
    for info in infos:
        _check_member(info)
    if sum(info.file_size for info in infos) > MOST_BYTES:
        raise bad_file("archive_too_large", limit=MOST_BYTES)
    # Members that share their bytes are how the best known traps are built.
    if sum(info.compress_size for info in infos) > path.stat().st_size:
        raise bad_file("archive_damaged", why="overlapping entries")


def _check_member(info: zipfile.ZipInfo) -> None:
    name = _shown(info)
    raw = name.replace("\\", "/")
    parts = PurePosixPath(raw).parts
    if raw.startswith("/") or ".." in parts or "\x00" in info.orig_filename or raw[1:2] == ":":
        raise bad_file("archive_path", member=name[:200])
    if stat.S_ISLNK(info.external_attr >> 16):
        raise bad_file("archive_link", member=name[:200])
    if info.flag_bits & 0x1:
        raise bad_file("archive_encrypted", member=name[:200])
    if info.file_size > max(_RATIO_FROM_BYTES, MOST_RATIO * info.compress_size):
        raise bad_file("archive_bomb", member=name[:200], ratio=MOST_RATIO)


def _opener(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], io.BufferedReader]:
    return lambda: _guarded(
        lambda: archive.open(info), name=_shown(info), packed=info.compress_size, most=info.file_size
    )


def office_member(source: Source) -> str:
    """`xlsx` or `docx` for a member that is one by its name and its first bytes."""
    name = source.suffix.removeprefix(".")
    if name not in _OFFICE.values():
        return ""
    with source.open() as file:
        return name if file.read(4) in _ZIP else ""


def refusal(source: Source, *, inside: bool) -> BadFile | None:
    """Why a file, or a member of an archive, is not even looked into, by its name; None when it is."""
    if source.suffix in PICKLE_SUFFIXES:
        return bad_file("pickle")
    if inside and source.suffix in _ARCHIVE_SUFFIXES:
        return bad_file("archive_nested", member=source.name[-200:])
    return None


# --- the guard ------------------------------------------------------------------------------------------------------


def _guarded(opener: Callable[[], Any], *, name: str, packed: int, most: int) -> io.BufferedReader:
    try:
        return io.BufferedReader(_Guard(opener(), name=name, packed=packed, most=most), 256 << 10)
    except (zipfile.BadZipFile, NotImplementedError, OSError, RuntimeError) as error:
        raise bad_file("archive_damaged", why=str(error)[:100]) from error


class _Guard(io.RawIOBase):
    """Passes on what is unpacked until it becomes too much. Raises BadFile for that and for damage."""

    def __init__(self, file: Any, *, name: str, packed: int, most: int) -> None:
        self._file = file
        self._name = name
        self._most = most
        self._most_by_ratio = max(_RATIO_FROM_BYTES, MOST_RATIO * packed)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Any) -> int:
        try:
            # Not `read`, which would lose what comes before the damage of an archive that was cut off.
            data: bytes = self._file.read1(len(buffer))
        except (zipfile.BadZipFile, EOFError, OSError, zlib.error, NotImplementedError) as error:
            raise bad_file("archive_damaged", why=str(error)[:100]) from error
        self._check(self._file.tell())
        buffer[: len(data)] = data
        return len(data)

    def _check(self, unpacked: int) -> None:
        if unpacked > self._most_by_ratio:
            raise bad_file("archive_bomb", member=self._name[:200], ratio=MOST_RATIO)
        if unpacked > self._most:
            raise bad_file("archive_too_large", limit=self._most)

    def close(self) -> None:
        if not self.closed:
            self._file.close()

        super().close()
