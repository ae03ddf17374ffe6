"""The process of a collection: `python -m training.collect DIRECTORY`, the cookie on standard input.

Reads `job.json` in the directory, keeps `records.jsonl` and `journal.jsonl` there, tells how far it is on standard
output, one JSON object a line; the last one has `end`. SIGTERM ends it after the answers under way.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import sys
from pathlib import Path
from typing import Any

from scrapy import signals
from scrapy.crawler import AsyncCrawlerProcess, Crawler
from scrapy.settings import Settings

from training.collect import settings
from training.collect.addresses import Addresses, networks
from training.collect.guard import Door
from training.collect.job import Job, read
from training.collect.ledger import LOCK, Ledger
from training.collect.spiders.base import LedgerSpider
from training.collect.spiders.douban import DoubanGroup
from training.collect.spiders.feed import Feed
from training.collect.spiders.pages import Pages
from training.collect.spiders.weibo import WeiboTopic

JOB = "job.json"
SPIDERS: dict[str, type[LedgerSpider]] = {spider.name: spider for spider in (WeiboTopic, DoubanGroup, Feed, Pages)}


def main() -> None:
    directory = Path(sys.argv[1])
    cookie = sys.stdin.readline().strip()
    asked: dict[str, Any] = json.loads((directory / JOB).read_text(encoding="utf-8"))
    job = read(asked.pop("source"), asked)
    with (directory / LOCK).open("a") as lock:
        # One that is still ending has to be gone first: a ledger is written by one process.
        fcntl.flock(lock, fcntl.LOCK_EX)
        ledger = Ledger(directory)
        _collect(job, ledger, cookie)
        ledger.shut()


def _collect(job: Job, ledger: Ledger, cookie: str) -> None:
    Door.addresses = Addresses(networks(list(job.allow)))
    process = AsyncCrawlerProcess(Settings(settings.scrapy_settings(job)))
    crawler = process.create_crawler(SPIDERS[job.source])
    teller = _Teller(crawler)
    process.crawl(crawler, job=job, ledger=ledger, cookie=cookie)
    process.start()
    teller.tell_end()


class _Teller:
    """Says on standard output how far the spider is."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._task: asyncio.Task[None] | None = None
        self._ended = "failed"
        self._spider: LedgerSpider | None = None
        crawler.signals.connect(self._opened, signals.spider_opened)
        crawler.signals.connect(self._closed, signals.spider_closed)

    def _opened(self, spider: LedgerSpider) -> None:
        self._spider = spider
        self._task = asyncio.get_running_loop().create_task(self._tell_on())

    def _closed(self, reason: str) -> None:
        self._ended = {"finished": "done", "shutdown": "stopped"}.get(reason, "failed")
        if reason == "memusage_exceeded" and self._spider:
            self._spider.fatal = "memory_full"
        if self._task is not None:
            self._task.cancel()

    async def _tell_on(self) -> None:
        while True:
            _say(self._facts())
            await asyncio.sleep(settings.PROGRESS_SECONDS)

    def _facts(self) -> dict[str, Any]:
        spider = self._spider
        if spider is None:
            return {}
        requests = self._crawler.stats.get_value("downloader/request_count", 0)
        return {
            "requests": requests,
            "records": spider.ledger.records,
            "refused": dict(spider.refused),
            "refused_first": spider.refused_first,
        }

    def tell_end(self) -> None:
        fatal = self._spider.fatal if self._spider else ""
        _say(self._facts() | {"end": "failed" if fatal else self._ended, "fatal": fatal})


def _say(facts: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()
