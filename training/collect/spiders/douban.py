"""Douban: the topics of a group with their replies, from its pages.

    /group/NAME/discussion?start=N   table.olt, one td.title a[href] a topic, 25 a page
    /group/topic/ID/?start=N         h1, .topic-content, ul#comments li.comment-item, 100 replies a page

A reply that answers another one quotes it: .reply-quote-content with the words and the author.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from parsel import Selector
from scrapy.http import Response, TextResponse

from training.collect import plain
from training.collect.job import group_name
from training.collect.ledger import Task
from training.collect.spiders.base import Found, LedgerSpider, Unusable
from training.collect.threads import Post, dialogues, document

Json = dict[str, Any]

_TOPIC = re.compile(r"/group/topic/(\d+)/?")
_TOPICS_A_PAGE = 25
_BODY = ".topic-richtext, #link-report .topic-content, .topic-content .topic-doc #link-report"
# Where Douban sends who must sign in or prove to be human.
_SIGN_IN = ("accounts.douban.com", "sec.douban.com")
_SHORT = 30


class DoubanGroup(LedgerSpider):
    name = "douban-group"
    home = "https://www.douban.com"
    steps = ("topic", "list")

    def first(self) -> Iterator[Task]:
        yield self._list(0)

    def read(self, task: Task, response: Response) -> Found:
        if urlsplit(response.url).hostname in _SIGN_IN or "/accounts/login" in response.url:
            raise Unusable("needs_cookie")
        if not isinstance(response, TextResponse):
            raise Unusable("shape")
        page = response.selector
        return self._topics(task, page) if task.kind == "list" else self._topic(task, page, response)

    # --- the list of topics ---

    def _list(self, page: int) -> Task:
        start = page * _TOPICS_A_PAGE
        url = f"{self.site}/group/{group_name(self.job.group)}/discussion?start={start}"
        return Task(kind="list", url=url, key=f"list {page}", facts={"page": page})

    def _topics(self, task: Task, page: Selector) -> Found:
        table = page.css("table.olt")
        if not table:
            raise Unusable("shape")
        found = (_TOPIC.search(link) for link in table.css("td.title a::attr(href)").getall())
        topics = list(dict.fromkeys(match[1] for match in found if match))
        tasks = [self._topic_page(topic, {}, [], 0) for topic in topics]
        number = task.facts["page"]
        if topics and number + 1 < self.job.pages:
            tasks.append(self._list(number + 1))
        return Found(tasks=tasks)

    # --- a topic ---

    def _topic_page(self, topic: str, first: Json, before: list[Json], page: int, link: str = "") -> Task:
        url = link or f"{self.site}/group/topic/{topic}/"
        facts = {"topic": topic, "first": first, "before": before, "page": page}
        return Task(kind="topic", url=url, key=f"topic {topic} {page}", facts=facts)

    def _topic(self, task: Task, page: Selector, response: Response) -> Found:
        facts = task.facts
        first = facts["first"] or _first(page, facts["topic"])
        replies = facts["before"] + _replies(page, facts["before"], first)
        link = page.css(".paginator .next a::attr(href)").get()
        number = facts["page"] + 1
        if link and number < self.job.reply_pages:
            url = response.urljoin(link)
            return Found(tasks=[self._topic_page(facts["topic"], first, replies, number, url)])
        return Found(self._rows(facts["topic"], first, replies))

    def _rows(self, topic: str, first: Json, replies: list[Json]) -> list[Json]:
        url = f"{self.site}/group/topic/{topic}/"
        source = self.source(url, time=first["time"], title=first["title"])
        opening = Post(id=first["id"], author=first["author"], text=first["text"], time=first["time"])
        kept = replies if self.job.reply_pages else []
        rows = list(dialogues(opening, [Post(**reply) for reply in kept], source))
        return rows or [document(first["text"], source, first["id"])]


def _text(page: Selector, css: str) -> str:
    """Of the first node that the selector finds."""
    found = page.css(css)
    return plain.of_node(found[0].root) if found else ""


def _first(page: Selector, topic: str) -> Json:
    title = _text(page, "h1")
    body = _text(page, _BODY)
    if not title or not page.css("#content, .topic-content, .article"):
        raise Unusable("shape")
    return {
        "id": f"topic-{topic}",  # replies have numbers of their own
        "author": _author(page.css(".topic-content .topic-doc .from a, .topic-doc h3 a"), f"of {topic}"),
        "title": title,
        "text": title if body.startswith(title) and len(body) == len(title) else plain.tidy(f"{title}\n{body}"),
        "time": plain.iso_time(_text(page, ".topic-doc .create-time, .topic-doc .color-green")),
    }


def _author(links: Any, otherwise: str) -> str:
    return links[0].attrib.get("href", "").rstrip("/").rpartition("/")[2] or otherwise if links else otherwise


def _replies(page: Selector, before: list[Json], first: Json) -> list[Json]:
    replies: list[Json] = []
    # The popular ones are shown twice: here only where they stand in time.
    items = page.css("ul#comments > li.comment-item, ul#comments > li.reply-item")
    numbered = [(number, item) for item in items if (number := item.attrib.get("data-cid") or item.attrib.get("id"))]
    if items and not numbered:
        raise Unusable("shape")
    for number, item in numbered:
        replies.append(
            {
                "id": number,
                "author": item.attrib.get("data-author-id") or _author(item.css(".reply-doc h4 a"), f"of {number}"),
                "text": _text(item, ".reply-content"),
                "time": plain.iso_time(_text(item, ".pubtime")),
                "parent": _quoted(item, before + replies) or first["id"],
            }
        )
    return replies


def _quoted(item: Selector, replies: list[Json]) -> str:
    """The reply that is quoted: the latest one that begins with the quoted words."""
    words = _text(item, ".reply-quote-content .all, .reply-quote .all") or _text(
        item, ".reply-quote-content .short, .reply-quote .short"
    )
    begin = words.rstrip(".… ")[:_SHORT]
    for reply in reversed(replies):
        if begin and reply["text"].startswith(begin):
            return str(reply["id"])
    return ""
