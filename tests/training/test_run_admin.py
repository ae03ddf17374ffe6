"""The pages of runs and models as an operator uses them."""

from __future__ import annotations

import shutil

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from chatsite import roles
from tests.training.machinery import a_model, a_run, a_version, real_model, real_version
from training import again, evaluations, live, narration, runs, serving, storage, tasks, worker
from training.ml.records import Event
from training.models import Activation, DatasetVersion, Evaluation, ModelVersion, RunEvent, TrainingRun

pytestmark = pytest.mark.django_db

Status = TrainingRun.Status


def signed_in(name: str, role: roles.Role) -> Client:
    user = User.objects.create_user(name)
    roles.grant(user, role=role)
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


@pytest.fixture
def operator() -> Client:
    return signed_in("olivia", "operator")


@pytest.fixture
def curator() -> Client:
    return signed_in("carl", "curator")


def start(client: Client, **fields):
    facts = {"request_key": "k1", "base": real_model().pk, "dataset": real_version().pk}
    return client.post(reverse("admin:training_trainingrun_add"), facts | fields)


def test_an_operator_starts_a_run_with_automatic_values(operator):
    answer = start(operator, epochs="2")

    run = TrainingRun.objects.get()
    assert answer.headers["Location"] == reverse("admin:training_trainingrun_change", args=(run.pk,))
    assert (run.status, str(run.owner), run.config["epochs"]) == (Status.QUEUED, "olivia", 2.0)
    assert run.reasons["learning_rate"] and "epochs" not in run.reasons


def test_a_double_click_starts_one_run(operator):
    facts = {"base": real_model().pk, "dataset": real_version().pk}
    first, second = start(operator, **facts), start(operator, **facts)

    assert TrainingRun.objects.count() == 1
    assert first.headers["Location"] == second.headers["Location"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", "0"),
        ("learning_rate", "5"),
        ("batch_size", "1.5"),
        ("max_length", "9999"),
        ("dropout", "x"),
        ("method", "dpo"),
    ],
)
def test_a_value_out_of_range_is_named_at_its_field(operator, field, value):
    answer = start(operator, **{field: value})

    assert answer.status_code == 200
    assert list(answer.context["form"].errors) == [field]
    assert not TrainingRun.objects.exists()


def test_automatic_values_come_with_their_reasons(operator):
    query = {"base": real_model().pk, "dataset": real_version().pk}

    plan = operator.get(reverse("admin:training_trainingrun_plan"), query).json()

    assert plan["values"]["max_length"] <= 64
    assert set(plan["reasons"]) == {"epochs", "learning_rate", "batch_size", "max_length", "patience"}


def test_no_choice_yet_is_no_error(operator):
    assert operator.get(reverse("admin:training_trainingrun_plan"), {"base": "", "dataset": "x"}).status_code == 200


def test_a_curator_starts_nothing(curator):
    run = a_run()

    assert start(curator).status_code == 403
    for verb in ("cancel", "pause", "resume"):
        assert curator.post(reverse(f"admin:training_trainingrun_{verb}", args=(run.pk,))).status_code == 403
    assert curator.post(reverse("admin:training_trainingrun_again")).status_code == 403
    assert curator.get(reverse("admin:training_trainingrun_change", args=(run.pk,))).status_code == 200


def test_nothing_is_asked_by_a_link(operator):
    run = a_run()

    for verb in ("cancel", "pause", "resume"):
        assert operator.get(reverse(f"admin:training_trainingrun_{verb}", args=(run.pk,))).status_code == 405


def test_cancel_from_the_live_page(operator):
    run = a_run()

    operator.post(reverse("admin:training_trainingrun_cancel", args=(run.pk,)))

    run.refresh_from_db()
    assert run.status == Status.CANCELLED


def test_the_live_page_and_its_poll_tell_the_same(operator):
    a_run()
    run = runs.claim("alice:1")
    assert run is not None
    runs.record(run.pk, run.claim_token, [Event(kind="step", step=3, data={"loss": 2.0, "total": 9})])
    runs.record(run.pk, run.claim_token, [Event(kind="evaluated", step=3, data={"loss": 1.5})])

    page = operator.get(reverse("admin:training_trainingrun_change", args=(run.pk,)))
    url = reverse("admin:training_trainingrun_events", args=(run.pk,))
    whole, rest = operator.get(url).json(), operator.get(url, {"after": 2}).json()

    assert page.status_code == 200
    assert (whole["losses"], whole["validation"], whole["seq"]) == ([[3, 2.0]], [[3, 1.5]], 3)
    assert (rest["losses"], rest["validation"]) == ([], [[3, 1.5]])
    assert whole["run"]["can"] == {"cancel": True, "pause": True, "resume": False}


