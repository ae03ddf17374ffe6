"""What goes wrong and why a value was chosen, said in the language of whoever reads it."""

from __future__ import annotations

import math

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import translation
from safetensors.torch import load_file, save_file

from chat.engine.errors import NoMemory
from chatsite import roles
from tests.training.machinery import a_run, real_model, real_version
from training import again, attempt, live, narration, runs, serving, storage, versions, wording
from training.ml import corpus as reader
from training.ml.config import DataFacts, FitConfig, automatic
from training.ml.device import place
from training.ml.errors import BadConfig, BadFile
from training.ml.loop import _diverged
from training.ml.texts import words
from training.models import Corpus, DatasetVersion, Example, Finding, RunEvent, TrainingRun

Status = TrainingRun.Status
CONFIG = {"method": "sft", "epochs": 2.0, "batch_size": 8, "max_length": 64, "learning_rate": 0.003, "evaluations": 2}


def in_both(say) -> tuple[str, str]:
    """What a reader of English and a reader of Chinese get to read."""
    with translation.override("en"):
        english = say()
    with translation.override("zh-hans"):
        return english, say()


@pytest.fixture
def operator(db) -> User:
    user = User.objects.create_user("olivia")
    roles.grant(user, role="operator")
    return user


def reader_of(language: str, user: User) -> Client:
    client = Client(headers={"accept-language": language})
    client.force_login(user)
    return client


def failed(run: TrainingRun) -> tuple[str, str]:
    run.refresh_from_db()
    assert run.status == Status.FAILED
    return in_both(lambda: live.state(run)["error"])


@pytest.fixture
def claimed(db) -> TrainingRun:
    a_run(base=real_model(is_active=True), dataset=real_version(), config=CONFIG)
    run = runs.claim("alice:1")
    assert run is not None
    return run


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "empty has no config.json: copy the whole model directory."),
        ("zh-hans", "empty 缺少 config.json：请复制完整的模型目录。"),
    ],
)
def test_a_directory_that_is_no_base(operator, tmp_path, language, said):
    (tmp_path / "empty").mkdir()
    form = {"directory": str(tmp_path / "empty"), "name": "x"}

    answer = reader_of(language, operator).post(reverse("admin:training_modelversion_add"), form)

    assert answer.context["form"].non_field_errors() == [said]


def test_an_adopter_that_breaks_without_a_word_is_quoted(monkeypatch, tmp_path, db):
    monkeypatch.setattr("training.registry.sys.executable", "/bin/false")

    with pytest.raises(Exception, match="could not be read") as caught:
        from training import registry

        registry.add_base(tmp_path, name="x")

    assert in_both(lambda: wording.error_text(caught.value))[1] == "模型无法读取：–"


@pytest.mark.parametrize("value", [0, math.nan, "many"])
def test_a_setting_out_of_its_range(value):
    with pytest.raises(BadConfig) as caught:
        FitConfig(method="sft", epochs=value)

    assert in_both(lambda: wording.error_text(caught.value)) == (
        f"epochs is {value}, it must lie between 0.01 and 1000.",
        f"epochs 为 {value}，必须在 0.01 到 1000 之间。",
    )


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "max_length is 9999, this model reads at most 64 tokens."),
        ("zh-hans", "max_length 为 9999，而这个模型最多读取 64 个词元。"),
    ],
)
def test_a_setting_that_the_base_cannot_have_is_told_at_its_field(operator, language, said):
    fields = {"request_key": "k", "base": real_model().pk, "dataset": real_version().pk, "max_length": "9999"}

    answer = reader_of(language, operator).post(reverse("admin:training_trainingrun_add"), fields)

    assert answer.context["form"].errors == {"max_length": [said]}


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", ("at most 32 rows a step, at least 20 steps a pass", "for 0.0 M parameters")),
        ("zh-hans", ("每步最多 32 条样本，每遍至少 20 步", "根据 0.0 M 参数的规模")),
    ],
)
def test_the_reason_of_an_automatic_value_is_told_before_the_run_and_on_its_page(operator, language, said):
    client = reader_of(language, operator)
    choice = {"base": real_model().pk, "dataset": real_version().pk}
    before = client.get(reverse("admin:training_trainingrun_plan"), choice).json()["reasons"]
    client.post(reverse("admin:training_trainingrun_add"), choice | {"request_key": "k"})

    page = client.get(reverse("admin:training_trainingrun_change", args=(TrainingRun.objects.get().pk,)))

    shown = {str(setting["reason"]) for setting in page.context["settings"]}
    assert (before["batch_size"], before["learning_rate"]) == said
    assert shown >= set(said)


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_every_reason_can_be_said(method):
    facts = DataFacts(rows=500, p99_tokens=40, context_length=256, parameters=5_000_000)

    for why in automatic(method, facts).reasons.values():
        english, chinese = in_both(lambda why=why: wording.say(why))
        assert english != chinese and "%" not in english.replace("99 %", "")


