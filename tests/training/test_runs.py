"""The life of a run: who may move it, when, and what a late or doubled mover gets."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from tests.training.machinery import a_run
from training import devices, runs, storage
from training.ml.records import Event
from training.ml.texts import words
from training.models import RunEvent, TrainingRun

Status = TrainingRun.Status


def claimed(**fields) -> TrainingRun:
    a_run(**fields)
    run = runs.claim("alice:1")
    assert run is not None
    return run


@pytest.mark.django_db(transaction=True)
def test_eight_workers_claim_a_run_once():
    run = a_run()
    barrier, winners = threading.Barrier(8), []

    def work(number: int) -> None:
        barrier.wait()
        taken = runs.claim(f"worker:{number}")
        winners.extend([taken.worker] if taken else [])
        connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    run.refresh_from_db()
    assert winners == [run.worker]
    assert run.status == Status.RUNNING


@pytest.mark.django_db
def test_a_busy_device_takes_no_second_run():
    claimed()
    a_run()

    assert runs.claim("bob:2") is None


@pytest.mark.django_db
def test_the_higher_priority_goes_first_then_the_older():
    older, newer = a_run(), a_run()
    urgent = a_run(priority=5)

    assert [runs.queue_position(run) for run in (urgent, older, newer)] == [0, 1, 2]
    assert runs.claim("alice:1") == urgent


@pytest.mark.django_db
def test_a_run_moves_only_along_its_table():
    run = a_run()

    assert not runs.advance(run, Status.SUCCEEDED)
    assert not runs.advance(run, Status.PAUSED)
    run.refresh_from_db()
    assert run.status == Status.QUEUED


@pytest.mark.django_db
def test_a_stale_claim_can_write_nothing():
    run = claimed()

    assert not runs.record(run.pk, "another token", [Event(kind="step", step=1, data={"loss": 1.0})])
    assert not runs.advance(run, Status.FAILED, "another token", error="no")
    assert not runs.beat(run.pk, "another token")
    run.refresh_from_db()
    assert (run.status, run.loss) == (Status.RUNNING, None)


@pytest.mark.django_db
def test_events_are_numbered_without_gaps_and_fill_the_columns():
    run = claimed()
    step = {"loss": 2.5, "total": 40, "tokens_per_second": 900.0, "eta_seconds": 3.0}

    runs.record(run.pk, run.claim_token, [Event(kind="step", step=4, data=step)])
    runs.record(run.pk, run.claim_token, [Event(kind="evaluated", step=4, data={"loss": 2.25})])

    run.refresh_from_db()
    assert list(RunEvent.objects.filter(run=run).values_list("seq", "kind")) == [
        (1, "note"),
        (2, "step"),
        (3, "evaluated"),
    ]
    assert (run.step, run.total_steps, run.loss, run.validation_loss) == (4, 40, 2.5, 2.25)


@pytest.mark.django_db
def test_a_lost_worker_gives_its_run_back_and_keeps_its_place():
    run = claimed()
    TrainingRun.objects.filter(pk=run.pk).update(beat=timezone.now() - timedelta(seconds=runs.LEASE_SECONDS + 1))

    assert runs.reap_lost({}) == 0, "one look may come just after the machine woke up"
    assert runs.reap_lost(runs.silent()) == 1

    lost = TrainingRun.objects.get(pk=run.pk)
    assert (lost.status, lost.attempt, lost.claim_token, lost.queued_at) == (Status.QUEUED, 1, "", run.queued_at)


@pytest.mark.django_db
def test_a_living_worker_keeps_its_run():
    claimed()

    assert runs.silent() == {}


@pytest.mark.django_db
def test_a_worker_that_was_suspended_with_its_machine_keeps_its_run():
    run = claimed()
    TrainingRun.objects.filter(pk=run.pk).update(beat=timezone.now() - timedelta(hours=8))
    seen = runs.silent()
    assert seen

    runs.beat(run.pk, run.claim_token)

    assert runs.reap_lost(seen) == 0
    TrainingRun.objects.filter(pk=run.pk).update(beat=timezone.now() - timedelta(hours=1))
    assert runs.reap_lost(seen) == 0, "silent again, but not since then"


@pytest.mark.django_db
def test_a_pause_that_was_asked_outlives_the_trainer():
    run = claimed()
    runs.request_pause(run)

    runs.lose(run, run.claim_token, words("Killed."))

    assert (run.status, run.attempt) == (Status.PAUSED, 1)


@pytest.mark.django_db
@pytest.mark.parametrize("status", [Status.QUEUED, Status.PAUSED])
def test_a_cancelled_run_leaves_no_checkpoints(status, django_capture_on_commit_callbacks):
    run = a_run(status=status)
    (storage.run_dir(run.pk) / "checkpoint-5").mkdir(parents=True, exist_ok=True)

    with django_capture_on_commit_callbacks(execute=True):
        runs.request_cancel(run)

    assert not storage.run_dir(run.pk).exists()


@pytest.mark.django_db
def test_a_failed_run_leaves_no_checkpoints(django_capture_on_commit_callbacks):
    run = claimed()
    storage.run_dir(run.pk).mkdir(parents=True, exist_ok=True)

    with django_capture_on_commit_callbacks(execute=True):
        runs.fail(run, run.claim_token, words("No."))

    assert not storage.run_dir(run.pk).exists()


@pytest.mark.django_db
def test_two_gpus_take_two_runs_and_each_sees_one(monkeypatch):
    names = ("cuda:GPU-8f6d3c1e-0a2b-4c5d-9e7f-112233445566", "cuda:1")
    monkeypatch.setattr(devices, "slots", lambda: names)

    taken = [claimed().device, claimed().device]

    assert taken == list(names)
    seen = [devices.environment(device)["CUDA_VISIBLE_DEVICES"] for device in (*taken, devices.CPU)]
    assert seen == ["GPU-8f6d3c1e-0a2b-4c5d-9e7f-112233445566", "1", ""]


@pytest.mark.django_db
def test_a_run_whose_trainer_keeps_dying_fails_in_words():
    run = claimed(attempt=runs.MOST_DEATHS)

    runs.lose(run, run.claim_token, words("Killed."))

    assert run.status == Status.FAILED
    assert run.finished_at is not None
    assert run.error == "Killed. That was the last of 4 attempts."


@pytest.mark.django_db
def test_a_waiting_run_is_cancelled_at_once_and_a_training_one_is_asked():
    waiting, training = a_run(), a_run(priority=1)
    runs.claim("alice:1")

    runs.request_cancel(waiting)
    runs.request_cancel(training)

    training.refresh_from_db()
    assert waiting.status == Status.CANCELLED
    assert (training.status, training.cancel_requested_at is not None) == (Status.RUNNING, True)
    assert runs.asked(training.pk, training.claim_token) == "cancel"
    assert runs.stop(training, training.claim_token) and training.status == Status.CANCELLED


@pytest.mark.django_db
def test_a_finished_run_cannot_be_cancelled():
    run = claimed()
    runs.advance(run, Status.FAILED, run.claim_token, error="no")

    with pytest.raises(runs.RunRefused):
        runs.request_cancel(run)


@pytest.mark.django_db
def test_a_paused_run_goes_on_from_the_queue():
    run = claimed()
    runs.request_pause(run)
    assert runs.stop(run, run.claim_token) and run.status == Status.PAUSED

    runs.resume_run(run)

    assert (run.status, run.pause_requested_at, run.attempt) == (Status.QUEUED, None, 0)


@pytest.mark.django_db
def test_a_pause_during_the_evaluation_comes_too_late():
    run = claimed()
    runs.request_pause(run)
    runs.advance(run, Status.EVALUATING, run.claim_token)

    assert runs.asked(run.pk, run.claim_token) == ""
    with pytest.raises(runs.RunRefused):
        runs.request_pause(run)
