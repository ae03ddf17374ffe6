"""Downloads of versions and examples, as pages, as a command and as streams."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.handlers.asgi import ASGIRequest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from chatsite import roles
from tests.ml.reading import read
from training import corpora, curation, exports, versions
from training.admin.exports import streamed
from training.ml.corpus import exchange
from training.ml.export import Outgoing
from training.models import DatasetVersion, Example

pytestmark = pytest.mark.django_db


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


def add(question: str, answer: str) -> Example:
    return curation.add_pair_of_qa(question, answer, user=None, approve=True)[0]


def frozen(count: int = 30) -> DatasetVersion:
    for number in range(count):
        add(f"question {number} about {number * 7919}", f"answer {number * 104729}")
    version = versions.queue_freeze({}, name="first", kind="dialogue", owner=None)
    assert versions.freeze_queued()
    version.refresh_from_db()
    return version


def body_of(response: Any) -> bytes:
    return b"".join(response.streaming_content)


def test_a_version_is_downloaded_in_any_format_and_reads_back_the_same(pages, tmp_path):
    version = frozen()
    rows = {row.record for row in exports.rows_of_version(version)}

    for writer in exports.formats_for(["dialogue"]):
        response = pages.get(url("datasetversion_export", version.pk), {"format": writer.name})
        path = tmp_path / f"rows{writer.suffix}"
        path.write_bytes(body_of(response))
        assert f'filename="first-{version.sha256[:12]}{writer.suffix}"' in response["Content-Disposition"]
        assert {row.record for row in read(path)[1]} == rows


def test_one_split_alone_can_be_downloaded(pages):
    version = frozen()

    response = pages.get(url("datasetversion_export", version.pk), {"format": "messages", "split": "train"})

    lines = [json.loads(line) for line in body_of(response).splitlines()]
    assert {line["split"] for line in lines} == {"train"}
    assert len(lines) == version.counts["train"]


def test_the_page_tells_what_each_format_would_leave_out(pages):
    add("one", "line")
    add("two\nlines", "here")
    chosen = [str(pk) for pk in Example.objects.values_list("pk", flat=True)]
    asked = {"action": "export_chosen", "_selected_action": chosen}

    page = pages.post(url("example_changelist"), asked)
    file = pages.post(url("example_changelist"), asked | {"format": "chitchat"})

    assert page.context["formats"]["tried"] == 2
    held = {option["name"]: option["held"] for option in page.context["formats"]["options"]}
    assert (held["messages"], held["chitchat"]) == (2, 1)
    assert 'value="export_chosen"' in page.content.decode()
    assert body_of(file) == b"one\nline\n"


def test_all_that_are_listed_can_be_downloaded(pages):
    add("one", "line")
    curation.reject(Example.objects.filter(pk=add("two", "lines").pk), user=None, reason="")

    page = pages.get(url("example_export"), {"status": "approved"})
    file = pages.get(url("example_export"), {"status": "approved", "format": "tab_pairs"})

    assert '<input type="hidden" name="status" value="approved">' in page.content.decode()
    assert body_of(file) == b"one\tline\n"
    assert "nothing to download" in pages.get(url("example_export"), {"kind": "pair"}).content.decode()


def test_who_may_not_see_examples_may_not_download_them(curator):
    version = frozen(12)
    other = User.objects.create_user("other", is_staff=True)
    client = Client()
    client.force_login(other)

    assert client.get(url("datasetversion_export", version.pk), {"format": "messages"}).status_code == 403
    assert client.post(
        url("example_changelist"), {"action": "export_chosen", "_selected_action": ["1"]}
    ).status_code in (
        302,
        403,
    )


def test_a_damaged_version_is_told_and_nothing_is_sent(pages, settings):
    version = frozen(12)
    arrow = Path(settings.DATA_DIR) / "datasets" / version.sha256 / "train.arrow"
    arrow.write_bytes(arrow.read_bytes()[:-1])

    response = pages.get(url("datasetversion_export", version.pk), {"format": "messages"})

    assert response.url == url("datasetversion_change", version.pk)


async def first_piece(content: Any) -> bytes:
    return await anext(aiter(content))


def test_under_asgi_the_file_is_sent_while_it_is_read():
    read_so_far = []

    def rows() -> Iterator[Outgoing]:
        for number in range(5000):
            read_so_far.append(number)
            yield Outgoing(exchange("q" * 500, "a" * 500))

    request = ASGIRequest({"type": "http", "method": "GET", "path": "/", "headers": []}, io.BytesIO())
    response = streamed(request, rows(), "messages", "stem")

    assert asyncio.run(first_piece(response.streaming_content)).startswith(b'{"messages"')
    assert len(read_so_far) < 200


def test_the_command_writes_a_version_and_tells_what_was_left_out(tmp_path, capsys):
    frozen(12)
    add("two\nlines", "of text")
    target = tmp_path / "train.txt"

    call_command("export_data", format="chitchat", output=str(target))

    assert "1 rows were left out: line breaks" in capsys.readouterr().err
    assert len(read(target)[1]) == 12
    call_command("export_data", dataset="first", format="sharegpt", split="train", output=str(tmp_path / "a.json"))
    assert read(tmp_path / "a.json")[0].format == "sharegpt"
    with pytest.raises(CommandError, match="needs --dataset"):
        call_command("export_data", split="train", output=str(target))
    with pytest.raises(CommandError, match="no corpus"):
        call_command("export_data", corpus=99, output=str(target))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_corpus_goes_out_as_it_came_in(tmp_path):
    content = "甲\n乙\n\n丙\n丁\n"
    corpus = corpora.add_upload(io.BytesIO(content.encode()), name="", original_name="train.txt", owner=None)
    assert corpora.read_queued()

    call_command("export_data", corpus=corpus.pk, format="chitchat", output=str(tmp_path / "out.txt"))

    assert (tmp_path / "out.txt").read_text("utf-8") == content
