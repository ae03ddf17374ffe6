"""The pages of a frozen version: against another one, its data card, its rows as tokens, and damage told."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from chatsite import roles
from tests.training.machinery import real_model
from training import cards, corpora, curation, differences, versions
from training.models import DatasetVersion, Example

pytestmark = pytest.mark.django_db

QA = "".join(
    f'{{"prompt": "第{n}个问题{chr(0x4E00 + 97 * n) * 4}", "completion": "回答{n}"}}\n' for n in range(30)
).encode()


@pytest.fixture
def pages() -> Client:
    roles.make_roles()
    user = User.objects.create_user("cora")
    roles.grant(user, role="curator")
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def freeze(name: str, **facts) -> DatasetVersion:
    version = versions.queue_freeze({}, name=name, kind="dialogue", owner=None, **facts)
    assert versions.freeze_queued()
    version.refresh_from_db()
    assert version.status == "frozen", version.error
    return version


@pytest.fixture
def first() -> DatasetVersion:
    corpora.add_upload(io.BytesIO(QA), name="faq|x", original_name="a.jsonl", owner=None, licence="CC0-1.0")
    corpora.read_queued()
    curation.approve(Example.objects.all(), user=None)
    return freeze("first")


@pytest.fixture
def second(first: DatasetVersion) -> DatasetVersion:
    """One row changed, one removed, one added, and one cleaning step more."""
    changed, removed = Example.objects.order_by("pk")[:2]
    body = changed.body | {"messages": [changed.body["messages"][0], {"role": "assistant", "content": "改过的回答"}]}
    curation.edit(changed.pk, body, row_version=changed.row_version, user=None)
    curation.approve(Example.objects.filter(pk=changed.pk), user=None)
    curation.reject(Example.objects.filter(pk=removed.pk), user=None)
    curation.add_pair_of_qa("全新的一个提问", "全新的回答", user=None, approve=True)
    return freeze("second", parent=first, recipe=versions.recipe_of(["whitespace@1", "control@1", "laughter@1"]))


def url(page: str, version: DatasetVersion, query: str = "") -> str:
    return reverse(f"admin:training_datasetversion_{page}", args=[version.pk]) + query


def body(answer) -> str:
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return content.decode()


def test_two_versions_are_compared_row_by_row_and_step_by_step(pages, first, second):
    sides = differences.Sides(second, first)

    assert sides.comparison.counts == {"added": 1, "removed": 1, "changed": 1, "moved": 0, "kept": 28}
    assert [sort for sort, _step in differences.steps_changed(second, first)] == ["same", "same", "new"]
    page = body(pages.get(url("compare", second)))
    assert "改过的回答" in page and "全新的回答" in page and "回答0" in page
    only = body(pages.get(url("compare", second, f"?with={first.pk}&change=added")))
    assert "全新的回答" in only and "改过的回答" not in only


def test_the_differences_are_downloaded_as_lines(pages, first, second):
    lines = body(pages.get(url("compare", second, f"?with={first.pk}&download"))).splitlines()

    told = {line["change"]: line for line in map(json.loads, lines)}
    assert told["changed"]["before"]["messages"][1]["content"] == "回答0"
    assert told["changed"]["now"]["messages"][1]["content"] == "改过的回答"
    assert "now" not in told["removed"] and "before" not in told["added"]


def test_a_version_without_another_one_says_so(pages, first):
    assert "no other frozen version" in body(pages.get(url("compare", first)))


def test_the_data_card_tells_sources_counts_cleaning_gaps_and_hashes(pages, second):
    card = cards.card(second)

    assert "| faq\\|x | CC0-1.0 | – | 29 |" in card
    assert "Written here: by hand or from chats | – | – | 1 |" in card
    assert second.sha256 in card
    assert "Personal data was not masked" in card
    assert "| Chinese | 30 |" in card
    assert "`laughter@1`" in card
    assert card == body(pages.get(url("card", second, "?download")))
    assert "# second" in body(pages.get(url("card", second)))


def test_a_row_is_shown_token_by_token(pages, first):
    assert "no model yet" in body(pages.get(url("tokens", first)))
    model = real_model()

    page = body(pages.get(url("tokens", first, f"?model={model.uid}&split=train&row=2")))

    assert "&lt;|assistant|&gt;" in page
    assert page.count("data-trained") > 1
    assert 'title="' in page
    assert "2 / " in page
    assert pages.get(url("tokens", first, "?row=999999999999&split=nonsense&model=none")).status_code == 200


@pytest.mark.parametrize(
    "harm", ["flipped byte", "truncated file", "missing split", "foreign file", "foreign manifest"]
)
def test_damage_is_told_on_the_version_s_page_and_nothing_damaged_is_shown(pages, first, harm):
    directory = versions.load(first).directory
    _harm(directory, harm)

    page = body(pages.get(url("change", first)))

    assert "is damaged" in page or "no frozen dataset" in page
    for name in ("compare", "card", "tokens", "download"):
        answer = pages.get(url(name, first), follow=True)
        assert answer.status_code == 200


def _harm(directory, harm: str) -> None:
    train = directory / "train.arrow"
    content = train.read_bytes()
    if harm == "flipped byte":
        train.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    elif harm == "truncated file":
        train.write_bytes(content[:-9])
    elif harm == "missing split":
        (directory / "test.arrow").unlink()
    elif harm == "foreign file":
        shutil.copy(directory / "test.arrow", train)
    elif harm == "no manifest of ours":
        (directory / "dataset.json").write_text('["somebody", "else"]')
    else:
        curation.add_pair_of_qa("全新的一个提问", "全新的回答", user=None, approve=True)
        other = versions.load(freeze("other")).directory
        shutil.rmtree(directory)
        shutil.copytree(other, directory)


def test_the_pages_start_without_torch():
    code = (
        "import os, sys, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'; django.setup(); "
        "import training.admin.version_pages, training.admin.statistics; "
        "sys.exit(bool({'torch', 'transformers', 'scipy', 'datasketch'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
