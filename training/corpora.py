"""Uploads: stored once, read in the background by `intake`, told in words when that fails; stopped and read anew.

Verbs only; the caller rings the bell after commit.
"""

from __future__ import annotations

import hashlib
import logging
import re
import uuid
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_noop

from training import claims, examples, intake, storage, wording
from training.claims import ClaimLost
from training.ml import starter_faq
from training.ml.errors import DiskFull, PipelineError, is_disk_full
from training.models import Corpus, Example, ExampleEvent, Finding

logger = logging.getLogger(__name__)

STARTER_DIRECTORY = Path(__file__).parent / "starter"
STARTER_TAG = starter_faq.TAG
_CHUNK_BYTES = 1 << 20
_ROWS_AT_ONCE = 1000

Status = Corpus.Status


class Bytes(Protocol):
    """What an upload, an open file or a test's BytesIO have in common."""

    def read(self, size: int, /) -> bytes: ...


class SameFile(PipelineError):
    """Raised when the same bytes were uploaded before; facts: `corpus` (its id)."""

    code = "same_file"


class NotAllowed(PipelineError):
    """Raised when a corpus is not in a state for what is asked."""

    code = "not_allowed"


# --- uploading ------------------------------------------------------------------------------------------------------


def uploads_dir() -> Path:
    return Path(settings.DATA_DIR) / "uploads"


def file_of(corpus: Corpus) -> Path:
    return Path(settings.DATA_DIR) / corpus.file


def add_upload(
    file: Bytes,
    *,
    name: str,
    original_name: str,
    owner: User | None,
    licence: str = "",
    source_url: str = "",
    options: dict[str, Any] | None = None,
) -> Corpus:
    """Store a file and queue it; options: see `options_of`.

    Raises SameFile when its bytes are there already, DiskFull when they do not fit.
    """
    aside = uploads_dir() / f".{uuid.uuid4().hex}"
    try:
        sha256, size = _store(file, aside)
        _refuse_same(sha256)
        target = uploads_dir() / f"{sha256}{_suffix(original_name)}"
        corpus = Corpus(
            name=name or original_name,
            original_name=original_name,
            file=str(target.relative_to(settings.DATA_DIR)),
            sha256=sha256,
            size_bytes=size,
            licence=licence,
            source_url=source_url,
            options=options or {},
            owner=owner,
        )
        _put(corpus, aside, target)
    finally:
        aside.unlink(missing_ok=True)
    return corpus


def _put(corpus: Corpus, aside: Path, target: Path) -> None:
    """Row and file together. Raises SameFile when the same bytes came in a second upload at the same time."""
    try:
        with transaction.atomic():
            corpus.save()
            aside.rename(target)
    except IntegrityError:
        _refuse_same(corpus.sha256)
        raise


def _store(file: Bytes, target: Path) -> tuple[str, int]:
    """Copy to disk; returns sha256 and size."""
    digest, size = hashlib.sha256(), 0
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("wb") as copy:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                size += copy.write(chunk)
    except OSError as error:
        if is_disk_full(error):
            text = wording.OWN_RULES["disk_full"]
            raise DiskFull(text, needed_bytes=size, free_bytes=storage.free_bytes()) from error
        raise
    return digest.hexdigest(), size


def _suffix(name: str) -> str:
    suffix = Path(name).suffix.lower()
    return suffix if re.fullmatch(r"\.[a-z0-9]{1,8}", suffix) else ""


def _refuse_same(sha256: str) -> None:
    same = Corpus.objects.filter(sha256=sha256).first()
    if same is None:
        return
    if same.status == Status.FAILED:
        text = gettext_noop(
            "This file was uploaded before, as “%(name)s”, and could not be read. Open it to read it again."
        )
    else:
        text = gettext_noop("This file was uploaded before, as “%(name)s” on %(at)s. It was not added again.")
    raise SameFile(text, name=same.name, at=f"{same.created_at:%Y-%m-%d %H:%M}", corpus=same.pk)


# --- what people ask of one -----------------------------------------------------------------------------------------


def options_of(*, format: str = "", encoding: str = "", **table: Any) -> dict[str, Any]:
    """What a person says of a file, as `Corpus.options` keeps it; what is empty or left out will be detected.

    table: columns (pairs of role and column), delimiter, sheet, header.
    """
    said = {"format": format, "encoding": encoding, "table": table}
    return {name: value for name, value in said.items() if value}


