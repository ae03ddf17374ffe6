"""The whole loop on real parts: upload, freeze, train, activate, ask, rate, correct, train again, a different answer.

The trainer is a child process, the engine a server on a socket, the model tiny; nothing is scripted.
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User

from chat import feedback, replies
from chat.following import follow
from chat.live import manager
from chat.models import Generation, Message
from chat.protocol import GiveConsent, Params, Rate, Rewrite, Send
from tests.engine.conftest import SECRET, serve
from tests.training.machinery import FACTS, real_model
from training import corpora, curation, plans, preferences, registry, runs, serving, versions, worker
from training.models import DatasetVersion, Example, ModelVersion, TrainingRun

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

GREEDY = Params(temperature=0, max_tokens=24)
LEARN_BY_HEART = {
    "epochs": 40.0,
    "batch_size": 16,
    "learning_rate": 0.01,
    "dropout": 0.0,
    "patience": 0,
    "evaluations": 2,
}
PREFER = {"epochs": 30.0, "batch_size": 1, "learning_rate": 0.003, "dropout": 0.0, "evaluations": 1}


@pytest.fixture(autouse=True)
def site(monkeypatch, settings) -> Iterator[None]:
    """A real engine over the site's model directory; trainers see this test's database."""
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.training.process_settings")
    Path(settings.MODELS_DIR).mkdir(parents=True, exist_ok=True)
    with serve(Path(settings.MODELS_DIR)) as running:
        settings.ENGINE_URL, settings.ENGINE_SECRET = running.url, SECRET
        yield
    async_to_sync(serving.close)()


@pytest.fixture
def boss() -> User:
    return User.objects.create_superuser("boss", password="a long enough password")


def upload(owner: User) -> None:
    lines = [json.dumps({"prompt": question, "completion": answer}, ensure_ascii=False) for question, answer in FACTS]
    file = io.BytesIO("\n".join([*lines, '{"prompt": "no answer"}']).encode())
    corpus = corpora.add_upload(file, name="facts", original_name="facts.jsonl", owner=owner)
    assert corpora.read_queued()
    corpus.refresh_from_db()
    assert (corpus.rows_new, corpus.rows_bad) == (len(FACTS), 1)
    assert corpus.findings.get().line == len(FACTS) + 1


def freeze(kind: Any, owner: User) -> DatasetVersion:
    curation.approve(Example.objects.filter(kind=kind, status=Example.Status.DRAFT), user=owner)
    version = versions.queue_freeze({"corpora": [], "tags": []}, name=kind, kind=kind, owner=owner)
    assert versions.freeze_queued()
    version.refresh_from_db()
    assert version.status == DatasetVersion.Status.FROZEN, version.error
    return version


def train(base: ModelVersion, version: DatasetVersion, chosen: dict[str, Any]) -> ModelVersion:
    run = plans.plan_run(base=base, dataset=version, chosen=chosen)
    runs.queue_run(run)
    assert worker.work_one()
    run.refresh_from_db()
    assert run.status == TrainingRun.Status.SUCCEEDED, (run.error, run.error_log)
    return ModelVersion.objects.get(run=run)


def ask(user: User, question: str) -> tuple[Message, str]:
    """Ask as the socket does and read to the end; the answer's message and its text."""

    async def conversation() -> tuple[uuid.UUID, str]:
        command = Send(type="send", cmd_id="1", text=question, params=GREEDY, generation=uuid.uuid4())
        asked = await replies.send(user, command)
        frames: list[Any] = [frame async for frame in follow(manager, asked.generation)]
        assert frames[-1]["type"] == "done", frames
        await serving.close()
        return asked.answer, frames[-1]["status"]

    answer_id, status = async_to_sync(conversation)()
    answer = Message.objects.get(pk=answer_id)
    assert status == Generation.Status.COMPLETED, answer.generation.error
    return answer, answer.text


def test_a_correction_becomes_a_better_model(boss):
    upload(boss)
    version = freeze("dialogue", boss)
    tiny = real_model(is_active=True)

    taught = train(tiny, version, LEARN_BY_HEART)
    registry.activate(taught, replaces=tiny, user=boss)
    # A pair about a held-out fact would be held out too, so that nothing leaks.
    question = Example.objects.filter(split="train").earliest("pk").body["messages"][0]["content"]
    answer, text = ask(boss, question)
    assert text.startswith("答案") and answer.generation.model == taught

    better = "我换了一个说法。"
    feedback.rate(boss, Rate(type="rate", cmd_id="2", message=answer.pk, value=-1))
    assert not Example.objects.filter(kind="pair").exists(), "nothing is learnt before consent"
    feedback.consent(boss, GiveConsent(type="consent", cmd_id="3", granted=True))
    feedback.rewrite(boss, Rewrite(type="rewrite", cmd_id="4", message=answer.pk, text=better))
    pair = Example.objects.get(kind="pair")
    assert (pair.body["chosen"], pair.body["rejected"]) == (better, text)
    assert pair.provenance and pair.status == Example.Status.DRAFT

    preferred = train(taught, freeze("pair", boss), PREFER)
    registry.activate(preferred, replaces=taught, user=boss)
    again, changed = ask(boss, question)
    assert changed != text and again.generation.model == preferred

    registry.roll_back(user=boss)
    assert ask(boss, question)[1] == text, "the old model answers as before"
    preferences.withdraw(pair.source_key)
    assert Example.objects.filter(pk=pair.pk).exists(), "frozen rows are only marked"
