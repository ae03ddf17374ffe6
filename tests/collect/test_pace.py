"""How a collector behaves towards a site that is busy or slow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from scrapy import Request
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    IgnoreRequest,
)
from scrapy.robotstxt import ProtegoRobotParser
from scrapy.settings import Settings

from tests.collect.child import collect
from tests.collect.site import Answer, as_html
from training.collect.job import read
from training.collect.pace import PaceMiddleware, asked_seconds
from training.collect.settings import RETRIES, scrapy_settings
from training.collect.spiders.base import reason_of


def test_429_is_waited_out_and_asked_again(site, tmp_path):
    busy = Answer(status=429, headers={"Retry-After": "1"})
    site.answers["/busy"] = [busy, Answer(status=503), as_html("<p>at last</p>")]

    done = collect(tmp_path, "pages", urls=[f"{site.url}/busy"], text="p")

    assert (done.texts(), done.refused) == ([["at last"]], {})
    assert site.paths == ["/busy"] * 3


def test_a_site_that_stays_busy_is_given_up(site, tmp_path):
    site.answers |= {"/busy": Answer(status=429), "/broken": Answer(status=500)}

    done = collect(tmp_path, "pages", urls=[f"{site.url}/busy", f"{site.url}/broken"], text="p")

    assert done.refused == {"too_many": 1, "server_error": 1}
    assert len(site.paths) == 2 * (RETRIES + 1)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_requests_are_under_way_than_were_asked_for(site, tmp_path, concurrency):
    slow = as_html("<p>slow</p>")
    slow.wait_seconds = 0.3
    site.answers |= {f"/{number}": slow for number in range(5)}
    urls = [f"{site.url}/{number}" for number in range(5)]

    done = collect(tmp_path, "pages", urls=urls, text="p", concurrency=concurrency)

    assert len(done.rows) == 5
    assert site.most_at_once == concurrency


def test_crawl_delay_of_robots_txt_keeps_requests_to_that_host_apart():
    pace = PaceMiddleware(Settings(scrapy_settings(read("feed", {"urls": ["https://a.example/"]}))))
    robots = b"User-agent: *\nCrawl-delay: 9\n\nUser-agent: Chatsite\nCrawl-delay: 3\n"

    pace.heed(ProtegoRobotParser(robots, None), Request("https://a.example/robots.txt"))

    assert [pace.turn("a.example", now) for now in (100.0, 101.0, 101.0, 120.0)] == [100.0, 103.0, 106.0, 120.0]
    assert [pace.turn("b.example", now) for now in (100.0, 101.0)] == [100.0, 101.0]


def test_a_collector_heeds_crawl_delay(site, tmp_path):
    site.answers |= {"/robots.txt": Answer("User-agent: *\nCrawl-delay: 0.2\n"), "/1": as_html("<p>1</p>")}
    site.answers |= {"/2": as_html("<p>2</p>")}

    done = collect(tmp_path, "pages", urls=[f"{site.url}/1", f"{site.url}/2"], text="p")

    assert (len(done.rows), done.refused) == (2, {})


def test_retry_after_is_read_as_seconds_or_as_a_date():
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)

    assert asked_seconds("7") == 7
    assert 80 < asked_seconds(soon) <= 90
    assert asked_seconds("tomorrow") == 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DownloadTimeoutError("slow"), "too_slow"),
        (DownloadConnectionRefusedError("shut"), "no_connection"),
        (DownloadFailedError("cut"), "no_connection"),
        (DownloadCancelledError("large"), "too_large"),
        (CannotResolveHostError("?"), "no_host"),
        (IgnoreRequest("Forbidden by robots.txt"), "robots"),
    ],
)
def test_every_way_to_fail_has_its_reason(error, reason):
    assert reason_of(error) == reason
