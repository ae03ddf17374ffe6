"""What is done about findings: mended by their remedy, left as they are, undone. Every change of a row is curation's.

A remedy is done to the row as it is now, so what was edited since is never overwritten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext, gettext_noop

from training import curation
from training.ml.errors import PipelineError
from training.ml.findings import REMEDIES, remedied
from training.ml.records import Body
from training.models import Check, Example, Finding

# Rows in one request; each edit is a transaction of its own.
MOST_AT_ONCE = 500

State = Finding.State


class NotMendable(PipelineError):
    """Raised when a finding is not in a state for what is asked, or has no remedy."""

    code = "not_mendable"


def after(finding: Finding) -> Body | None:
    """The row as the remedy would make it now; None when it would be rejected. Raises NotMendable without a remedy."""
    if finding.remedy not in REMEDIES or finding.example is None:
        raise NotMendable(gettext_noop("Nothing but a person can mend this."))
    return remedied(finding.remedy, finding.example.body)


def apply(finding: Finding, *, user: User) -> bool:
    """Do the remedy, and with it that of the same findings of the row. False when the row no longer needs it.

    Raises NotMendable, StaleEdit when somebody edits the row at the same time, BadRow when nothing would be left.
    """
    if finding.state != State.OPEN:
        raise NotMendable(gettext_noop("This was decided before."))
    with transaction.atomic():
        # Nobody else may decide about the row in the meantime.
        example = _row_of(finding)
        finding.example = example
        done = _done(finding, example, user)
        _settle(finding, example, done)
    return bool(done)


def _row_of(finding: Finding) -> Example:
    """The row as it is now, locked. Raises NotMendable for a finding about all rows."""
    if finding.example_id is None:
        raise NotMendable(gettext_noop("Nothing but a person can mend this."))
    return Example.objects.select_for_update().get(pk=finding.example_id)


def _done(finding: Finding, example: Example, user: User) -> dict[str, Any]:
    """Change or reject the row; returns what undoing needs, empty when nothing had to be done."""
    body = after(finding)
    undo = {"status": example.status, "body": example.body}
    note = gettext(REMEDIES[finding.remedy].label)
    if body is None:
        if _needless(finding, example):
            return {}
        curation.reject(Example.objects.filter(pk=example.pk), user=user, reason=note)
    elif body == example.body:
        return {}
    else:
        curation.edit(example.pk, body, row_version=example.row_version, user=user, note=note)
    example.refresh_from_db()
    return undo | {"row_version": example.row_version}


def _needless(finding: Finding, example: Example) -> bool:
    """Is it rejected already, or the other row for which it should go?"""
    other = finding.facts.get("first") or finding.facts.get("other")
    gone = Example.objects.filter(pk__in=[example.pk, *([other] if other else [])], status=Example.Status.REJECTED)
    return gone.exists()


def _settle(finding: Finding, example: Example, undo: dict[str, Any]) -> None:
    """The finding, and those of the same remedy in the row, are mended; one of them remembers how to undo it."""
    same = Finding.objects.filter(checked_by=finding.checked_by_id, example=example, state=State.OPEN)
    same.filter(remedy=finding.remedy, rule=finding.rule).exclude(pk=finding.pk).update(state=State.APPLIED)
    finding.state, finding.facts = State.APPLIED, finding.facts | {"undo": undo}
    finding.save(update_fields=["state", "facts"])


def undo(finding: Finding, *, user: User) -> None:
    """Make a finding open again, and its row what it was.

    Raises NotMendable when it is open, and when the row was changed since.
    """
    if finding.state == State.OPEN:
        raise NotMendable(gettext_noop("Nothing was done about this yet."))
    with transaction.atomic():
        if finding.state == State.APPLIED and finding.example_id:
            finding = _restore(finding, user)
        facts = {name: fact for name, fact in finding.facts.items() if name != "undo"}
        same = Finding.objects.filter(checked_by=finding.checked_by_id, example=finding.example_id, rule=finding.rule)
        if finding.example_id:
            same.filter(state=finding.state, remedy=finding.remedy).update(state=State.OPEN)
        Finding.objects.filter(pk=finding.pk).update(state=State.OPEN, facts=facts)


def _restore(finding: Finding, user: User) -> Finding:
    """The row as it was; returns the finding that remembered it."""
    same = Finding.objects.filter(
        checked_by=finding.checked_by_id, example=finding.example_id, rule=finding.rule, remedy=finding.remedy
    )
    keeper = next((one for one in same.filter(state=State.APPLIED) if "undo" in one.facts), None)
    told = keeper.facts["undo"] if keeper else {}
    if keeper is None or not told:
        return finding
    example = _row_of(finding)
    if example.row_version != told["row_version"]:
        raise NotMendable(gettext_noop("The row was changed since. Open it: its history has every version."))
    if example.body != told["body"]:
        curation.edit(
            example.pk, told["body"], row_version=example.row_version, user=user, note=gettext("Remedy undone")
        )
    _restate(example.pk, told["status"], user)
    return keeper


def _restate(pk: int, status: str, user: User) -> None:
    rows = Example.objects.filter(pk=pk)
    if status == Example.Status.APPROVED:
        curation.approve(rows, user=user)
    elif status == Example.Status.DRAFT:
        curation.back_to_draft(rows, user=user, reason=gettext("Remedy undone"))


def dismiss(found: QuerySet[Finding]) -> int:
    """A person says that these are right as they are; a later check remembers it. Returns how many changed."""
    return found.filter(state=State.OPEN).update(state=State.DISMISSED)


def apply_rule(check: Check, rule: str, *, user: User) -> Counter[str]:
    """Every remedy of a rule; returns how many were mended, needless, failed and are left for another time."""
    found = check.findings.filter(rule=rule, state=State.OPEN).exclude(remedy="").select_related("example")
    return _each(found, lambda one: "mended" if apply(one, user=user) else "needless")


def undo_rule(check: Check, rule: str, *, user: User) -> Counter[str]:
    """Undo what was done about a rule."""

    def back(finding: Finding) -> str:
        undo(finding, user=user)
        return "undone"

    return _each(check.findings.filter(rule=rule, state=State.APPLIED), back)


def _each(found: QuerySet[Finding], act: Any) -> Counter[str]:
    """One row after the other: what fails for one leaves the others alone."""
    counts: Counter[str] = Counter()
    for finding in _once_a_row(found.order_by("pk")[: MOST_AT_ONCE + 1]):
        if counts.total() >= MOST_AT_ONCE:
            counts["left"] += 1
            break
        try:
            counts[act(finding)] += 1
        except PipelineError:
            counts["failed"] += 1
    return counts


def _once_a_row(found: Iterable[Finding]) -> Iterable[Finding]:
    seen: set[Any] = set()
    for finding in found:
        if finding.example_id not in seen:
            seen.add(finding.example_id)
            yield finding
