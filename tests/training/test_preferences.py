"""What the chat side hands in arrives once, as a draft, and can be taken back."""

from __future__ import annotations

from typing import Any

import pytest

from training import curation, preferences
from training.ml.corpus import BadRow
from training.models import Example

pytestmark = pytest.mark.django_db

PROMPT = [{"role": "user", "content": "问"}]


def pair(chosen: str = "好", **facts: Any) -> Example:
    return preferences.add_pair(source_key="chat:1:pair", prompt=PROMPT, chosen=chosen, rejected="坏", **facts)


def test_a_pair_arrives_once_as_a_draft_with_its_provenance():
    for _ in range(2):
        row = pair(margin=1.0, provenance={"rater": 3}, group="chat:1")

    assert Example.objects.count() == 1
    assert row.body == {"prompt": PROMPT, "chosen": "好", "rejected": "坏", "margin": 1.0}
    assert (row.kind, row.status, row.provenance, row.group) == ("pair", "draft", {"rater": 3}, "chat:1")
    assert row.tags == ["feedback"]


def test_labels_and_dialogues_arrive_too():
    label = preferences.add_label(source_key="a", prompt=PROMPT, completion="答", desirable=False)
    dialogue = preferences.add_dialogue(source_key="b", messages=[*PROMPT, {"role": "assistant", "content": "答"}])

    assert (label.kind, label.body["label"]) == ("label", False)
    assert (dialogue.kind, dialogue.preview) == ("dialogue", "问 → 答")


def test_a_changed_mind_replaces_the_row_and_sends_it_back_to_review():
    row = pair()
    curation.approve(Example.objects.all(), user=None)

    pair("更好")

    row.refresh_from_db()
    assert (row.body["chosen"], row.status) == ("更好", "draft")
    assert [event.action for event in row.events.all()] == ["added", "approved", "replaced"]


def test_what_a_curator_edited_stays_the_curators():
    row = pair()
    curation.edit(row.pk, row.body | {"chosen": "curated"}, row_version=1, user=None)

    assert pair("更好").body["chosen"] == "curated"


def test_withdrawn_rows_are_rejected_and_no_curator_can_bring_them_back():
    row = pair()
    curation.approve(Example.objects.all(), user=None)

    assert preferences.withdraw("chat:1:") == 1
    assert preferences.withdraw("chat:1:") == 0
    assert preferences.withdraw("") == 0

    assert curation.approve(Example.objects.all(), user=None) == 0
    row.refresh_from_db()
    assert row.status == "rejected"


def test_who_withdrew_may_give_again():
    pair()
    preferences.withdraw("chat:1:")

    row = pair()

    assert (row.status, "withdrawn" in row.provenance) == ("draft", False)
    assert curation.approve(Example.objects.all(), user=None) == 1


def test_an_empty_or_equal_answer_is_refused():
    with pytest.raises(BadRow):
        pair(" ")
    with pytest.raises(BadRow):
        pair("坏")
    assert Example.objects.count() == 0
