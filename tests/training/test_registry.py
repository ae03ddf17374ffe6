"""Which model answers: the gate, the compare-and-set of an activation, and what a refusal leaves behind."""

from __future__ import annotations

import math
import os
import subprocess
from typing import Any

import pytest
from django.contrib.auth.models import User

from tests.training.machinery import a_model, a_run, a_version, real_model
from training import registry, serving
from training.ml.errors import BadModel, PipelineError
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
    measured(candidate, pairs, 0.9, metric="preference_accuracy", n=30)
    measured(active, pairs, 0.5, metric="preference_accuracy", n=30)

    assert not registry.gate(candidate, active).blocked


@pytest.mark.parametrize(
    ("mine", "theirs", "blocked"),
    [
        # bits per byte with its interval, of both models
        ((1.99, 1.5, 2.5), (2.0, 1.5, 2.5), True),
        ((1.6, 1.2, 2.0), (2.0, 1.6, 2.4), True),
        ((1.9, 1.88, 1.92), (2.0, 1.98, 2.02), False),
        # the intervals touch, that of the gain is still above zero
        ((1.0, 0.8, 1.2), (1.35, 1.15, 1.55), False),
        # lopsided: only the sides that face each other count
        ((1.0, 0.1, 1.1), (1.3, 1.2, 4.0), False),
        ((1.0, 0.9, 1.9), (1.3, 0.5, 1.4), True),
    ],
)
def test_a_gain_that_chance_explains_opens_no_gate(active, mine, theirs, blocked):
    candidate = trained()
    for model, (value, low, high) in ((candidate, mine), (active, theirs)):
        measured(model, candidate.dataset, value, low=low, high=high)

    report = registry.gate(candidate, active)

    assert report.blocked == blocked
    assert (report.comparisons[0].low > 0) == (not blocked)


def test_the_interval_of_a_gain_is_made_of_both_intervals(active):
    """MOVER by hand: 0.35 - hypot(1.2 - 1.0, 1.35 - 1.15) and 0.35 + hypot(1.0 - 0.8, 1.55 - 1.35)."""
    candidate = trained()
    measured(candidate, candidate.dataset, 1.0, low=0.8, high=1.2)
    measured(active, candidate.dataset, 1.35, low=1.15, high=1.55)

    [found] = registry.gate(candidate, active).comparisons

    assert (found.low, found.high) == pytest.approx((0.0672, 0.6328), abs=1e-4)


def test_a_small_gain_on_every_row_opens_the_gate_because_rows_are_paired(active):
    """Apart, the intervals cover each other: the rows differ a hundred times more than the models do."""
    candidate = trained()
    bits = math.log(2)
    theirs = [[bits * (row + 1), 1.0] for row in range(20)]
    mine = [[nats - 0.01 * bits, 1.0] for nats, _ in theirs]
    measured(candidate, candidate.dataset, 10.49, low=8.0, high=13.0, n=20, rows=mine)
    measured(active, candidate.dataset, 10.5, low=8.0, high=13.0, n=20, rows=theirs)

    report = registry.gate(candidate, active)

    assert not report.blocked
    assert (report.comparisons[0].low, report.comparisons[0].high) == pytest.approx((0.01, 0.01))


def test_one_row_more_of_five_is_chance_when_rows_are_paired(active):
    pairs = a_version(kind="pair")
    candidate = trained(pairs)
    right, one_wrong = [[1.0, 1.0]] * 5, [[1.0, 1.0]] * 4 + [[0.0, 1.0]]
    measured(candidate, pairs, 1.0, metric="preference_accuracy", rows=right)
    measured(active, pairs, 0.8, metric="preference_accuracy", rows=one_wrong)

    assert registry.gate(candidate, active).blocked


