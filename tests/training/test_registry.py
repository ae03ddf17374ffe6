"""Which model answers: the gate, the compare-and-set of an activation, and what a refusal leaves behind."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest
from django.contrib.auth.models import User

from tests.training.machinery import a_model, a_run, a_version, real_model
from training import registry, serving
from training.ml.errors import BadModel
from training.models import Activation, DatasetVersion, Evaluation, ModelVersion

pytestmark = pytest.mark.django_db


@pytest.fixture
def engine(monkeypatch) -> list[str]:
    """The engine is another process: here it takes every model and remembers which."""
    loaded: list[str] = []
    monkeypatch.setattr(serving, "load_version", loaded.append)
    return loaded


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice")


@pytest.fixture
def active() -> ModelVersion:
    return a_model(is_active=True)


def trained(dataset: DatasetVersion | None = None, **fields) -> ModelVersion:
    return a_model(dataset=dataset or a_version(), origin="trained", **fields)


def measured(model: ModelVersion, dataset: DatasetVersion | None, value: float, **fields) -> None:
    facts = {"split": "test", "metric": "bits_per_byte", "n": 5} | fields
    Evaluation.objects.create(model=model, dataset=dataset, value=value, **facts)


def test_a_better_model_replaces_the_one_that_answers(engine, alice, active):
    better = trained()
    measured(better, better.dataset, 1.0)
    measured(active, better.dataset, 2.0)

    activation = registry.activate(better, replaces=active, user=alice)

    assert registry.active_model() == better
    assert (activation.replaced, activation.user, activation.overridden) == (active, alice, False)
    assert engine == [better.uid]


@pytest.mark.parametrize("value", [2.0, 2.5])
def test_no_gain_on_its_own_test_closes_the_gate(engine, alice, active, value):
    candidate = trained()
    measured(candidate, candidate.dataset, value)
    measured(active, candidate.dataset, 2.0)

    with pytest.raises(registry.GateBlocked) as blocked:
        registry.activate(candidate, replaces=active, user=alice)

    assert blocked.value.report.blocked
    assert registry.active_model() == active
    assert engine == []


def test_a_model_that_was_never_compared_is_blocked(alice, active):
    assert registry.gate(trained(), active).blocked


def test_a_model_from_a_directory_is_let_through_with_a_note(engine, alice, active):
    added = a_model()

    report = registry.gate(added, active)

    assert not report.blocked and len(report.notes) == 2
    assert registry.activate(added, replaces=active, user=alice).overridden is False


def test_a_version_without_test_rows_is_let_through_with_a_note(active):
    small = a_version(kind="pair", counts={"train": 4, "validation": 0, "test": 0, "phrasing": 0})

    assert not registry.gate(trained(small), active).blocked


def test_too_few_rows_to_tell_close_no_gate(active):
    small = a_version(kind="pair", counts={"train": 4, "validation": 1, "test": 1, "phrasing": 0})
    candidate = trained(small)
    for model in (candidate, active):
        measured(model, small, 1.0, metric="preference_accuracy", n=1)

    report = registry.gate(candidate, active)

    assert not report.blocked
    assert len(report.notes) == 2, "too few to tell, and no canaries"


def test_a_worse_canary_closes_the_gate_without_test_rows_too(active):
    small = a_version(counts={"train": 4, "test": 0})
    candidate = trained(small)
    measured(candidate, small, 3.0, split="canary:0a1b2c3d")
    measured(active, small, 2.0, split="canary:0a1b2c3d", low=1.5, high=2.5)

    assert registry.gate(candidate, active).blocked


def test_a_retired_model_answers_no_more(engine, alice, active):
    retired = a_model(retired_at="2026-01-01T00:00Z")

    with pytest.raises(BadModel, match="retired"):
        registry.activate(retired, replaces=active, user=alice)

    assert engine == []
    assert registry.active_model() == active


def test_preference_tuning_is_judged_by_preferences(active):
    pairs = a_version(kind="pair")
    candidate = trained(pairs)
    measured(candidate, pairs, 5.0)
    measured(active, pairs, 2.0)
    measured(candidate, pairs, 0.9, metric="preference_accuracy")
    measured(active, pairs, 0.5, metric="preference_accuracy")

    assert not registry.gate(candidate, active).blocked


def test_a_worse_canary_closes_the_gate_in_spite_of_a_gain(active):
    candidate = trained()
    for model, own, canary in ((candidate, 1.0, 3.0), (active, 2.0, 2.0)):
        measured(model, candidate.dataset, own)
        measured(model, candidate.dataset, canary, split="canary:0a1b2c3d", low=canary - 0.5, high=canary + 0.5)

    report = registry.gate(candidate, active)

    assert report.blocked and len(report.reasons) == 1
    assert len(report.comparisons) == 2


def test_a_canary_within_the_interval_is_let_through(active):
    candidate = trained()
    for model, own, canary in ((candidate, 1.0, 2.4), (active, 2.0, 2.0)):
        measured(model, candidate.dataset, own)
        measured(model, candidate.dataset, canary, split="canary:0a1b2c3d", low=canary - 0.5, high=canary + 0.5)

    assert not registry.gate(candidate, active).blocked


def test_an_override_is_kept_with_its_reason(engine, alice, active):
    candidate = trained()

    activation = registry.activate(candidate, replaces=active, user=alice, override=True, note="demo")

    assert activation.overridden
    assert activation.gate["override_reason"] == "demo"
    assert activation.gate["reasons"]


def test_two_operators_get_one_activation_and_a_name(engine, alice, active):
    bob = User.objects.create_user("bob")
    first, second = trained(), trained()
    registry.activate(first, replaces=active, user=alice, override=True, note="first")

    with pytest.raises(registry.StaleActivation, match="alice"):
        registry.activate(second, replaces=active, user=bob, override=True, note="second")

    assert registry.active_model() == first
    assert Activation.objects.count() == 1


def test_a_switch_while_the_model_loads_is_noticed(monkeypatch, alice, active):
    other = trained()

    def load(uid: str) -> None:
        ModelVersion.objects.filter(pk=active.pk).update(is_active=False)
        ModelVersion.objects.filter(pk=other.pk).update(is_active=True)

    monkeypatch.setattr(serving, "load_version", load)
    with pytest.raises(registry.StaleActivation):
        registry.activate(trained(), replaces=active, user=alice, override=True, note="late")

    assert registry.active_model() == other


@pytest.mark.parametrize("refusal", [serving.EngineDown("gone"), serving.EngineRefused("no room", code="no_memory")])
def test_an_engine_that_says_no_changes_nothing(monkeypatch, alice, active, refusal):
    def load(uid: str) -> None:
        raise refusal

    monkeypatch.setattr(serving, "load_version", load)
    with pytest.raises(type(refusal)):
        registry.activate(trained(), replaces=active, user=alice, override=True, note="try")

    assert registry.active_model() == active
    assert not Activation.objects.exists()


def test_going_back_needs_no_comparison(engine, alice, active):
    Activation.objects.create(model=active)
    worse = trained()
    registry.activate(worse, replaces=active, user=alice, override=True, note="try")

    back = registry.roll_back(user=alice, replaces=worse)

    assert (back.model, back.replaced, back.overridden) == (active, worse, False)
    assert registry.active_model() == active


def test_there_is_nothing_to_go_back_to_at_first(alice, active):
    with pytest.raises(BadModel):
        registry.roll_back(user=alice)


def test_a_directory_is_registered_once_with_its_facts():
    model = real_model()

    assert real_model().pk == model.pk
    assert model.context_length == 64
    assert model.parameters > 10_000
    assert len(model.weights_sha256) == len(model.tokenizer_sha256) == 64


def test_what_reads_a_foreign_model_dies_with_us(monkeypatch, tmp_path):
    commands: list[list[str]] = []

    def run(command: list[str], **_options: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 1, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(BadModel):
        registry.add_base(tmp_path, name="foreign")

    assert commands[0][1:4] == ["-m", "chatsite.leash", str(os.getpid())]


def test_a_name_keeps_the_first_base_and_fits():
    base = a_model(name="ft:starter:chatsite:old:01234567")
    name = registry.trained_name(a_run(base=base, name="长" * 80), "run-7-89abcdef")

    assert name.startswith("ft:starter:chatsite:长") and name.endswith(":89abcdef")
    assert len(name) <= registry.NAME_LENGTH


def test_the_starter_answers_where_nothing_does(monkeypatch):
    from tests.training.machinery import tiny_base

    monkeypatch.setattr(registry, "STARTER_DIR", tiny_base())

    starter = registry.install_starter()

    assert starter is not None and starter == registry.install_starter() == registry.active_model()
    assert starter.origin == ModelVersion.Origin.STARTER


def test_the_starter_takes_nobodys_place(monkeypatch, active):
    from tests.training.machinery import tiny_base

    monkeypatch.setattr(registry, "STARTER_DIR", tiny_base())

    registry.install_starter()

    assert registry.active_model() == active


def test_a_site_without_a_starter_starts_too(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "STARTER_DIR", tmp_path)

    assert registry.install_starter() is None
