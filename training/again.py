"""“Train it again”: the model that answers, fine-tuned on the questions and answers that came with the site.

The first job a new owner sees; one click brings in the rows, has them frozen and plans the run. Computes nothing: the
queue's worker freezes, and the caller says how to ring for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from training import corpora, plans, registry, versions, wording
from training.ml.errors import PipelineError
from training.models import DatasetVersion, TrainingRun

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# About a thousand rows freeze in a few seconds, unless another version is being frozen first.
FREEZE_SECONDS = 20
POLL_SECONDS = 0.3


class NotReady(PipelineError):
    """Raised when there is no model to train, or its rows could not be frozen in time."""

    code = "not_ready"


def train_again(*, user: User | None, ring: Callable[[], None], request_key: str | None = None) -> TrainingRun:
    """A draft; the caller queues it. Raises NotReady, BadConfig."""
    active = registry.active_model()
    if active is None:
        raise NotReady(gettext_noop("No model answers yet: activate one first."))
    version = starter_version(user=user, ring=ring)
    name = _("Train it again")
    return plans.plan_run(base=active, dataset=version, name=name, owner=user, request_key=request_key or None)


def starter_version(*, user: User | None, ring: Callable[[], None]) -> DatasetVersion:
    """The newest frozen version of the starter rows; made here when there is none, or when rows were added."""
    added = corpora.add_starter_faq()
    latest = DatasetVersion.objects.filter(selection=_selection()).first()
    usable = latest is not None and latest.status != DatasetVersion.Status.FAILED and not added
    version = latest if latest is not None and usable else _queue(latest, user)
    ring()
    return _frozen(version)


def _queue(parent: DatasetVersion | None, user: User | None) -> DatasetVersion:
    return versions.queue_freeze(
        _selection(), name=_("Starter questions and answers"), kind="dialogue", owner=user, parent=parent
    )


def _selection() -> versions.Selection:
    return {"corpora": [], "tags": [corpora.STARTER_TAG]}


def _frozen(version: DatasetVersion) -> DatasetVersion:
    """Waits a moment for the worker; a later click finds the version where this one left it."""
    deadline = time.monotonic() + FREEZE_SECONDS
    while version.status in (DatasetVersion.Status.QUEUED, DatasetVersion.Status.FREEZING):
        if time.monotonic() > deadline:
            raise NotReady(gettext_noop("The rows are still being frozen. Click again in a moment."))
        time.sleep(POLL_SECONDS)
        version.refresh_from_db()
    if version.status == DatasetVersion.Status.FAILED:
        raise NotReady(wording.why_failed(version))
    return version