def test_five_right_of_five_leave_a_doubt_though_resampling_shows_none(active):
    """Wilson: 5 of 5 is 0.566 to 1, 4 of 5 is 0.376 to 0.964."""
    pairs = a_version(kind="pair")
    candidate = trained(pairs)
    measured(candidate, pairs, 1.0, metric="preference_accuracy", low=1.0, high=1.0)
    measured(active, pairs, 0.8, metric="preference_accuracy", low=0.8, high=0.8)

    report = registry.gate(candidate, active)

    assert report.blocked
    assert report.comparisons[0].low == pytest.approx(0.2 - (0.4345**2 + 0.1638**2) ** 0.5, abs=1e-3)


def test_one_row_is_too_few_to_tell_of_a_gain_too(active):
    small = a_version(kind="pair", counts={"train": 4, "validation": 1, "test": 1, "phrasing": 0})
    candidate = trained(small)
    for model, value in ((candidate, 1.0), (active, 0.0)):
        measured(model, small, value, metric="preference_accuracy", n=1)

    report = registry.gate(candidate, active)

    assert not report.blocked
    assert len(report.notes) == 2, "too few to tell, and no canaries"


def test_a_likelier_good_answer_is_a_gain_by_the_token_too(active):
    pairs = a_version(kind="pair")
    candidate = trained(pairs)
    for model, value in ((candidate, 0.9), (active, 0.1)):
        measured(model, pairs, value, metric="preference_accuracy_per_token", n=30)

    assert registry.gate(candidate, active).comparisons[0].low > 0


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


def answered_in_turn(*models: ModelVersion) -> None:
    """The first takes nobody's place, the others that of the one before."""
    ModelVersion.objects.update(is_active=False)
    for model, replaced in zip(models, (None, *models), strict=False):
        if replaced is None:
            ModelVersion.objects.filter(pk=model.pk).update(is_active=True)
            Activation.objects.create(model=model)
        else:
            registry.activate(model, replaces=replaced, user=None, override=True, note="next")


def test_a_second_roll_back_goes_one_further_back(engine, alice):
    first, second, third = trained(), trained(), trained()
    answered_in_turn(first, second, third)

    assert registry.roll_back(user=alice, replaces=third).model == second
    assert registry.earlier_model() == first
    assert registry.roll_back(user=alice, replaces=second).model == first

    with pytest.raises(registry.NoEarlierModel) as refused:
        registry.roll_back(user=alice, replaces=first)
    assert isinstance(refused.value, PipelineError)
    assert registry.earlier_model() is None
    assert (registry.active_model(), Activation.objects.count()) == (first, 5)


def test_what_was_activated_after_a_roll_back_is_rolled_back_first(engine, alice):
    first, second, third, fourth = trained(), trained(), trained(), trained()
    answered_in_turn(first, second, third)
    registry.roll_back(user=alice)
    registry.activate(fourth, replaces=second, user=alice, override=True, note="next")

    assert [registry.roll_back(user=alice).model for _ in range(2)] == [second, first]


def test_a_model_taken_up_again_by_hand_can_be_rolled_back(engine, alice):
    first, second = trained(), trained()
    answered_in_turn(first, second)
    registry.roll_back(user=alice)
    registry.activate(second, replaces=first, user=alice)

    assert registry.roll_back(user=alice).model == first
    with pytest.raises(registry.NoEarlierModel):
        registry.roll_back(user=alice)


def test_a_roll_back_passes_over_a_retired_model(engine, alice):
    first, second, third = trained(), trained(), trained()
    answered_in_turn(first, second, third)
    ModelVersion.objects.filter(pk=second.pk).update(retired_at="2026-01-01T00:00Z")

    assert registry.roll_back(user=alice).model == first
    assert registry.earlier_model() is None


def test_a_roll_back_that_comes_too_late_changes_nothing(engine, alice):
    first, second, third = trained(), trained(), trained()
    answered_in_turn(first, second, third)
    registry.roll_back(user=alice, replaces=third)

    with pytest.raises(registry.StaleActivation):
        registry.roll_back(user=alice, replaces=third)

    assert registry.active_model() == second


def test_there_is_nothing_to_go_back_to_at_first(alice, active):
    with pytest.raises(registry.NoEarlierModel):
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
