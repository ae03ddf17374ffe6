"""Training from a terminal: what the commands print, and how they exit."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.training.machinery import a_model, a_run, a_version, real_model, real_version
from training import serving
from training.models import ModelVersion, TrainingRun

pytestmark = pytest.mark.django_db

Status = TrainingRun.Status


def output(*words: str) -> str:
    stream = StringIO()
    call_command(*words, stdout=stream)
    return stream.getvalue()


def test_create_queues_a_run_with_what_was_given(monkeypatch):
    model, version = real_model(is_active=True), real_version()

    told = json.loads(output("finetune", "create", "--dataset", str(version.pk), "--epochs", "2", "--json"))

    run = TrainingRun.objects.get()
    assert (told["run"], told["status"], told["base"]) == (run.pk, "queued", model.name)
    assert run.config["epochs"] == 2.0


def test_a_value_out_of_range_is_refused_in_words():
    real_model(is_active=True)

    with pytest.raises(CommandError, match="epochs"):
        output("finetune", "create", "--dataset", real_version().name, "--epochs", "0")


def test_list_and_cancel():
    run = a_run(name="第一次")

    assert "第一次" in output("finetune", "list")
    output("finetune", "cancel", str(run.pk))

    run.refresh_from_db()
    assert run.status == Status.CANCELLED
    with pytest.raises(CommandError):
        output("finetune", "cancel", str(run.pk))


def test_following_a_run_that_failed_exits_with_one():
    run = a_run(status=Status.FAILED, error="It broke.", finished_at="2026-01-01T00:00Z")

    with pytest.raises(CommandError, match="It broke") as failed:
        output("finetune", "follow", str(run.pk))

    assert failed.value.returncode == 1


def test_results_of_a_run_without_any():
    assert json.loads(output("finetune", "results", str(a_run().pk), "--json"))["figures"] == []


def test_a_closed_gate_exits_with_two_and_an_override_opens_it(monkeypatch):
    monkeypatch.setattr(serving, "load_version", lambda uid: {})
    a_model(is_active=True)
    candidate = a_model(dataset=a_version())

    with pytest.raises(CommandError) as closed:
        output("activate", candidate.uid)
    assert closed.value.returncode == 2

    output("activate", candidate.uid, "--override", "demo")
    assert ModelVersion.objects.get(is_active=True) == candidate


def test_evaluate_keeps_and_prints_the_figures():
    real_model(is_active=True)

    told = json.loads(output("evaluate", "active", real_version().sha256, "--json"))

    assert {"bits_per_byte", "perplexity", "token_accuracy", "sequence_accuracy"} <= {row["metric"] for row in told}


def test_unknown_names_are_said():
    with pytest.raises(CommandError, match="no model"):
        output("activate", "nobody")
