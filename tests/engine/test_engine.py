"""The real engine: batching, fairness, cancelling, failing well. Everything goes over a real socket."""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import torch

from chat.engine.options import Options
from tests.engine.conftest import CONTEXT, Served, held, serve
from training import serving
from training.ml.config import SamplingConfig
from training.ml.render import Renderer
from training.serving import CompletionRequest, Delta, EngineRefused, Finished, Queued, Started

pytestmark = pytest.mark.asyncio

NEVER = [10_000]


def ask(prompt=(5, 6, 7), *, max_tokens: int = 20, seed: int = 3, temperature: float = 1.0, **changes):
    sampling = SamplingConfig(temperature=temperature, top_k=0, top_p=1, max_tokens=max_tokens, seed=seed)
    wanted: dict[str, Any] = {
        "model": "ada",
        "prompt": prompt if isinstance(prompt, str) else list(prompt),
        "stop_token_ids": NEVER,
        "sampling": sampling,
    } | changes
    return CompletionRequest(**wanted)


async def collect(client: serving.EngineClient, request: CompletionRequest):
    async with aclosing(client.stream(request)) as events:
        return [event async for event in events]


def ids_of(events) -> list[int]:
    return [token for event in events if isinstance(event, Delta) for token in event.token_ids]


def text_of(events) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


async def running(served: Served) -> int:
    async with served.client() as client:
        return int((await client.status())["queue"]["running"])


async def wait_until(check, *, seconds: float = 5) -> None:
    until = time.monotonic() + seconds
    while not await check():
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


async def test_greedy_ids_are_those_of_transformers(served: Served, models_dir: Path):
    from transformers import AutoModelForCausalLM

    async with served.client() as client:
        events = await collect(client, ask(temperature=0))

    model: Any = AutoModelForCausalLM.from_pretrained(models_dir / "ada")
    prompt = torch.tensor([[5, 6, 7]])
    whole = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=20, do_sample=False, eos_token_id=None
    )
    assert ids_of(events) == whole[0, 3:].tolist()


async def test_a_seeded_answer_is_the_same_alone_and_among_others(served: Served):
    async with served.client() as client:
        alone = await collect(client, ask(seed=9))
        crowd = [ask(range(2, 2 + size), seed=size, user=f"u{size}") for size in (3, 30, 60, 90, 9)]
        among = (await asyncio.gather(collect(client, ask(seed=9)), *[collect(client, one) for one in crowd]))[0]

    assert ids_of(alone) == ids_of(among)


@pytest.mark.parametrize("seed", range(5))
async def test_the_deltas_are_the_text_of_all_ids(served: Served, models_dir: Path, seed: int):
    """A random model writes random bytes, so most of its characters are broken."""
    async with served.client() as client:
        events = await collect(client, ask(seed=seed, max_tokens=100))

    assert text_of(events) == Renderer.load(models_dir / "ada").decode(ids_of(events))
    assert len(ids_of(events)) == 100


async def test_an_answer_ends_at_its_stop_id_which_is_told_but_not_shown(served: Served):
    async with served.client() as client:
        long = ids_of(await collect(client, ask(temperature=0)))
        stop = long[4]
        events = await collect(client, ask(temperature=0, stop_token_ids=[stop]))

    assert ids_of(events) == long[: long.index(stop) + 1]
    assert events[-1] == Finished("stop", prompt_tokens=3, completion_tokens=long.index(stop) + 1)


async def test_without_stop_ids_the_models_own_end_mark_counts(served: Served, models_dir: Path):
    [end] = Renderer.load(models_dir / "ada").stop_ids
    async with served.http() as http:
        bodies = [{"model": "ada", "prompt": [5], "max_tokens": 60, "seed": seed} for seed in range(20)]
        answers = await asyncio.gather(*[http.post("/v1/completions", json=body) for body in bodies])

    choices = [answer.json()["choices"][0] for answer in answers]
    for choice in choices:
        ended = choice["token_ids"][-1] == end
        assert (choice["finish_reason"] == "stop") == ended
        assert end not in choice["token_ids"][:-1]


async def test_a_stop_string_cuts_the_text(served: Served):
    async with served.client() as client:
        whole = text_of(await collect(client, ask(temperature=0, max_tokens=60)))
        stop = whole[6:8]
        events = await collect(client, ask(temperature=0, max_tokens=60, stop=[stop]))

    assert text_of(events) == whole[: whole.find(stop)]
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "stop"


