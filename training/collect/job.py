"""What is asked of a collector: source, parameters, pace. Checked here for the form, the command and the process.

Pure and light: the web process imports it. Knows not how anything is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from training.collect import settings
from training.collect.addresses import networks
from training.ml.errors import PipelineError
from training.ml.texts import gettext_noop

Source = Literal["weibo-topic", "douban-group", "feed", "pages"]
SOURCES: tuple[Source, ...] = get_args(Source)

_GROUP = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_GROUP_URL = re.compile(r"https?://(?:www|m)\.douban\.com/group/([A-Za-z0-9_.-]{1,60})(?:/.*)?")


class BadParameter(PipelineError):
    """Raised when a parameter is missing or out of its range; `facts["field"]` names it."""

    code = "bad_parameter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One collection. What a source does not use stays empty.

    site: where the source lives, for a copy of it in another place. allow: private networks that may be asked.
    """

    source: Source
    topic: str = ""
    group: str = ""
    urls: tuple[str, ...] = ()
    sitemap: str = ""
    question: str = ""
    answer: str = ""
    title: str = ""
    text: str = ""
    pages: int = settings.PAGES.usual
    reply_pages: int = settings.REPLY_PAGES.usual
    delay_seconds: float = settings.DELAY_SECONDS.usual
    concurrency: int = settings.CONCURRENCY.usual
    robots: bool = True
    allow: tuple[str, ...] = ()
    site: str = ""
    licence: str = ""
    contact: str = ""


_LISTS = ("urls", "allow")
_COUNTS = {
    "pages": settings.PAGES,
    "reply_pages": settings.REPLY_PAGES,
    "delay_seconds": settings.DELAY_SECONDS,
    "concurrency": settings.CONCURRENCY,
}
USED: dict[Source, tuple[str, ...]] = {
    "weibo-topic": ("topic", "pages", "reply_pages"),
    "douban-group": ("group", "pages", "reply_pages"),
    "feed": ("urls", "pages"),
    "pages": ("urls", "sitemap", "question", "answer", "title", "text", "pages"),
}
COMMON = ("delay_seconds", "concurrency", "robots", "allow", "site", "licence", "contact")


def read(source: str, given: dict[str, Any]) -> Job:
    """The job that parameters stand for. Raises BadParameter."""
    if source not in SOURCES:
        raise BadParameter(
            gettext_noop("There is no source %(found)s. Known are: %(known)s."),
            field="source",
            found=source[:40],
            known=", ".join(SOURCES),
        )
    chosen: Source = source
    known = USED[chosen] + COMMON
    for name in given:
        if name not in known:
            text = gettext_noop("“%(field)s” is no parameter of this source. Known are: %(known)s.")
            raise BadParameter(text, field=name[:40], known=", ".join(known))
    values = {name: _value(name, given[name]) for name in given}
    job = Job(source=chosen, **values)
    _check_shared(job)
    _CHECKS[chosen](job)
    return job


def _value(name: str, value: Any) -> Any:
    if name in _LISTS:
        return tuple(_lines(name, value))
    if name in _COUNTS:
        return _COUNTS[name].check(name, value)
    if name == "robots":
        return _flag(name, value)
    if not isinstance(value, str):
        raise BadParameter(gettext_noop("“%(field)s” must be text."), field=name)
    return value.strip()


def _lines(name: str, value: Any) -> list[str]:
    parts = value.splitlines() if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise BadParameter(gettext_noop("“%(field)s” must be a list of texts."), field=name)
    return list(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _flag(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    raise BadParameter(gettext_noop("“%(field)s” must be true or false."), field=name)


def _check_shared(job: Job) -> None:
    try:
        allowed = networks(list(job.allow))
    except ValueError as error:
        text = gettext_noop("Write each allowed address as 10.1.2.3 or 10.1.2.0/24.")
        raise BadParameter(text, field="allow") from error
    # One's own servers may be asked without a pause; other people's may not.
    least = 0.0 if allowed else settings.POLITE_SECONDS
    if job.delay_seconds < least:
        text = gettext_noop("Wait at least %(least)s seconds between two requests to a site that is not your own.")
        raise BadParameter(text, field="delay_seconds", least=least)
    if job.site:
        _address("site", job.site)


def _address(name: str, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        text = gettext_noop("“%(found)s” is no address of the web. Begin with https://.")
        raise BadParameter(text, field=name, found=url[:80])
    if parts.username or parts.password:
        text = gettext_noop("Leave user name and password out of the address: it is stored with every row.")
        raise BadParameter(text, field=name)


def _addresses(job: Job) -> None:
    if len(job.urls) > settings.MOST_URLS:
        text = gettext_noop("%(count)d addresses are too many at once, the most is %(most)d.")
        raise BadParameter(text, field="urls", count=len(job.urls), most=settings.MOST_URLS)
    for url in job.urls:
        _address("urls", url)


def _check_weibo(job: Job) -> None:
    if not job.topic.strip("# "):
        raise BadParameter(gettext_noop("Name the topic, for example 重阳节."), field="topic")
    if len(job.topic) > settings.LONGEST_TOPIC:
        text = gettext_noop("A topic has at most %(most)d characters.")
        raise BadParameter(text, field="topic", most=settings.LONGEST_TOPIC)


def group_name(text: str) -> str:
    """The name of a group in its address, or the text itself."""
    found = _GROUP_URL.fullmatch(text)
    return found[1] if found else text


def _check_douban(job: Job) -> None:
    if not _GROUP.fullmatch(group_name(job.group)):
        text = gettext_noop("Give the group's address (https://www.douban.com/group/NAME/) or the NAME in it.")
        raise BadParameter(text, field="group")


def _check_feed(job: Job) -> None:
    if not job.urls:
        raise BadParameter(gettext_noop("Give the address of at least one feed."), field="urls")
    _addresses(job)


def _check_pages(job: Job) -> None:
    if bool(job.urls) == bool(job.sitemap):
        raise BadParameter(gettext_noop("Give either a list of addresses or one site map."), field="urls")
    _addresses(job)
    if job.sitemap:
        _address("sitemap", job.sitemap)
    if bool(job.question) != bool(job.answer):
        text = gettext_noop("A question needs an answer: give both selectors or neither.")
        raise BadParameter(text, field="answer" if job.question else "question")
    if bool(job.question) == bool(job.text):
        text = gettext_noop("Give the selectors of question and answer, or the selector of the text.")
        raise BadParameter(text, field="text")
    for name in ("question", "answer", "title", "text"):
        _selector(name, getattr(job, name))


def _selector(name: str, selector: str) -> None:
    from cssselect import SelectorError, parse  # Scrapy's own parser of selectors

    if not selector:
        return
    try:
        parse(selector)
    except SelectorError as error:
        text = gettext_noop("“%(found)s” is no CSS selector: %(why)s. An example: div.answer p")
        raise BadParameter(text, field=name, found=selector[:80], why=str(error)[:120]) from error


_CHECKS: dict[Source, Callable[[Job], None]] = {
    "weibo-topic": _check_weibo,
    "douban-group": _check_douban,
    "feed": _check_feed,
    "pages": _check_pages,
}
