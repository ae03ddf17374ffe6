"""One thread that decodes: requests join and leave between any two steps.

The event loop side (`submit`, `cancel`) only touches a queue behind a lock and never waits for a step. Knows no HTTP
and no text. Torch is imported by the thread, so that the process listens before that.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import structlog

from chat.engine.errors import ApiError, BadRequest, Busy, Closing
from chat.engine.fairness import FairQueue
from chat.engine.jobs import Ended, Failed, Job, Queued, Started, Token
from training.ml.errors import PipelineError

if TYPE_CHECKING:
    from chat.engine.loading import Version
    from training.ml.decode import Made, Row

log = structlog.get_logger("chatsite.engine.scheduler")

CLOSE_SECONDS = 5.0


class Scheduler:
    """`threads`: CPU threads of a step, None = as the machine has cores."""

    def __init__(self, *, queue_limit: int, threads: int | None = None) -> None:
        self.queue_limit = queue_limit
        self._changed = threading.Condition()
        self._queue: FairQueue[Job] = FairQueue()
        self._places_changed = False
        self._running: dict[Version, dict[Row, Job]] = {}  # only the thread changes it
        self._threads_wanted = threads
        self._threads = threads or 0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="runner", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Take nothing new and fail what is unfinished, soon; may be called in a signal handler."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def close(self) -> None:
        """`end`, and wait for the thread."""
        self.end()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    # --- called in the event loop ---

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def running(self) -> int:
        return sum(len(rows) for rows in list(self._running.values()))

    @property
    def threads(self) -> int:
        return self._threads_wanted or self._threads

    def set_threads(self, count: int) -> None:
        """From the next step on."""
        with self._changed:
            self._threads_wanted = count
            self._changed.notify()

    def check_room(self, expected: int = 0) -> None:
        """`expected`: requests that will come but wait for a version to load. Raises Busy when the queue is full."""
        if self.waiting + expected >= self.queue_limit:
            raise Busy(
                f"The queue is full ({self.queue_limit} requests wait). Try again later.",
                retry_after_s=max(1, min(30, self.waiting // max(1, self.running))),
            )

    def submit(self, job: Job) -> None:
        """Raises Closing."""
        with self._changed:
            if self._closing:
                raise Closing("The engine is ending. Try again later.")
            self._queue.push(job)
            self._places_changed = True
            self._changed.notify()

    def cancel(self, job: Job) -> None:
        """It leaves the queue now, or its row before the next step."""
        with self._changed:
            job.cancelled = True
            if self._queue.discard(job):
                self._places_changed = True
            self._changed.notify()

    # --- the thread ---

    def _run(self) -> None:
        self._prepare_torch()
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work)
                if self._closing:
                    break
            try:
                self._turn()
            except Exception:  # the last guard: the thread must outlive whatever a request made it do
                log.exception("turn failed")
                self._fail_everything(ApiError("The engine failed at this step."))
                time.sleep(0.1)
        self._fail_everything(Closing("The engine is ending. Try again later."))

    def _has_work(self) -> bool:
        return bool(self._closing or self._running or self._queue or self._wants_threads())

    def _wants_threads(self) -> bool:
        return self._threads_wanted is not None and self._threads_wanted != self._threads

    def _prepare_torch(self) -> None:
        import torch

        self._threads = torch.get_num_threads()

    def _turn(self) -> None:
        """One step of every version that has rows."""
        if self._wants_threads():
            self._apply_threads()
        self._remove_cancelled()
        self._admit()
        for version in list(self._running):
            self._step(version)

    def _apply_threads(self) -> None:
        import torch

        # OpenMP keeps the number per thread, so this thread has to say it.
        torch.set_num_threads(self._threads_wanted or 1)
        self._threads = self._threads_wanted or 1
        log.info("threads set", threads=self._threads)

    def _remove_cancelled(self) -> None:
        for version, rows in list(self._running.items()):
            for row, job in list(rows.items()):
                if job.cancelled:
                    self._leave(version, row)

    def _leave(self, version: Version, row: Row) -> None:
        version.decoder.remove(row)
        rows = self._running[version]
        del rows[row]
        if not rows:
            del self._running[version]

    # --- joining ---

    def _admit(self) -> None:
        """Those whose turn it is take free rows; the others hear their places when these have changed."""
        with self._changed:
            if not self._queue:
                return
            order = self._queue.order()
            admitted = []
            room = {job.version: job.version.decoder.free for job in order}
            for job in order:
                if room[job.version] > 0:
                    room[job.version] -= 1
                    self._queue.begin(job)
                    admitted.append(job)
            remaining = [job for job in order if job in self._queue]
            tell = self._places_changed or bool(admitted)
            self._places_changed = False
        for job in admitted:
            self._join(job)
        if tell:
            _tell_places(remaining)

    def _join(self, job: Job) -> None:
        from training.ml.sampling import Sampler

        wanted = job.sampling
        try:
            sampler = Sampler(temperature=wanted.temperature, top_k=wanted.top_k, top_p=wanted.top_p, seed=wanted.seed)
            job.row = job.version.decoder.add(job.prompt, sampler)
        except PipelineError as error:
            job.outbox.put(Failed(BadRequest(error.words, param="prompt", code=error.code)))
        except Exception as error:  # this request's own fault or ours: in no case the others'
            log.exception("request not admitted")
            job.outbox.put(Failed(ApiError(f"The engine failed at this request: {type(error).__name__}.")))
        else:
            self._running.setdefault(job.version, {})[job.row] = job
            job.outbox.put(Started())

    # --- decoding ---

    def _step(self, version: Version) -> None:
        try:
            made = version.decoder.step()
        except Exception as error:  # out of memory, a broken kernel: this step's requests end, the engine goes on
            log.exception("step failed", version=version.uid, requests=len(self._running[version]))
            self._fail_version(version, ApiError(f"The model failed at this step: {_words(error)}"))
            return
        for item in made:
            self._hand_out(version, item)

    def _hand_out(self, version: Version, made: Made) -> None:
        job = self._running[version][made.row]
        if made.drawn is None:
            text = "The model computed no numbers (NaN or infinity) for this request."
            job.outbox.put(Failed(ApiError(text, code="not_a_number")))
            self._leave(version, made.row)
            return
        job.made += 1
        job.outbox.put(Token(made.drawn.id, made.drawn.logprob))
        if made.drawn.id in job.stop_ids:
            self._end(version, job, made.row, Ended("stop"))
        elif job.made >= job.max_tokens:
            self._end(version, job, made.row, Ended("length"))

    def _end(self, version: Version, job: Job, row: Row, ended: Ended) -> None:
        job.outbox.put(ended)
        self._leave(version, row)

    def _fail_version(self, version: Version, error: ApiError) -> None:
        for job in self._running.pop(version, {}).values():
            job.outbox.put(Failed(error))
        version.decoder.clear()

    def _fail_everything(self, error: ApiError) -> None:
        with self._changed:
            waiting = self._queue.clear()
        for job in waiting:
            job.outbox.put(Failed(error))
        for version in list(self._running):
            self._fail_version(version, error)


def _tell_places(waiting: list[Job]) -> None:
    """Versions do not wait for each other, so each has its own line."""
    line: Counter[Version] = Counter()
    for job in waiting:
        ahead = line[job.version]
        line[job.version] += 1
        if job.told_ahead != ahead:
            job.told_ahead = ahead
            job.outbox.put(Queued(ahead))


def _words(error: Exception) -> str:
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return "not enough memory."
    return f"{type(error).__name__}."
