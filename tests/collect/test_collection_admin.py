"""The pages of collections, as an operator uses them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from chatsite import roles
from tests.collect.site import HOST, Site, as_html
from training import collections, collector
from training.collect.ledger import Ledger, Task
from training.models import Collection

pytestmark = pytest.mark.django_db
Status = Collection.Status
SECRET = "SUB=operators-own-secret"
SHARED = {"delay_seconds": "2", "concurrency": "1", "robots": "on"}
WEIBO = SHARED | {"topic": "重阳节", "pages": "2", "reply_pages": "1", "licence": "research", "cookie": SECRET}


def client_of(role: roles.Role, language: str = "en") -> Client:
    roles.make_roles()
    user = User.objects.create_user(role)
    roles.grant(user, role=role)
    client = Client(headers={"accept-language": language})
    client.force_login(user)
    return client


@pytest.fixture
def pages() -> Client:
    return client_of("operator")


def url(name: str, *args: object) -> str:
    return reverse(f"admin:training_collection_{name}", args=args)


def add_url(source: str) -> str:
    return f"{url('add')}?source={source}"


def queued(**changes: Any) -> Collection:
    collection = collections.queue("weibo-topic", {"topic": "重阳节"}, cookie=SECRET)
    Collection.objects.filter(pk=collection.pk).update(**changes)
    return collection


@pytest.mark.parametrize("source", Collection.Source.values)
def test_each_source_explains_every_field(pages, source):
    page = pages.get(add_url(source)).content.decode()

    assert add_url(source).partition("?")[2] in pages.get(url("add")).content.decode()
    assert page.count("<label") == page.count('<p class="cs-quiet">')
    assert "robots" in page


def test_a_form_queues_a_collection_and_never_shows_the_cookie_again(pages):
    answer = pages.post(add_url("weibo-topic"), WEIBO)

    collection = Collection.objects.get()
    assert answer.url == url("change", collection.pk)
    assert (collection.status, collection.cookie, collection.licence) == (Status.QUEUED, SECRET, "research")
    assert collection.parameters == {
        "topic": "重阳节",
        "pages": 2,
        "reply_pages": 1,
        "delay_seconds": 2.0,
        "concurrency": 1,
        "robots": True,
    }
    page = pages.get(answer.url).content.decode()
    assert "重阳节" in page
    assert "operators-own-secret" not in page


@pytest.mark.parametrize(
    ("source", "wrong", "said"),
    [
        ("weibo-topic", {"topic": ""}, "Name the topic"),
        ("weibo-topic", {"cookie": "nothing of the kind"}, "This is no cookie"),
        ("weibo-topic", {"delay_seconds": "0"}, "Wait at least 0.5 seconds"),
        ("douban-group", {"group": "https://elsewhere.example/"}, "Give the group&#x27;s address"),
        ("feed", {"urls": "javascript:alert(1)"}, "is no address of the web"),
        ("pages", {"urls": "https://a.example/", "question": "dt >", "answer": "dd"}, "is no CSS selector"),
        ("pages", {"urls": "https://a.example/", "text": "p", "allow": "my network"}, "as 10.1.2.3 or"),
    ],
)
def test_what_is_wrong_is_said_beside_the_field_and_what_was_typed_stays(pages, source, wrong, said):
    page = pages.post(add_url(source), WEIBO | {"name": "kept name"} | wrong).content.decode()

    assert said in page
    assert "kept name" in page
    assert "operators-own-secret" not in page
    assert not Collection.objects.exists()


def test_a_collection_ends_on_a_page_that_says_what_was_not_fetched(
    pages, site: Site, django_capture_on_commit_callbacks
):
    site.answers |= {"/a": as_html("<p>text</p>"), "/b": as_html("nothing")}
    given = SHARED | {
        "urls": f"{site.url}/a\n{site.url}/b",
        "text": "p",
        "pages": "5",
        "allow": HOST,
        "delay_seconds": "0",
    }

    with django_capture_on_commit_callbacks(execute=True):
        answer = pages.post(add_url("pages"), given)

    collection = Collection.objects.get()
    page = pages.get(answer.url).content.decode()
    assert collection.status == Status.DONE
    assert "shape is not as documented" in page
    assert f"<code>{site.url}/b</code>" in page
    assert reverse("admin:training_corpus_change", args=(collection.corpus_id,)) in page
    told = pages.get(url("progress", collection.pk)).json()
    assert told == {
        "state": "done",
        "label": "Done",
        "finished": True,
        "requests": 3,
        "records": 1,
        "not_fetched": 1,
    }


def test_it_is_stopped_and_goes_on_with_a_fresh_cookie(pages):
    collection = queued()

    pages.post(url("stop", collection.pk))
    collection.refresh_from_db()
    assert collection.status == Status.STOPPED
    pages.post(url("go_on", collection.pk), {"cookie": "SUB=fresh"})

    collection.refresh_from_db()
    assert (collection.status, collection.cookie) == (Status.QUEUED, "SUB=fresh")


def test_what_was_found_is_kept_with_one_button(pages):
    collection = queued(status=Status.STOPPED, records=1)
    ledger = Ledger(collector.directory_of(collection))
    ledger.close(Task(kind="list", url="https://m.weibo.cn/"), [{"text": "found", "source": {"key": "1"}}])
    ledger.shut()

    assert "End it with what was found" in pages.get(url("change", collection.pk)).content.decode()
    pages.post(url("keep", collection.pk))

    collection.refresh_from_db()
    assert (collection.status, collection.cookie) == (Status.DONE, "")
    assert collection.corpus is not None


def test_an_empty_cookie_keeps_the_one_before_and_a_bad_one_is_refused(pages):
    collection = queued(status=Status.FAILED, error="The disk is full. Make room and go on; nothing was lost.")

    refused = pages.post(url("go_on", collection.pk), {"cookie": "bad"}, follow=True).content.decode()
    assert "This is no cookie" in refused
    assert "The disk is full" in refused
    pages.post(url("go_on", collection.pk))

    collection.refresh_from_db()
    assert (collection.status, collection.cookie) == (Status.QUEUED, SECRET)


def test_stop_and_go_on_are_posted_and_curators_only_look():
    collection = queued()
    curator, operator = client_of("curator"), client_of("operator")

    assert operator.get(url("stop", collection.pk)).status_code == 405
    assert curator.get(url("change", collection.pk)).status_code == 200
    assert curator.post(url("stop", collection.pk)).status_code == 403
    assert curator.post(url("go_on", collection.pk)).status_code == 403
    assert curator.get(url("add")).status_code == 403
    assert "operators-own-secret" not in curator.get(url("changelist")).content.decode()
