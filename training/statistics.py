"""Figures of examples or of a frozen version: asked for by people, computed in the background, kept until asked again.

Verbs only; the caller rings the bell after commit. What is counted is said in training.ml.statistics.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypedDict, cast

from django.db.models import Count, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop

from training import claims, storage, versions, wording
from training.claims import ClaimLost
from training.ml.cluster import cluster, text_of
from training.ml.errors import PipelineError, is_disk_full
from training.ml.records import SPLITS, Body, Kind, Message
from training.ml.render import Renderer
from training.ml.statistics import Counting, Row
from training.ml.texts import Words, fill, words
from training.models import Corpus, DatasetVersion, Example, ModelVersion, Statistics, VersionRow

logger = logging.getLogger(__name__)

# To compare rows their texts must be in memory; of more rows the clusters of earlier freezings are shown.
MOST_COMPARED = 200_000
_BATCH_ROWS = 1000
_BEAT_SECONDS = 1.0

Status = Statistics.Status


class Selection(TypedDict, total=False):
    """Which examples, when it is not a version: those of the corpora, all when there are none.

    model: the uid of the model whose tokenizer counts.
    """

    corpora: list[int]
    model: str


class NotCountable(PipelineError):
    """Raised when a version is not frozen yet."""

    code = "not_countable"


# --- asking ---------------------------------------------------------------------------------------------------------


def ask(selection: Selection, version: DatasetVersion | None = None) -> Statistics:
    """The figures of a selection or version, queued to be computed anew; one row each, whoever asks.

    Raises NotCountable while the version is not frozen.
    """
    if version is not None and version.status != DatasetVersion.Status.FROZEN:
        raise NotCountable(gettext_noop("This version is not frozen yet."))
    same = Statistics.objects.filter(version=version)
    there = (same if version is not None else same.filter(selection=dict(selection))).first()
    if there is None:
        return Statistics.objects.create(selection=dict(selection), version=version)
    idle = Statistics.objects.filter(pk=there.pk, status__in=(Status.DONE, Status.FAILED))
    idle.update(status=Status.QUEUED, selection=dict(selection), error="", rows_done=0)
    there.refresh_from_db()
    return there


def chosen(selection: Selection) -> QuerySet[Example]:
    corpora = selection.get("corpora", [])
    return Example.objects.filter(corpus__in=corpora) if corpora else Example.objects.all()


def changed_since(asked: Statistics) -> int:
    """How many rows were added or changed after the figures were begun; of a frozen version none ever is."""
    if asked.version_id or "as_of" not in asked.figures:
        return 0
    as_of = datetime.fromisoformat(asked.figures["as_of"])
    return chosen(cast("Selection", asked.selection)).filter(updated_at__gt=as_of).count()


def why_failed(asked: Statistics) -> str:
    """In the reader's language; empty when nothing went wrong."""
    return wording.say(asked.figures.get("failed") or words(asked.error)) if asked.error else ""


# --- computing ------------------------------------------------------------------------------------------------------


def compute_queued() -> bool:
    """Compute the oldest waiting figures; False when none wait. Safe in any number of workers."""
    asked = claims.take(Statistics, working=Status.RUNNING, waiting=Status.QUEUED)
    if asked is None:
        return False
    try:
        _compute(asked)
    except ClaimLost:
        logger.warning("statistics %s were taken over by another worker", asked.pk)
    except PipelineError as error:
        _fail(asked, error.words)
    except Exception as error:  # whatever broke, the row must say so and the next job must run
        logger.exception("statistics %s could not be computed", asked.pk)
        _fail(asked, words(wording.OWN_RULES["disk_full" if is_disk_full(error) else "unexpected"]))
    return True


def _fail(asked: Statistics, why: Words) -> None:
    """The figures of the time before stay, beside the words of what went wrong."""
    try:
        claims.settle(asked, Status.FAILED, error=fill(why), figures=asked.figures | {"failed": why})
    except ClaimLost:
        logger.warning("statistics %s were taken over by another worker", asked.pk)


