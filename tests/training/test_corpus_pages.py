"""The pages of an upload: what is accepted, how reading goes on, which column is what, reading anew."""

from __future__ import annotations

import io
import zipfile
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chatsite import roles
from training import corpora
from training.ml.corpus import FORMATS
from training.models import Corpus, Example

pytestmark = pytest.mark.django_db


@pytest.fixture
def pages() -> Client:
    roles.make_roles()
    curator = User.objects.create_user("cora")
    roles.grant(curator, role="curator")
    client = Client(headers={"accept-language": "en"})
    client.force_login(curator)
    return client


def url(name: str, *args: object) -> str:
    return reverse(f"admin:training_{name}", args=args)


def upload(content: str, name: str) -> Corpus:
    return corpora.add_upload(io.BytesIO(content.encode()), name="", original_name=name, owner=None)


def read(content: str, name: str) -> Corpus:
    corpus = upload(content, name)
    corpora.read_queued()
    corpus.refresh_from_db()
    return corpus


def test_several_files_are_taken_at_once_and_read_each_by_itself(pages, django_capture_on_commit_callbacks):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.jsonl", '{"prompt": "packed", "completion": "a"}\n')
    files = [
        SimpleUploadedFile("one.jsonl", b'{"prompt": "q", "completion": "a"}\n'),
        SimpleUploadedFile("two.csv", "问题,答案\n甲,乙\n".encode("gb18030")),
        SimpleUploadedFile("three.zip", packed.getvalue()),
        SimpleUploadedFile("four.pkl", b"\x80\x04\x95"),
    ]

    with django_capture_on_commit_callbacks(execute=True):
        answer = pages.post(url("corpus_add"), {"file": files})

    assert answer.url == url("corpus_changelist")
    told = Corpus.objects.order_by("pk").values_list("name", "status", "format")
    assert list(told) == [
        ("one.jsonl", "ready", "prompt_completion"),
        ("two.csv", "ready", "csv"),
        ("three.zip", "ready", "prompt_completion"),
        ("four.pkl", "failed", ""),
    ]
    assert Example.objects.get(preview__contains="packed").provenance["member"] == "a.jsonl"


def test_the_upload_page_lists_every_format_there_is(pages):
    page = pages.get(url("corpus_add")).content.decode()

    assert [name for name, entry in FORMATS.items() if page.count(entry.title) < 2] == []


def test_progress_tells_rows_bytes_rate_and_time_left(pages):
    corpus = upload("x" * 1000, "a.txt")
    start = timezone.now()
    Corpus.objects.update(
        status="reading",
        claim_token="t",
        started_at=start,
        beat=start + timedelta(seconds=10),
        bytes_read=250,
        rows_read=50_000,
    )

    told = pages.get(url("corpus_progress", corpus.pk)).json()

    assert (told["share"], told["rate"], told["left"], told["finished"]) == (0.25, "5,000", "0:30", False)
    assert "Stop reading" in pages.get(url("corpus_change", corpus.pk)).content.decode()


def test_reading_is_stopped_and_goes_on_by_buttons(pages):
    corpus = upload('{"prompt": "q", "completion": "a"}\n', "a.jsonl")

    pages.post(url("corpus_cancel", corpus.pk))
    page = pages.get(url("corpus_change", corpus.pk)).content.decode()
    assert "Go on reading" in page
    assert not corpora.read_queued()

    pages.post(url("corpus_again", corpus.pk))
    assert corpora.read_queued()
    assert pages.post(url("corpus_cancel", corpus.pk), follow=True).content.decode().count("nothing to stop") == 1


def test_the_columns_page_shows_rows_and_what_they_would_become(pages, django_capture_on_commit_callbacks):
    corpus = read("nr,alpha,beta\n1,<b>q</b>,a\n2,,b\n", "table.csv")
    assert url("corpus_columns", corpus.pk) in pages.get(url("corpus_change", corpus.pk)).content.decode()
    page = pages.get(url("corpus_columns", corpus.pk)).content.decode()
    assert "Choose a question and an answer" in page
    assert "&lt;b&gt;q" in page

    form = {"sent": "1", "header": "1", "delimiter": ",", "column-2": "question", "column-3": "answer"}
    page = pages.post(url("corpus_columns", corpus.pk), form | {"look": "1"}).content.decode()
    assert page.count("cs-bubble") == 2
    assert "“alpha” is empty" in page
    corpus.refresh_from_db()
    assert corpus.status == "asking"

    with django_capture_on_commit_callbacks(execute=True):
        pages.post(url("corpus_columns", corpus.pk), form)
    corpus.refresh_from_db()
    assert (corpus.status, corpus.rows_new, corpus.rows_bad) == ("ready", 1, 1)


def test_reading_again_as_another_format_says_what_goes_and_what_stays(pages, django_capture_on_commit_callbacks):
    corpus = read("q0\ta0\nq1\ta1\n", "pairs.txt")
    corpus.examples.filter(line=1).update(row_version=2)

    assert url("corpus_effect", corpus.pk) in pages.get(url("corpus_change", corpus.pk)).content.decode()
    told = pages.get(url("corpus_effect", corpus.pk)).json()["text"]
    assert told == "Drafts that nobody has worked on are replaced (1). All other rows stay as they are (1)."

    with django_capture_on_commit_callbacks(execute=True):
        pages.post(url("corpus_read_as", corpus.pk), {"format": "tsv", "encoding": ""})
    corpus.refresh_from_db()
    assert (corpus.status, corpus.format, corpus.options) == ("asking", "tsv", {"format": "tsv", "replace": True})


def test_only_people_who_may_change_data_stop_and_read_again():
    corpus = upload("q\ta\n", "pairs.txt")
    roles.make_roles()
    visitor = User.objects.create_user("vera", is_staff=True)
    client = Client()
    client.force_login(visitor)

    for name in ("cancel", "again", "read_as", "columns"):
        assert client.post(url(f"corpus_{name}", corpus.pk)).status_code == 403
    for name in ("cancel", "again", "read_as"):
        assert client.get(url(f"corpus_{name}", corpus.pk)).status_code == 405
