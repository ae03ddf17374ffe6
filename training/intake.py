"""One upload into examples and findings: in batches, each with its progress in one transaction, each row once.

A row's source key is the file's hash and its address, so that a repeated or resumed reading doubles nothing.
Knows not who queues a corpus, or what becomes of it when reading it fails.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from training import claims, examples, tags, wording
from training.ml import corpus as reader
from training.ml.corpus import Detected, Readable, Unreadable
from training.ml.records import Dialogue, Document, Kind, Pair, Record
from training.models import Corpus, Example, Finding, VersionRow

FINDINGS_SHOWN = 1000
# A batch is one transaction. A larger one writes the pages of an index less often, and everybody who writes waits for
# its end: this one takes a quarter of a second.
_BATCH_ROWS = 10_000
_CACHE_KIB = 64 << 10
_BATCH_CHARS = 4 << 20
_COUNTED_AT_ONCE = 50_000
_FORGOTTEN_AT_ONCE = 2000

Status = Corpus.Status
Columns = dict[str, Any]


def read(corpus: Corpus, path: Path) -> None:
    """Read a claimed corpus to its end, or to the question what its columns are."""
    detected = detect(path, corpus.options)
    encoding = reader.ENCODING_NAMES.get(detected.encoding, detected.encoding)
    claims.beat(corpus, format=detected.format, encoding=encoding)
    if detected.table is not None and not detected.table.columns:
        claims.settle(corpus, Status.ASKING)
        return
    intake = Intake(corpus)
    intake.begin()
    with _roomy_cache():
        for batch in batches(corpus, reader.read(path, detected)):
            intake.take(batch)
    intake.finish()


@contextmanager
def _roomy_cache() -> Iterator[None]:
    """SQLite holds more pages: the index of contents is written all over, and what does not fit is written twice."""
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        before = int(cursor.execute("PRAGMA cache_size").fetchone()[0])
        cursor.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        try:
            yield
        finally:
            cursor.execute(f"PRAGMA cache_size = {before}")


def detect(path: Path, options: dict[str, Any]) -> Detected:
    """What the file is, as far as a person did not say so."""
    detected = reader.detect(path, format=options.get("format"), encoding=options.get("encoding"))
    if detected.table is None or "table" not in options:
        return detected
    chosen = dict(options["table"])
    if "columns" in chosen:
        chosen["columns"] = tuple((role, which) for role, which in chosen["columns"])
    return replace(detected, table=replace(detected.table, chosen=True, **chosen))


# --- batches --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Batch:
    """Rows as columns, and complaints. The records themselves are not kept: millions of them wear out the collector."""

    rows: list[Columns] = field(default_factory=list)
    complaints: list[Unreadable] = field(default_factory=list)
    left_out: int = 0
    to_finish: int = 0
    end_byte: int = 0
    chars: int = 0

    def add(self, corpus: Corpus, row: Readable | Unreadable) -> None:
        self.end_byte = row.end_byte
        if isinstance(row, Unreadable):
            self.complaints.append(row)
            return
        columns = _columns(corpus, row)
        self.rows.append(columns)
        self.chars += len(columns["body"])
        self.left_out += row.left_out > 0
        self.to_finish += reader.TO_FINISH in row.tags

    @property
    def is_full(self) -> bool:
        return len(self.rows) + len(self.complaints) >= _BATCH_ROWS or self.chars >= _BATCH_CHARS


def batches(corpus: Corpus, rows: Iterable[Readable | Unreadable]) -> Iterator[Batch]:
    """All rows, bounded in number and in characters."""
    batch = Batch()
    for row in rows:
        batch.add(corpus, row)
        if batch.is_full:
            yield batch
            batch = Batch()
    if batch.rows or batch.complaints:
        yield batch


def _columns(corpus: Corpus, row: Readable) -> Columns:
    return examples.Bulk.row(
        _kind_of(row.record),
        row.record.body(),
        source_key=f"corpus:{corpus.sha256}:{row.key}",
        line=row.line,
        # Two files may use the same group names for different facts.
        group=f"{corpus.sha256[:12]}:{row.group}" if row.group else "",
        tags=_json(tags.tidy(row.tags)) if row.tags else "[]",
        provenance=_provenance(corpus.original_name, corpus.licence, row.member)
        if row.provenance is None
        else _json(_known(corpus.original_name, corpus.licence, row.member) | row.provenance),
    )


def _known(file: str, licence: str, member: str) -> dict[str, str]:
    return {"file": file, "licence": licence} | ({"member": member} if member else {})


@lru_cache
def _provenance(file: str, licence: str, member: str) -> str:
    return _json(_known(file, licence, member))


_json = json.JSONEncoder().encode


def _kind_of(record: Record) -> Kind:
    match record:
        case Dialogue():
            return "dialogue"
        case Pair():
            return "pair"
        case Document():
            return "document"
        case _:
            return "label"


class Intake:
    """Writes batches of one corpus."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self.counts: Counter[str] = Counter()
        self.bulk = examples.Bulk(corpus=corpus, created_by_id=corpus.owner_id)

    def begin(self) -> None:
        """Everything counted anew; what an earlier reading made of the file goes where a person asked for that."""
        # A reader that was lost may have left findings; rows are recognised by their source key.
        self.corpus.findings.filter(example=None).delete()
        progress = dict.fromkeys(("bytes_read", "rows_read", "rows_new", "rows_known", "rows_bad"), 0)
        claims.beat(self.corpus, started_at=timezone.now(), **progress)
        if self.corpus.options.get("replace"):
            self._forget()

    def _forget(self) -> None:
        untouched = untouched_of(self.corpus)
        for part in _parts(untouched.order_by("pk"), _FORGOTTEN_AT_ONCE):
            with transaction.atomic():
                claims.beat(self.corpus)
                # Asked again inside: a person may have begun with a row a moment ago.
                untouched.filter(pk__in=part).delete()
        # From here on a lost reader's rows are those of the new reading, and stay.
        options = {name: value for name, value in self.corpus.options.items() if name != "replace"}
        claims.beat(self.corpus, options=options)

    def take(self, batch: Batch) -> None:
        room = max(0, FINDINGS_SHOWN - self.counts["bad"])
        self.counts["read"] += len(batch.rows) + len(batch.complaints)
        self.counts["bad"] += len(batch.complaints)
        self.counts["left_out"] += batch.left_out
        self.counts["to_finish"] += batch.to_finish
        with transaction.atomic():
            # First of the writes: it proves that the claim still holds.
            claims.beat(self.corpus, bytes_read=batch.end_byte)
            new = self.bulk.insert(batch.rows)
            self.counts["new"] += new
            self.counts["known"] += len(batch.rows) - new
            Finding.objects.bulk_create(_finding(self.corpus, row) for row in batch.complaints[:room])
            claims.beat(self.corpus, **{f"rows_{name}": self.counts[name] for name in ("read", "new", "known", "bad")})

    def finish(self) -> None:
        nothing = self.counts["read"] == self.counts["bad"]
        summary = self._summary()
        with transaction.atomic():
            for rule, count in summary.items():
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
            "same_content": self._count_same() if self.counts["new"] else 0,
            "more_findings": self.counts["bad"] - FINDINGS_SHOWN,
            "to_finish": self.counts["to_finish"],
        }
        return {rule: count for rule, count in counts.items() if count > 0}

    def _count_same(self) -> int:
        """How many rows of the corpus say what an example that was there before says, or an earlier row."""
        earlier = Example.objects.filter(content_hash=OuterRef("content_hash"), pk__lt=OuterRef("pk"))
        rows = self.corpus.examples.order_by("pk")
        count = 0
        for part in _parts(rows, _COUNTED_AT_ONCE):
            count += rows.filter(Exists(earlier), pk__range=(part[0], part[-1])).count()
            claims.beat(self.corpus)
        return count


