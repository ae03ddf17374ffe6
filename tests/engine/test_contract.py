"""What every engine must do over HTTP. The suite's double and the real engine answer the same calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import scripted_engine
from tests.engine.conftest import SECRET, Served, held, serve
from tests.scripted_engine import ScriptedEngine
from training import serving
from training.ml.config import SamplingConfig
from training.serving import CompletionRequest, Delta, EngineClient, Event, Finished, Queued, Started

pytestmark = pytest.mark.asyncio

LONG = 100


@dataclass
class Subject:
    """An engine under the contract, with ways to bring it into the states that the contract talks about."""

    url: str
    secret: str
    scripted: ScriptedEngine | None = None
    real: Served | None = None

    def http(self, *, secret: str | None = None) -> httpx.AsyncClient:
        token = self.secret if secret is None else secret
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30, trust_env=False)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[EngineClient]:
        async with EngineClient(self.url, self.secret) as client:
            yield client

    async def running(self) -> int:
        """Answers that are being written now."""
        if self.scripted:
            return len(self.scripted.asked) - self.scripted.cancelled
        async with self.client() as client:
            return int((await client.status())["queue"]["running"])


@pytest.fixture(params=["scripted", "real"])
def engine(request, served: Served) -> Iterator[Subject]:
    if request.param == "real":
        yield Subject(served.url, SECRET, real=served)
        return
    script = ScriptedEngine(pieces=["你", "好", " there"] * 40, models=["ada", "bea"], piece_seconds=0.001)
    with scripted_engine.running(script):
        yield Subject(script.url, scripted_engine.SECRET, scripted=script)


@pytest.fixture(params=["scripted", "real"])
def full_engine(request, models_dir: Path) -> Iterator[Subject]:
    """One row and one place to wait."""
    if request.param == "real":
        with serve(models_dir, engine_rows=1, engine_queue=1) as running:
            yield Subject(running.url, SECRET, real=running)
        return
    script = ScriptedEngine(pieces=["a"] * LONG, ahead=[0], piece_seconds=0.01)
    with scripted_engine.running(script):
        yield Subject(script.url, scripted_engine.SECRET, scripted=script)


def ask(**changes) -> CompletionRequest:
    sampling = SamplingConfig(temperature=1, top_k=0, top_p=1, max_tokens=changes.pop("max_tokens", 20), seed=3)
    # No end mark, so that the answer is as long as it was asked to be.
    wanted: dict[str, Any] = {
        "model": "ada",
        "prompt": [5, 6, 7],
        "stop_token_ids": [10_000],
        "sampling": sampling,
    } | changes
    return CompletionRequest(**wanted)


async def collect(client: EngineClient, request: CompletionRequest) -> list[Event]:
    async with aclosing(client.stream(request)) as events:
        return [event async for event in events]


async def wait_until_idle(engine: Subject) -> None:
    until = time.monotonic() + 5
    while await engine.running() and time.monotonic() < until:
        await asyncio.sleep(0.01)
    assert await engine.running() == 0


async def wait_until_busy(engine: Subject) -> None:
    while not await engine.running():
        await asyncio.sleep(0.005)


async def wait_until_asked(engine: Subject) -> None:
    """The request that has to wait has arrived."""
    while engine.real and not engine.real.engine.scheduler.waiting:
        await asyncio.sleep(0.005)


async def test_an_answer_starts_comes_in_deltas_and_ends_with_its_counts(engine: Subject):
    async with engine.client() as client:
        events = await collect(client, ask())

    assert events[0] == Started()
    assert events[-1] == Finished("length", prompt_tokens=3, completion_tokens=20)
    deltas = [event for event in events[1:-1] if isinstance(event, Delta)]
    assert len(deltas) == len(events) - 2
    assert sum(len(delta.token_ids) for delta in deltas) == 20


async def test_log_probabilities_come_with_the_ids_when_asked(engine: Subject):
    async with engine.client() as client:
        wanted = [event for event in await collect(client, ask(logprobs=True)) if isinstance(event, Delta)]
        unwanted = [event for event in await collect(client, ask()) if isinstance(event, Delta)]

    assert all(len(delta.logprobs or []) == len(delta.token_ids) for delta in wanted)
    assert all(value <= 0 for delta in wanted for value in delta.logprobs or [])
    assert [delta.logprobs for delta in unwanted if delta.token_ids] == [None] * len(unwanted)


async def test_the_whole_answer_at_once_is_the_streamed_one(engine: Subject):
    async with engine.client() as client, engine.http() as http:
        events = await collect(client, ask())
        whole = (await http.post("/v1/completions", json=ask().to_json() | {"stream": False})).json()

    deltas = [event for event in events if isinstance(event, Delta)]
    [choice] = whole["choices"]
    assert choice["text"] == "".join(delta.text for delta in deltas)
    assert choice["token_ids"] == [token for delta in deltas for token in delta.token_ids]
    assert choice["finish_reason"] == "length"
    assert whole["object"] == "text_completion"
    assert whole["usage"] == {"prompt_tokens": 3, "completion_tokens": 20, "total_tokens": 23}


async def test_the_stream_is_server_sent_events_that_end_with_done(engine: Subject):
    async with engine.http() as http:
        answer = await http.post("/v1/completions", json=ask(max_tokens=2).to_json(), headers={"x-request-id": "abc-1"})

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-request-id"] == "abc-1"
    assert answer.text.startswith("data: {")
    assert answer.text.endswith("data: [DONE]\n\n")


async def test_a_text_may_be_the_prompt(engine: Subject):
    async with engine.client() as client:
        events = await collect(client, ask(prompt="hello there", max_tokens=3))

    assert isinstance(events[-1], Finished)


async def test_health_is_open_and_everything_else_needs_the_secret(engine: Subject):
    async with engine.http(secret="wrong") as http:
        health = await http.get("/health")
        calls = [("GET", "/v1/versions"), ("GET", "/v1/models"), ("POST", "/v1/completions"), ("POST", "/v1/threads")]
        refused = [await http.request(*call) for call in calls]

    assert (health.status_code, health.json()["status"]) == (200, "ok")
    assert [answer.status_code for answer in refused] == [401] * 4
    assert {answer.json()["error"]["code"] for answer in refused} == {"invalid_api_key"}


async def test_versions_are_loaded_listed_and_unloaded(engine: Subject):
    async with engine.client() as client, engine.http() as http:
        loaded = await client.load("bea")
        listed = await client.status()
        models = (await http.get("/v1/models")).json()["data"]
        await client.unload("bea")
        after = await client.status()
        with pytest.raises(serving.EngineRefused) as caught:
            await client.unload("bea")

    assert loaded["id"] == "bea"
    assert "bea" in [version["id"] for version in listed["data"]]
    assert {model["id"]: model["loaded"] for model in models}["bea"] is True
    assert "bea" not in [version["id"] for version in after["data"]]
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")


@pytest.mark.parametrize("name", ["nobody", "../ada", ".hidden", "a/b", "x" * 300])
async def test_an_unknown_version_is_not_found(engine: Subject, name: str):
    async with engine.client() as client:
        with pytest.raises(serving.EngineRefused) as asked:
            await collect(client, ask(model=name))
        with pytest.raises(serving.EngineRefused) as loaded:
            await client.load(name)

    assert (asked.value.status, asked.value.code, asked.value.param) == (404, "model_not_found", "model")
    assert loaded.value.status == 404


BAD = [
    ("model", 5),
    ("model", None),
    ("prompt", None),
    ("prompt", []),
    ("prompt", [1, "a"]),
    ("prompt", [True]),
    ("prompt", [1.5]),
    ("prompt", [[1], [2]]),
    ("prompt", {"a": 1}),
    ("max_tokens", 0),
    ("max_tokens", -5),
    ("max_tokens", "many"),
    ("max_tokens", 1.5),
    ("temperature", -0.1),
    ("temperature", 2.1),
    ("temperature", "hot"),
    ("temperature", True),
    ("top_k", -2),
    ("top_k", 1.5),
    ("top_p", 0),
    ("top_p", 1.01),
    ("seed", -1),
    ("seed", 2**70),
    ("seed", "x"),
    ("stop", [""]),
    ("stop", ["x"] * 17),
    ("stop", 5),
    ("stop_token_ids", "none"),
    ("logprobs", "yes"),
    ("stream", "yes"),
    ("user", 7),
    ("n", 2),
    ("best_of", 3),
    ("echo", True),
    ("suffix", "x"),
    ("logit_bias", {"5": 1}),
    ("presence_penalty", 1),
    ("frequency_penalty", 0.5),
]


@pytest.mark.parametrize(("name", "value"), BAD)
async def test_a_wrong_parameter_is_named(engine: Subject, name: str, value: object):
    async with engine.http() as http:
        answer = await http.post("/v1/completions", json=ask().to_json() | {name: value})

    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["type"]) == (400, name, "invalid_request_error")
    assert error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"null", b'{"model": "ada"}', b"[" * 100_000, b"\xff\xfe"])
async def test_half_a_request_is_refused(engine: Subject, body: bytes):
    async with engine.http() as http:
        answer = await http.post("/v1/completions", content=body)

    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


async def test_nan_and_infinity_are_refused(engine: Subject):
    async with engine.http() as http:
        bodies = [b'{"model":"ada","prompt":[1],"temperature":%s}' % word for word in (b"NaN", b"Infinity", b"1e999")]
        answers = [await http.post("/v1/completions", content=body) for body in bodies]

    assert [(answer.status_code, answer.json()["error"]["param"]) for answer in answers] == [(400, "temperature")] * 3


async def test_threads_may_change_at_any_time(engine: Subject):
    async with engine.client() as client, engine.http() as http:
        told = await client.set_threads(1)
        refused = await http.post("/v1/threads", json={"threads": 0})

    assert told == {"threads": 1}
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "threads")


async def test_closing_the_answer_ends_it(engine: Subject):
    async with engine.client() as client:
        async with aclosing(client.stream(ask(max_tokens=LONG))) as events:
            async for event in events:
                if isinstance(event, Delta):
                    break

        await wait_until_idle(engine)


async def test_one_who_waits_hears_the_place(full_engine: Subject):
    async with full_engine.client() as client:
        await collect(client, ask(max_tokens=1))
        with held(full_engine.real) if full_engine.real else nullcontext():
            first = asyncio.create_task(collect(client, ask(max_tokens=LONG)))
            await wait_until_busy(full_engine)
            second = asyncio.create_task(collect(client, ask(max_tokens=5)))
            await wait_until_asked(full_engine)
        events, _ = await asyncio.gather(second, first)

    assert events[:2] == [Queued(ahead=0), Started()]


async def test_a_full_queue_says_when_to_come_again(full_engine: Subject):
    if full_engine.scripted:
        full_engine.scripted.busy = True
    async with full_engine.client() as client:
        tasks = [asyncio.create_task(collect(client, ask(max_tokens=LONG))) for _ in range(6)]
        results = await asyncio.gather(*tasks, return_exceptions=True)

    busy = [result for result in results if isinstance(result, serving.EngineBusy)]
    assert busy
    assert all(error.retry_after >= 1 for error in busy)
    assert len(busy) + sum(isinstance(result, list) for result in results) == 6
