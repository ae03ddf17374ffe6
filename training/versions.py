"""Frozen dataset versions: queued by people, frozen in the background, never changed again.

One at a time, because a split once given is sticky: two freezers at once could give one unit two. Verbs only; the
caller rings the bell after commit.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, cast

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_noop

from training import claims, recipes, storage, wording
from training.claims import ClaimLost
from training.ml import clean, dataset
from training.ml.dataset import Candidate, FrozenDataset
from training.ml.errors import PipelineError, is_disk_full
from training.ml.records import SPLITS, Kind, Split
from training.ml.texts import Words, fill, words
from training.models import DatasetVersion, Example, Recipe, VersionRow
from training.tags import with_tag

logger = logging.getLogger(__name__)

# Approved dialogues with this tag are what no new model may get worse at: measured, never trained on.
CANARY = "canary"
_BATCH_ROWS = 2000
_BEAT_SECONDS = 1.0
_RECORD = "INSERT INTO training_versionrow (version_id, example_id, split, row_hash) VALUES (%s, %s, %s, %s)"
_MARK = "UPDATE training_example SET split = %s, cluster = %s WHERE id = %s"

Status = DatasetVersion.Status


class Selection(TypedDict, total=False):
    """Which approved examples: those of any of these corpora or with any of these tags; all when both are empty."""

    corpora: list[int]
    tags: list[str]


class NotFreezable(PipelineError):
    """Raised when a version is not in a state for what is asked, or nothing fits its selection."""

    code = "not_freezable"


class _SplitsMoved(Exception):
    """Raised when another freezer gave one of our rows a split in the meantime; the version is frozen again."""


# --- choosing -------------------------------------------------------------------------------------------------------


def chosen(kind: str, selection: Selection) -> QuerySet[Example]:
    """The approved examples of a kind that a selection means; canary rows are never among them."""
    rows = _without_canaries(Example.objects.filter(kind=kind, status=Example.Status.APPROVED))
    corpora, tags = selection.get("corpora", []), selection.get("tags", [])
    if not corpora and not tags:
        return rows
    wanted = Q(corpus__in=corpora)
    for tag in tags:
        wanted |= Q(pk__in=with_tag(Example.objects.all(), tag).values("pk"))
    return rows.filter(wanted)


def _without_canaries(rows: QuerySet[Example]) -> QuerySet[Example]:
    return rows.exclude(pk__in=with_tag(Example.objects.all(), CANARY).values("pk"))


def recipe_of(steps: Sequence[clean.Choice] = clean.DEFAULT.steps) -> Recipe:
    """The row of a recipe; equal steps share one row."""
    return recipes.plain(steps)


# --- queueing -------------------------------------------------------------------------------------------------------


def queue_freeze(
    selection: Selection,
    *,
    name: str,
    kind: Kind,
    owner: User | None,
    recipe: Recipe | None = None,
    parent: DatasetVersion | None = None,
) -> DatasetVersion:
    """Ask for a version. Raises NotFreezable when no approved example fits."""
    if not chosen(kind, selection).exists():
        raise NotFreezable(gettext_noop("No approved example fits this choice. Approve some examples first."))
    return DatasetVersion.objects.create(
        name=name,
        kind=kind,
        selection=dict(selection),
        recipe=recipe or recipe_of(),
        parent=parent,
        owner=owner,
    )


def queue_again(version: DatasetVersion) -> None:
    """Freeze a failed version again. Raises NotFreezable in any other state."""
    again = DatasetVersion.objects.filter(pk=version.pk, status=Status.FAILED)
    if again.update(status=Status.QUEUED, error="", report={}) != 1:
        raise NotFreezable(gettext_noop("Only a version that failed can be frozen again."))


# --- freezing -------------------------------------------------------------------------------------------------------


def freeze_queued() -> bool:
    """Freeze the oldest waiting version; False when none waits or another is being frozen."""
    version = claims.take(DatasetVersion, working=Status.FREEZING, waiting=Status.QUEUED, alone=True)
    if version is None:
        return False
    try:
        _freeze(version)
    except ClaimLost:
        logger.warning("dataset version %s was taken over by another worker", version.pk)
    except _SplitsMoved:
        claims.settle(version, Status.QUEUED)
    except PipelineError as error:
        _fail(version, error.words)
    except Exception as error:  # whatever broke, the row must say so and the next job must run
        logger.exception("dataset version %s could not be frozen", version.pk)
        _fail(version, words(wording.OWN_RULES["disk_full" if is_disk_full(error) else "unexpected"]))
    return True


def _fail(version: DatasetVersion, why: Words) -> None:
    try:
        claims.settle(version, Status.FAILED, error=fill(why), report={"error": why})
    except ClaimLost:
        logger.warning("dataset version %s was taken over by another worker", version.pk)


class _Progress:
    """Writes where freezing stands, about once a second; the write is also the sign of life."""

    def __init__(self, version: DatasetVersion) -> None:
        self._version = version
        self._next = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _BEAT_SECONDS
        claims.beat(self._version, report={"progress": {"stage": stage, "done": done, "total": total}})


def _freeze(version: DatasetVersion) -> None:
    kind = cast("Kind", version.kind)
    keys: dict[str, int] = {}
    known: dict[str, str] = {}
    wanted = chosen(kind, cast("Selection", version.selection))
    progress = _Progress(version)
    frozen = dataset.freeze(
        _told(_candidates(wanted, keys, known), progress, wanted.count()),
        datasets_dir(),
        kind=kind,
        recipe=recipes.runnable(version.recipe),
        anchors=_anchors(wanted),
        on_progress=progress,
    )
    _record(version, frozen, keys, known)


def _told(rows: Iterator[Candidate], progress: _Progress, total: int) -> Iterator[Candidate]:
    for number, row in enumerate(rows):
        progress("read", number, total)
        yield row


def _anchors(wanted: QuerySet[Example]) -> Iterator[Candidate]:
    """Rows of earlier versions, and the canary rows: what resembles one of those is held out as a phrasing is."""
    earlier = Example.objects.exclude(split="").exclude(pk__in=wanted.values("pk"))
    yield from _candidates(_without_canaries(earlier), {}, {})
    for row in _candidates(with_tag(Example.objects.filter(status=Example.Status.APPROVED), CANARY), {}, {}):
        yield replace(row, split="phrasing")


def datasets_dir() -> Path:
    return Path(settings.DATA_DIR) / "datasets"


def _candidates(rows: QuerySet[Example], keys: dict[str, int], known: dict[str, str]) -> Iterator[Candidate]:
    """The rows for freezing; `keys` and `known` are filled with their ids and earlier splits on the way."""
    columns = ("pk", "source_key", "kind", "body", "group", "split")
    for pk, key, kind, body, group, split in rows.order_by("pk").values_list(*columns).iterator(_BATCH_ROWS):
        keys[key] = pk
        known[key] = split
        yield Candidate(key=key, kind=cast("Kind", kind), body=body, group=group, split=split)


def _record(version: DatasetVersion, frozen: FrozenDataset, keys: dict[str, int], known: dict[str, str]) -> None:
    """Lineage, sticky splits and the final state, in one transaction: a version is frozen whole or not at all."""
    with transaction.atomic():
        claims.beat(version)
        if _moved(keys, known):
            raise _SplitsMoved
        VersionRow.objects.filter(version=version).delete()
        for split in SPLITS:
            _record_split(version, frozen, split, keys)
        claims.settle(
            version,
            Status.FROZEN,
            sha256=frozen.hash,
            counts=frozen.counts,
            report=frozen.report,
            frozen_at=timezone.now(),
        )


def _moved(keys: dict[str, int], known: dict[str, str]) -> bool:
    now = dict(Example.objects.exclude(split="").values_list("source_key", "split"))
    return any(now.get(key, "") != known[key] for key in keys)


def _record_split(version: DatasetVersion, frozen: FrozenDataset, split: Split, keys: dict[str, int]) -> None:
    rows = [(row_hash, cluster, keys[frozen.keys[row_hash]]) for row_hash, _key, cluster in frozen.places(split)]
    # bulk_create takes ten times as long, and bulk_update, which builds one CASE a row, a hundred times.
    with connection.cursor() as cursor:
        cursor.executemany(_RECORD, [(version.pk, pk, split, row_hash) for row_hash, _cluster, pk in rows])
        cursor.executemany(_MARK, [(split, cluster, pk) for _row_hash, cluster, pk in rows])


# --- looking at a frozen version -----------------------------------------------------------------------------------


def load(version: DatasetVersion) -> FrozenDataset:
    """The files of a frozen version. Raises BadDataset when they are damaged or gone."""
    frozen = dataset.load(storage.dataset_dir(version.sha256))
    if frozen.hash != version.sha256:  # whole, but another version's
        raise dataset.bad("damaged", file=dataset.MANIFEST)
    return frozen


def as_lines(version: DatasetVersion) -> Iterator[str]:
    """Every row as a line of JSON, with its split and group; what is written can be uploaded again."""
    frozen = load(version)
    for split in SPLITS:
        for row in frozen.iterate(split):
            line: dict[str, Any] = dict(row.body) | {"split": split}
            if row.group:
                line["group"] = row.group
            yield json.dumps(line, ensure_ascii=False) + "\n"


def difference(version: DatasetVersion, other: DatasetVersion) -> dict[str, int]:
    """How many rows of `version` are not in `other`, how many were, and how many both have."""
    mine = set(VersionRow.objects.filter(version=version).values_list("row_hash", flat=True))
    theirs = set(VersionRow.objects.filter(version=other).values_list("row_hash", flat=True))
    return {"added": len(mine - theirs), "removed": len(theirs - mine), "kept": len(mine & theirs)}
