"""Uploads: stored once, read in the background into examples and findings, told in words when that fails.

A row's source key is the file's hash and its line, so that a repeated or resumed import doubles nothing. Verbs only;
the caller rings the bell after commit.
"""

from __future__ import annotations

import hashlib
import logging
import re
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_noop

from training import claims, examples, storage, wording
from training.claims import ClaimLost
from training.ml import corpus as reader
from training.ml import starter_faq
from training.ml.corpus import Detected, Readable, Unreadable
from training.ml.errors import DiskFull, PipelineError, is_disk_full
from training.ml.records import Kind, Pair
from training.models import Corpus, Example, ExampleEvent, Finding

logger = logging.getLogger(__name__)

STARTER_DIRECTORY = Path(__file__).parent / "starter"
STARTER_TAG = starter_faq.TAG
FINDINGS_SHOWN = 1000
_BATCH_ROWS = 1000
_BATCH_BYTES = 4 << 20
_CHUNK_BYTES = 1 << 20

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
    file: Bytes, *, name: str, original_name: str, owner: User | None, licence: str = "", source_url: str = ""
) -> Corpus:
    """Store a file and queue it. Raises SameFile when its bytes are there already, DiskFull when they do not fit."""
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


def queue(corpus: Corpus) -> None:
    """Read a failed corpus again. Raises NotAllowed in any other state."""
    again = Corpus.objects.filter(pk=corpus.pk, status=Status.FAILED)
    if again.update(status=Status.QUEUED, error="") != 1:
        raise NotAllowed(gettext_noop("Only a corpus that could not be read can be read again."))


# --- reading --------------------------------------------------------------------------------------------------------


def read_queued() -> bool:
    """Read the oldest waiting corpus to its end; False when none waits. Safe in any number of workers."""
    corpus = claims.take(Corpus, working=Status.READING, waiting=Status.QUEUED)
    if corpus is None:
        return False
    try:
        _read(corpus)
    except ClaimLost:
        logger.warning("corpus %s was taken over by another worker", corpus.pk)
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
        logger.warning("corpus %s was taken over by another worker", corpus.pk)


def _read(corpus: Corpus) -> None:
    path = file_of(corpus)
    detected = reader.detect(path)
    # A reader that was lost may have left findings; rows are recognised by their source key.
    corpus.findings.all().delete()
    claims.beat(
        corpus,
        format=detected.format,
        encoding=reader.ENCODING_NAMES[detected.encoding],
        bytes_read=0,
        rows_read=0,
        rows_new=0,
        rows_known=0,
        rows_bad=0,
    )
    intake = _Intake(corpus)
    for batch in _batches(path, detected):
        intake.take(batch)
    intake.finish()


def _batches(path: Path, detected: Detected) -> Iterator[list[Readable | Unreadable]]:
    """Rows in batches that are bounded in number and in bytes."""
    batch: list[Readable | Unreadable] = []
    start = 0
    for row in reader.read(path, detected):
        batch.append(row)
        if len(batch) >= _BATCH_ROWS or row.end_byte - start >= _BATCH_BYTES:
            yield batch
            batch, start = [], row.end_byte
    if batch:
        yield batch


class _Intake:
    """Writes batches of one corpus, each with its progress in one transaction."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self.counts: Counter[str] = Counter()
        self.resumed = corpus.examples.exists()

    def take(self, batch: list[Readable | Unreadable]) -> None:
        rows = [_example(self.corpus, row) for row in batch if isinstance(row, Readable)]
        complaints = [row for row in batch if isinstance(row, Unreadable)]
        room = max(0, FINDINGS_SHOWN - self.counts["bad"])
        self.counts["read"] += len(batch)
        self.counts["bad"] += len(complaints)
        self.counts["left_out"] += sum(row.left_out > 0 for row in batch if isinstance(row, Readable))
        with transaction.atomic():
            new = self._unknown(rows)
            self.counts["known"] += len(rows) - len(new)
            self.counts["new"] += len(new)
            self.counts["same"] += _count_same(new)
            # First of the writes: it proves that the claim still holds.
            claims.beat(self.corpus, bytes_read=batch[-1].end_byte, **self._columns())
            Example.objects.bulk_create(new, ignore_conflicts=True)
            Finding.objects.bulk_create(_finding(self.corpus, row) for row in complaints[:room])

    def _unknown(self, rows: list[Example]) -> list[Example]:
        if not self.resumed:
            return rows
        keys = [row.source_key for row in rows]
        there = set(Example.objects.filter(source_key__in=keys).values_list("source_key", flat=True))
        return [row for row in rows if row.source_key not in there]

    def _columns(self) -> dict[str, int]:
        return {f"rows_{name}": self.counts[name] for name in ("read", "new", "known", "bad")}

    def finish(self) -> None:
        nothing = self.counts["read"] == self.counts["bad"]
        with transaction.atomic():
            for rule, count in self._summary().items():
                _note(self.corpus, rule, {"count": count, "shown": FINDINGS_SHOWN})
            message = wording.english("nothing_readable", {}) if nothing else ""
            claims.settle(
                self.corpus,
                Status.FAILED if nothing else Status.READY,
                bytes_read=self.corpus.size_bytes,
                error=message,
            )

    def _summary(self) -> dict[str, int]:
        counts = {
            "turns_left_out": self.counts["left_out"],
            "same_content": self.counts["same"],
            "more_findings": self.counts["bad"] - FINDINGS_SHOWN,
        }
        return {rule: count for rule, count in counts.items() if count > 0}


def _example(corpus: Corpus, row: Readable) -> Example:
    kind: Kind = "pair" if isinstance(row.record, Pair) else "dialogue"
    return examples.make(
        kind,
        row.record.body(),
        source_key=f"corpus:{corpus.sha256}:{row.line}",
        corpus=corpus,
        line=row.line,
        # Two files may use the same group names for different facts.
        group=f"{corpus.sha256[:12]}:{row.group}" if row.group else "",
        created_by_id=corpus.owner_id,
        provenance={"file": corpus.original_name, "line": row.line, "licence": corpus.licence},
    )


def _count_same(rows: list[Example]) -> int:
    """How many of these unsaved rows say what an example, or an earlier one of them, says."""
    hashes = [row.content_hash for row in rows]
    there = set(Example.objects.filter(content_hash__in=hashes).values_list("content_hash", flat=True))
    first_of_new = len(set(hashes) - there)
    return len(hashes) - first_of_new


def _finding(corpus: Corpus, row: Unreadable) -> Finding:
    return Finding(
        corpus=corpus,
        rule=row.rule,
        severity=Finding.Severity.ERROR,
        line=row.line,
        message=row.message,
        facts=row.facts,
        excerpt=row.excerpt,
    )


def _note(corpus: Corpus, rule: str, facts: dict[str, int]) -> None:
    message = wording.english(rule, facts)
    Finding.objects.create(corpus=corpus, rule=rule, severity=Finding.Severity.WARNING, message=message, facts=facts)


# --- the starter's own questions ------------------------------------------------------------------------------------


def add_starter_faq(directory: Path = STARTER_DIRECTORY) -> int:
    """The FAQ that comes with the site, as approved examples. Rows that are there stay; returns how many are new."""
    rows = [_starter_row(row) for row in starter_faq.read(directory)]
    with transaction.atomic():
        keys = [row.source_key for row in rows]
        there = set(Example.objects.filter(source_key__in=keys).values_list("source_key", flat=True))
        new = [row for row in rows if row.source_key not in there]
        Example.objects.bulk_create(new, ignore_conflicts=True, batch_size=_BATCH_ROWS)
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