def test_a_loss_that_is_no_number(claimed):
    weights = storage.model_dir(claimed.base.uid) / "model.safetensors"
    whole = weights.read_bytes()
    tensors = load_file(weights)
    tensors["transformer.wpe.weight"][11] = math.nan  # no short look at the model meets this position
    save_file(tensors, weights, metadata={"format": "pt"})
    try:
        attempt.execute(claimed.pk, claimed.claim_token)
    finally:
        weights.write_bytes(whole)

    english, chinese = failed(claimed)
    assert english.startswith("The loss became nan at step 1. Try a learning rate ten times smaller")
    assert chinese.startswith("损失在第 1 步变成了 nan。请把学习率降到十分之一再试")
    assert claimed.error == english
    last = RunEvent.objects.filter(run=claimed).latest("seq")
    assert in_both(lambda: narration.in_words(last)) == (f"Failed: {english}", f"失败：{chinese}")


def test_a_full_disk(claimed, monkeypatch):
    monkeypatch.setattr(storage, "free_bytes", lambda: 0)

    attempt.execute(claimed.pk, claimed.claim_token)

    english, chinese = failed(claimed)
    assert english.startswith("The job needs about") and english.endswith("on disk, 0 MB are free.")
    assert chinese.startswith("任务大约需要") and chinese.endswith("只剩 0 MB。")


def test_a_sentence_within_a_sentence(claimed):
    TrainingRun.objects.filter(pk=claimed.pk).update(attempt=runs.MOST_DEATHS)
    claimed.refresh_from_db()

    runs.lose(claimed, claimed.claim_token, words("The worker was lost."))

    english, chinese = failed(claimed)
    assert english == "The worker was lost. That was the last of 4 attempts."
    assert chinese.endswith("已尝试 4 次，不再重试。") and "lost" not in chinese


def test_what_a_run_notes_is_told_in_words(claimed):
    TrainingRun.objects.filter(pk=claimed.pk).update(config=CONFIG | {"max_length": 8})

    attempt.execute(claimed.pk, claimed.claim_token)

    notes = [event for event in RunEvent.objects.filter(run=claimed) if event.data.get("code") == "rows_cut"]
    english, chinese = in_both(lambda: narration.in_words(notes[0]))
    assert "rows were longer than 8 tokens and were cut" in english
    assert "条样本超过 8 个词元，已截断" in chinese


def test_where_a_run_computes_is_said_in_words():
    assert in_both(lambda: narration.place_in_words("cpu, bfloat16, 1 threads")) == (
        "CPU, bfloat16, 1 thread",
        "CPU、bfloat16、1 个线程",
    )
    assert narration.place_in_words("two old abaci") == "two old abaci"


def test_the_trainer_says_where_it_computes_in_a_form_that_is_understood():
    assert in_both(lambda: narration.place_in_words(place().words))[1].endswith(" 个线程")


def test_a_run_tells_its_device_in_words(claimed):
    taken = RunEvent.objects.get(run=claimed, data__state="running")
    started = RunEvent(run=claimed, kind="started", data={"device": "cuda, bfloat16, 2 threads"})

    assert in_both(lambda: narration.in_words(taken)) == ("In training on CPU", "训练中（设备 CPU）")
    assert "GPU、bfloat16、2 个线程" in in_both(lambda: narration.in_words(started))[1]
    assert narration.device_name("cuda:1") == "GPU 1"


def test_a_checkpoint_before_the_first_evaluation_names_no_best_step():
    early = RunEvent(kind="checkpoint", step=4, data={"best_step": 0})

    assert in_both(lambda: narration.in_words(early)) == (
        "Step 4: checkpoint written.",
        "第 4 步：已写入检查点。",
    )


def test_the_words_of_an_error_are_plain_json():
    error = _diverged(3, math.inf)

    assert error.words["facts"] == {"value": "inf", "step": 3}


@pytest.mark.django_db
def test_a_version_that_failed_says_why_to_whom_it_stops():
    version = DatasetVersion.objects.create(name="v", kind="dialogue", selection=again._selection())
    Example.objects.all().delete()
    versions.freeze_queued()
    version.refresh_from_db()

    with pytest.raises(again.NotReady) as caught:
        again._frozen(version)

    for say in (lambda: wording.error_text(caught.value), lambda: wording.version_error(version)):
        english, chinese = in_both(say)
        assert english.startswith("There is nothing to freeze") and chinese.startswith("没有可冻结的内容")


@pytest.mark.django_db
def test_a_file_that_is_refused_is_told_whole(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "a\n{"prompt": "b\n')
    corpus = Corpus.objects.create(name="a", status="failed")
    with pytest.raises(BadFile) as caught:
        reader.detect(path)
    Corpus.objects.filter(pk=corpus.pk).update(error=caught.value.message)
    Finding.objects.create(
        corpus=corpus, rule="no_json", severity="error", message=caught.value.message, facts=caught.value.facts
    )
    corpus.refresh_from_db()

    english, chinese = in_both(lambda: wording.corpus_error(corpus))

    assert "The line ends before the JSON does" in english
    assert chinese.startswith("没有一行") and "JSON does" not in chinese


def test_the_engine_refuses_in_any_language():
    error = NoMemory("%(version)s is answering %(count)d requests.", version="ada", count=2).to_json()["error"]

    refused = serving._refusal(error, status=409)

    assert (refused.code, str(refused)) == ("not_enough_memory", "ada is answering 2 requests.")
    assert in_both(lambda: wording.error_text(refused))[1] == "ada 正在回答 2 个请求。"


def test_another_server_is_quoted_as_it_is():
    refused = serving._refusal({"message": "100% busy (%s)"}, status=500)

    assert in_both(lambda: wording.error_text(refused)) == ("100% busy (%s)", "100% busy (%s)")
