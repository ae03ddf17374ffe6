"""Web pages, from a list of addresses or a site map: questions with answers, or title and text, by CSS selectors."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from lxml import etree
from parsel import Selector
from scrapy.http import Response, TextResponse
from scrapy.utils.gz import gunzip

from training.collect import plain, settings
from training.collect.ledger import Row, Task
from training.collect.spiders.base import Found, LedgerSpider, Unusable
from training.collect.threads import document, question

_GZIP = b"\x1f\x8b"
_DEEPEST = 3


class Pages(LedgerSpider):
    name = "pages"
    steps = ("page", "map")
    lists = ("map",)

    def first(self) -> Iterator[Task]:
        if self.job.sitemap:
            yield Task(kind="map", url=self.job.sitemap, facts={"depth": 1})
        for url in self.job.urls:
            yield Task(kind="page", url=url)

    def read(self, task: Task, response: Response) -> Found:
        return self._map(task, response) if task.kind == "map" else Found(self._rows(response))

    # --- site maps ---

    def _map(self, task: Task, response: Response) -> Found:
        kind, urls = _locations(response.body)
        own = [url for url in urls if urlsplit(url).netloc == urlsplit(task.url).netloc]
        if others := [url for url in urls if url not in set(own)]:
            self.count_refused("offsite", others)
        depth = task.facts["depth"]
        if kind == "sitemapindex":
            return Found(
                tasks=[Task(kind="map", url=url, facts={"depth": depth + 1}) for url in own if depth < _DEEPEST]
            )
        room = max(0, self.job.pages - self.ledger.count("page"))
        return Found(tasks=[Task(kind="page", url=url) for url in own[:room]])

    # --- pages ---

    def _rows(self, response: Response) -> list[Row]:
        if not isinstance(response, TextResponse):
            raise Unusable("shape")
        page = response.selector
        return self._answered(page, response.url) if self.job.question else self._read(page, response.url)

    def _answered(self, page: Selector, url: str) -> list[Row]:
        asked, answers = (_texts(page, css) for css in (self.job.question, self.job.answer))
        if len(asked) != len(answers):
            raise Unusable("uneven")
        if not asked:
            raise Unusable("shape")
        source = self.source(url, time=_time(page), title=_title(page))
        pairs = [(ask, answer) for ask, answer in zip(asked, answers, strict=True) if ask and answer]
        return [question(ask, answer, source, f"{url}#{number}") for number, (ask, answer) in enumerate(pairs)]

    def _read(self, page: Selector, url: str) -> list[Row]:
        title = next(iter(_texts(page, self.job.title)), "") if self.job.title else ""
        text = plain.tidy("\n".join([title, *_texts(page, self.job.text)]))
        if not text or text == title:
            raise Unusable("shape")
        return [document(text, self.source(url, time=_time(page), title=title or _title(page)), url)]


def _texts(page: Selector, css: str) -> list[str]:
    return [plain.of_node(found.root) for found in page.css(css)]


def _title(page: Selector) -> str:
    return plain.tidy(page.css("title::text").get(""))[:200]


def _time(page: Selector) -> str:
    found = page.css('meta[property="article:published_time"]::attr(content), time[datetime]::attr(datetime)').get("")
    return plain.iso_time(found)


def _locations(body: bytes) -> tuple[str, list[str]]:
    """Whether it is a map or a list of maps, and the addresses in it; plain text with one address a line is a map."""
    if body.startswith(_GZIP):
        try:
            body = gunzip(body, max_size=settings.LARGEST_BYTES)
        except Exception as error:
            raise Unusable("too_large" if "exceed" in str(error) else "shape") from error
    if not body.lstrip().startswith(b"<"):
        lines = [line.strip() for line in body.decode("utf-8", "replace").splitlines()]
        return "urlset", [line for line in lines if line.startswith(("http://", "https://"))]
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=True)
    root = etree.fromstring(body.lstrip(), parser)
    kind = etree.QName(root).localname if root is not None else ""
    if kind not in ("urlset", "sitemapindex"):
        raise Unusable("shape")
    found = (node.text or "" for node in root.iterfind(".//{*}loc"))
    return kind, [url.strip() for url in found if url.strip()]
