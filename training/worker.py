"""Watches one trainer process for one claimed run, inside a thread of the queue's worker.

Starts it, keeps the claim alive, passes on what people ask, and settles what the trainer could not write itself.
Knows nothing of what a trainer does, and loads no torch.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import IO

import structlog
from django.conf import settings
from django.db import Error, close_old_connections
from django.utils.translation import gettext_noop

from training import devices, runs, serving, storage
from training.leash import leashed
from training.ml.errors import is_disk_full
from training.ml.texts import Words, words
from training.models import TrainingRun
from training.runs import Ask

LOOK_SECONDS = 0.2
BEAT_SECONDS = 2.0
# Together with one look and the trainer's own last step this stays under the five seconds a cancel may take.
GRACE_SECONDS = 4.0
LEASE_LOOK_SECONDS = 3.0
TAIL_BYTES = 8192

log = structlog.get_logger(__name__)
stopping = threading.Event()
_watching = threading.Lock()


def name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def watch_leases(*, ring: Callable[[], object]) -> None:
    """Begin to look for lost runs, once a process: the queue's own clock ticks only once a minute."""
    if _watching.acquire(blocking=False):
        threading.Thread(target=_watch_leases, args=(ring,), name="leases", daemon=True).start()


def _watch_leases(ring: Callable[[], object]) -> None:
    seen: dict[int, datetime] = {}
    threads = 0
    while not stopping.wait(LEASE_LOOK_SECONDS):
        close_old_connections()
        try:
            if runs.reap_lost(seen):
                ring()
            seen = runs.silent()
            threads = _share_cores(threads)
        except Error as error:
            log.warning("no look at the leases", cause=str(error))


def _share_cores(before: int) -> int:
    """Say the engine's share again while a run takes cores, and once when none does any more; returns that share.

    A killed worker could not give the cores back, and an engine that was started again takes all of them.
    """
    training = devices.CPU in runs.busy_devices()
    share = _engine_share(devices.CPU) if training else devices.cores()
    if training or share != before:
        _set_engine_threads(share)
    return share


def work_one() -> bool:
    """Claim the best waiting run and stay with it until it leaves the device; False when there was none."""
    run = None if stopping.is_set() else runs.claim(name())
    if run is None:
        return False
    log.info("run claimed", run=run.pk, device=run.device, attempt=run.attempt)
    with _engine_gives_way(run.device):
        try:
            watch = _Watch(run)
        except OSError as error:
            log.exception("trainer not started", run=run.pk)
            runs.fail(run, run.claim_token, _not_started(error))
        else:
            watch.stay()
    return True


def _not_started(error: OSError) -> Words:
    if is_disk_full(error):
        return words(gettext_noop("The disk is full. Make room and start the run again."))
    return words(gettext_noop("The trainer could not be started: %(why)s."), why=error.strerror or str(error))


def measure(model_uid: str, dataset_sha256: str) -> None:
    """Compute the figures of a model on a version, in a process of its own because it needs torch."""
    command = [sys.executable, "manage.py", "evaluate", model_uid, dataset_sha256]
    environment = os.environ | devices.environment(devices.CPU)
    done = subprocess.run(leashed(command), cwd=settings.BASE_DIR, env=environment, capture_output=True, check=False)
    log.info("measured", model=model_uid, dataset=dataset_sha256, returncode=done.returncode)
    if done.returncode != 0:
        log.error("not measured", model=model_uid, output=done.stderr.decode("utf-8", "replace")[-TAIL_BYTES:])