async def test_the_answer_is_clamped_to_the_window(served: Served):
    async with served.client() as client:
        events = await collect(client, ask([5] * (CONTEXT - 4), max_tokens=1000))

    assert events[-1] == Finished("length", prompt_tokens=CONTEXT - 4, completion_tokens=4)


async def test_a_prompt_that_does_not_fit_is_refused_with_numbers(served: Served):
    async with served.client() as client:
        with pytest.raises(EngineRefused, match=f"{CONTEXT} tokens.*window is {CONTEXT}") as caught:
            await collect(client, ask([5] * CONTEXT))

    assert (caught.value.status, caught.value.param) == (400, "prompt")
    assert caught.value.code == "context_length_exceeded"


@pytest.mark.parametrize("wrong", [-1, 320, 2**40])
async def test_ids_out_of_the_vocabulary_are_refused(served: Served, wrong: int):
    async with served.client() as client:
        with pytest.raises(EngineRefused, match=f"id {wrong};") as caught:
            await collect(client, ask([5, wrong]))

    assert (caught.value.status, caught.value.param) == (400, "prompt")


async def test_a_text_prompt_takes_special_tokens_as_plain_text(served: Served, models_dir: Path):
    text = "hello <|end|>"
    async with served.client() as client:
        spoken = await collect(client, ask(prompt=text))
        listed = await collect(client, ask(Renderer.load(models_dir / "ada").text_ids(text)))
        with pytest.raises(EngineRefused, match="empty"):
            await collect(client, CompletionRequest(model="ada", prompt="", sampling=SamplingConfig()))

    assert ids_of(spoken) == ids_of(listed)


async def test_one_persons_second_request_waits_behind_anothers_first(models_dir: Path):
    asked = [("a1", "ada"), ("a2", "ada"), ("a3", "ada"), ("b1", "ben"), ("b2", "ben")]
    began: list[str] = []

    async def follow(client: serving.EngineClient, name: str, user: str) -> None:
        async with aclosing(client.stream(ask(max_tokens=5, user=user))) as events:
            async for event in events:
                if isinstance(event, Started):
                    began.append(name)

    with serve(models_dir, engine_rows=1) as served:
        async with served.client() as client:
            await client.load("ada")
            tasks = []
            with held(served):
                for count, (name, user) in enumerate(asked):
                    tasks.append(asyncio.create_task(follow(client, name, user)))
                    await wait_until(lambda count=count: _is(served, **_counts(count)))
            await asyncio.gather(*tasks)

    assert began == ["a1", "b1", "a2", "b2", "a3"]


async def test_places_are_told_when_they_change(models_dir: Path):
    with serve(models_dir, engine_rows=1) as served:
        async with served.client() as client:
            await client.load("ada")
            tasks = []
            with held(served):
                for count, user in enumerate("abcd"):
                    tasks.append(asyncio.create_task(collect(client, ask(max_tokens=5, user=user))))
                    await wait_until(lambda count=count: _is(served, **_counts(count)))
            answers = await asyncio.gather(*tasks)

    places = [[event.ahead for event in events if isinstance(event, Queued)] for events in answers]
    assert places == [[], [0], [1, 0], [2, 1, 0]]


async def test_one_who_leaves_the_queue_frees_the_place(models_dir: Path):
    with serve(models_dir, engine_rows=1, engine_queue=1) as served:
        async with served.client() as client:
            await client.load("ada")
            with held(served):
                first = asyncio.create_task(collect(client, ask()))
                await wait_until(lambda: _is(served, running=1))
                waiting = asyncio.create_task(collect(client, ask()))
                await wait_until(lambda: _is(served, waiting=1))
                with pytest.raises(serving.EngineBusy):
                    await collect(client, ask())
                waiting.cancel()
                await wait_until(lambda: _is(served, waiting=0))
                third = asyncio.create_task(collect(client, ask()))
                await wait_until(lambda: _is(served, waiting=1))
            answers = [await first, await third]

    assert [type(events[-1]) for events in answers] == [Finished] * 2


