"""Rows cleaned on several processes, in order: what comes out does not depend on how many there are.

The processes are fresh ones (spawned), so it may be used from any thread, and they end when their parent does.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing.connection import wait

from training.ml.clean.recipe import Recipe
from training.ml.errors import PipelineError
from training.ml.records import Body, Kind, body_hash
from training.ml.texts import gettext_noop

_BATCH_ROWS = 1000
# A recipe that is slower than this for the first rows gains by more processes; a quick one loses, because rows must
# travel to them and back. Time of this thread: other work on the machine must not count.
_TRIAL_ROWS = 1000
_SLOW_TRIAL_SECONDS = 0.08
# Fewer rows than this are done before a process has started.
_WORTH_PROCESSES = 3000
_MOST_PROCESSES = 8
# Batches under way for each process: enough to keep it busy, few enough to stay small in memory.
_AHEAD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanedRow:
    """What became of a body: the new one with its records.body_hash, or None and why."""

    body: Body | None
    hash: str = ""
    changed: tuple[str, ...] = ()
    dropped: str = ""
    flags: tuple[str, ...] = ()


# What travels back: body, hash, changed, dropped, flags. None for a body that is the one that was sent.
_Told = tuple[Body | None, str, tuple[str, ...], str, tuple[str, ...]]


class CleanersDied(PipelineError):
    """Raised when a cleaning process was killed, mostly for want of memory."""

    code = "cleaners_died"


def clean_many(
    recipe: Recipe, kind: Kind, bodies: Iterable[Body], *, processes: int | None = None
) -> Generator[CleanedRow, None, None]:
    """Each body cleaned, in the order in which they come, on at most so many processes; a quick recipe uses one.

    Raises BadConfig before the first row when the recipe cannot run here, CleanersDied when a process was killed.
    """
    _ = recipe.ready
    most = _cores() if processes is None else processes
    return _tried(recipe, kind, iter(bodies), most) if most > 1 else _alone(recipe, kind, iter(bodies))


def _alone(recipe: Recipe, kind: Kind, rows: Iterator[Body]) -> Generator[CleanedRow, None, None]:
    return (_cleaned(recipe, kind, body) for body in rows)


def _tried(recipe: Recipe, kind: Kind, rows: Iterator[Body], processes: int) -> Generator[CleanedRow, None, None]:
    """The first rows here, the others here or elsewhere by the time that those took."""
    began = time.thread_time()
    first = list(_alone(recipe, kind, islice(rows, _TRIAL_ROWS)))
    slow = time.thread_time() - began > _SLOW_TRIAL_SECONDS
    yield from first
    ahead = list(islice(rows, _WORTH_PROCESSES)) if slow else []
    rest = chain(ahead, rows)
    if len(ahead) == _WORTH_PROCESSES:
        yield from _spread(recipe, kind, rest, processes)
    else:
        yield from _alone(recipe, kind, rest)


def _cores() -> int:
    return min(
        _MOST_PROCESSES, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )


def _cleaned(recipe: Recipe, kind: Kind, body: Body) -> CleanedRow:
    cleaned = recipe.clean_body(kind, body)
    if cleaned.record is None:
        return CleanedRow(body=None, changed=cleaned.changed, dropped=cleaned.dropped)
    new = cleaned.record.body()
    return CleanedRow(body=new, hash=body_hash(kind, new), changed=cleaned.changed, flags=cleaned.flags)


def _batches(rows: Iterator[Body]) -> Iterator[list[Body]]:
    while batch := list(islice(rows, _BATCH_ROWS)):
        yield batch


def _spread(recipe: Recipe, kind: Kind, rows: Iterator[Body], processes: int) -> Generator[CleanedRow, None, None]:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(recipe, kind))
    under_way: deque[tuple[list[Body], Future[list[_Told]]]] = deque()
    try:
        for batch in _batches(rows):
            under_way.append((batch, pool.submit(_batch, batch)))
            if len(under_way) >= processes * _AHEAD:
                yield from _returned(*under_way.popleft())
        while under_way:
            yield from _returned(*under_way.popleft())
    except BrokenProcessPool as error:
        text = gettext_noop("A cleaning process was killed, mostly because the memory ran out. Try again.")
        raise CleanersDied(text) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _returned(bodies: list[Body], told: Future[list[_Told]]) -> Iterator[CleanedRow]:
    for body, (new, digest, changed, dropped, flags) in zip(bodies, told.result(), strict=True):
        same = body if new is None and not dropped else new
        yield CleanedRow(body=same, hash=digest, changed=changed, dropped=dropped, flags=flags)


# --- in the other process -------------------------------------------------------------------------------------------

_work: dict[str, tuple[Recipe, Kind]] = {}


def _begin(recipe: Recipe, kind: Kind) -> None:
    _work["now"] = (recipe, kind)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed parent closes no queue: without this the process would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _batch(bodies: list[Body]) -> list[_Told]:
    recipe, kind = _work["now"]
    return [_told(body, _cleaned(recipe, kind, body)) for body in bodies]


def _told(body: Body, row: CleanedRow) -> _Told:
    return (None if row.body == body else row.body, row.hash, row.changed, row.dropped, row.flags)
