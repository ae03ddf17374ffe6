"""Checks over examples: queued, done in the background, found again without doubles; what is done about findings."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from training import checks, claims, curation, mending, versions
from training.models import Check, Example, ExampleEvent, Finding

pytestmark = pytest.mark.django_db


@pytest.fixture
def cora() -> User:
    return User.objects.create_user("cora")


def add(question: str, answer: str, *, approve: bool = True, **columns: Any) -> Example:
    [example] = curation.add_pair_of_qa(question, answer, user=None, approve=approve)
    Example.objects.filter(pk=example.pk).update(**columns)
    example.refresh_from_db()
    return example


def checked(selection: checks.Selection | None = None) -> Check:
    check = checks.queue_check(selection or {}, owner=None)
    assert checks.check_queued()
    check.refresh_from_db()
    assert check.status == "done", check.error
    return check


def rules(check: Check) -> Counter[str]:
    return Counter(check.findings.exclude(rule="few_examples").values_list("rule", flat=True))


def only(check: Check, rule: str) -> Finding:
    finding = check.findings.select_related("example").get(rule=rule)
    assert isinstance(finding, Finding)
    return finding


def test_a_check_tells_what_where_and_how_bad():
    row = add("怎么联系你们", "打我的手机13912345678就行")

    check = checked()

    finding = only(check, "personal")
    assert (finding.example_id, finding.severity, finding.remedy) == (row.pk, "warning", "mask")
    assert row.body["messages"][1]["content"][finding.start : finding.end] == "13912345678"
    assert finding.where == "messages[1].content"
    assert "13912345678" in finding.excerpt
    assert check.counts == {"personal": 1, "few_examples": 1}
    assert (check.rows_total, check.rows_done) == (1, 2)
    assert check.finished_at is not None


def test_only_what_was_chosen_is_checked():
    chosen, other = add("问题甲是什么呢", "null"), add("问题乙是什么呢", "null")
    draft = add("问题丙是什么呢", "null", approve=False)
    curation.tag(Example.objects.filter(pk=chosen.pk), "mine", user=None)

    assert {finding.example_id for finding in checked({"tags": ["mine"]}).findings.filter(rule="empty_answer")} == {
        chosen.pk
    }
    assert {finding.example_id for finding in checked({"statuses": ["draft"]}).findings.exclude(example=None)} == {
        draft.pk
    }
    assert checked().findings.filter(rule="empty_answer", example=other).exists()


def test_nothing_to_check_is_refused_in_words():
    with pytest.raises(checks.NotCheckable, match="No example fits"):
        checks.queue_check({"tags": ["nobody"]}, owner=None)


def test_a_check_of_a_version_finds_rows_on_both_sides_of_a_split():
    for number in range(8):
        add(f"{chr(0x4E00 + 97 * number) * 6}在哪里", f"{chr(0x5E00 + 89 * number) * 5}")
    version = versions.queue_freeze({}, name="v", kind="dialogue", owner=None)
    versions.freeze_queued()
    held = version.rows.exclude(split="train").first()
    assert held is not None
    twin = add(held.example.body["messages"][0]["content"] + "？", "另外一个答案在这里", split="train")
    version.rows.create(example=twin, split="train", row_hash="0")

    check = checked({"version": version.pk})

    finding = only(check, "leak")
    assert (finding.example_id, finding.facts["other"]) == (twin.pk, held.example_id)
    assert checks.newest_of(version) == check


def test_a_killed_check_begins_again_without_doubles():
    add("问题甲是什么呢", "null")
    check = checks.queue_check({}, owner=None)
    lost = claims.take(Check, working="running", waiting="queued")
    assert lost is not None
    Finding.objects.create(checked_by=lost, rule="personal", severity="warning", message="half-way")
    Check.objects.filter(pk=check.pk).update(beat=timezone.now() - timedelta(minutes=5))

    assert checks.check_queued()

    check.refresh_from_db()
    assert check.status == "done"
    assert rules(check) == {"empty_answer": 1}
    with pytest.raises(claims.ClaimLost):
        claims.beat(lost)


def test_a_cancelled_check_stops_at_its_next_sign_of_life_and_leaves_nothing():
    add("问题甲是什么呢", "null")
    check = checks.queue_check({}, owner=None)
    running = claims.take(Check, working="running", waiting="queued")
    assert running is not None

    checks.cancel(check)

    with pytest.raises(claims.ClaimLost):
        claims.beat(running)
    assert check.findings.count() == 0
    assert not checks.check_queued()
    with pytest.raises(checks.NotCheckable, match="is over"):
        checks.cancel(check)


def test_of_one_rule_so_many_are_listed_and_all_are_counted(monkeypatch):
    monkeypatch.setattr(checks, "FINDINGS_KEPT", 2)
    for number in range(5):
        add(f"{chr(0x4E00 + 97 * number) * 6}在哪里", "null")

    check = checked()

    assert check.counts["empty_answer"] == 5
    assert rules(check)["empty_answer"] == 2
    row = next(row for row in checks.by_rule(check) if row["rule"] == "empty_answer")
    assert (row["found"], row["listed"], row["open"], row["remedies"]) == (5, 2, 2, ["remove_empty"])


def test_a_missing_model_fails_the_check_in_words():
    add("问题甲是什么呢", "答案")
    check = checks.queue_check({"model": "gone"}, owner=None)

    checks.check_queued()

    check.refresh_from_db()
    assert check.status == "failed"
    assert "tokenizer" in check.error
    checks.queue_again(check)
    assert Check.objects.get().status == "queued"


# --- what is done about findings ------------------------------------------------------------------------------------


def test_a_remedy_edits_the_row_sends_it_back_to_review_and_can_be_undone(cora):
    row = add("怎么联系你们", "打13912345678，或者13812345678")
    finding = checked().findings.filter(rule="personal").first()
    assert finding is not None

    assert mending.apply(finding, user=cora)

    row.refresh_from_db()
    assert row.body["messages"][1]["content"] == "打<手机号>，或者<手机号>"
    assert row.status == "draft"
    assert Finding.objects.filter(rule="personal", state="applied").count() == 2
    assert ExampleEvent.objects.filter(example=row, action="edited", user=cora).exists()

    other = Finding.objects.filter(rule="personal").last()
    assert other is not None
    mending.undo(other, user=cora)

    row.refresh_from_db()
    assert row.body["messages"][1]["content"] == "打13912345678，或者13812345678"
    assert row.status == "approved"
    assert Finding.objects.filter(rule="personal", state="open").count() == 2


def test_a_copy_is_rejected_once_and_the_first_one_stays(cora):
    first, copy = add("问题甲是什么呢", "答案一"), add("问题甲是什么呢", "答案一")
    check = checked()
    finding = only(check, "duplicate")

    counts = mending.apply_rule(check, "duplicate", user=cora)

    assert counts == {"mended": 1}
    assert [Example.objects.get(pk=row.pk).status for row in (first, copy)] == ["approved", "rejected"]
    finding.refresh_from_db()
    assert finding.facts["first"] == first.pk
    assert mending.undo_rule(check, "duplicate", user=cora) == {"undone": 1}
    assert Example.objects.get(pk=copy.pk).status == "approved"


def test_a_copy_stays_when_the_first_one_was_rejected_meanwhile(cora):
    first, copy = add("问题甲是什么呢", "答案一"), add("问题甲是什么呢", "答案一")
    finding = only(checked(), "duplicate")
    curation.reject(Example.objects.filter(pk=first.pk), user=cora)

    assert not mending.apply(finding, user=cora)

    assert Example.objects.get(pk=copy.pk).status == "approved"


def test_a_row_that_was_mended_by_hand_is_left_alone(cora):
    row = add("怎么联系你们", "打13912345678")
    finding = only(checked(), "personal")
    body = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "打前台电话"}]}
    curation.edit(row.pk, body, row_version=row.row_version, user=cora)

    assert not mending.apply(finding, user=cora)

    row.refresh_from_db()
    assert row.body == body


def test_undo_does_not_overwrite_what_was_written_since(cora):
    row = add("怎么联系你们", "打13912345678")
    finding = only(checked(), "personal")
    mending.apply(finding, user=cora)
    row.refresh_from_db()
    body = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "新的答案"}]}
    curation.edit(row.pk, body, row_version=row.row_version, user=cora)

    with pytest.raises(mending.NotMendable, match="changed since"):
        mending.undo(finding, user=cora)

    row.refresh_from_db()
    assert row.body == body


def test_a_finding_without_a_remedy_is_for_people(cora):
    add("退款要几天", "三天")
    add("请问退款要几天呢", "一个月也不一定")
    finding = only(checked(), "conflict")

    with pytest.raises(mending.NotMendable, match="Nothing but a person"):
        mending.apply(finding, user=cora)


def test_what_was_left_as_it_is_stays_so_in_later_checks():
    add("怎么联系你们", "打13912345678")
    first = checked()
    assert mending.dismiss(first.findings.filter(rule="personal")) == 1

    second = checked()

    assert [finding.state for finding in second.findings.filter(rule="personal")] == ["dismissed"]


def test_a_newer_check_replaces_what_was_open_about_the_same_rows():
    add("问题甲是什么呢", "null")
    first = checked()
    second = checked()

    assert rules(first) == {}
    assert rules(second) == {"empty_answer": 1}
    assert Example.objects.filter(findings__state="open").count() == 1
