"""The operator's own cookie: sent to the site it belongs to and to nobody else, written nowhere.

It comes through standard input and lives in this process's memory alone.
"""

from __future__ import annotations

from typing import Any, Self
from urllib.parse import urlsplit

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured


class CookieMiddleware:
    """Comes after the redirects: one to another host, or from https to http, goes there without it."""

    def __init__(self, cookie: str, site: str) -> None:
        if not cookie:
            raise NotConfigured
        self._cookie = cookie
        self._origin = urlsplit(site)[:2]

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        spider: Any = crawler.spider
        return cls(spider.cookie, spider.site)

    def process_request(self, request: Request) -> None:
        request.headers.pop("Cookie", None)
        if urlsplit(request.url)[:2] == self._origin:
            request.headers["Cookie"] = self._cookie
