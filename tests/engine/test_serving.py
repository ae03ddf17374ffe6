"""The client against engines that break, refuse, or are not ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tests import scripted_engine
from tests.scripted_engine import ScriptedEngine
from training import serving
from training.ml.config import SamplingConfig
from training.serving import CompletionRequest, Delta, EngineClient, EngineDown, EngineRefused, Event, Finished

NOWHERE = "http://127.0.0.1:9"
ASKED = CompletionRequest(model="ada", prompt=[1], sampling=SamplingConfig(seed=1))


@pytest.fixture
def script() -> Iterator[ScriptedEngine]:
    with scripted_engine.running(ScriptedEngine()) as engine:
        yield engine


@pytest.fixture
def here(script: ScriptedEngine) -> Iterator[ScriptedEngine]:
    """This process's engine is the scripted one."""
    before = serving._locate
    serving.locate_with(lambda: (script.url, scripted_engine.SECRET))
    yield script
    serving.locate_with(before)


async def collect(client: EngineClient, into: list[Event] | None = None) -> list[Event]:
    events: list[Event] = [] if into is None else into
    async with aclosing(client.stream(ASKED)) as stream:
        async for event in stream:
            events.append(event)
    return events


@pytest.mark.asyncio
async def test_an_answer_that_breaks_off_is_told_after_its_words(script: ScriptedEngine):
    script.break_after = 2
    said: list[Event] = []

    async with EngineClient(script.url, scripted_engine.SECRET) as client:
        with pytest.raises(EngineDown):
            await collect(client, said)

    assert [event.text for event in said if isinstance(event, Delta)] == ["你", "好"]


@pytest.mark.asyncio
async def test_an_error_in_mid_answer_is_raised_with_its_code(script: ScriptedEngine):
    script.fail_after = 1
    said: list[Event] = []

    async with EngineClient(script.url, scripted_engine.SECRET) as client:
        with pytest.raises(EngineRefused, match="failed at this step") as caught:
            await collect(client, said)

    assert (caught.value.code, caught.value.status) == ("engine_failure", 500)
    assert [event.text for event in said if isinstance(event, Delta)] == ["你"]


@pytest.mark.asyncio
async def test_an_engine_that_is_not_there_is_down():
    async with EngineClient(NOWHERE, "x") as client:
        with pytest.raises(EngineDown, match="does not answer"):
            await collect(client)
        with pytest.raises(EngineDown):
            await client.status()


@pytest.mark.asyncio
async def test_the_request_carries_its_id_and_settings(script: ScriptedEngine):
    request = CompletionRequest(
        model="ada",
        prompt=[4, 5],
        sampling=SamplingConfig(temperature=0.5, top_k=3, top_p=0.9, max_tokens=7, seed=2),
        stop_token_ids=[1],
        logprobs=True,
        user="u1",
        request_id="req-1",
    )
    async with (
        EngineClient(script.url, scripted_engine.SECRET) as client,
        aclosing(client.stream(request)) as events,
    ):
        async for _ in events:
            pass

    assert script.request_ids == ["req-1"]
    assert script.asked == [
        {
            "model": "ada",
            "prompt": [4, 5],
            "stop_token_ids": [1],
            "logprobs": True,
            "user": "u1",
            "stream": True,
            "temperature": 0.5,
            "top_k": 3,
            "top_p": 0.9,
            "max_tokens": 7,
            "seed": 2,
        }
    ]


@pytest.mark.asyncio
async def test_leaving_ends_the_answer_in_the_engine(script: ScriptedEngine):
    script.hold_after = 1
    async with EngineClient(script.url, scripted_engine.SECRET) as client:
        async with aclosing(client.stream(ASKED)) as events:
            async for event in events:
                if isinstance(event, Delta):
                    break

        assert await asyncio.to_thread(script.wait_until_cancelled)


def foreign(*lines: str, status: int = 200) -> Starlette:
    """A server that streams OpenAI completions and knows nothing of ours."""

    async def complete(_request: Request) -> Response:
        if status != 200:
            return PlainTextResponse(lines[0], status_code=status)

        async def body() -> AsyncIterator[str]:
            for line in lines:
                yield f"{line}\n\n"

        return StreamingResponse(body(), media_type="text/event-stream")

    return Starlette(routes=[Route("/v1/completions", complete, methods=["POST"])])


def chunk(text: str, reason: str | None = None) -> str:
    logprobs = {"tokens": [text], "token_logprobs": [-1.0]}
    choice = {"index": 0, "text": text, "logprobs": logprobs, "finish_reason": reason}
    return "data: " + json.dumps({"object": "text_completion", "choices": [choice]})


@pytest.mark.asyncio
async def test_a_foreign_engine_gives_text_without_ids():
    app = foreign(": a comment", chunk("Hel"), chunk("lo"), chunk("", "stop"), "data: [DONE]")
    with scripted_engine.serving(app) as url:
        async with EngineClient(url) as client:
            events = await collect(client)

    assert events == [Delta("Hel"), Delta("lo"), Finished("stop")]


@pytest.mark.asyncio
@pytest.mark.parametrize("lines", [(chunk("Hel"),), (chunk("Hel"), "data: [DONE]"), (chunk("Hel"), "data: {")])
async def test_an_answer_without_its_end_is_broken(lines: tuple[str, ...]):
    with scripted_engine.serving(foreign(*lines)) as url:
        async with EngineClient(url) as client:
            with pytest.raises(EngineDown):
                await collect(client)


@pytest.mark.asyncio
async def test_a_refusal_that_is_not_json_is_still_a_refusal():
    with scripted_engine.serving(foreign("<h1>Bad gateway</h1>", status=502)) as url:
        async with EngineClient(url) as client:
            with pytest.raises(EngineRefused, match="answered 502"):
                await collect(client)


def test_the_sync_helpers_call_this_processes_engine(here: ScriptedEngine):
    assert serving.load_version("ada")["id"] == "ada"
    assert serving.set_threads(2) == {"threads": 2}
    here.models = []
    with pytest.raises(EngineRefused, match="does not exist"):
        serving.load_version("bea")


def test_without_an_address_the_engine_is_down(here: ScriptedEngine):
    serving.locate_with(lambda: ("", ""))

    with pytest.raises(EngineDown, match="No engine is known"):
        serving.load_version("ada")


@pytest.mark.asyncio
async def test_the_client_of_a_process_follows_the_engine_when_it_moves(here: ScriptedEngine):
    first = serving.engine()
    assert serving.engine() is first
    await collect(first)

    with scripted_engine.running(ScriptedEngine()) as other:
        serving.locate_with(lambda: (other.url, scripted_engine.SECRET))
        second = serving.engine()
        await collect(second)
        await serving.close()

    assert second is not first
    assert len(other.asked) == 1
    await first.aclose()


def test_the_address_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("CHATSITE_ENGINE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("CHATSITE_ENGINE_SECRET", "s")

    assert serving._from_environment() == ("http://127.0.0.1:1", "s")
