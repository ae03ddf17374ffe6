"""Passes of the checks over examples: queued by people, done in the background, found anew by each.

A check killed half-way begins again and doubles nothing. Verbs only; the caller rings the bell after commit. What is
done about a finding is said in training.mending.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypedDict, cast

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop

from training import claims, storage, wording
from training.claims import ClaimLost
from training.ml import findings
from training.ml.errors import PipelineError, is_disk_full
from training.ml.findings import REMEDIES, RULES, Checker, Found, Row, TokenRules
from training.ml.records import Kind
from training.ml.texts import fill
from training.models import Check, DatasetVersion, Example, Finding, ModelVersion, VersionRow
from training.tags import with_tag

logger = logging.getLogger(__name__)

# Of one rule; the whole number is told, and a check after mending lists the next ones.
FINDINGS_KEPT = 5000
_BATCH_ROWS = 500
_BEAT_SECONDS = 1.0
_CONTEXT_CHARS = 40
_EXCERPT_CHARS = 200

Status = Check.Status


class Selection(TypedDict, total=False):
    """Which examples: those of a version, or of any of the corpora or with any of the tags, in one of the states.

    What is empty or missing chooses nothing away. model: the uid of the model whose tokenizer counts.
    """

    version: int
    corpora: list[int]
    tags: list[str]
    statuses: list[str]
    model: str


class NotCheckable(PipelineError):
    """Raised when nothing fits a selection, or a check is not in a state for what is asked."""

    code = "not_checkable"


# --- choosing and queueing ------------------------------------------------------------------------------------------


def chosen(selection: Selection) -> QuerySet[Example]:
    """The examples that a selection means, in no order."""
    rows = Example.objects.order_by()
    if version := selection.get("version"):
        return rows.filter(pk__in=VersionRow.objects.filter(version=version).values("example"))
    if statuses := selection.get("statuses"):
        rows = rows.filter(status__in=statuses)
    corpora, tags = selection.get("corpora", []), selection.get("tags", [])
    if not corpora and not tags:
        return rows
    wanted = Q(corpus__in=corpora)
    for tag in tags:
        wanted |= Q(pk__in=with_tag(Example.objects.all(), tag).values("pk"))
    return rows.filter(wanted)


def queue_check(selection: Selection, *, owner: User | None) -> Check:
    """Ask for a check. Raises NotCheckable when no example fits."""
    count = chosen(selection).count()
    if not count:
        raise NotCheckable(gettext_noop("No example fits this choice."))
    return Check.objects.create(selection=dict(selection), rows_total=count, owner=owner)


def queue_again(check: Check) -> None:
    """Begin a check that failed again. Raises NotCheckable in any other state."""
    if Check.objects.filter(pk=check.pk, status=Status.FAILED).update(status=Status.QUEUED, error="") != 1:
        raise NotCheckable(gettext_noop("Only a check that failed can begin again."))


def cancel(check: Check) -> None:
    """Stop a check; what it found is thrown away. Raises NotCheckable when it is over."""
    unfinished = Check.objects.filter(pk=check.pk, status__in=[Status.QUEUED, Status.RUNNING])
    with transaction.atomic():
        # The claim goes with it: the next beat of whoever works on it fails.
        if unfinished.update(status=Status.CANCELLED, claim_token="", finished_at=timezone.now(), counts={}) != 1:
            raise NotCheckable(gettext_noop("The check is over."))
        Finding.objects.filter(checked_by=check).delete()


# --- checking -------------------------------------------------------------------------------------------------------


def check_queued() -> bool:
    """Do the oldest waiting check to its end; False when none waits. Safe in any number of workers."""
    check = claims.take(Check, working=Status.RUNNING, waiting=Status.QUEUED)
    if check is None:
        return False
    try:
        _Pass(check).run()
    except ClaimLost:
        logger.warning("check %s was taken over by another worker or cancelled", check.pk)
    except PipelineError as error:
        _fail(check, fill(error.words))
    except Exception as error:  # whatever broke, the row must say so and the next job must run
        logger.exception("check %s could not be done", check.pk)
        _fail(check, wording.OWN_RULES["disk_full" if is_disk_full(error) else "unexpected"])
    return True


def _fail(check: Check, why: str) -> None:
    try:
        claims.settle(check, Status.FAILED, error=why, finished_at=timezone.now())
    except ClaimLost:
        logger.warning("check %s was taken over by another worker or cancelled", check.pk)


Told = tuple[int | None, Found]


class _Pass:
    """One pass over the examples of a check."""

    def __init__(self, check: Check) -> None:
        self.check = check
        self.selection = cast("Selection", check.selection)
        self.counts: Counter[str] = Counter()
        self.dismissed: set[tuple[Any, ...]] = set()
        self._next_beat = 0.0

    def run(self) -> None:
        rows = chosen(self.selection)
        # A pass that was lost may have left findings.
        self.check.findings.all().delete()
        total = rows.count()
        claims.beat(self.check, rows_total=total, rows_done=0, counts={})
        self.dismissed = set(_dismissed(rows))
        checker = Checker(tokens=_tokens(self.selection))
        done = 0
        for batch in _batches(rows, self.selection):
            found = zip(batch, checker.look(batch), strict=True)
            done += len(batch)
            self._store([(row.key, one) for row, each in found for one in each], {row.key: row for row in batch}, done)
        self._compare(checker, total)
        self._finish(rows)

    def _compare(self, checker: Checker, total: int) -> None:
        held: list[Told] = []
        for told in checker.compare(lambda done: self._beat(total + done)):
            held.append(told)
            if len(held) >= _BATCH_ROWS:
                self._store(held, _rows_of(held), 2 * total)
                held = []
        self._store(held, _rows_of(held), 2 * total)

    def _beat(self, done: int) -> None:
        if time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + _BEAT_SECONDS
            claims.beat(self.check, rows_done=done, counts=dict(self.counts))

    def _store(self, told: Sequence[Told], rows: dict[int, Row], done: int) -> None:
        """A batch with its progress. Rows are read and compared: each counts twice."""
        kept = []
        for key, found in told:
            self.counts[found.rule] += 1
            if self.counts[found.rule] <= FINDINGS_KEPT:
                kept.append(self._finding(key, found, rows.get(key) if key else None))
        with transaction.atomic():
            # First of the writes: it proves that the claim still holds.
            claims.beat(self.check, rows_done=done, counts=dict(self.counts))
            Finding.objects.bulk_create(kept, batch_size=_BATCH_ROWS)

    def _finding(self, key: int | None, found: Found, row: Row | None) -> Finding:
        text = findings.text_at(row.body, found.where) if row else ""
        finding = Finding(
            checked_by=self.check,
            example_id=key,
            rule=found.rule,
            severity=RULES[found.rule].severity,
            where=found.where,
            start=found.start,
            end=found.end,
            message=fill(findings.what(found.rule, found.facts)),
            facts=found.facts,
            excerpt=_excerpt(text, found),
            remedy=found.remedy,
        )
        if _identity(finding) in self.dismissed:
            finding.state = Finding.State.DISMISSED
        return finding

    def _finish(self, rows: QuerySet[Example]) -> None:
        with transaction.atomic():
            claims.settle(
                self.check,
                Status.DONE,
                rows_done=2 * self.check.rows_total,
                counts=dict(self.counts),
                finished_at=timezone.now(),
            )
            # What was open about these rows is found anew, or is no more.
            older = Finding.objects.filter(checked_by__lt=self.check.pk, state=Finding.State.OPEN)
            older.filter(example__in=rows.values("pk")).delete()


def _excerpt(text: str, found: Found) -> str:
    """The span with some words around it."""
    if found.start is None or found.end is None:
        return text[:_EXCERPT_CHARS]
    start = max(0, found.start - _CONTEXT_CHARS)
    return text[start : found.end + _CONTEXT_CHARS][:_EXCERPT_CHARS]


def _identity(finding: Finding) -> tuple[Any, ...]:
    """What makes two findings of two checks the same."""
    return finding.example_id, finding.rule, finding.where, finding.excerpt


def _dismissed(rows: QuerySet[Example]) -> Iterable[tuple[Any, ...]]:
    kept = Finding.objects.filter(
        state=Finding.State.DISMISSED, checked_by__isnull=False, example__in=rows.values("pk")
    )
    return kept.order_by().values_list("example_id", "rule", "where", "excerpt").iterator(_BATCH_ROWS)


def _tokens(selection: Selection) -> TokenRules | None:
    uid = selection.get("model", "")
    return TokenRules.of(storage.model_dir(uid)) if uid else None


def _batches(rows: QuerySet[Example], selection: Selection) -> Iterator[list[Row]]:
    """Rows by key, a batch at a time; nothing stays open between two batches, so that others can write."""
    last = 0
    while batch := _after(rows, last, selection):
        yield batch
        last = batch[-1].key


def _after(rows: QuerySet[Example], last: int, selection: Selection) -> list[Row]:
    columns = ("pk", "kind", "body", "group", "split")
    found = list(rows.filter(pk__gt=last).order_by("pk").values_list(*columns)[:_BATCH_ROWS])
    splits = _splits(selection, [row[0] for row in found])
    return [
        Row(key=pk, kind=cast("Kind", kind), body=body, group=group, split=splits.get(pk, split))
        for pk, kind, body, group, split in found
    ]


def _splits(selection: Selection, keys: Sequence[int]) -> dict[int, str]:
    """Of a version its own splits count; of anything else where a row was frozen into at first."""
    version = selection.get("version")
    if not version:
        return {}
    return dict(VersionRow.objects.filter(version=version, example__in=keys).values_list("example_id", "split"))


def _rows_of(told: Sequence[Told]) -> dict[int, Row]:
    keys = {key for key, _ in told if key}
    found = Example.objects.filter(pk__in=keys).order_by().values_list("pk", "kind", "body")
    return {pk: Row(key=pk, kind=cast("Kind", kind), body=body) for pk, kind, body in found}


# --- looking at a check ---------------------------------------------------------------------------------------------


class RuleCount(TypedDict):
    """One rule of a finished check: all that were found, and what became of those that are listed."""

    rule: str
    severity: str
    found: int
    listed: int
    open: int
    applied: int
    dismissed: int
    remedies: list[str]


def by_rule(check: Check) -> list[RuleCount]:
    """The rules that found something, in the order of RULES: the worst first."""
    states: dict[str, Counter[str]] = {}
    remedies: dict[str, set[str]] = {}
    counted = check.findings.order_by().values_list("rule", "state", "remedy").annotate(Count("pk"))
    for rule, state, remedy, count in counted:
        states.setdefault(rule, Counter())[state] += count
        if remedy in REMEDIES and state == Finding.State.OPEN:
            remedies.setdefault(rule, set()).add(remedy)
    rank = {"error": 0, "warning": 1, "note": 2}
    rules = sorted((rule for rule in RULES if check.counts.get(rule)), key=lambda rule: rank[RULES[rule].severity])
    return [_rule_count(check, rule, states.get(rule, Counter()), sorted(remedies.get(rule, ()))) for rule in rules]


def _rule_count(check: Check, rule: str, states: Counter[str], remedies: list[str]) -> RuleCount:
    return {
        "rule": rule,
        "severity": RULES[rule].severity,
        "found": check.counts[rule],
        "listed": sum(states.values()),
        "open": states["open"],
        "applied": states["applied"],
        "dismissed": states["dismissed"],
        "remedies": remedies,
    }


def newest_of(version: DatasetVersion) -> Check | None:
    return Check.objects.filter(selection__version=version.pk, status=Status.DONE).first()


def models_that_count() -> QuerySet[ModelVersion]:
    """Models whose tokenizer may count, the one that answers first."""
    return ModelVersion.objects.order_by("-is_active", "-pk")
