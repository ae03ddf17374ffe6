"""Statistics of examples and versions: asked for, computed in the background, kept, computed again."""

from __future__ import annotations

import io

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from chatsite import roles
from training import corpora, curation, statistics, versions
from training.models import Corpus, Example, Statistics

pytestmark = pytest.mark.django_db

QA = "".join(
    f'{{"prompt": "{question}", "completion": "点击设置按钮里的{word}。"}}\n'
    for question, word in [
        ("怎么上传数据", "文件"),
        ("怎么上传数据？", "菜单"),
        ("如何修改密码", "密码"),
        ("hello there", "x"),
    ]
).encode()


@pytest.fixture
def corpus() -> Corpus:
    corpus = corpora.add_upload(io.BytesIO(QA), name="faq", original_name="a.jsonl", owner=None, licence="CC0-1.0")
    corpora.read_queued()
    return corpus


@pytest.fixture
def pages() -> Client:
    roles.make_roles()
    user = User.objects.create_user("cora")
    roles.grant(user, role="curator")
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def computed(asked: Statistics) -> Statistics:
    assert statistics.compute_queued()
    asked.refresh_from_db()
    assert asked.status == "done", asked.error
    return asked


def test_examples_are_counted_by_state_language_length_word_cluster_and_source(corpus):
    curation.add_pair_of_qa("自己写的问题", "自己写的回答", user=None, approve=True)

    figures = computed(statistics.ask({})).figures

    assert figures["rows"] == 5
    assert figures["facts"]["status"] == {"draft": 4, "approved": 1}
    assert figures["facts"]["language"] == {"zh": 5}
    assert figures["lengths"]["questions"]["count"] == 5
    assert ["密码", 1] in figures["words"]["questions"]
    assert figures["clusters"]["clusters"] == 4
    assert figures["clusters"]["largest"][0]["texts"] == ["怎么上传数据", "怎么上传数据？"]
    assert [(source["name"], source["licence"], source["rows"]) for source in figures["sources"]] == [
        ("faq", "CC0-1.0", 4),
        ("", "", 1),
    ]


def test_asking_again_keeps_one_row_and_its_figures_until_the_new_ones_are_there(corpus):
    asked = computed(statistics.ask({"corpora": [corpus.pk]}))
    assert statistics.changed_since(asked) == 0
    curation.approve(corpus.examples.filter(line__lte=2), user=None)

    assert statistics.changed_since(asked) == 2
    again = statistics.ask({"corpora": [corpus.pk]})
    assert (again.pk, again.status, again.figures["facts"]["status"]) == (asked.pk, "queued", {"draft": 4})
    assert computed(again).figures["facts"]["status"] == {"draft": 2, "approved": 2}
    assert Statistics.objects.count() == 1


def test_a_frozen_version_is_counted_as_it_was_frozen(corpus):
    curation.approve(Example.objects.all(), user=None)
    version = versions.queue_freeze({}, name="v", kind="dialogue", owner=None)
    with pytest.raises(statistics.NotCountable):
        statistics.ask({}, version)
    versions.freeze_queued()
    version.refresh_from_db()

    asked = computed(statistics.ask({}, version))

    assert asked.figures["rows"] == sum(version.counts.values())
    assert asked.figures["facts"]["split"] == {split: count for split, count in version.counts.items() if count}
    assert asked.figures["clusters"]["unknown"] == 0
    Example.objects.update(language="en")
    assert statistics.changed_since(asked) == 0


def test_a_damaged_version_fails_in_words_on_the_page(pages, corpus):
    curation.approve(Example.objects.all(), user=None)
    version = versions.queue_freeze({}, name="v", kind="dialogue", owner=None)
    versions.freeze_queued()
    version.refresh_from_db()
    (versions.load(version).directory / "train.arrow").write_bytes(b"")

    asked = statistics.ask({}, version)
    assert statistics.compute_queued()

    asked.refresh_from_db()
    assert asked.status == "failed"
    assert "damaged" in pages.get(reverse("admin:training_statistics_change", args=[asked.pk])).content.decode()


def test_the_page_shows_bars_and_computes_again(pages, corpus, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        answer = pages.post(reverse("admin:training_statistics_add"), {"corpora": [corpus.pk]})

    page = pages.get(answer.url).content.decode()
    assert "<rect width=" in page
    assert "CC0-1.0" in page
    assert "密码" in page
    asked = Statistics.objects.get()
    told = pages.get(reverse("admin:training_statistics_progress", args=[asked.pk])).json()
    assert (told["state"], told["share"], told["rows"]) == ("done", 1.0, 4)
    with django_capture_on_commit_callbacks(execute=True):
        pages.post(reverse("admin:training_statistics_again", args=[asked.pk]))
    asked.refresh_from_db()
    assert asked.status == "done"
