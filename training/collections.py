"""Collections: queued, run in a process of their own, stopped, gone on with; what one found becomes a corpus.

Knows not how a site is read. Verbs only; the caller rings the bell after commit.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from training import claims, collector, corpora
from training.claims import ClaimLost
from training.collect import job as jobs
from training.collect import ledger, reasons
from training.collect.settings import LONGEST_COOKIE
from training.collector import directory_of
from training.ml.errors import PipelineError, is_disk_full
from training.models import Collection, Corpus

Status = Collection.Status
log = structlog.get_logger(__name__)


class NotAllowed(PipelineError):
    """Raised when a collection is not in a state for what is asked."""

    code = "not_allowed"


# --- what people ask ------------------------------------------------------------------------------------------------


def queue(
    source: str,
    parameters: dict[str, Any],
    *,
    name: str = "",
    cookie: str = "",
    licence: str = "",
    owner: User | None = None,
) -> Collection:
    """Raises jobs.BadParameter or settings.OutOfRange; `facts["field"]` names the parameter."""
    job = jobs.read(source, parameters)
    return Collection.objects.create(
        name=name or _name_of(job),
        source=job.source,
        parameters=parameters,
        cookie=checked_cookie(cookie),
        licence=licence,
        owner=owner,
    )


def _name_of(job: jobs.Job) -> str:
    more = f" +{len(job.urls) - 1}" if len(job.urls) > 1 else ""
    what = job.topic or job.group or job.sitemap or job.urls[0]
    return f"{job.source}: {what[:150]}{more}"


def checked_cookie(text: str) -> str:
    """One header line. Raises jobs.BadParameter."""
    cookie = text.strip().removeprefix("Cookie:").strip()
    if not cookie:
        return ""
    if len(cookie) > LONGEST_COOKIE or not cookie.isascii() or not cookie.isprintable() or "=" not in cookie:
        shown = gettext_noop("This is no cookie. Copy the whole value of the request header “Cookie”: name=value; …")
        raise jobs.BadParameter(shown, field="cookie")
    return cookie


def stop(collection: Collection) -> None:
    """What was found is kept. Raises NotAllowed when it neither waits nor runs."""
    under_way = Collection.objects.filter(pk=collection.pk, status__in=(Status.QUEUED, Status.RUNNING))
    if under_way.update(status=Status.STOPPED, claim_token="") != 1:
        raise NotAllowed(gettext_noop("Only a collection that waits or runs can be stopped."))


def go_on(collection: Collection, *, cookie: str = "") -> None:
    """Where it stopped. Raises NotAllowed unless it was stopped or failed, jobs.BadParameter for a bad cookie."""
    fresh = {"cookie": checked} if (checked := checked_cookie(cookie)) else {}
    ended = Collection.objects.filter(pk=collection.pk, status__in=(Status.STOPPED, Status.FAILED))
    if ended.update(status=Status.QUEUED, error="", finished_at=None, **fresh) != 1:
        raise NotAllowed(gettext_noop("Only a collection that was stopped or failed can go on."))


def keep(collection: Collection) -> Corpus:
    """End a collection with what it found so far. Raises NotAllowed unless it was stopped or failed with rows."""
    ended = Collection.objects.filter(pk=collection.pk, status__in=(Status.STOPPED, Status.FAILED), records__gt=0)
    if not ended.exists():
        raise NotAllowed(gettext_noop("Only a collection that was stopped or failed and found something can be ended."))
    with _alone_in(directory_of(collection)), transaction.atomic():
        corpus = _corpus_of(collection)
        if ended.update(status=Status.DONE, corpus=corpus, cookie="", error="", finished_at=timezone.now()) != 1:
            raise NotAllowed(gettext_noop("The collection goes on: somebody was faster."))
    shutil.rmtree(directory_of(collection), ignore_errors=True)
    return corpus


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """With no collector at work there, and the rows as the journal vouches for them."""
    with (directory / ledger.LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise NotAllowed(gettext_noop("The collector is just ending. Try again in a few seconds.")) from error
        ledger.Ledger(directory).shut()
        yield


# --- collecting -----------------------------------------------------------------------------------------------------


def collect_queued(*, stopping: Callable[[], bool] = lambda: False) -> bool:
    """Run the oldest waiting collection to its end; False when none waits or one runs already.

    One at a time: it lasts long and holds a thread of the worker. stopping: whether the worker has to end; the
    collection then goes back into the queue.
    """
    if stopping():
        return False
    collection = claims.take(Collection, working=Status.RUNNING, waiting=Status.QUEUED, alone=True)
    if collection is None:
        return False
    try:
        _run(collection, stopping)
    except ClaimLost:
        log.info("collection was taken away", collection=collection.pk)
    except Exception as error:  # whatever broke, the row must say so and the next job must run
        log.exception("collection broke off", collection=collection.pk)
        _fail(collection, "disk_full" if is_disk_full(error) else "not_started")
    return True


def _run(collection: Collection, stopping: Callable[[], bool]) -> None:
    if collection.started_at is None:
        claims.beat(collection, started_at=timezone.now())
    watch = collector.Watch(collection)
    watch.stay(stopping)
    _settle(collection, watch)


def _fail(collection: Collection, code: str, **columns: Any) -> None:
    with suppress(ClaimLost):
        text = reasons.sentence(code)
        claims.settle(collection, Status.FAILED, error=text, finished_at=timezone.now(), **columns)


def _settle(collection: Collection, watch: collector.Watch) -> None:
    counts = watch.counts()
    match watch.ending():
        case "taken":
            stopped = Collection.objects.filter(pk=collection.pk, status=Status.STOPPED)
            stopped.update(**counts, finished_at=timezone.now())
        case "put_back":
            claims.settle(collection, Status.QUEUED, **counts)
        case "done":
            _finish(collection, counts)
        case "killed":
            _fail(collection, "killed", **counts)
        case "failed":
            _fail(collection, watch.reason or "died", **counts)


def _finish(collection: Collection, counts: dict[str, Any]) -> None:
    """A corpus of what was found; without any, the reason that came most often says why."""
    if not counts["records"]:
        refused = counts["refused"]
        most = max(refused, key=lambda code: refused[code]["count"], default="nothing_found")
        _fail(collection, most, **counts)
        return
    claims.beat(collection, **counts)
    corpus = _corpus_of(collection)
    # The cookie has done its work.
    claims.settle(collection, Status.DONE, corpus=corpus, cookie="", finished_at=timezone.now())
    shutil.rmtree(directory_of(collection), ignore_errors=True)


def _corpus_of(collection: Collection) -> Corpus:
    try:
        with (directory_of(collection) / ledger.RECORDS).open("rb") as file:
            return corpora.add_upload(
                file,
                name=collection.name,
                original_name=f"collection-{collection.pk}.jsonl",
                owner=collection.owner,
                licence=collection.licence,
                source_url=_source_url(collection),
            )
    except corpora.SameFile as error:  # the worker was lost between the corpus and the end of the collection
        return Corpus.objects.get(pk=error.facts["corpus"])


_HOMES = {"weibo-topic": "https://m.weibo.cn", "douban-group": "https://www.douban.com"}


def _source_url(collection: Collection) -> str:
    """Where the text comes from as a whole; each row has its own address."""
    job = jobs.read(collection.source, collection.parameters)
    return (job.site or _HOMES.get(job.source) or job.sitemap or job.urls[0])[:200]
