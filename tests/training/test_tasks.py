"""The bell of the queue: rung after commit, heard without a key, and never a reason to lose a row."""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.conf import settings
from django.db import transaction

from training import tasks, worker


def test_a_ring_waits_for_the_commit(db, django_capture_on_commit_callbacks, monkeypatch):
    looked: list[int] = []
    monkeypatch.setattr(worker, "work_one", lambda: looked.append(1))

    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        tasks.ring_runs()
        assert looked == []

    assert looked == [1]


def test_a_worker_that_ends_takes_nothing_new(db):
    worker.stopping.set()
    try:
        assert worker.work_one() is False
    finally:
        worker.stopping.clear()


@pytest.mark.parametrize("module", ["training.tasks", "training.admin", "training.worker", "chatsite.urls"])
def test_web_and_worker_load_no_torch(module):
    code = f"import django; django.setup(); import sys, {module}; sys.exit('torch' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], cwd=settings.BASE_DIR, check=False)

    assert done.returncode == 0