def test_a_long_curve_is_thinned_and_keeps_its_end():
    points = [(step, 1.0) for step in range(100_001)]

    thinned = live.thin(points)

    assert len(thinned) <= live.MOST_POINTS + 1
    assert (thinned[0], thinned[-1]) == (points[0], points[-1])
    assert live.thin([]) == []


def test_a_failed_run_shows_the_cause_and_the_last_words(operator):
    run = a_run(status=Status.FAILED, error="It broke.", error_log="Traceback …", finished_at="2026-01-01T00:00Z")

    told = operator.get(reverse("admin:training_trainingrun_events", args=(run.pk,))).json()["run"]

    assert (told["error"], told["error_log"], told["finished"]) == ("It broke.", "Traceback …", True)


@pytest.mark.django_db(transaction=True)
def test_one_click_trains_the_active_model_on_the_starter_rows(operator, monkeypatch):
    monkeypatch.setattr(worker, "work_one", lambda: False)
    real_model(is_active=True)

    answers = [operator.post(reverse("admin:training_trainingrun_again"), {"request_key": "k"}) for _ in range(2)]

    run = TrainingRun.objects.get()
    assert {answer.headers["Location"] for answer in answers} == {
        reverse("admin:training_trainingrun_change", args=(run.pk,))
    }
    assert (run.status, run.base.is_active) == (Status.QUEUED, True)
    assert run.dataset.counts["train"] > 100


def test_a_click_waits_for_the_worker_and_freezes_nothing_itself(operator, monkeypatch):
    monkeypatch.setattr(again, "FREEZE_SECONDS", 0.2)
    real_model(is_active=True)

    for _ in range(2):
        answer = operator.post(reverse("admin:training_trainingrun_again"), {"request_key": "k"}, follow=True)
        assert "Click again" in answer.content.decode()

    assert DatasetVersion.objects.get().status == "queued"
    assert not TrainingRun.objects.exists()


def test_what_the_gate_misses_is_measured_in_one_task(operator, candidate, monkeypatch):
    active = a_model(is_active=True)
    rung: list[list[str]] = []
    monkeypatch.setattr(tasks, "ring_measure", lambda uids, _sha256: rung.append(uids))

    operator.post(reverse("admin:training_modelversion_measure", args=(candidate.pk,)))

    assert rung == [[candidate.uid, active.uid]]


def test_more_than_one_device_is_refused_at_its_field(operator):
    assert list(start(operator, devices="2").context["form"].errors) == ["devices"]


def test_without_an_active_model_the_click_says_why(operator):
    answer = operator.post(reverse("admin:training_trainingrun_again"), follow=True)

    assert "activate one first" in answer.content.decode()


def test_the_dashboard_offers_to_train_again(operator, curator):
    a_model(is_active=True)

    assert "Train it again" in operator.get(reverse("admin:index")).content.decode()
    assert "Train it again" not in curator.get(reverse("admin:index")).content.decode()


# --- models ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def candidate() -> ModelVersion:
    return a_model(dataset=a_version(), origin="trained")


def page_of(model: ModelVersion) -> str:
    return reverse("admin:training_modelversion_change", args=(model.pk,))


def activate(client: Client, model: ModelVersion, **fields):
    return client.post(reverse("admin:training_modelversion_activate", args=(model.pk,)), fields, follow=True)


def test_the_model_page_shows_figures_gate_and_history(operator, candidate):
    active = a_model(is_active=True)
    for model, value in ((candidate, 1.25), (active, 2.5)):
        Evaluation.objects.create(
            model=model, dataset=candidate.dataset, split="test", metric="bits_per_byte", value=value, n=5
        )

    page = operator.get(page_of(candidate)).content.decode()

    assert "1.2500" in page and "2.5000" in page and "Activate" in page