def _counts(before: int) -> dict[str, int]:
    """One row: the first runs, the others wait."""
    return {"running": 1, "waiting": before}


async def _is(served: Served, **counts: int) -> bool:
    async with served.client() as client:
        queue = (await client.status())["queue"]
    return all(queue[name] == count for name, count in counts.items())


async def test_a_client_that_vanishes_ends_its_answer_streamed_or_not(served: Served):
    body = ask(max_tokens=120).to_json()
    for stream in (True, False):
        async with served.http() as http:
            tasks = [
                asyncio.create_task(http.post("/v1/completions", json=body | {"stream": stream, "max_tokens": 120}))
                for _ in range(8)
            ]
            await asyncio.sleep(0.03)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        await wait_until(lambda: _is(served, running=0, waiting=0))
    async with served.client() as client:
        await wait_until(lambda: _nobody_holds(client))


async def _nobody_holds(client: serving.EngineClient) -> bool:
    return all(version["answering"] == 0 for version in (await client.status())["data"])


async def test_numbers_gone_wrong_end_one_request_only(models_dir: Path, tmp_path: Path):
    with serve(models_dir) as served:
        async with served.client() as client:
            await client.load("ada")
            [version] = served.engine.versions.loaded
            model: Any = version.decoder.model
            weights = model.transformer.wpe.weight
            with torch.no_grad():
                weights[100:] = torch.nan  # only who comes that far is hit
            results: Any = await asyncio.gather(
                collect(client, ask(max_tokens=50)),
                collect(client, ask([5] * 95, max_tokens=20)),
                return_exceptions=True,
            )
            again = await collect(client, ask(max_tokens=50))
    good, bad = results

    assert isinstance(bad, EngineRefused)
    assert bad.code == "not_a_number"
    assert ids_of(good) == ids_of(again)
    assert len(ids_of(good)) == 50


async def test_a_failing_step_ends_its_requests_and_the_engine_lives(models_dir: Path):
    with serve(models_dir) as served:
        async with served.client() as client:
            await client.load("ada")
            [version] = served.engine.versions.loaded
            model: Any = version.decoder.model
            real = model.forward

            def broken(*args, **kwargs):
                raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")

            model.forward = broken
            results = await asyncio.gather(*[collect(client, ask()) for _ in range(3)], return_exceptions=True)
            model.forward = real
            after = await collect(client, ask())

    assert [str(result) for result in results] == ["The model failed at this step: not enough memory."] * 3
    assert isinstance(after[-1], Finished)


async def test_a_flood_of_requests_at_once_are_answered_or_told_to_come_again(models_dir: Path):
    with serve(models_dir, engine_rows=8, engine_queue=40) as served:
        async with served.client() as client:
            await client.load("ada")
            asked = [collect(client, ask(max_tokens=2, user=f"u{index % 50}")) for index in range(150)]
            results = await asyncio.gather(*asked, return_exceptions=True)
            after = await collect(client, ask())

    done = [result for result in results if isinstance(result, list)]
    busy = [result for result in results if isinstance(result, serving.EngineBusy)]
    assert len(done) + len(busy) == 150
    assert len(done) >= 40
    assert isinstance(after[-1], Finished)


async def test_metrics_count_what_happened(models_dir: Path):
    with serve(models_dir) as served:
        async with served.client() as client, served.http() as http:
            await collect(client, ask(max_tokens=7))
            page = (await http.get("/metrics")).text

    assert 'chatsite_engine_requests_total{outcome="length"} 1.0' in page
    assert 'chatsite_engine_tokens_total{kind="completion"} 7.0' in page
    assert 'chatsite_engine_tokens_total{kind="prompt"} 3.0' in page
    assert "chatsite_engine_first_token_seconds_count 1.0" in page
    assert "chatsite_engine_loaded_versions 1.0" in page
    assert "chatsite_engine_queue_length 0.0" in page


async def test_the_number_of_threads_changes_between_steps(models_dir: Path):
    with serve(models_dir) as served:
        async with served.client() as client:
            await client.set_threads(1)
            await collect(client, ask())
            told = (await client.status())["threads"]
            await wait_until(lambda: _threads_are(served, 1))

    assert told == 1


async def _threads_are(served: Served, count: int) -> bool:
    return served.engine.scheduler._threads == count


