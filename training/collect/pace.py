"""Waits when a site asks for it: after 429 and 5xx, longer each time, or as long as Retry-After says; and between
any two requests as long as Crawl-delay in robots.txt says.

The whole host waits, not only the request that was turned away.
"""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Self
from urllib.parse import urlsplit

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.retry import RetryMiddleware
from scrapy.http import Response
from scrapy.robotstxt import ProtegoRobotParser
from scrapy.settings import BaseSettings

from training.collect.settings import LONGEST_WAIT_SECONDS, NAME


def asked_seconds(header: str) -> float:
    """What Retry-After asks for: seconds, or a date; 0 when it says nothing that can be read."""
    if header.strip().isdecimal():
        return float(header)
    try:
        at = parsedate_to_datetime(header)
    except (ValueError, TypeError, IndexError):
        return 0.0
    return (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()


class PaceMiddleware(RetryMiddleware):
    """Scrapy's own retries, with a pause before each."""

    def __init__(self, settings: BaseSettings) -> None:
        super().__init__(settings)
        self._step_seconds = 2 * settings.getfloat("DOWNLOAD_DELAY")
        self._not_before: dict[str, float] = {}
        self._crawl_delay: dict[str, float] = {}

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        pace = super().from_crawler(crawler)
        crawler.signals.connect(pace.heed, signals.robots_parsed)
        return pace

    def heed(self, robotparser: ProtegoRobotParser, request: Request) -> None:
        """What the robots.txt of a host asks of this collector; it is read only where it is obeyed."""
        delay = robotparser.rp.crawl_delay(NAME) or 0.0
        self._crawl_delay[urlsplit(request.url).netloc] = min(delay, LONGEST_WAIT_SECONDS)

    async def process_request(self, request: Request) -> None:
        now = time.monotonic()
        wait = self.turn(urlsplit(request.url).netloc, now) - now
        if wait > 0:
            await asyncio.sleep(wait)

    def turn(self, host: str, now: float) -> float:
        """When the next request to a host may be sent; whoever asks after this one comes later."""
        at = max(now, self._not_before.get(host, 0.0))
        if delay := self._crawl_delay.get(host):
            self._not_before[host] = at + delay
        return at

    # Scrapy does without the third argument from 2.19 on; its own method still takes it.
    def process_response(self, request: Request, response: Response) -> Request | Response:  # type: ignore[override]
        if response.status in self.retry_http_codes:
            header = (response.headers.get("Retry-After") or b"").decode("latin-1")
            self._wait(request, asked_seconds(header))
        return super().process_response(request, response)

    def process_exception(  # type: ignore[override]
        self, request: Request, exception: Exception
    ) -> Request | Response | None:
        if isinstance(exception, self.exceptions_to_retry):
            self._wait(request, 0.0)
        return super().process_exception(request, exception)

    def _wait(self, request: Request, asked: float) -> None:
        doubled = self._step_seconds * 2 ** request.meta.get("retry_times", 0)
        seconds = min(max(asked, doubled * random.uniform(0.75, 1.25)), LONGEST_WAIT_SECONDS)  # noqa: S311
        host = urlsplit(request.url).netloc
        self._not_before[host] = max(self._not_before.get(host, 0.0), time.monotonic() + seconds)
