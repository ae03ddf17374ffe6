"""The trainer: one real attempt in this process, and how its failures are told."""

from __future__ import annotations

import errno

import pytest
from django.db import OperationalError

from tests.training.machinery import a_run, real_model, real_version
from training import attempt, runs, storage, wording
from training.ml.errors import BadDataset
from training.ml.records import Event
from training.models import Evaluation, ModelVersion, RunEvent, TrainingRun

Status = TrainingRun.Status
CONFIG = {"method": "sft", "epochs": 2.0, "batch_size": 8, "max_length": 64, "learning_rate": 0.003, "evaluations": 2}


@pytest.fixture
def run(transactional_db) -> TrainingRun:
    a_run(base=real_model(is_active=True), dataset=real_version(), name="小试", config=CONFIG)
    claimed = runs.claim("alice:1")
    assert claimed is not None
    return claimed


def test_a_run_ends_as_a_registered_model_with_figures_of_both(run):
    attempt.execute(run.pk, run.claim_token)

    run.refresh_from_db()
    model = ModelVersion.objects.get(run=run)
    assert (run.status, run.error) == (Status.SUCCEEDED, "")
    assert model.name.startswith("ft:tiny:chatsite:小试:") and model.parent == run.base
    assert storage.model_dir(model.uid).is_dir() and not storage.run_dir(run.pk).exists()
    for other in (model, run.base):
        assert Evaluation.objects.filter(model=other, split="test", metric="bits_per_byte").exists()


def test_events_of_a_run_are_in_order_and_end_in_its_states(run):
    attempt.execute(run.pk, run.claim_token)

    events = list(RunEvent.objects.filter(run=run))
    steps = [event.step for event in events if event.kind == "step"]
    states = [event.data["state"] for event in events if "state" in event.data]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert steps == sorted(set(steps)) and steps[-1] == run.__class__.objects.get(pk=run.pk).total_steps
    assert states == ["running", "evaluating", "succeeded"]


def test_a_run_killed_between_publishing_and_registering_is_registered_once(run):
    storage.model_dir(attempt.version_id(run)).mkdir(parents=True)

    attempt.execute(run.pk, run.claim_token)

    assert ModelVersion.objects.filter(uid=attempt.version_id(run)).count() == 1


def test_a_wrong_claim_does_nothing(run):
    attempt.execute(run.pk, "another token")

    run.refresh_from_db()
    assert run.status == Status.RUNNING


def test_missing_data_fails_in_words(run):
    TrainingRun.objects.filter(pk=run.pk).update(method="dpo")

    attempt.execute(run.pk, run.claim_token)

    run.refresh_from_db()
    assert run.status == Status.FAILED
    assert "dpo" in run.error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate"), "batch"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk"),
        (OperationalError("database or disk is full"), "disk"),
        (KeyError("x"), "KeyError"),
    ],
)
def test_surprises_are_told_in_words(error, words, settings):
    settings.LANGUAGE_CODE = "en"
    from django.utils import translation

    with translation.override("en"):
        assert words in wording.say(attempt.in_words(error))


def test_what_was_told_before_a_kill_is_not_told_again(run):
    tell = attempt.Teller(run, run.claim_token)
    told = [Event(kind="step", step=step, data={"loss": 1.0}) for step in (1, 4, 7)]
    samples = [Event(kind="sample", step=7, data={"answer": word}) for word in ("a", "b", "c")]
    for event in [*told, *samples[:2]]:
        tell(event)

    again = attempt.Teller(run, run.claim_token)
    for event in [*told, Event(kind="step", step=9, data={"loss": 0.5}), *samples]:
        again(event)

    events = RunEvent.objects.filter(run=run).exclude(kind="note").values_list("kind", "step")
    assert sorted(events) == [("sample", 7)] * 3 + [("step", step) for step in (1, 4, 7, 9)]


def test_a_checkpoint_is_told_once_whoever_asks_for_it(run):
    tell = attempt.Teller(run, run.claim_token)
    for step in (4, 8, 8):
        tell(Event(kind="checkpoint", step=step, data={"best_step": 4}))

    attempt.Teller(run, run.claim_token)(Event(kind="checkpoint", step=8, data={"best_step": 4}))

    assert list(RunEvent.objects.filter(run=run, kind="checkpoint").values_list("step", flat=True)) == [4, 8]


def test_a_trainer_without_its_claim_is_told_to_stop(run):
    tell = attempt.Teller(run, run.claim_token)
    runs.advance(run, Status.QUEUED, run.claim_token)

    tell(Event(kind="step", step=1, data={"loss": 1.0}))

    assert tell.claim_lost
    assert not RunEvent.objects.filter(run=run, kind="step").exists()


def test_damaged_data_is_named(run):
    path = storage.dataset_dir(run.dataset.sha256) / "train.arrow"
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    try:
        attempt.execute(run.pk, run.claim_token)
    finally:
        path.write_bytes(whole)

    run.refresh_from_db()
    assert run.status == Status.FAILED
    assert "train.arrow" in run.error
    assert issubclass(BadDataset, Exception)