class _Progress:
    """Writes how far it is, about once a second; the write is also the sign of life."""

    def __init__(self, asked: Statistics, total: int) -> None:
        self._asked, self._total = asked, total
        self._next = 0.0

    def __call__(self, done: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _BEAT_SECONDS
            claims.beat(self._asked, rows_done=done, rows_total=self._total)


def _compute(asked: Statistics) -> None:
    as_of = timezone.now()
    selection = cast("Selection", asked.selection)
    counting = Counting(_token_counter(selection.get("model", "")))
    rows, total, sources = _version_rows(asked.version) if asked.version else _example_rows(asked, selection)
    progress = _Progress(asked, total)
    for number, row in enumerate(rows):
        counting.add(row)
        if number % _BATCH_ROWS == 0:
            progress(number)
    figures = counting.to_json() | {"as_of": as_of.isoformat(), "sources": sources}
    claims.settle(
        asked, Status.DONE, figures=figures, rows_total=total, rows_done=counting.rows, finished_at=timezone.now()
    )


def _version_rows(version: DatasetVersion) -> tuple[Iterator[Row], int, list[dict[str, Any]]]:
    frozen = versions.load(version)
    rows = (
        Row(kind=frozen.kind, body=row.body, cluster=row.cluster, facts={"split": split})
        for split in SPLITS
        for row in frozen.iterate(split)
    )
    examples = Example.objects.filter(pk__in=VersionRow.objects.filter(version=version).values("example"))
    return rows, sum(frozen.counts.values()), sources_of(examples)


def _example_rows(asked: Statistics, selection: Selection) -> tuple[Iterator[Row], int, list[dict[str, Any]]]:
    examples = chosen(selection)
    total = examples.count()
    names = _clusters(examples, _Progress(asked, total)) if total <= MOST_COMPARED else {}
    return _rows(examples, names), total, sources_of(examples)


_COLUMNS = ("pk", "kind", "body", "status", "language", "split", "cluster")


def _rows(examples: QuerySet[Example], names: dict[int, str]) -> Iterator[Row]:
    for pk, kind, body, status, language, split, cluster_then in _read(examples, *_COLUMNS):
        yield Row(
            kind=cast("Kind", kind),
            body=body,
            cluster=names.get(pk, cluster_then),
            facts={"status": status, "language": language, "split": split},
        )


def _clusters(examples: QuerySet[Example], on_progress: Callable[[int], None]) -> dict[int, str]:
    keys, texts = [], []
    for pk, kind, body in _read(examples, "pk", "kind", "body"):
        keys.append(pk)
        texts.append(text_of(cast("Kind", kind), body))
    return dict(zip(keys, cluster(texts, on_progress=lambda _done: on_progress(0)), strict=True))


def _read(examples: QuerySet[Example], *columns: str) -> Iterator[tuple[Any, ...]]:
    """In batches by number, so that no query stays open while words are cut."""
    rows = examples.order_by("pk").values_list(*columns)
    batch = list(rows[:_BATCH_ROWS])
    while batch:
        yield from batch
        batch = list(rows.filter(pk__gt=batch[-1][0])[:_BATCH_ROWS])


def sources_of(examples: QuerySet[Example]) -> list[dict[str, Any]]:
    """Where the rows came from, the largest first: name, licence, address, rows; without a corpus: by hand or chat."""
    counts = dict(examples.order_by().values_list("corpus").annotate(Count("pk")))
    corpora = Corpus.objects.in_bulk([pk for pk in counts if pk is not None])
    found = [_source(corpora.get(pk), count) for pk, count in counts.items()]
    return sorted(found, key=lambda source: (-source["rows"], source["name"]))


def _source(corpus: Corpus | None, count: int) -> dict[str, Any]:
    if corpus is None:
        return {"corpus": None, "name": "", "licence": "", "url": "", "rows": count}
    facts = {"corpus": corpus.pk, "name": corpus.name, "licence": corpus.licence, "url": corpus.source_url}
    return facts | {"rows": count}


# --- tokens ---------------------------------------------------------------------------------------------------------


def _token_counter(uid: str) -> Callable[[Kind, Body], int] | None:
    if not uid or not ModelVersion.objects.filter(uid=uid).exists():
        return None
    renderer = Renderer.load(storage.model_dir(uid))
    return lambda kind, body: _token_count(renderer, kind, body)


def _token_count(renderer: Renderer, kind: Kind, body: Body) -> int:
    if kind == "document":
        return len(renderer.text_ids(body["text"]))
    messages = [Message.from_json(message) for message in [*body.get("messages", []), *body.get("prompt", [])]]
    answers = [body[name] for name in ("chosen", "rejected", "completion") if name in body]
    if not answers:
        return len(renderer.render(messages).ids)
    return max(len(renderer.render([*messages, Message(role="assistant", content=text)]).ids) for text in answers)