def _parts(rows: QuerySet[Example], size: int) -> Iterator[list[int]]:
    """The keys of rows in pieces, so that no question takes longer than a lease."""
    after = 0
    while keys := list(rows.filter(pk__gt=after).values_list("pk", flat=True)[:size]):
        yield keys
        after = keys[-1]


def _finding(corpus: Corpus, row: Unreadable) -> Finding:
    return Finding(
        corpus=corpus,
        rule=row.rule,
        severity=Finding.Severity.ERROR,
        line=row.line,
        message=row.message,
        facts=row.facts | {"member": row.member} if row.member else row.facts,
        excerpt=row.excerpt,
    )


def _note(corpus: Corpus, rule: str, facts: dict[str, int]) -> None:
    message = wording.english(rule, facts)
    Finding.objects.create(corpus=corpus, rule=rule, severity=Finding.Severity.WARNING, message=message, facts=facts)


# --- reading again --------------------------------------------------------------------------------------------------


def untouched_of(corpus: Corpus) -> QuerySet[Example]:
    """Drafts that nobody has worked on: never edited, marked, judged, frozen, or open before somebody."""
    return corpus.examples.filter(
        ~Exists(VersionRow.objects.filter(example=OuterRef("pk"))),
        ~Exists(Finding.objects.filter(example=OuterRef("pk")).exclude(state=Finding.State.OPEN)),
        Q(leased_until=None) | Q(leased_until__lt=timezone.now()),
        status=Example.Status.DRAFT,
        row_version=1,
        split="",
        events=None,
        scores=None,
    )