def queue(corpus: Corpus) -> None:
    """Go on with a stopped corpus, or read a failed one again. Raises NotAllowed in any other state."""
    again = Corpus.objects.filter(pk=corpus.pk, status__in=(Status.FAILED, Status.CANCELLED))
    if again.update(status=Status.QUEUED, error="") != 1:
        raise NotAllowed(gettext_noop("Only a corpus that was stopped or could not be read can be read again."))


def read_as(corpus: Corpus, options: dict[str, Any]) -> None:
    """Read a file anew as something else. Drafts that nobody has worked on are replaced, all other rows stay.

    Raises NotAllowed while it is being read.
    """
    sources = [status for status, targets in Corpus.TRANSITIONS.items() if Status.QUEUED in targets]
    idle = Corpus.objects.filter(pk=corpus.pk, status__in=sources).exclude(status=Status.READING)
    if idle.update(status=Status.QUEUED, error="", options=options | {"replace": True}) != 1:
        raise NotAllowed(gettext_noop("The file is being read. Stop that first, then have it read as something else."))


def cancel(corpus: Corpus) -> None:
    """Stop reading; the rows that were read stay. Raises NotAllowed when there is nothing to stop."""
    sources = [status for status, targets in Corpus.TRANSITIONS.items() if Status.CANCELLED in targets]
    going = Corpus.objects.filter(pk=corpus.pk, status__in=sources)
    # Without its claim the reader finds out at its next batch, and writes nothing of it.
    if going.update(status=Status.CANCELLED, claim_token="") != 1:
        raise NotAllowed(gettext_noop("There is nothing to stop: the file is not being read."))


# --- reading --------------------------------------------------------------------------------------------------------


def read_queued() -> bool:
    """Read the oldest waiting corpus to its end; False when none waits. Safe in any number of workers."""
    corpus = claims.take(Corpus, working=Status.READING, waiting=Status.QUEUED)
    if corpus is None:
        return False
    try:
        intake.read(corpus, file_of(corpus))
    except ClaimLost:
        logger.warning("corpus %s was stopped, or taken over by another worker", corpus.pk)
    except PipelineError as error:
        _fail(corpus, error.facts.get("rule") or error.code, error.facts)
    except FileNotFoundError:
        _fail(corpus, "file_gone", {})
    except Exception as error:  # whatever broke, the row must say so and the next job must run
        logger.exception("corpus %s could not be read", corpus.pk)
        _fail(corpus, "disk_full" if is_disk_full(error) else "unexpected", {})
    return True


def _fail(corpus: Corpus, rule: str, facts: dict[str, Any]) -> None:
    message = wording.english(rule, facts)
    try:
        with transaction.atomic():
            claims.settle(corpus, Status.FAILED, error=message)
            Finding.objects.create(
                corpus=corpus, rule=rule, severity=Finding.Severity.ERROR, message=message, facts=facts
            )
    except ClaimLost:
        logger.warning("corpus %s was stopped, or taken over by another worker", corpus.pk)


# --- the starter's own questions ------------------------------------------------------------------------------------


def add_starter_faq(directory: Path = STARTER_DIRECTORY) -> int:
    """The FAQ that comes with the site, as approved examples. Rows that are there stay; returns how many are new."""
    rows = [_starter_row(row) for row in starter_faq.read(directory)]
    with transaction.atomic():
        keys = [row.source_key for row in rows]
        there = set(Example.objects.filter(source_key__in=keys).values_list("source_key", flat=True))
        new = [row for row in rows if row.source_key not in there]
        Example.objects.bulk_create(new, ignore_conflicts=True, batch_size=_ROWS_AT_ONCE)
        saved = Example.objects.filter(source_key__in=[row.source_key for row in new])
        ExampleEvent.objects.bulk_create(
            ExampleEvent(example_id=pk, action="approved", note=STARTER_TAG)
            for pk in saved.values_list("pk", flat=True)
        )
    return len(new)


def _starter_row(row: starter_faq.FaqRow) -> Example:
    return examples.make(
        "dialogue",
        row.body,
        source_key=row.key,
        group=row.group,
        split=row.split,
        status=Example.Status.APPROVED,
        tags=[tag for tag in (STARTER_TAG, row.topic) if tag],
        language=row.language,
        provenance={"file": row.file},
    )
