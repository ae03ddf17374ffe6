"""What a socket hears without asking."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.utils import timezone

from chat import conversations
from chat import watcher as watching
from chat.models import Generation
from chat.watcher import Watcher
from tests.chat.conftest import MakeModel
from tests.chat.tab import session_cookie
from training.models import ModelVersion

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]


@pytest_asyncio.fixture
async def watcher(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watcher]:
    monkeypatch.setattr(watching, "EVERY_SECONDS", 0.02)
    made = Watcher()
    yield made
    await made.stop()


async def heard(watcher: Watcher, user: User, act: Callable[[], Any], *, count: int) -> list[Any]:
    """The first `count` frames that a socket of `user` gets after `act`; fewer when no more come."""
    frames: list[Any] = []

    async def listen() -> None:
        async with aclosing(watcher.news(user.pk, await session_cookie(user))) as news:
            async for frame in news:
                frames.append(frame)
                if len(frames) == count:
                    return

    task = asyncio.create_task(listen())
    await asyncio.sleep(0.3)
    frames.clear()
    await sync_to_async(act)()
    await asyncio.wait([task], timeout=0.8)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return frames


async def test_a_switch_of_the_model_is_told_once(
    watcher: Watcher, ada: User, model: ModelVersion, make_model: MakeModel
) -> None:
    def switch() -> None:
        ModelVersion.objects.filter(pk=model.pk).update(is_active=False)
        make_model("tiny-2")

    assert await heard(watcher, ada, switch, count=2) == [{"type": "model_activated", "name": "model tiny-2"}]


async def test_a_changed_conversation_is_told_once_and_to_its_owner_only(
    watcher: Watcher, ada: User, ben: User
) -> None:
    made: list[Any] = []

    def change() -> None:
        made.append(conversations.start(ada, "hers"))
        conversations.start(ben, "his")

    frames = await heard(watcher, ada, change, count=2)

    assert frames == [{"type": "conversation_changed", "conversation": str(made[0].pk)}]


async def test_a_changed_password_ends_the_other_sockets(watcher: Watcher, ada: User) -> None:
    def change() -> None:
        ada.set_password("another long password")
        ada.save()

    assert await heard(watcher, ada, change, count=2) == [{"type": "kick", "reason": "account"}]


async def test_news_of_this_process_reach_all_sockets_of_one_person(watcher: Watcher, ada: User) -> None:
    frame: Any = {"type": "title", "conversation": "c", "title": "t"}

    assert await heard(watcher, ada, lambda: watcher.tell_soon(ada.pk, frame), count=1) == [frame]


async def test_an_answer_of_a_dead_process_is_interrupted_while_nobody_listens(
    watcher: Watcher, ada: User, model: ModelVersion
) -> None:
    @sync_to_async
    def make() -> Generation:
        question = conversations.add_question(conversations.start(ada, "x"), None, "x")
        beat = timezone.now() - timedelta(seconds=13)
        facts: dict[str, Any] = {"model": model, "seed": 1, "status": "running", "text": "so far", "beat": beat}
        return Generation.objects.create(message=conversations.add_answer(question), **facts)

    row = await make()
    watcher.start()
    async with asyncio.timeout(5):
        while row.status == "running":
            await asyncio.sleep(0.02)
            await row.arefresh_from_db()

    assert (row.status, row.text, row.error_code) == ("interrupted", "so far", "lost")