def test_figures_are_read_in_one_order_everywhere(operator, candidate):
    active = a_model(is_active=True)
    run = a_run(dataset=candidate.dataset)
    ModelVersion.objects.filter(pk=candidate.pk).update(run=run)
    for model in (candidate, active):
        for metric in sorted([*evaluations.READING_ORDER, "a figure of later"]):
            Evaluation.objects.create(model=model, dataset=candidate.dataset, split="test", metric=metric, value=1, n=5)

    page = operator.get(page_of(candidate)).context

    wanted = [*evaluations.READING_ORDER, "a figure of later"]
    assert wanted[:4] == ["perplexity", "bits_per_byte", "token_accuracy", "sequence_accuracy"]
    assert [item["row"].metric for item in page["figures"]] == wanted
    assert [item.metric for item in page["report"].comparisons] == wanted
    assert [item["metric"] for item in live.figures(run)] == [narration.metric_name(metric) for metric in wanted]


def test_every_figure_has_a_name_for_people():
    names = {narration.metric_name(metric) for metric in evaluations.READING_ORDER}

    assert not names & set(evaluations.READING_ORDER)


def test_the_page_offers_a_roll_back_only_while_there_is_one(operator, candidate, monkeypatch):
    monkeypatch.setattr(serving, "load_version", lambda uid: {})
    old = a_model(is_active=True, name="old one")
    Activation.objects.create(model=old)
    activate(operator, candidate, replaces=old.pk, override="1", note="demo")
    assert "Roll back to old one" in operator.get(page_of(candidate)).content.decode()

    operator.post(reverse("admin:training_modelversion_roll_back", args=(candidate.pk,)))

    page = operator.get(page_of(old)).content.decode()
    assert "Roll back to" not in page
    assert "rolled back" in page


def test_activate_and_roll_back_by_hand(operator, candidate, monkeypatch):
    monkeypatch.setattr(serving, "load_version", lambda uid: {})
    old = a_model(is_active=True)
    Activation.objects.create(model=old)

    activate(operator, candidate, replaces=old.pk, override="1", note="demo")
    assert ModelVersion.objects.get(is_active=True) == candidate

    operator.post(reverse("admin:training_modelversion_roll_back", args=(candidate.pk,)))
    assert ModelVersion.objects.get(is_active=True) == old


def test_a_closed_gate_says_why_and_changes_nothing(operator, candidate):
    old = a_model(is_active=True)

    page = activate(operator, candidate, replaces=old.pk).content.decode()

    assert "Nothing was changed." in page
    assert ModelVersion.objects.get(is_active=True) == old


def test_an_override_needs_a_reason(operator, candidate):
    old = a_model(is_active=True)

    activate(operator, candidate, replaces=old.pk, override="1", note=" ")

    assert ModelVersion.objects.get(is_active=True) == old


def test_an_engine_that_is_down_is_said(operator, candidate, settings):
    settings.ENGINE_URL = ""

    page = activate(operator, candidate, replaces="").content.decode()

    assert "Nothing was changed." in page
    assert not ModelVersion.objects.filter(is_active=True).exists()


def test_a_curator_activates_nothing(curator, candidate):
    assert curator.post(reverse("admin:training_modelversion_activate", args=(candidate.pk,))).status_code == 403


def test_a_directory_that_is_no_model_is_refused_in_words(operator, tmp_path):
    answer = operator.post(reverse("admin:training_modelversion_add"), {"directory": str(tmp_path), "name": "nothing"})

    assert "config.json" in str(answer.context["form"].errors)
    assert not ModelVersion.objects.filter(name="nothing").exists()


def test_a_base_is_added_from_a_directory(operator, tmp_path):
    source = tmp_path / "mine"
    shutil.copytree(storage.model_dir(real_model().uid), source)

    operator.post(reverse("admin:training_modelversion_add"), {"directory": str(source), "name": "Mine"})

    added = ModelVersion.objects.get(name="Mine")
    assert (added.origin, added.parameters) == ("added", real_model().parameters)


def test_the_lists_open(operator):
    a_run()

    assert operator.get(reverse("admin:training_trainingrun_changelist")).status_code == 200
    assert operator.get(reverse("admin:training_modelversion_changelist")).status_code == 200
    assert RunEvent.objects.count() == 0
