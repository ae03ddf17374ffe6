"""What all sources share: tasks from the ledger become requests, an answer closes its task, a failure is counted.

A source says what it starts from (`first`) and what an answer holds (`read`); it knows nothing of files and resuming.
"""

from __future__ import annotations

import json
import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import scrapy
from scrapy.exceptions import (
    CannotResolveHostError,
    CloseSpider,
    DownloadCancelledError,
    DownloadTimeoutError,
    IgnoreRequest,
)
from scrapy.http import Request, Response
from scrapy.spidermiddlewares.httperror import HttpError

from training.collect import plain, reasons
from training.collect.guard import Refused
from training.collect.job import Job
from training.collect.ledger import Ledger, Row, Task
from training.collect.threads import Source

_MOST_SHOWN = 5
_LONGEST_SHOWN = 300

log = logging.getLogger(__name__)


class Unusable(Exception):
    """Raised when an answer came but holds not what it should; `reason` is a code of training.collect.reasons."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Found:
    """What an answer held."""

    rows: list[Row] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)


class LedgerSpider(scrapy.Spider, ABC):
    """Base of all sources."""

    name = "ledger"
    home = ""
    # Kinds of tasks from the last step to the first: a begun post is ended before the next list is read.
    steps: tuple[str, ...] = ()
    lists: tuple[str, ...] = ("list",)
    headers: dict[str, str] = {}

    def __init__(self, *, job: Job, ledger: Ledger, cookie: str) -> None:
        super().__init__()
        self.job = job
        self.ledger = ledger
        self.cookie = cookie
        self.site = (job.site or self.home).rstrip("/")
        self.refused: Counter[str] = Counter()
        self.refused_first: dict[str, list[str]] = {}  # some of their addresses
        self.fatal = ""

    @abstractmethod
    def first(self) -> Iterator[Task]:
        """Where the source begins."""

    @abstractmethod
    def read(self, task: Task, response: Response) -> Found:
        """What an answer holds. Raises Unusable."""

    async def start(self) -> AsyncIterator[Any]:
        if self.ledger.is_new:
            self.ledger.begin(self.first())
        for request in self._requests(self.ledger.open):
            yield request

    def _requests(self, tasks: list[Task]) -> Iterator[Request]:
        for task in tasks:
            try:
                yield self._request(task)
            except ValueError:  # an address that a page had, and that is none
                self._close(task, Found())
                self._refuse("not_web", task)

    def _request(self, task: Task) -> Request:
        priority = -self.steps.index(task.kind) if task.kind in self.steps else 0
        return Request(
            task.url,
            headers=self.headers,
            callback=self.parse,
            errback=self.fail,
            cb_kwargs={"task": task},
            priority=priority,
            dont_filter=True,  # the ledger knows what was read
        )

    def parse(self, response: Response, task: Task) -> Iterator[Request]:
        try:
            found = self.read(task, response)
        except Unusable as error:
            self._refuse(error.reason, task)
            return
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            log.warning("%s is not as documented: %r", response.url, error)
            self._refuse("shape", task)
            return
        yield from self._requests(self._close(task, found))

    def _close(self, task: Task, found: Found) -> list[Task]:
        try:
            return self.ledger.close(task, found.rows, found.tasks)
        except OSError as error:
            log.error("the ledger cannot be written: %s", error)
            self._refuse("disk_full", task)
            raise

    def fail(self, failure: Any) -> None:
        reason, task = reason_of(failure.value), failure.request.cb_kwargs["task"]
        if reason == "gone":
            self._close(task, Found())
        self._refuse(reason, task)

    def _refuse(self, reason: str, task: Task) -> None:
        self.count_refused(reason, [task.url])
        if reason in reasons.FATAL:
            self.fatal = reason
            raise CloseSpider(reason)
        # Without a list nobody knows what else there was: that is no end, it is a piece missing.
        if task.kind in self.lists and reason != "gone":
            self.fatal = reason

    # --- for the sources ---

    def count_refused(self, reason: str, urls: list[str]) -> None:
        self.refused[reason] += len(urls)
        first = self.refused_first.setdefault(reason, [])
        first.extend(url[:_LONGEST_SHOWN] for url in urls[: _MOST_SHOWN - len(first)])

    def source(self, url: str, *, time: str = "", title: str = "", licence: str = "") -> Source:
        said = self.job.licence or licence
        return Source(site=self.name, url=url, time=time, title=title, licence=said, fetched=plain.now())

    def json(self, response: Response) -> dict[str, Any]:
        try:
            value = json.loads(response.body)
        except (ValueError, RecursionError) as error:
            raise Unusable("not_json") from error
        if not isinstance(value, dict):
            raise Unusable("shape")
        return value


_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (CannotResolveHostError, "no_host"),
    (DownloadTimeoutError, "too_slow"),
    (DownloadCancelledError, "too_large"),
    (OSError, "no_connection"),
)


def reason_of(error: BaseException | None) -> str:
    """The code of a failed request."""
    if isinstance(error, Refused):
        return error.reason
    if isinstance(error, HttpError):
        return reasons.of_status(error.response.status)
    if isinstance(error, IgnoreRequest):
        return "robots" if "robots.txt" in str(error) else "failed"
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    return "no_connection"