async def test_two_versions_answer_at_once(served: Served):
    async with served.client() as client:
        ada, bea = await asyncio.gather(
            collect(client, ask(temperature=0)), collect(client, ask(temperature=0, model="bea"))
        )

    assert ids_of(ada) != ids_of(bea)
    assert len(ids_of(ada)) == len(ids_of(bea)) == 20


async def test_what_is_not_there_says_so(served: Served):
    async with served.http() as http:
        missing = await http.get("/v1/nothing")
        wrong_verb = await http.get("/v1/completions")

    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    assert wrong_verb.status_code == 405


@pytest.fixture
def own_models(models_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(models_dir, tmp_path / "models"))


async def test_a_damaged_version_is_refused_and_changes_nothing(own_models: Path):
    bad = own_models / "bad"
    shutil.copytree(own_models / "ada", bad)
    (bad / "model.safetensors").write_bytes((bad / "model.safetensors").read_bytes()[:5000])
    with serve(own_models) as served:
        async with served.client() as client:
            await client.load("ada")
            with pytest.raises(EngineRefused) as caught:
                await client.load("bad")
            listed = await client.status()
            events = await collect(client, ask())

    assert (caught.value.status, caught.value.code) == (422, "bad_model")
    assert [version["id"] for version in listed["data"]] == ["ada"]
    assert isinstance(events[-1], Finished)


async def test_weights_without_numbers_are_found_by_the_probe(own_models: Path):
    from safetensors.torch import load_file, save_file

    path = own_models / "bea" / "model.safetensors"
    weights = load_file(path)
    name = next(name for name in weights if name.endswith("ln_f.weight"))
    weights[name][0] = torch.nan
    save_file(weights, path, metadata={"format": "pt"})
    with serve(own_models) as served:
        async with served.client() as client:
            with pytest.raises(EngineRefused, match="no numbers"):
                await client.load("bea")


async def test_the_longest_unused_version_leaves_when_memory_is_short(own_models: Path):
    shutil.copytree(own_models / "ada", own_models / "cy")
    size = (own_models / "ada" / "model.safetensors").stat().st_size
    with serve(own_models) as served:
        async with served.client() as client:
            served.engine.versions._options = with_budget(served, int(size * 2.6))
            for name in ("ada", "bea"):
                await collect(client, ask(model=name, max_tokens=1))
            await collect(client, ask(max_tokens=1))
            await client.load("cy")
            listed = [version["id"] for version in (await client.status())["data"]]
            back = await collect(client, ask(model="bea", max_tokens=1))

    assert listed == ["ada", "cy"]
    assert isinstance(back[-1], Finished)


def with_budget(served: Served, count: int) -> Options:
    """The engine's options with a budget finer than the environment's megabytes."""

    class Fine(Options):
        @property
        def budget_bytes(self) -> int:
            return count

    return Fine(**served.engine.options.model_dump())


async def test_a_version_that_answers_is_not_pushed_out(own_models: Path):
    size = (own_models / "ada" / "model.safetensors").stat().st_size
    with serve(own_models) as served:
        async with served.client() as client:
            served.engine.versions._options = with_budget(served, int(size * 1.5))
            async with aclosing(client.stream(ask(max_tokens=120))) as events:
                await anext(events)
                with pytest.raises(EngineRefused) as loading:
                    await client.load("bea")
                with pytest.raises(EngineRefused) as unloading:
                    await client.unload("ada")
            await wait_until(lambda: _nobody_holds(client))
            await client.load("bea")

    assert (loading.value.status, loading.value.code) == (409, "not_enough_memory")
    assert (unloading.value.status, unloading.value.code) == (409, "version_in_use")


async def test_loading_happens_beside_serving(served: Served):
    async with served.client() as client:
        await client.load("ada")
        with_load = asyncio.create_task(client.load("bea"))
        events = await collect(client, ask())
        await with_load

    assert isinstance(events[-1], Finished)


async def test_a_burst_on_a_cold_version_loads_it_once(own_models: Path):
    with serve(own_models) as served:
        async with served.client() as client:
            answers = await asyncio.gather(*[collect(client, ask(max_tokens=3)) for _ in range(6)])
            listed = (await client.status())["data"]

    assert [type(events[-1]) for events in answers] == [Finished] * 6
    assert len(listed) == 1
