"""Writers and followers without a socket: whatever happens, the text that was followed is the text in the row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from chat import conversations, live
from chat.following import follow
from chat.live import Job, RunManager
from chat.models import Generation
from tests.scripted_engine import ScriptedEngine
from training import serving
from training.ml.config import SamplingConfig
from training.models import ModelVersion

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]


@pytest_asyncio.fixture
async def manager() -> AsyncIterator[RunManager]:
    made = RunManager()
    yield made
    await made.shutdown()
    await serving.close()


@sync_to_async
def make_job(owner: User, model: ModelVersion, *, prefix: str = "") -> Job:
    question = conversations.add_question(conversations.start(owner, "Hello"), None, "Hello")
    row = Generation.objects.create(message=conversations.add_answer(question), model=model, seed=1, text=prefix)
    request = serving.CompletionRequest(model=model.uid, prompt=[1, 2], sampling=SamplingConfig(seed=1))
    return Job(row.pk, request, model.name, prompt_tokens=2, limit=256, dropped=0, prefix=prefix)


async def read(manager: RunManager, generation: UUID, *, after: int = 0, pause: float = 0) -> tuple[str, list[Any]]:
    """Follow to the end as the page does: the joined text and the frames."""
    text, frames = "x" * after, []
    async with aclosing(follow(manager, generation, after=after)) as stream:
        async for frame in stream:
            frames.append(frame)
            if frame["type"] == "snapshot":
                text = frame["text"]
            if frame["type"] == "delta":
                assert frame["from"] == len(text)
                text += frame["text"]
            await asyncio.sleep(pause)
    return text, frames


async def row_of(job: Job) -> Generation:
    return await Generation.objects.aget(pk=job.generation_id)


async def test_followers_that_come_at_any_time_read_the_whole_text(
    manager: RunManager, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.pieces, engine.piece_seconds = list("一二三四五六七八九十"), 0.02
    job = await make_job(ada, model)
    manager.begin(job)

    readers = []
    for _ in range(12):
        readers.append(asyncio.create_task(read(manager, job.generation_id)))
        await asyncio.sleep(0.03)
    texts = [text for text, _ in await asyncio.gather(*readers)]

    assert texts == ["一二三四五六七八九十"] * 12
    assert (await row_of(job)).text == "一二三四五六七八九十"


async def test_a_slow_follower_gets_fewer_and_longer_deltas(
    manager: RunManager, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.pieces, engine.piece_seconds = ["字"] * 60, 0.003
    job = await make_job(ada, model)
    manager.begin(job)

    text, frames = await read(manager, job.generation_id, pause=0.1)

    assert text == "字" * 60
    assert len([frame for frame in frames if frame["type"] == "delta"]) < 10


async def test_a_row_is_saved_while_it_is_written(
    manager: RunManager,
    ada: User,
    model: ModelVersion,
    engine: ScriptedEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "SAVE_SECONDS", 0.02)
    engine.hold_after = 2
    job = await make_job(ada, model)
    manager.begin(job)

    async with asyncio.timeout(5):
        while (await row_of(job)).text != "你好":
            await asyncio.sleep(0.02)

    row = await row_of(job)
    assert (row.status, row.seq) == ("running", 2)
    assert row.beat is not None


async def test_a_waiting_answer_gives_signs_of_life(
    manager: RunManager,
    ada: User,
    model: ModelVersion,
    engine: ScriptedEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "SAVE_SECONDS", 0.02)
    engine.ahead = list(range(40, 0, -1))
    job = await make_job(ada, model)
    manager.begin(job)
    await asyncio.sleep(0.3)

    row = await row_of(job)

    assert (row.status, row.beat is not None) == ("queued", True)


async def test_the_same_answer_begun_twice_is_one(
    manager: RunManager, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    job = await make_job(ada, model)

    manager.begin(job)
    manager.begin(job)
    await read(manager, job.generation_id)

    assert len(engine.asked) == 1


async def test_a_continued_answer_begins_with_what_was_there(
    manager: RunManager, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    job = await make_job(ada, model, prefix="从前，")
    manager.begin(job)

    text, _ = await read(manager, job.generation_id)

    assert text == (await row_of(job)).text == "从前，你好！"


async def test_two_stops_keep_what_the_first_one_saw(
    manager: RunManager, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.pieces, engine.hold_after = list("一二三四"), 3
    job = await make_job(ada, model)
    manager.begin(job)
    answer = manager.get(job.generation_id)
    while answer is not None and len(answer.text) < 3:
        await asyncio.sleep(0.01)

    stopped = list(await asyncio.gather(manager.stop(job.generation_id, 2), manager.stop(job.generation_id, 3)))

    row = await row_of(job)
    assert stopped == [True, True]
    assert (row.text, row.seen_chars_at_stop) == ("一二", 2)
    assert not await manager.stop(job.generation_id, 1)


async def test_an_answer_that_is_ended_before_its_first_step_ends(
    manager: RunManager, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    stopped, shut = await make_job(ada, model), await make_job(ada, model)

    manager.begin(stopped)
    await manager.stop(stopped.generation_id, 0)
    manager.begin(shut)
    await manager.shutdown()

    assert [(await row_of(job)).status for job in (stopped, shut)] == ["stopped", "interrupted"]
    assert not manager.running


async def test_a_deleted_conversation_ends_its_answer(
    manager: RunManager,
    ada: User,
    model: ModelVersion,
    engine: ScriptedEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "SAVE_SECONDS", 0.02)
    engine.hold_after = 1
    job = await make_job(ada, model)
    manager.begin(job)

    row = await Generation.objects.select_related("message__conversation").aget(pk=job.generation_id)
    await sync_to_async(conversations.delete)(row.message.conversation)

    assert await asyncio.to_thread(engine.wait_until_cancelled)
    assert (await row_of(job)).status == "stopped"


async def test_an_answer_cut_by_length_says_so(
    manager: RunManager, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.finish_reason = "length"
    job = await make_job(ada, model)
    manager.begin(job)
    await read(manager, job.generation_id)

    assert (await row_of(job)).status == "length"


async def test_a_refusal_of_the_engine_is_kept_for_the_operator(
    manager: RunManager, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.refuse = {"message": "No such version.", "type": "invalid_request_error", "code": "model_not_found"}
    job = await make_job(ada, model)
    manager.begin(job)
    await read(manager, job.generation_id)

    row = await row_of(job)
    assert (row.status, row.error, row.error_code) == ("failed", "No such version.", "engine_refused")
