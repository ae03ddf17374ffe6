"""Limits of a collector, and Scrapy's settings for one job, in one place. Knows not how they are used.

Several of Scrapy 2.19's defaults are not for a server: it opens two doors for remote code (telnet and remote control),
does not check certificates, and waits for nobody.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from training.ml.errors import PipelineError
from training.ml.texts import gettext_noop

if TYPE_CHECKING:
    from training.collect.job import Job


class OutOfRange(PipelineError):
    """Raised when a number is out of its range; `facts["field"]` names it."""

    code = "out_of_range"


@dataclass(frozen=True, slots=True)
class Range:
    """A number that people may choose."""

    least: float
    most: float
    usual: Any

    def check(self, name: str, value: Any) -> Any:
        """The number, of the same type as the usual one. Raises OutOfRange."""
        kind = type(self.usual)
        try:
            number = kind(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise self._error(name) from error
        if isinstance(value, bool) or not math.isfinite(number) or not self.least <= number <= self.most:
            raise self._error(name)
        return number

    def _error(self, name: str) -> OutOfRange:
        text = gettext_noop("“%(field)s” must be a number from %(least)g to %(most)g.")
        return OutOfRange(text, field=name, least=self.least, most=self.most)


DELAY_SECONDS = Range(0, 120, 2.0)
POLITE_SECONDS = 0.5
CONCURRENCY = Range(1, 4, 1)
PAGES = Range(1, 5000, 10)
REPLY_PAGES = Range(0, 20, 3)
MOST_URLS = 5000
LONGEST_TOPIC = 100
LONGEST_COOKIE = 8192

LARGEST_BYTES = 10 << 20
TIMEOUT_SECONDS = 30
REDIRECTS = 5
RETRIES = 4
RETRY_STATUSES = (408, 429, 500, 502, 503, 504, 522, 524)
# A name that does not exist is told at once.
RETRY_EXCEPTIONS = [
    OSError,
    *(
        f"scrapy.exceptions.{name}Error"
        for name in ("DownloadConnectionRefused", "DownloadFailed", "DownloadTimeout", "ResponseDataLoss")
    ),
]
LONGEST_WAIT_SECONDS = 300.0
PROGRESS_SECONDS = 1.0
MOST_MEMORY_MB = 1024

NAME = "Chatsite"
_PACKAGE = "training.collect"
_SCRAPY = "scrapy.downloadermiddlewares"


def user_agent(contact: str) -> str:
    """Names this site, so that whoever is asked can find whom to talk to."""
    return f"{NAME}-collector/1.0 (+{contact})" if contact else f"{NAME}-collector/1.0"


def scrapy_settings(job: Job) -> dict[str, Any]:
    return _doors() | {
        "BOT_NAME": NAME,
        "USER_AGENT": user_agent(job.contact),
        "ROBOTSTXT_OBEY": job.robots,
        "ROBOTSTXT_USER_AGENT": NAME,
        "DOWNLOAD_DELAY": job.delay_seconds,
        "CONCURRENT_REQUESTS": job.concurrency,
        "CONCURRENT_REQUESTS_PER_DOMAIN": job.concurrency,
        "DOWNLOAD_TIMEOUT": TIMEOUT_SECONDS,
        "DOWNLOAD_MAXSIZE": LARGEST_BYTES,
        "REDIRECT_MAX_TIMES": REDIRECTS,
        "RETRY_TIMES": RETRIES,
        "RETRY_HTTP_CODES": RETRY_STATUSES,
        "RETRY_EXCEPTIONS": RETRY_EXCEPTIONS,
        "URLLENGTH_LIMIT": 0,  # a task whose request is dropped without a word would stay open for good
        # A bot that says so in its headers, in the languages that it collects.
        "DEFAULT_REQUEST_HEADERS": {"Accept": "*/*", "Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"},
        "DOWNLOADER_MIDDLEWARES": {
            f"{_PACKAGE}.guard.GuardMiddleware": 950,
            f"{_PACKAGE}.pace.PaceMiddleware": 550,
            f"{_SCRAPY}.retry.RetryMiddleware": None,
            f"{_SCRAPY}.offsite.OffsiteMiddleware": None,
            f"{_PACKAGE}.cookie.CookieMiddleware": 700,
        },
        "DEPTH_STATS_VERBOSE": False,
        "MEMUSAGE_LIMIT_MB": MOST_MEMORY_MB,
        "EXTENSIONS": {"scrapy.extensions.memusage.MemoryUsage": None, f"{_PACKAGE}.memory.OwnMemory": 0},
        "LOG_LEVEL": "WARNING",
        "STATS_DUMP": False,
    }


def _doors() -> dict[str, Any]:
    """What is shut, and what is checked, whatever the job says."""
    return {
        "TELNETCONSOLE_ENABLED": False,
        "REMOTE_CONTROL_ENABLED": False,
        "DOWNLOAD_VERIFY_CERTIFICATES": True,
        "TWISTED_DNS_RESOLVER": f"{_PACKAGE}.guard.GuardedResolver",
        # Behind a proxy nobody here could see which address a name leads to.
        "HTTPPROXY_ENABLED": False,
        "COOKIES_ENABLED": False,
        "METAREFRESH_ENABLED": False,
        "REFERRER_POLICY": "no-referrer",
        "DOWNLOAD_HANDLERS": {"data": None, "file": None, "ftp": None, "s3": None},
    }
