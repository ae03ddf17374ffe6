"""Feeds: every entry of RSS 2.0 and Atom feeds as a document, older pages of an Atom feed (RFC 5005) too."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urljoin

from lxml import etree
from scrapy.http import Response

from training.collect import plain
from training.collect.ledger import Row, Task
from training.collect.spiders.base import Found, LedgerSpider, Unusable
from training.collect.threads import document

_ATOM = "{http://www.w3.org/2005/Atom}"
_CONTENT = "{http://purl.org/rss/1.0/modules/content/}encoded"
_DATE = "{http://purl.org/dc/elements/1.1/}date"
_LICENCES = ("{http://backend.userland.com/creativeCommonsRssModule}license", "copyright", f"{_ATOM}rights")


class Feed(LedgerSpider):
    name = "feed"

    def first(self) -> Iterator[Task]:
        return (Task(kind="feed", url=url, facts={"page": 1}) for url in self.job.urls)

    def read(self, task: Task, response: Response) -> Found:
        root = _parse(response.body)
        channel = root.find("channel") if root.tag == "rss" else root
        if channel is None or channel.tag not in ("channel", f"{_ATOM}feed"):
            raise Unusable("shape")
        licence = _licence(channel)
        entries = [*channel.iterfind("item"), *channel.iterfind(f"{_ATOM}entry")]
        rows = [row for entry in entries if (row := self._row(entry, response.url, licence))]
        return Found(rows, self._older(task, channel, response))

    def _older(self, task: Task, channel: etree._Element, response: Response) -> list[Task]:
        page = task.facts["page"]
        links = [link for link in channel.iterfind(f"{_ATOM}link") if link.get("rel") == "next" and link.get("href")]
        if not links or page >= self.job.pages:
            return []
        return [Task(kind="feed", url=urljoin(response.url, links[0].get("href")), facts={"page": page + 1})]

    def _row(self, entry: etree._Element, base: str, licence: str) -> Row | None:
        title = plain.of_html(_of(entry, "title", f"{_ATOM}title"))
        body = plain.of_html(_of(entry, _CONTENT, f"{_ATOM}content", "description", f"{_ATOM}summary"))
        text = plain.tidy(f"{title}\n{body}")
        if not text:
            return None
        url = urljoin(base, _link(entry))
        time = plain.iso_time(_of(entry, "pubDate", _DATE, f"{_ATOM}published", f"{_ATOM}updated"))
        source = self.source(url, time=time, title=title, licence=_licence(entry) or licence)
        return document(text, source, _of(entry, "guid", f"{_ATOM}id").strip() or url)


def _parse(body: bytes) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=True)
    try:
        root = etree.fromstring(body.lstrip(), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Unusable("shape") from error
    if root is None:
        raise Unusable("shape")
    return root


def _of(entry: etree._Element, *names: str) -> str:
    """The words of the first of these children that has any; markup inside (Atom's xhtml) stays markup."""
    for name in names:
        child = entry.find(name)
        if child is None:
            continue
        if len(child):
            return "".join(etree.tostring(part, encoding="unicode") for part in child)
        if child.text and child.text.strip():
            return str(child.text)
    return ""


def _link(entry: etree._Element) -> str:
    for link in entry.iterfind(f"{_ATOM}link"):
        if link.get("rel", "alternate") == "alternate":
            return str(link.get("href", ""))
    return _of(entry, "link").strip()


def _licence(node: etree._Element) -> str:
    for link in node.iterfind(f"{_ATOM}link"):
        if link.get("rel") == "license":
            return str(link.get("href", ""))[:120]
    return plain.of_html(_of(node, *_LICENCES))[:120]
