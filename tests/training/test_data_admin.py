"""The data pages of the admin, as a curator uses them."""

from __future__ import annotations

import io
import json

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from chatsite import roles
from training import corpora, curation, versions
from training.models import Corpus, DatasetVersion, Example

pytestmark = pytest.mark.django_db

QA = b'{"prompt": "a?", "completion": "b"}\n{"prompt": 3, "completion": "<script>x"}\n'


@pytest.fixture
def curator() -> User:
    roles.make_roles()
    user = User.objects.create_user("cora")
    roles.grant(user, role="curator")
    return user


@pytest.fixture
def pages(curator: User) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(curator)
    return client


def url(name: str, *args: object) -> str:
    return reverse(f"admin:training_{name}", args=args)


def add(question: str = "q", answer: str = "a", *, approve: bool = False) -> Example:
    return curation.add_pair_of_qa(question, answer, user=None, approve=approve)[0]


def test_a_file_is_uploaded_and_its_page_tells_what_was_read(pages, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        answer = pages.post(url("corpus_add"), {"file": io.BytesIO(QA), "name": "questions", "licence": "CC0-1.0"})

    corpus = Corpus.objects.get()
    assert answer.url == url("corpus_change", corpus.pk)
    page = pages.get(answer.url).content.decode()
    assert "questions" in page
    assert "must be text" in page
    assert "&lt;script&gt;" in page
    assert "<script>x" not in page
    told = pages.get(url("corpus_progress", corpus.pk)).json()
    assert (told["finished"], told["rows_new"], told["rows_bad"]) == (True, 1, 1)


def test_the_same_file_again_leads_to_the_first(pages):
    corpora.add_upload(io.BytesIO(QA), name="first", original_name="a.jsonl", owner=None)

    answer = pages.post(url("corpus_add"), {"file": io.BytesIO(QA)}, follow=True)

    assert answer.redirect_chain[0][0] == url("corpus_change", Corpus.objects.get().pk)
    assert "was uploaded before" in answer.content.decode()


def test_an_empty_file_fails_in_words_on_its_page(pages, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        answer = pages.post(url("corpus_add"), {"file": io.BytesIO(b"")})

    assert "The file is empty" in pages.get(answer.url).content.decode()


def test_every_draft_of_a_corpus_is_approved_with_one_button(pages):
    corpus = corpora.add_upload(io.BytesIO(QA), name="x", original_name="a.jsonl", owner=None)
    corpora.read_queued()

    pages.post(url("corpus_approve", corpus.pk))

    assert Example.objects.get().status == "approved"


def test_changes_are_posted_and_never_follow_a_link(pages):
    example = add()

    assert pages.get(url("example_approve", example.pk)).status_code == 405
    assert Client(enforce_csrf_checks=True).post(url("example_approve", example.pk)).status_code in (302, 403)
    example.refresh_from_db()
    assert example.status == "draft"


def test_a_question_is_added_with_its_phrasings(pages, curator):
    form = {
        "source_key": "hand:1",
        "question": "怎么退款",
        "answer": "点退款",
        "phrasings": "退款\n\n 哪里退款 ",
        "tags": "售后，退款",
    }

    for _ in range(2):
        pages.post(url("example_add"), form | {"approve": "on"})

    rows = Example.objects.order_by("pk")
    assert [row.body["messages"][0]["content"] for row in rows] == ["怎么退款", "退款", "哪里退款"]
    assert {(row.status, row.created_by, tuple(row.tags)) for row in rows} == {
        ("approved", curator, ("by-hand", "售后", "退款"))
    }


def test_a_dialogue_is_added_and_a_half_one_is_refused_with_what_was_typed(pages):
    form = {"source_key": "hand:2", "role": ["user", "assistant", "user"], "turn": ["你好", "你好呀", ""]}

    pages.post(url("example_dialogue"), form)
    refused = pages.post(url("example_dialogue"), form | {"source_key": "hand:3", "turn": ["只有问", "", ""]})

    assert Example.objects.get().preview == "你好 → 你好呀"
    assert "只有问" in refused.content.decode()
    assert "nothing to learn" in refused.content.decode()


def test_an_edit_is_kept_in_the_history_and_a_stale_one_is_told(pages):
    example = add("q", "before")
    form = {"row_version": 1, "role": ["user", "assistant"], "turn": ["q", "after"], "note": "better"}

    saved = pages.post(url("example_change", example.pk), form, follow=True).content.decode()
    stale = pages.post(url("example_change", example.pk), form | {"turn": ["q", "mine"]}).content.decode()

    example.refresh_from_db()
    assert example.body["messages"][1]["content"] == "after"
    assert "better" in saved
    assert "Changed by cora" in stale
    assert "mine" in stale


def test_a_pair_is_edited_in_its_own_fields(pages):
    body = {"prompt": [{"role": "user", "content": "p"}], "chosen": "c", "rejected": "r", "margin": 1.5}
    example = Example.objects.create(kind="pair", body=body, source_key="x", content_hash="0")
    page = pages.get(url("example_change", example.pk)).content.decode()
    assert 'value="1.5"' in page

    form = {"row_version": 1, "role": "user", "turn": "p", "chosen": "better", "rejected": "r", "margin": "1.5"}
    pages.post(url("example_change", example.pk), form)

    example.refresh_from_db()
    assert example.body == body | {"chosen": "better"}


def test_one_example_is_rejected_with_a_reason(pages):
    example = add()

    page = pages.post(url("example_reject", example.pk), {"reason": "not true"}, follow=True).content.decode()

    example.refresh_from_db()
    assert example.status == "rejected"
    assert "not true" in page


def test_the_list_filters_searches_and_approves_what_is_chosen(pages):
    wanted, other = add("怎么退款", "点这里"), add("天气", "不知道")
    chosen = {"action": "approve_all", "_selected_action": [wanted.pk]}

    found = pages.get(url("example_changelist"), {"q": "退款"}).content.decode()
    tagged = pages.get(url("example_changelist"), {"tag": "by-hand", "status": "draft"})
    pages.post(url("example_changelist"), chosen)

    assert "怎么<mark>退款</mark>" in found
    assert "天气" not in found
    assert tagged.context["cl"].result_count == 2
    assert [Example.objects.get(pk=row.pk).status for row in (wanted, other)] == ["approved", "draft"]


def test_a_version_is_frozen_watched_read_and_downloaded(pages, django_capture_on_commit_callbacks):
    for number in range(6):
        add(f"question {number} {'xyzuvw'[number] * 9}", f"answer {number}", approve=True)
    form = {"name": "第一版", "kind": "dialogue", "steps": ["whitespace@1", "laughter@2"]}

    with django_capture_on_commit_callbacks(execute=True):
        answer = pages.post(url("datasetversion_add"), form)

    version = DatasetVersion.objects.get()
    assert version.status == "frozen"
    assert version.recipe is not None and version.recipe.steps == ["whitespace@1", "laughter@2"]
    assert pages.get(url("datasetversion_progress", version.pk)).json()["finished"]
    page = pages.get(answer.url).content.decode()
    assert version.sha256 in page
    download = pages.get(url("datasetversion_download", version.pk))
    lines = b"".join(download.streaming_content).decode().splitlines()
    assert len(lines) == 6
    assert json.loads(lines[0])["messages"]


def test_damage_is_told_on_the_page_of_a_version(pages):
    add(approve=True)
    version = versions.queue_freeze({}, name="v", kind="dialogue", owner=None)
    versions.freeze_queued()
    version.refresh_from_db()
    (versions.load(version).directory / "train.arrow").write_bytes(b"")

    assert "is damaged" in pages.get(url("datasetversion_change", version.pk)).content.decode()
    assert pages.get(url("datasetversion_download", version.pk)).status_code == 302


def test_freezing_nothing_is_refused_on_the_form(pages):
    page = pages.post(url("datasetversion_add"), {"name": "v", "kind": "label"}).content.decode()

    assert "No approved example fits" in page
    assert DatasetVersion.objects.count() == 0


@pytest.mark.parametrize("name", ["corpus", "example", "datasetversion"])
def test_nothing_of_it_can_be_deleted_or_seen_by_end_users(pages, name):
    assert pages.get(url(f"{name}_changelist")).status_code == 200
    assert pages.get(url(f"{name}_delete", 1)).status_code in (302, 403)

    stranger = Client()
    stranger.force_login(User.objects.create_user("eve"))
    for page in ("changelist", "add"):
        assert stranger.get(url(f"{name}_{page}")).status_code in (302, 403)


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_page_opens_in_both_languages(pages, language):
    example = add(approve=True)
    corpora.add_upload(io.BytesIO(QA), name="x", original_name="a.jsonl", owner=None)
    versions.queue_freeze({}, name="v", kind="dialogue", owner=None)
    own = [
        url("example_change", example.pk),
        url("example_dialogue"),
        url("corpus_change", Corpus.objects.get().pk),
        url("datasetversion_change", DatasetVersion.objects.get().pk),
    ]

    for page in [*own, *(url(f"{name}_add") for name in ("corpus", "example", "datasetversion"))]:
        assert pages.get(page, headers={"accept-language": language}).status_code == 200
