"""The worker and its trainer as real processes: killed at any level, cancelled, paused, stopped."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import psutil
import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from tests.training.machinery import a_run, real_model, real_version
from training import devices, runs, serving, storage, worker
from training.models import ModelVersion, RunEvent, TrainingRun

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

Status = TrainingRun.Status
LONG = {"method": "sft", "epochs": 60.0, "batch_size": 4, "max_length": 64, "patience": 0, "evaluations": 12}
PATIENCE_SECONDS = 120


@pytest.fixture(autouse=True)
def processes_see_this_database(monkeypatch) -> Iterator[None]:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.training.process_settings")
    yield
    worker.stopping.clear()


def queued(**config) -> TrainingRun:
    return a_run(base=real_model(is_active=True), dataset=real_version(), config=LONG | config)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)


def told(run: TrainingRun, kind: str) -> int:
    return RunEvent.objects.filter(run=run, kind=kind).count()


@contextmanager
def working() -> Iterator[threading.Thread]:
    """A worker thread that stays with one run, as huey's would."""

    def work() -> None:
        worker.work_one()
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield thread
    finally:
        worker.stopping.set()
        thread.join(timeout=30)
        worker.stopping.clear()
        assert not thread.is_alive()


def assert_told_once(run: TrainingRun) -> None:
    """Every step once and in order, every number once, up to the last step."""
    events = list(RunEvent.objects.filter(run=run))
    steps = [event.step for event in events if event.kind == "step"]
    evaluations = [event.step for event in events if event.kind == "evaluated"]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert steps == sorted(set(steps)), steps
    assert steps[-1] == run.total_steps
    assert evaluations == sorted(set(evaluations)), evaluations
    assert len(evaluations) == run.config["evaluations"]


def test_a_killed_trainer_resumes_and_tells_everything_once():
    run = queued()

    with working() as thread:
        until(lambda: told(run, "checkpoint") >= 2 and told(run, "step") >= 2)
        run.refresh_from_db()
        assert run.pid is not None
        os.kill(run.pid, signal.SIGKILL)
        thread.join(timeout=30)
    run.refresh_from_db()
    assert (run.status, run.attempt) == (Status.QUEUED, 1)

    with working() as thread:
        thread.join(timeout=PATIENCE_SECONDS)
    run.refresh_from_db()
    assert (run.status, run.error) == (Status.SUCCEEDED, "")
    assert RunEvent.objects.filter(run=run, data__code="resumed").count() == 1
    assert ModelVersion.objects.filter(run=run).count() == 1
    assert_told_once(run)


def test_a_cancel_is_heard_within_five_seconds_and_the_checkpoints_go():
    run = queued(epochs=1000.0)

    with working() as thread:
        until(lambda: told(run, "checkpoint") >= 1)
        asked_at = time.monotonic()
        runs.request_cancel(run)
        thread.join(timeout=30)
        seconds = time.monotonic() - asked_at

    run.refresh_from_db()
    assert run.status == Status.CANCELLED
    assert seconds < 5
    assert not storage.run_dir(run.pk).exists()


def test_a_worker_that_is_told_to_stop_gives_its_run_back_uncounted():
    run = queued(epochs=1000.0)

    with working() as thread:
        until(lambda: told(run, "step") >= 1)
        worker.stopping.set()
        thread.join(timeout=30)

    run.refresh_from_db()
    assert (run.status, run.attempt, run.claim_token) == (Status.QUEUED, 0, "")


def test_a_trainer_that_cannot_start_fails_with_its_last_words(monkeypatch):
    run = queued()
    monkeypatch.setenv("CHATSITE_PORT", "no number")

    with working() as thread:
        thread.join(timeout=60)

    run.refresh_from_db()
    assert run.status == Status.FAILED
    assert "CHATSITE_PORT" in run.error_log


@pytest.mark.parametrize(
    ("error", "text"), [(OSError(errno.ENOSPC, "No space left on device"), "disk is full"), (OSError("odd"), "odd")]
)
def test_a_trainer_that_is_not_even_started_fails_in_words(monkeypatch, error, text):
    run = a_run()

    def start(_run: TrainingRun) -> None:
        raise error

    monkeypatch.setattr(worker, "_start", start)
    assert worker.work_one()

    run.refresh_from_db()
    assert run.status == Status.FAILED
    assert text in run.error


def test_the_engine_gets_its_share_again_and_its_cores_back(monkeypatch):
    told: list[int] = []
    monkeypatch.setattr(serving, "set_threads", told.append)
    monkeypatch.setattr(devices, "cores", lambda: 4)

    idle = worker._share_cores(0)
    assert worker._share_cores(idle) == 4
    a_run(status=Status.RUNNING, device="cpu", claim_token="t")
    shared = worker._share_cores(worker._share_cores(idle))
    TrainingRun.objects.update(status=Status.PAUSED)
    worker._share_cores(shared)

    assert told == [4, 3, 3, 4]


def start_worker() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "manage.py", "run_huey"], cwd=settings.BASE_DIR)


def test_a_killed_worker_takes_its_trainer_along_and_the_next_one_resumes():
    run = queued()

    first = start_worker()
    until(lambda: told(run, "checkpoint") >= 1)
    run.refresh_from_db()
    first.kill()
    first.wait()
    until(lambda: not psutil.pid_exists(run.pid) or psutil.Process(run.pid).status() == psutil.STATUS_ZOMBIE)
    # What fifteen seconds of silence would do.
    late = timezone.now() - timedelta(seconds=runs.LEASE_SECONDS + 1)
    TrainingRun.objects.filter(pk=run.pk).update(beat=late)

    second = start_worker()
    try:
        until(lambda: TrainingRun.objects.get(pk=run.pk).is_finished)
    finally:
        second.terminate()
        second.wait(timeout=30)

    run.refresh_from_db()
    assert (run.status, run.attempt) == (Status.SUCCEEDED, 1)
    assert_told_once(run)
