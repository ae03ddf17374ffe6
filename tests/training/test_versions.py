"""Freezing approved examples into versions: chosen, split, recorded both ways, never twice at once."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone

from training import claims, curation, storage, tags, versions, wording
from training.ml import dataset
from training.models import DatasetVersion, Example, VersionRow
from training.versions import Selection

pytestmark = pytest.mark.django_db


def word(name: str) -> str:
    return "".join(chr(0x4E00 + byte * 20 + n) for n, byte in enumerate(hashlib.sha256(name.encode()).digest()[:8]))


def add_facts(count: int, *, start: int = 0, tag: str = "t", phrasings: int = 3) -> None:
    for fact in range(start, start + count):
        asked = [word(f"q{fact}/{number}") for number in range(phrasings)]
        curation.add_pair_of_qa(asked[0], word(f"a{fact}"), phrasings=asked[1:], user=None, approve=True, tags=[tag])


def frozen(selection: Selection | None = None, **facts: str) -> DatasetVersion:
    version = versions.queue_freeze(selection or {}, name="v", kind="dialogue", owner=None)
    assert versions.freeze_queued()
    version.refresh_from_db()
    assert version.status == "frozen", version.error
    return version


def test_a_version_has_files_counts_lineage_and_sticky_splits():
    add_facts(40)

    version = frozen()

    assert sum(version.counts.values()) == 120
    assert version.counts["test"] == 6
    assert versions.load(version).hash == version.sha256 == storage.dataset_dir(version.sha256).name
    assert VersionRow.objects.filter(version=version).count() == 120
    for split, count in version.counts.items():
        assert Example.objects.filter(split=split).count() == count
    assert Example.objects.filter(cluster="").count() == 0
    assert version.frozen_at is not None
    assert version.claim_token == ""


def test_a_later_version_keeps_every_split_and_tells_the_difference():
    add_facts(20)
    first = frozen()
    before = dict(Example.objects.values_list("source_key", "split"))
    add_facts(20, start=100)
    Example.objects.filter(pk=Example.objects.earliest("pk").pk).update(status="rejected")

    second = frozen()

    after = dict(Example.objects.values_list("source_key", "split"))
    assert {key: after[key] for key in before} == before
    assert versions.difference(second, first) == {"added": 60, "removed": 1, "kept": 59}


def test_only_approved_rows_of_the_selection_are_frozen():
    add_facts(10, tag="中文")
    add_facts(10, start=50, tag="other")
    curation.add_dialogue([{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], user=None)

    assert sum(frozen({"tags": ["中文"]}).counts.values()) == 30
    assert sum(frozen({"tags": ["中文", "other"]}).counts.values()) == 60
    assert sum(frozen().counts.values()) == 60
    assert tags.in_use() == ["by-hand", "other", "中文"]


def test_a_row_outside_the_selection_still_keeps_its_likeness_out_of_training():
    add_facts(20, tag="old", phrasings=1)
    frozen({"tags": ["old"]})
    tested = Example.objects.filter(split="test").get()
    add_facts(20, start=100, tag="new", phrasings=1)
    question = tested.body["messages"][0]["content"] + "？"
    newcomer = curation.add_pair_of_qa(question, "另一个回答", user=None, approve=True, tags=["new"])[0]

    frozen({"tags": ["new"]})

    newcomer.refresh_from_db()
    assert newcomer.split == "test"


def test_canary_rows_and_their_likeness_are_never_trained_on():
    add_facts(20, phrasings=1)
    canary, other = Example.objects.order_by("pk")[:2]
    frozen()
    Example.objects.filter(pk=canary.pk).update(tags=["t", versions.CANARY], split="")
    question = canary.body["messages"][0]["content"] + "？"
    alike = curation.add_pair_of_qa(question, "另一个回答", user=None, approve=True, tags=["new"])[0]

    version = frozen()

    alike.refresh_from_db()
    assert alike.split == "phrasing"
    rows = VersionRow.objects.filter(version=version)
    assert rows.filter(example=other).exists() and not rows.filter(example=canary).exists()


def test_a_full_database_is_told_as_a_full_disk(monkeypatch):
    add_facts(2)
    version = versions.queue_freeze({}, name="v", kind="dialogue", owner=None)
    monkeypatch.setattr(dataset, "freeze", full_database)

    assert versions.freeze_queued()

    version.refresh_from_db()
    assert version.error == wording.english("disk_full", {})


def full_database(*_args: Any, **_options: Any) -> None:
    raise OperationalError("database or disk is full")


def test_the_same_choice_gives_the_same_hash():
    add_facts(10)

    assert frozen().sha256 == frozen().sha256


def test_the_same_words_from_other_rows_are_the_same_version_with_its_own_lineage():
    add_facts(10, phrasings=1)
    first = frozen()
    VersionRow.objects.all().delete()
    Example.objects.all().delete()
    add_facts(10, phrasings=1)

    second = frozen()

    assert second.sha256 == first.sha256
    assert VersionRow.objects.filter(version=second).count() == Example.objects.exclude(split="").count() == 10


def test_nothing_approved_is_said_at_once():
    with pytest.raises(versions.NotFreezable):
        versions.queue_freeze({}, name="v", kind="pair", owner=None)

    assert DatasetVersion.objects.count() == 0


def test_rows_that_vanish_before_freezing_fail_the_version_in_words():
    add_facts(2)
    version = versions.queue_freeze({}, name="v", kind="dialogue", owner=None)
    Example.objects.update(status="rejected")

    versions.freeze_queued()

    version.refresh_from_db()
    assert (version.status, version.report["error"]["facts"]["rule"]) == ("failed", "no_rows")
    assert version.error == dataset.RULES["no_rows"]
    Example.objects.update(status="approved")
    versions.queue_again(version)
    assert versions.freeze_queued()
    version.refresh_from_db()
    assert version.status == "frozen"
    with pytest.raises(versions.NotFreezable):
        versions.queue_again(version)


def test_two_versions_are_never_frozen_at_once():
    add_facts(5)
    for _ in range(2):
        versions.queue_freeze({}, name="v", kind="dialogue", owner=None)
    working = claims.take(DatasetVersion, working="freezing", waiting="queued", alone=True)
    assert working is not None

    assert not versions.freeze_queued()

    DatasetVersion.objects.filter(pk=working.pk).update(beat=timezone.now() - timedelta(hours=1))
    assert versions.freeze_queued()
    assert versions.freeze_queued()
    assert not versions.freeze_queued()
    assert set(DatasetVersion.objects.values_list("status", flat=True)) == {"frozen"}


def test_a_freezer_whose_claim_was_taken_writes_nothing():
    add_facts(5)
    version = versions.queue_freeze({}, name="v", kind="dialogue", owner=None)
    stale = claims.take(DatasetVersion, working="freezing", waiting="queued", alone=True)
    assert stale is not None
    DatasetVersion.objects.filter(pk=version.pk).update(claim_token="another")

    with pytest.raises(claims.ClaimLost):
        versions._freeze(stale)

    assert VersionRow.objects.count() == 0


def test_a_split_given_in_the_meantime_sends_the_version_back():
    add_facts(5)
    version = versions.queue_freeze({}, name="v", kind="dialogue", owner=None)
    taken = claims.take(DatasetVersion, working="freezing", waiting="queued", alone=True)
    assert taken is not None
    keys: dict[str, int] = {}
    known: dict[str, str] = {}
    list(versions._candidates(Example.objects.all(), keys, known))
    Example.objects.filter(pk=min(keys.values())).update(split="test")

    assert versions._moved(keys, known)
    claims.settle(taken, "queued")
    assert versions.freeze_queued()
    version.refresh_from_db()
    assert version.status == "frozen"
    assert Example.objects.get(pk=min(keys.values())).split == "test"


def test_what_is_downloaded_can_be_uploaded_again():
    add_facts(6)
    version = frozen()

    lines = [json.loads(line) for line in versions.as_lines(version)]

    assert len(lines) == 18
    assert {line["split"] for line in lines} >= {"train", "test", "validation"}
    bodies = {json.dumps(line["messages"], sort_keys=True) for line in lines}
    assert bodies == {json.dumps(row.body["messages"], sort_keys=True) for row in Example.objects.all()}
    assert all(line["group"] for line in lines)


def test_equal_recipes_share_a_row():
    one = versions.recipe_of(["whitespace@1", "laughter@1"])

    assert versions.recipe_of(["whitespace@1", "laughter@1"]) == one
    assert versions.recipe_of(["laughter@1", "whitespace@1"]) != one


def test_the_command_freezes_and_reports(capsys):
    add_facts(6)

    call_command("freeze", "first", "--tag", "t", "--json")

    told = json.loads(capsys.readouterr().out)
    assert sum(told["counts"].values()) == 18
    assert DatasetVersion.objects.get(pk=told["id"]).sha256 == told["hash"]
    with pytest.raises(CommandError):
        call_command("freeze", "second", "--kind", "label")
