"""Collections from the queue to the corpus: rows, claims and real collector processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone, translation

from chatsite.env import BASE_DIR
from tests.collect.child import collect, wait_for
from tests.collect.site import HOST, Answer, Site, as_html, as_json
from tests.collect.test_weibo import COOKIE, blog, cards, topic
from training import claims, collections, collector, corpora
from training.collect.job import BadParameter
from training.collect.ledger import RECORDS
from training.models import Collection, Corpus, Example

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
Status = Collection.Status
OWN = {"allow": [HOST], "delay_seconds": 0}
# At a tenth of a second each they last longer than it takes to notice that somebody stopped.
MANY = 30


def queue(site: Site, *paths: str, **changes: Any) -> Collection:
    parameters = OWN | {"urls": [site.url + path for path in paths], "text": "p"} | changes
    return collections.queue("pages", parameters, licence="CC0-1.0")


def slow_pages(site: Site, count: int) -> list[str]:
    for number in range(count):
        page = as_html(f"<p>page {number}</p>")
        page.wait_seconds = 0.1
        site.answers[f"/{number}"] = page
    return [f"/{number}" for number in range(count)]


def rows_on_disk(collection: Collection) -> int:
    path = collector.directory_of(collection) / RECORDS
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_what_is_found_becomes_a_corpus_whose_rows_know_where_they_come_from(site):
    topic(site)
    parameters = OWN | {"topic": "#重阳#", "site": site.url}
    collection = collections.queue("weibo-topic", parameters, cookie=f"Cookie: {COOKIE}", licence="ours")

    assert collections.collect_queued()
    assert corpora.read_queued()

    collection.refresh_from_db()
    assert (collection.status, collection.records, collection.refused, collection.cookie) == (Status.DONE, 5, {}, "")
    assert collection.requests == 9
    assert {asked.headers["Cookie"] for asked in site.asked} == {COOKIE}
    corpus = collection.corpus
    assert corpus is not None
    assert (corpus.status, corpus.rows_new, corpus.rows_bad) == (Corpus.Status.READY, 5, 0)
    assert sorted(Example.objects.values_list("kind", flat=True)) == ["dialogue"] * 3 + ["document"] * 2
    example = Example.objects.get(kind="document", body__text="没有人回复")
    known = {name: example.provenance[name] for name in ("site", "url", "time", "licence")}
    assert known == {
        "site": "weibo-topic",
        "url": f"{site.url}/detail/2",
        "time": "2021-02-23T12:28:47+08:00",
        "licence": "ours",
    }
    assert not collector.directory_of(collection).exists()
    assert not collections.collect_queued()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (as_json({"ok": -100}), "needs a cookie, or the cookie has expired"),
        (Answer(status=418), "refuses this collector"),
        (as_json({"ok": 0, "msg": "这里还没有内容"}), "Nothing with text was found"),
    ],
    ids=["cookie", "blocked", "nothing"],
)
def test_a_collection_without_a_row_says_why(site, answer, said):
    site.answers["/api/container/getIndex"] = answer
    collection = collections.queue("weibo-topic", OWN | {"topic": "重阳", "site": site.url})

    collections.collect_queued()

    collection.refresh_from_db()
    assert collection.status == Status.FAILED
    assert said in collection.error
    assert collection.finished_at


def test_robots_and_hosts_are_told_in_words(site):
    site.answers["/robots.txt"] = Answer("User-agent: *\nDisallow: /")
    forbidden = queue(site, "/")
    unknown = collections.queue("feed", {"urls": ["http://no-such-host.invalid/"], **OWN})

    while collections.collect_queued():
        pass

    forbidden.refresh_from_db()
    unknown.refresh_from_db()
    assert "robots.txt of the site forbids it" in forbidden.error
    assert "No such host" in unknown.error


def in_thread(work: Any) -> threading.Thread:
    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.django_db(transaction=True)
def test_it_is_stopped_and_goes_on_with_what_it_has(site):
    collection = queue(site, *slow_pages(site, MANY))
    thread = in_thread(collections.collect_queued)
    wait_for(lambda: rows_on_disk(collection) >= 2)

    collections.stop(collection)
    thread.join(timeout=30)

    collection.refresh_from_db()
    assert collection.status == Status.STOPPED
    assert 2 <= rows_on_disk(collection) < MANY
    collections.go_on(collection)
    collections.collect_queued()
    collection.refresh_from_db()
    assert (collection.status, collection.records) == (Status.DONE, MANY)
    assert len(set(site.paths)) == MANY


def test_a_collection_that_broke_off_is_ended_with_what_it_found(site):
    first = cards(blog(1, "第一页"))
    site.answers["/api/container/getIndex"] = [as_json(first), Answer(status=418)]
    collection = collections.queue("weibo-topic", OWN | {"topic": "重阳", "site": site.url}, cookie=COOKIE)
    collections.collect_queued()
    collection.refresh_from_db()
    assert (collection.status, collection.records) == (Status.FAILED, 1)
    assert "refuses this collector" in collection.error

    corpus = collections.keep(collection)
    corpora.read_queued()

    collection.refresh_from_db()
    assert (collection.status, collection.corpus, collection.cookie) == (Status.DONE, corpus, "")
    assert Example.objects.get().body == {"text": "第一页"}
    with pytest.raises(collections.NotAllowed):
        collections.keep(collection)


@pytest.mark.django_db(transaction=True)
def test_a_killed_collector_is_put_back_and_goes_on(site):
    collection = queue(site, *slow_pages(site, MANY))
    thread = in_thread(collections.collect_queued)
    wait_for(lambda: rows_on_disk(collection) >= 2)

    os.kill(collectors(collection)[0], signal.SIGKILL)
    thread.join(timeout=30)

    collection.refresh_from_db()
    assert collection.status == Status.QUEUED
    collections.collect_queued()
    collection.refresh_from_db()
    assert (collection.status, collection.records) == (Status.DONE, MANY)


def collectors(collection: Collection) -> list[int]:
    """The processes that work on a collection's directory."""
    wanted = str(collector.directory_of(collection)).encode()
    found = []
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if process.name.isdecimal() and wanted in (process / "cmdline").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


