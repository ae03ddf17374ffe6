"""Every way in which a collection or one address of it can fail: a stable code and the English sentence.

Knows neither Scrapy nor Django. The admin translates by looking the same sentence up in gettext.
"""

from __future__ import annotations

from training.ml.texts import gettext_noop

# Why an address was not fetched or not used; counted, and shown beside the count.
REASONS: dict[str, str] = {
    "robots": gettext_noop("robots.txt of the site forbids it."),
    "private_address": gettext_noop(
        "It leads to a private or local address (your own network or this machine). Allow that address in the "
        "collection if it is meant."
    ),
    "not_web": gettext_noop("It is not an address of the web (http or https)."),
    "no_host": gettext_noop("No such host: the name does not exist or cannot be looked up. Check how it is written."),
    "no_connection": gettext_noop("The site does not accept the connection. Try again later."),
    "too_slow": gettext_noop("The site did not answer in time. Try again later."),
    "too_large": gettext_noop("The answer is larger than a collector reads."),
    "needs_cookie": gettext_noop(
        "The site asks to sign in: it needs a cookie, or the cookie has expired. Sign in with your browser, copy the "
        "cookie again and go on."
    ),
    "blocked": gettext_noop("The site refuses this collector. Wait, ask more slowly, or ask the site for leave."),
    "too_many": gettext_noop("The site said that too many requests came, and went on saying so. Ask more slowly."),
    "gone": gettext_noop("There is nothing at this address (any more)."),
    "server_error": gettext_noop("The site has an error of its own. Try again later."),
    "shape": gettext_noop("The page's shape is not as documented; the site may have changed it."),
    "not_json": gettext_noop("The answer is broken: it should be JSON and is not."),
    "uneven": gettext_noop("There are more questions than answers on the page, or fewer. Check the two selectors."),
    "offsite": gettext_noop("The site map names an address of another site."),
    "failed": gettext_noop("It could not be fetched."),
}

# Why a whole collection ended without a result; the reasons above serve too.
ENDINGS: dict[str, str] = {
    "nothing_found": gettext_noop("Nothing with text was found. Check the parameters."),
    "died": gettext_noop("The collector ended without a word. The log has its last ones."),
    "killed": gettext_noop("The collector was killed before it got any further. What it had found is kept."),
    "disk_full": gettext_noop("The disk is full. Make room and go on; nothing was lost."),
    "memory_full": gettext_noop("The collector needed more memory than it may have. What it had found is kept: go on."),
    "not_started": gettext_noop("The collector could not be started. The log says why."),
}

# Without a login, and on a full disk, every further request is in vain.
FATAL = frozenset({"needs_cookie", "disk_full"})


def sentence(code: str) -> str:
    return REASONS.get(code) or ENDINGS[code]


def of_status(status: int) -> str:
    """The reason that an HTTP status stands for."""
    named = {401: "needs_cookie", 404: "gone", 410: "gone", 429: "too_many"}
    # 418 and 432 are how the two sites turn robots away.
    if status in named:
        return named[status]
    return "server_error" if status >= 500 else "blocked" if status in (403, 418, 432) else "failed"  # noqa: PLR2004
