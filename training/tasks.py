"""What the queue's worker does. A task carries no key: it says "look", and the rows say what there is to do.

Verbs never import this module; whoever changed a row rings the bell after commit.
"""

from __future__ import annotations

from django.db import transaction
from huey import crontab
from huey.contrib.djhuey import db_periodic_task, db_task, on_shutdown, on_startup

from training import checks, collections, corpora, search, statistics, versions, worker


@db_task()
def look_for_runs() -> None:
    """One run after the other on whatever device is free; as many of these work at once as there are devices."""
    while worker.work_one():
        pass


@db_task()
def look_for_data() -> None:
    while (
        corpora.read_queued()
        or versions.freeze_queued()
        or search.index_waiting()
        or checks.check_queued()
        or statistics.compute_queued()
        or collections.collect_queued(stopping=worker.stopping.is_set)  # last: it may take hours
    ):
        pass


@db_task()
def measure(model_uids: list[str], dataset_sha256: str) -> None:
    """Lost with a killed worker: the gate then still says that figures are missing, and offers it again.

    One after the other in one task, so that a thread stays free for everything else.
    """
    for uid in model_uids:
        worker.measure(uid, dataset_sha256)


@db_periodic_task(crontab(minute="*"))
def look_again() -> None:
    """What a lost ring would have told."""
    look_for_runs()
    look_for_data()


@on_startup("training.look")
def look_at_start() -> None:
    worker.watch_leases(ring=look_for_runs)
    look_for_runs()
    look_for_data()


@on_shutdown("training.stop")
def stop_trainers() -> None:
    # Called in each of the worker's threads as it ends; the idle ones end at once and speak for the busy ones.
    worker.stopping.set()


def ring_runs() -> None:
    # Robust: where the queue cannot be written, the row still waits, and `look_again` finds it.
    transaction.on_commit(look_for_runs, robust=True)


def ring_data() -> None:
    transaction.on_commit(look_for_data, robust=True)


def ring_measure(model_uids: list[str], dataset_sha256: str) -> None:
    transaction.on_commit(lambda: measure(model_uids, dataset_sha256), robust=True)