@pytest.mark.django_db(transaction=True)
def test_a_killed_worker_takes_its_collector_along_and_another_one_goes_on(site):
    collection = queue(site, *slow_pages(site, MANY))
    code = "import django; django.setup(); from training import collections; collections.collect_queued()"
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.training.process_settings"}
    worker = subprocess.Popen([sys.executable, "-c", code], cwd=BASE_DIR, env=environment)
    wait_for(lambda: rows_on_disk(collection) >= 2)

    worker.kill()
    worker.wait()

    wait_for(lambda: collectors(collection) == [])
    assert not collections.collect_queued()  # the lease still runs
    Collection.objects.update(beat=timezone.now() - timedelta(minutes=1))
    assert collections.collect_queued()
    collection.refresh_from_db()
    assert (collection.status, collection.records) == (Status.DONE, MANY)


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_ends_puts_it_back(site):
    collection = queue(site, *slow_pages(site, MANY))
    ending = threading.Event()
    thread = in_thread(lambda: collections.collect_queued(stopping=ending.is_set))
    wait_for(lambda: rows_on_disk(collection) >= 1)

    ending.set()
    thread.join(timeout=30)

    collection.refresh_from_db()
    assert (collection.status, collection.claim_token) == (Status.QUEUED, "")
    assert not collections.collect_queued(stopping=ending.is_set)
    assert collectors(collection) == []


def test_one_collection_runs_at_a_time_and_a_lost_one_is_taken_up_again(site):
    site.answers["/"] = as_html("<p>text</p>")
    lost, second = queue(site, "/"), queue(site, "/")
    claims.take(Collection, working=Status.RUNNING, waiting=Status.QUEUED)

    assert not collections.collect_queued()
    Collection.objects.filter(pk=lost.pk).update(beat=timezone.now() - timedelta(minutes=1))
    assert collections.collect_queued()

    lost.refresh_from_db()
    second.refresh_from_db()
    assert (lost.status, second.status) == (Status.DONE, Status.QUEUED)


def test_a_worker_lost_after_the_corpus_was_made_makes_no_second_one(site):
    site.answers["/"] = as_html("<p>text</p>")
    collection = queue(site, "/")
    directory = collector.directory_of(collection)
    collect(directory, "pages", urls=[f"{site.url}/"], text="p")
    with (directory / RECORDS).open("rb") as file:
        corpus = corpora.add_upload(file, name="of the lost worker", original_name="collection-1.jsonl", owner=None)

    collections.collect_queued()

    collection.refresh_from_db()
    assert (collection.status, collection.corpus) == (Status.DONE, corpus)


@pytest.mark.parametrize("cookie", ["no equals sign", "a=b\r\nHost: evil", "a=\x00", "名=值", "a=" + "b" * 9000])
def test_what_is_no_cookie_is_refused(cookie):
    with pytest.raises(BadParameter) as caught:
        collections.checked_cookie(cookie)

    assert caught.value.facts["field"] == "cookie"


def test_only_what_is_under_way_stops_and_only_what_ended_goes_on(site):
    collection = queue(site, "/")

    with pytest.raises(collections.NotAllowed):
        collections.go_on(collection)
    collections.stop(collection)
    with pytest.raises(collections.NotAllowed):
        collections.stop(collection)


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_command_collects_and_reads_here_and_now(site):
    site.answers["/"] = as_html("<p>text</p>")
    out = StringIO()

    call_command(
        "collect", "pages", "--set", f"urls={site.url}/", "--set", "text=p", "--set", f"allow={HOST}",
        "--parameters", '{"delay_seconds": 0}', "--licence", "CC0-1.0", "--json", stdout=out,
    )  # fmt: skip

    told = json.loads(out.getvalue())
    assert (told["status"], told["records"], told["rows_new"]) == ("done", 1, 1)
    assert Example.objects.get().provenance["licence"] == "CC0-1.0"


@translation.override("en")
def test_the_command_says_what_is_wrong():
    with pytest.raises(CommandError, match="Name the topic"):
        call_command("collect", "weibo-topic")
    with pytest.raises(CommandError, match="no parameter of this source"):
        call_command("collect", "feed", "--set", "topic=x")
    with pytest.raises(CommandError, match="not JSON"):
        call_command("collect", "feed", "--parameters", "{")
