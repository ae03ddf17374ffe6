"""Steps on what the web leaves in text: HTML, addresses, @names, #topics#, repost chains."""

from __future__ import annotations

import html
import re

from training.ml.clean.characters import settled
from training.ml.clean.kinds import Ready
from training.ml.clean.parameters import Materials, Settings

# --- HTML -----------------------------------------------------------------------------------------------------------

_TAGS = (
    "a|abbr|acronym|address|article|aside|audio|b|base|big|blockquote|body|br|button|canvas|caption|center|cite|code"
    "|col|colgroup|dd|del|details|dfn|dir|div|dl|dt|em|embed|fieldset|figcaption|figure|font|footer|form|frame"
    "|frameset|h[1-6]|head|header|hr|html|i|iframe|img|input|ins|kbd|label|legend|li|link|main|map|mark|menu|meta|nav"
    "|noscript|object|ol|optgroup|option|p|param|picture|pre|q|rp|rt|ruby|s|samp|script|section|select|small|source"
    "|span|strike|strong|style|sub|summary|sup|svg|table|tbody|td|textarea|tfoot|th|thead|time|title|tr|track|tt|u|ul"
    "|var|video|wbr"
)
# A known name, then the end or an attribute: `a < b and c > d` and `<手机号>` are no tags.
_TAG = re.compile(rf"</?({_TAGS})(?:\s*/?>|\s(?=[^<>=]*+=)[^<>]*+>)|<!doctype[^<>]*+>", re.IGNORECASE)
_BREAKING = frozenset(
    ["br", "p", "div", "li", "tr", "hr", "ul", "ol", "dt", "dd", "table", "blockquote", "section", "article"]
    + [f"h{level}" for level in range(1, 7)]
)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_HIDDEN = (
    (re.compile("<!--"), re.compile("-->")),
    (re.compile(r"<script(?=[\s>])[^<>]*+>", re.IGNORECASE), re.compile(r"</script\s*>", re.IGNORECASE)),
    (re.compile(r"<style(?=[\s>])[^<>]*+>", re.IGNORECASE), re.compile(r"</style\s*>", re.IGNORECASE)),
)


def _without(text: str, opening: re.Pattern[str], closing: re.Pattern[str]) -> str:
    """Everything from an opening to its closing is gone; an opening that is never closed stays."""
    parts, place = [], 0
    while (start := opening.search(text, place)) and (end := closing.search(text, start.end())):
        parts.append(text[place : start.start()])
        place = end.end()
    return "".join([*parts, text[place:]])


def markup(text: str) -> str:
    """Tags go, those that break a line leave one; comments, scripts and styles go whole; then entities once."""
    if "<" in text:
        for opening, closing in _HIDDEN:
            text = _without(text, opening, closing)
        text = _TAG.sub(lambda tag: "\n" if (tag[1] or "").lower() in _BREAKING else "", text)
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), text) if "&" in text else text


# --- addresses ------------------------------------------------------------------------------------------------------

_URL = re.compile(
    r"(?:(?:https?|ftp)://|(?<![A-Za-z0-9.@])www\.(?=[A-Za-z0-9]))[!-~]*[A-Za-z0-9/=&#_~%\-]"
    r"|(?<![A-Za-z0-9.@/])t\.cn/[A-Za-z0-9]{4,}|[Oo]?网页链接(?![\u4e00-\u9fff])",
    re.IGNORECASE,
)


def make_urls(settings: Settings, _materials: Materials) -> Ready:
    to = settings["to"]
    return lambda text: _URL.sub(lambda _match: to, text) if "/" in text or "." in text or "网页" in text else text


# --- names, topics, reposts -----------------------------------------------------------------------------------------

# A letter before @ makes it an e-mail address, a dot after the name the domain of one.
_NAME = re.compile(r"(?:回复\s?)?(?<![A-Za-z0-9._%+\-])[@＠][\w\-·]++(?!\.[A-Za-z])(?:\s?[:：](?!//))?")
_BARE_NAME = re.compile(r"(?<![A-Za-z0-9._%+\-])[@＠][\w\-·]++(?!\.[A-Za-z])")
# A topic has no sentence in it: “车型是#CX，车牌是#CP” are no topics.
_TOPIC = re.compile(r"(?<![A-Za-z0-9&#])[#＃](?=[\w《【“\"「])([^#＃\n，。！？；、,!?;]{1,40})(?<!\s)[#＃]")
_REPOST = re.compile(r"(?<!:)//\s?[@＠]")
# What the site writes itself when somebody reposts without a word.
_WORDLESS = re.compile(r"\s*(?:转发微博|轻转发|快转微博|转发|转|repost|rt)?[\s。.:：]*", re.IGNORECASE)


def make_mentions(settings: Settings, _materials: Materials) -> Ready:
    to = settings["to"]

    def run(text: str) -> str:
        if "@" not in text and "＠" not in text:
            return text
        return _BARE_NAME.sub(lambda _match: to, text) if to else _NAME.sub("", text)

    return settled(run) if not to else run


def make_topics(settings: Settings, _materials: Materials) -> Ready:
    to = r"\1" if settings["topics"] == "words" else ""
    return settled(lambda text: _TOPIC.sub(to, text) if "#" in text or "＃" in text else text)


def reposts(text: str) -> str:
    """The reposter's own words; a repost without any becomes empty, and its record is dropped."""
    chain = _REPOST.search(text)
    if chain is None:
        return text
    own = text[: chain.start()].rstrip()
    return "" if _WORDLESS.fullmatch(own) else own