class _Tail:
    """The last bytes of a stream, read by a thread of its own so that the writer never blocks."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._kept = b""
        self._thread = threading.Thread(target=self._drain, args=(stream,), name="trainer-output", daemon=True)
        self._thread.start()

    def _drain(self, stream: IO[bytes]) -> None:
        with stream:
            while chunk := stream.read1(4096):  # type: ignore[attr-defined]
                self._kept = (self._kept + chunk)[-TAIL_BYTES:]

    def text(self) -> str:
        self._thread.join(timeout=2)
        return self._kept.decode("utf-8", "replace").strip()


class _Watch:
    """One trainer process and the run it works for."""

    def __init__(self, run: TrainingRun) -> None:
        self.run = run
        self.token = run.claim_token
        self.asked: Ask | str = ""
        self.process = _start(run)
        self.tail = _Tail(self.process.stdout)  # type: ignore[arg-type]
        self._last_beat = 0.0
        self._kill_at = float("inf")

    def stay(self) -> None:
        try:
            while self.process.poll() is None:
                self._look()
                time.sleep(LOOK_SECONDS)
        finally:
            _signal_group(self.process, signal.SIGKILL)  # whatever went wrong here, no trainer stays behind
            returncode = self.process.wait()
        self._settle(returncode)

    def _look(self) -> None:
        try:
            self._beat()
            wanted = runs.asked(self.run.pk, self.token) or ("shutdown" if stopping.is_set() else "")
        except Error as error:
            # A full disk or a lock held too long passes; a lease that runs out meanwhile is somebody else's to take.
            log.warning("no look at the run", run=self.run.pk, cause=str(error))
            return
        if wanted and not self.asked:
            self.asked = wanted
            self._end()
        if time.monotonic() > self._kill_at:
            _signal_group(self.process, signal.SIGKILL)

    def _beat(self) -> None:
        if time.monotonic() - self._last_beat > BEAT_SECONDS:
            runs.beat(self.run.pk, self.token, pid=self.process.pid)
            self._last_beat = time.monotonic()

    def _end(self) -> None:
        self._kill_at = time.monotonic() + GRACE_SECONDS
        # "lost" is also how a finished run looks: its trainer is tidying up and ends by itself.
        if self.asked != "lost":
            log.info("trainer asked to end", run=self.run.pk, why=self.asked)
            _signal_group(self.process, signal.SIGTERM)

    def _settle(self, returncode: int) -> None:
        """Write the end that the trainer did not write: it was killed, it could not start, or it ran out of time."""
        log.info("trainer ended", run=self.run.pk, returncode=returncode)
        if runs.asked(self.run.pk, self.token) != "lost":
            self._move(returncode)
        if returncode != 0:
            TrainingRun.objects.filter(pk=self.run.pk, status=TrainingRun.Status.FAILED).update(
                error_log=self.tail.text()
            )

    def _move(self, returncode: int) -> None:
        if self.asked:
            runs.stop(self.run, self.token)
        elif returncode < 0:
            text = gettext_noop("The trainer was ended by signal %(signal)s.")
            runs.lose(self.run, self.token, words(text, signal=signal.Signals(-returncode).name))
        else:
            text = gettext_noop("The trainer ended by itself with exit status %(status)d; its last words are below.")
            runs.fail(self.run, self.token, words(text, status=returncode))


def _start(run: TrainingRun) -> subprocess.Popen[bytes]:
    """The trainer in a session of its own, so that a signal reaches all of its processes and nobody else."""
    storage.run_dir(run.pk).mkdir(parents=True, exist_ok=True)
    trainer = [sys.executable, "-m", "training.child", str(run.pk), run.claim_token]
    return subprocess.Popen(
        leashed(trainer),
        cwd=settings.BASE_DIR,
        env=os.environ | devices.environment(run.device),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


@contextmanager
def _engine_gives_way(device: str) -> Iterator[None]:
    """Leave the trainer its cores for as long as it runs; an engine that is down has none to give."""
    if device == devices.CPU:
        _set_engine_threads(_engine_share(device))
    try:
        yield
    finally:
        if device == devices.CPU:
            _set_engine_threads(devices.cores())


def _engine_share(device: str) -> int:
    return max(1, devices.cores() - devices.trainer_threads(device))


def _set_engine_threads(count: int) -> None:
    try:
        serving.set_threads(count)
    except serving.EngineError as error:
        log.debug("engine threads not set", count=count, cause=str(error))
