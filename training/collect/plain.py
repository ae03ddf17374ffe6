"""Pieces of HTML to the text that people read, and the times that sites write to ISO. Pure."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from lxml import etree, html

_BLANKS = re.compile(r"\s+")
_SILENT = ("script", "style", "noscript", "template")
_BREAKS = frozenset(
    ("br", "p", "div", "li", "ul", "ol", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "blockquote", "section")
)
_FORMATS = ("%a %b %d %H:%M:%S %z %Y", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")


def of_html(fragment: str) -> str:
    """The text of a fragment; a picture that has words for itself (an emoji) says them."""
    if not fragment.strip():
        return ""
    try:
        root = html.fragment_fromstring(fragment.replace("\x00", ""), create_parent="div")
    except (etree.ParserError, ValueError):
        return ""
    return of_node(root)


def of_node(node: html.HtmlElement) -> str:
    kept = copy.deepcopy(node)
    etree.strip_elements(kept, *_SILENT, etree.Comment, etree.ProcessingInstruction, with_tail=False)
    return tidy("".join(_pieces(kept)))


def _pieces(node: html.HtmlElement) -> Iterator[str]:
    """Text in reading order. Not recursive: a page may be nested deeply."""
    for event, each in etree.iterwalk(node, events=("start", "end")):
        if each.tag in _BREAKS:
            yield "\n"
        if event == "start":
            yield _BLANKS.sub(" ", each.text or "")
            yield each.get("alt", "") if each.tag == "img" else ""
        elif each is not node:
            yield _BLANKS.sub(" ", each.tail or "")


def tidy(text: str) -> str:
    """Lines without space around them, and no empty ones."""
    lines = (re.sub(r"[ \t\u00a0\u200b\ufeff]+", " ", line).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def iso_time(text: str) -> str:
    """The time in ISO 8601 where it is understood, else what the site wrote."""
    text = text.strip()[:60]
    for pattern in _FORMATS:
        try:
            return datetime.strptime(text, pattern).isoformat()  # noqa: DTZ007  (the site names no zone)
        except ValueError:
            continue
    try:
        return parsedate_to_datetime(text).isoformat()
    except (ValueError, TypeError, IndexError):
        return text


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
