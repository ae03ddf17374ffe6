"""Uploaded files to records with line numbers, streaming: memory stays flat, good rows are kept, bad ones are told.

`detect` looks at a file, `read` reads it. Knows nothing of databases or of what a record is used for. The formats are
listed in `formats`; what each module of theirs gets and gives is said in `base`.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from training.ml.corpus import archives, formats, tables
from training.ml.corpus.archives import Member
from training.ml.corpus.base import Detected, Packing, Readable, Source, Table
from training.ml.corpus.drafts import TO_FINISH
from training.ml.corpus.encodings import ENCODING_NAMES, check_encoding, detect_encoding
from training.ml.corpus.formats import FORMATS
from training.ml.corpus.lines import head_of
from training.ml.corpus.rows import exchange
from training.ml.corpus.rules import FILE_RULES, ROW_RULES, BadRow, Facts, Unreadable, bad_file, text
from training.ml.corpus.shapes import record_of
from training.ml.errors import BadFile

__all__ = [
    "ENCODING_NAMES",
    "FILE_RULES",
    "FORMATS",
    "ROW_RULES",
    "TO_FINISH",
    "BadRow",
    "Detected",
    "Facts",
    "Readable",
    "Source",
    "Table",
    "Unreadable",
    "detect",
    "exchange",
    "preview",
    "read",
    "record_of",
    "text",
]

# Members of an archive that are asked what they are; when none of these can be read, the archive cannot.
_MOST_LOOKED_AT = 50


def detect(path: Path, *, format: str | None = None, encoding: str | None = None) -> Detected:
    """Format and encoding, from the start of the file; what a person named is taken, once it fits.

    Of an archive: those of the first member that can be read. Raises BadFile, in words, when it is none that is known.
    """
    source = Source.of(path)
    if not source.size:
        raise bad_file("empty_file")
    if refused := archives.refusal(source, inside=False):
        raise refused
    packing = archives.packing_of(path)
    if packing == "zip" and (office := archives.office_format(path)):
        return formats.of_office(source, office)
    if not packing:
        return _detect(source, format, encoding)
    return _detect_packed(path, packing, format, encoding)


def _detect(source: Source, name: str | None, encoding: str | None) -> Detected:
    found = check_encoding(source, encoding) if encoding else detect_encoding(source)
    head = head_of(source, found)
    if not head.lines and not head.unreadable:
        raise bad_file("no_rows")
    return formats.as_asked(source, head, name) if name else formats.of_text(source, head)


def _detect_packed(path: Path, packing: Packing, name: str | None, encoding: str | None) -> Detected:
    why: BadFile | None = None
    for member in itertools.islice(archives.members(path, packing), _MOST_LOOKED_AT):
        try:
            found = _detect_member(member, name, encoding)
        except BadFile as error:
            why = why or error
            continue
        return replace(found, packing=packing, asked_format=name or "", asked_encoding=encoding or "")
    raise why or bad_file("archive_empty")


def _detect_member(member: Member, name: str | None, encoding: str | None) -> Detected:
    if refused := archives.refusal(member.source, inside=True):
        raise refused
    office = archives.office_member(member.source)
    return formats.of_office(member.source, office) if office else _detect(member.source, name, encoding)


def read(path: Path, detected: Detected) -> Iterator[Readable | Unreadable]:
    """Every row in order; no row is read twice and none is held."""
    if not detected.packing:
        return FORMATS[detected.format].module.read(Source.of(path), detected)
    return itertools.chain.from_iterable(
        _read_member(member, detected) for member in archives.members(path, detected.packing)
    )


def preview(path: Path, detected: Detected) -> tables.Preview:
    """The first rows of a table; of an archive, those of its first member that is one of the same format."""
    if not detected.packing:
        return tables.preview(Source.of(path), detected)
    for member in archives.members(path, detected.packing):
        with contextlib.suppress(BadFile):
            own = _detect_member(member, detected.asked_format, detected.asked_encoding)
            if own.format == detected.format:
                return tables.preview(member.source, replace(own, table=detected.table))
    raise bad_file("archive_empty")


def _read_member(member: Member, detected: Detected) -> Iterator[Readable | Unreadable]:
    """The rows of one member with its name; one that cannot be read is one complaint, and the next is read."""
    try:
        own = _detect_member(member, detected.asked_format, detected.asked_encoding)
        if own.format == detected.format and detected.table and detected.table.chosen:
            own = replace(own, table=detected.table)  # what a person said of the columns holds for all members
        for row in FORMATS[own.format].module.read(member.source, own):
            yield _placed(row, member)
    except BadFile as error:
        if error.facts.get("rule") in archives.TRAPS:
            raise
        facts = {name: fact for name, fact in error.facts.items() if name != "rule"}
        complaint = Unreadable(line=1, rule=error.facts["rule"], facts=facts, end_byte=member.source.size)
        yield _placed(complaint, member)


def _placed(row: Readable | Unreadable, member: Member) -> Readable | Unreadable:
    end_byte = member.position(row.end_byte)
    if not member.number:
        return replace(row, end_byte=end_byte)
    if isinstance(row, Unreadable):
        return replace(row, end_byte=end_byte, member=member.source.name)
    return replace(row, end_byte=end_byte, member=member.source.name, member_number=member.number)
