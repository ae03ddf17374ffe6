"""The public API as the official `openai` package uses it, against a real server process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from django.contrib.auth.models import User

from tests.chat.conftest import MakeModel
from tests.chat.server import serving_site
from tests.scripted_engine import ScriptedEngine, running
from training import api_keys
from training.models import ApiKey, ModelVersion

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

MESSAGES: list[Any] = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def shared_engine() -> Iterator[ScriptedEngine]:
    with running(ScriptedEngine()) as scripted:
        yield scripted


@pytest.fixture
def engine(shared_engine: ScriptedEngine) -> ScriptedEngine:
    """As new for each test, at the address that the server process knows."""
    vars(shared_engine).update(vars(ScriptedEngine(url=shared_engine.url)))
    return shared_engine


@pytest.fixture(scope="module")
def server(django_db_setup: None, shared_engine: ScriptedEngine) -> Iterator[str]:
    """The real application in a uvicorn process of its own, on the test database."""
    with serving_site(shared_engine) as (address, _process):
        yield address


@pytest.fixture
def site(server: str, engine: ScriptedEngine, model: ModelVersion) -> str:
    return server


@pytest.fixture
def key(ada: User) -> str:
    return api_keys.create(ada, name="laptop")[1]


@pytest.fixture
def client(site: str, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{site}/v1", api_key=key, max_retries=0) as made:
        yield made


def test_the_official_client_chats(client: openai.OpenAI, engine: ScriptedEngine) -> None:
    whole = client.chat.completions.create(model="default", messages=MESSAGES, temperature=0.0, max_tokens=20, seed=3)

    assert (whole.object, whole.model) == ("chat.completion", "model tiny-1")
    assert whole.choices[0].message.content == "你好！"
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage is not None
    assert whole.usage.prompt_tokens == len(engine.asked[0]["prompt"])
    assert whole.usage.completion_tokens == 3
    assert (engine.asked[0]["temperature"], engine.asked[0]["max_tokens"], engine.asked[0]["seed"]) == (0.0, 20, 3)

    stream = client.chat.completions.create(
        model="model tiny-1", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)

    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "你好！"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3

    extra = client.chat.completions.create(
        model="tiny-1",
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]},
        ],
        extra_body={"top_k": 7},
    )

    assert extra.choices[0].message.content == "你好！"
    assert engine.asked[-1]["top_k"] == 7

    assert [item.id for item in client.models.list()] == ["default", "model tiny-1"]
    assert client.models.retrieve("tiny-1").owned_by == "chatsite"


def test_failures_are_the_official_clients_exceptions(
    client: openai.OpenAI, engine: ScriptedEngine, site: str, key: str
) -> None:
    def ask(**changes: Any) -> Any:
        return client.chat.completions.create(**({"model": "default", "messages": MESSAGES} | changes))

    with pytest.raises(openai.AuthenticationError) as unknown_key:
        client.with_options(api_key="sk-wrong").models.list()
    with pytest.raises(openai.NotFoundError) as no_model:
        ask(model="gpt-9")
    with pytest.raises(openai.BadRequestError) as bad_value:
        ask(temperature=9)
    with pytest.raises(openai.BadRequestError) as bad_type:
        ask(messages=[{"role": "robot", "content": "x"}])
    with pytest.raises(openai.BadRequestError) as too_long:
        ask(messages=[{"role": "user", "content": "长" * 3000}])
    with pytest.raises(openai.BadRequestError) as unsupported:
        ask(n=2)
    with pytest.raises(openai.NotFoundError) as unknown_url:
        client.responses.create(model="default", input="x")
    not_json = httpx.post(
        f"{site}/v1/chat/completions", content=b"{", headers={"Authorization": f"Bearer {key}"}, trust_env=False
    )

    codes = [
        (error.value.code, error.value.param)
        for error in (unknown_key, no_model, bad_value, bad_type, too_long, unsupported, unknown_url)
    ]
    assert codes == [
        ("invalid_api_key", None),
        ("model_not_found", "model"),
        ("invalid_value", "temperature"),
        ("invalid_value", "messages.0.role"),
        ("context_length_exceeded", "messages"),
        ("unsupported_parameter", "n"),
        ("unknown_url", None),
    ]
    assert (not_json.status_code, not_json.json()["error"]["type"]) == (400, "invalid_request_error")
    assert engine.asked == []

    engine.busy = True
    for stream in (False, True):
        with pytest.raises(openai.RateLimitError) as busy:
            ask(stream=stream)
        assert busy.value.response.headers["Retry-After"] == "3"


def test_a_client_that_goes_away_ends_the_work(client: openai.OpenAI, engine: ScriptedEngine) -> None:
    engine.pieces, engine.piece_seconds = ["字"] * 200, 0.05

    with client.chat.completions.create(model="default", messages=MESSAGES, stream=True) as stream:
        next(iter(stream))

    assert engine.wait_until_cancelled()


def test_an_engine_that_breaks_in_mid_stream_says_so_in_the_stream(site: str, key: str, engine: ScriptedEngine) -> None:
    engine.break_after = 2
    body = {"model": "default", "messages": MESSAGES, "stream": True}

    response = httpx.post(
        f"{site}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {key}"}, trust_env=False
    )

    lines = [line for line in response.text.splitlines() if line]
    assert response.headers["content-type"].startswith("text/event-stream")
    assert json.loads(lines[-1].removeprefix("data: "))["error"]["code"] == "engine_down"


@pytest.mark.parametrize("how", ["revoked", "closed"])
def test_a_key_that_is_revoked_or_whose_account_is_closed_opens_nothing(ada: User, how: str) -> None:
    row, secret = api_keys.create(ada, name="x")
    assert api_keys.verify(secret) == row

    if how == "revoked":
        api_keys.revoke(row)
    else:
        User.objects.filter(pk=ada.pk).update(is_active=False)

    assert api_keys.verify(secret) is None


def test_only_a_hash_of_a_key_is_kept(ada: User) -> None:
    _row, secret = api_keys.create(ada, name="x")

    stored = " ".join(str(value) for value in ApiKey.objects.values().get().values())

    assert secret not in stored
    assert secret.startswith("sk-")


def test_models_are_found_by_name_id_and_default_and_retired_ones_are_not(
    make_model: MakeModel, model: ModelVersion
) -> None:
    from django.utils import timezone

    from chat import completions

    old = make_model("tiny-0", is_active=False, retired_at=timezone.now())

    assert [completions.find_model(name) for name in ("default", "tiny-1", "model tiny-1")] == [model] * 3
    with pytest.raises(completions.ApiError):
        completions.find_model(old.name)
