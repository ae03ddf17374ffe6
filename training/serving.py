"""The engine as the rest of the site sees it: an async client that streams answers, and sync helpers for verbs.

Knows the engine's HTTP and nothing else: no Django, no tokens, no torch. Any server that streams OpenAI completions
can stand in the engine's place; what it does not say (queue places, token ids) is then simply missing.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, NoReturn, Self

import httpx

from training.ml.config import SamplingConfig
from training.ml.errors import Told
from training.ml.texts import Words, gettext_noop, is_words

CONNECT_SECONDS = 5.0
# A waiting request says its place only when that changes, so silence between two events may be long.
SILENCE_SECONDS = 600.0
# Reading a large model from a slow disk, and its first forward passes.
LOAD_SECONDS = 300.0
CALL_SECONDS = 10.0

Address = tuple[str, str]


class EngineError(Told):
    """Base of everything that the engine, or its absence, can answer. `code` is stable."""

    code = "engine"


class EngineDown(EngineError):
    """Raised when the engine cannot be reached, or its answer broke off."""

    code = "engine_down"


class EngineBusy(EngineError):
    """Raised when its queue is full; `retry_after` is in seconds."""

    code = "engine_busy"

    def __init__(self, said: str | Words, /, *, retry_after: float) -> None:
        super().__init__(said)
        self.retry_after = retry_after


class EngineRefused(EngineError):
    """Raised when the engine says no, or fails at this request; its words may be shown to an operator."""

    def __init__(self, said: str | Words, /, *, code: str, status: int = 400, param: str | None = None) -> None:
        super().__init__(said)
        self.code = code
        self.status = status
        self.param = param


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest:
    """What one answer needs. `user` is who shares fairly with whom; `request_id` joins the log lines."""

    model: str
    prompt: list[int] | str
    sampling: SamplingConfig
    stop_token_ids: list[int] = field(default_factory=list)
    stop: list[str] = field(default_factory=list)
    logprobs: bool = False
    user: str = ""
    request_id: str = ""

    def to_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "prompt": self.prompt,
            "stop_token_ids": self.stop_token_ids,
            "logprobs": self.logprobs,
            "user": self.user,
            "stream": True,
            **self.sampling.to_json(),
        }
        if self.stop:
            body["stop"] = self.stop
        return {name: value for name, value in body.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Queued:
    """`ahead` requests will begin before this one."""

    ahead: int


@dataclass(frozen=True, slots=True)
class Started:
    """The model began to read the prompt."""


@dataclass(frozen=True, slots=True)
class Delta:
    """Whole characters, and the ids made since the last delta with the model's log-probabilities (nats)."""

    text: str
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """reason: `stop` or `length`. Counts are 0 where the server does not tell them."""

    reason: str
    prompt_tokens: int = 0
    completion_tokens: int = 0


Event = Queued | Started | Delta | Finished


class EngineClient:
    """One engine. Lives in one event loop; `aclose` when done."""

    def __init__(self, base_url: str, secret: str = "") -> None:
        timeout = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=32)
        self._http = httpx.AsyncClient(
            base_url=base_url, headers=_headers(secret), timeout=timeout, limits=limits, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        """The answer as it is written. Closing the iterator (use `aclosing`) ends it in the engine too.

        Raises EngineDown, EngineBusy or EngineRefused, also in mid-answer.
        """
        headers = {"x-request-id": request.request_id} if request.request_id else {}
        try:
            async with self._http.stream(
                "POST", "/v1/completions", json=request.to_json(), headers=headers
            ) as response:
                if not response.is_success:
                    await response.aread()
                    _raise_for(response)
                async with aclosing(_events(response)) as events:
                    async for event in events:
                        yield event
        except httpx.HTTPError as error:
            raise _silent(error) from error

    async def load(self, uid: str) -> dict[str, Any]:
        """Load, warm up and probe a version. A refusal changes nothing."""
        return await self._call("POST", "/v1/versions/load", json={"id": uid}, timeout=LOAD_SECONDS)

    async def unload(self, uid: str) -> dict[str, Any]:
        return await self._call("POST", "/v1/versions/unload", json={"id": uid})

    async def status(self) -> dict[str, Any]:
        """Loaded versions, memory, queue and threads."""
        return await self._call("GET", "/v1/versions")

    async def set_threads(self, count: int) -> dict[str, Any]:
        return await self._call("POST", "/v1/threads", json={"threads": count})

    async def _call(self, method: str, path: str, *, timeout: float = CALL_SECONDS, **body: Any) -> dict[str, Any]:
        try:
            response = await self._http.request(method, path, timeout=timeout, **body)
        except httpx.HTTPError as error:
            raise _silent(error) from error
        return _read(response)


# --- reading answers ---


def _silent(error: httpx.HTTPError) -> EngineDown:
    return EngineDown(gettext_noop("The engine does not answer: %(why)s"), why=str(error) or type(error).__name__)


def _headers(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"} if secret else {}


async def _events(response: httpx.Response) -> AsyncGenerator[Event, None]:
    """Ends with Finished, or raises EngineDown: an answer without its end is a broken one."""
    finished = False
    async for line in response.aiter_lines():
        if not line.startswith("data:"):
            continue
        data = line[5:].strip()
        if data == "[DONE]":
            break
        for event in _parse(data):
            finished = finished or isinstance(event, Finished)
            yield event
    if not finished:
        raise EngineDown(gettext_noop("The engine's answer broke off."))


def _parse(data: str) -> list[Event]:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise EngineDown(gettext_noop("The engine's answer is not valid JSON.")) from error
    if "error" in value:
        raise _refusal(value["error"], status=500)
    match value.get("object"):
        case "text_completion.queued":
            return [Queued(ahead=int(value["ahead"]))]
        case "text_completion.started":
            return [Started()]
    return _parse_choice(value)


def _parse_choice(value: dict[str, Any]) -> list[Event]:
    events: list[Event] = []
    usage = value.get("usage") or {}
    for choice in value.get("choices", [])[:1]:
        text, ids = choice.get("text") or "", choice.get("token_ids") or []
        if text or ids:
            logprobs = choice.get("logprobs")
            events.append(Delta(text, ids, logprobs if isinstance(logprobs, list) else None))
        if choice.get("finish_reason"):
            counts = (usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0))
            events.append(Finished(choice["finish_reason"], *counts))
    return events


def _read(response: httpx.Response) -> dict[str, Any]:
    if not response.is_success:
        _raise_for(response)
    try:
        value = response.json()
    except ValueError as error:
        raise EngineDown(gettext_noop("The engine's answer is not valid JSON.")) from error
    return value if isinstance(value, dict) else {"data": value}


def _raise_for(response: httpx.Response) -> NoReturn:
    try:
        error = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        error = {"message": f"The engine answered {response.status_code}."}
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise EngineBusy(_said(error), retry_after=_seconds(response.headers.get("retry-after")))
    raise _refusal(error, status=response.status_code)


def _refusal(error: Any, *, status: int) -> EngineRefused:
    facts = error if isinstance(error, dict) else {}
    code = str(facts.get("code") or "engine_refused")
    return EngineRefused(_said(error), code=code, status=status, param=facts.get("param"))


def _said(error: Any) -> str | Words:
    """Our engine's words, or another server's message as it is."""
    if not isinstance(error, dict):
        return str(error)
    told = error.get("words")
    return told if is_words(told) else str(error.get("message", error))


def _seconds(header: str | None) -> float:
    try:
        return max(0.0, float(header or 1))
    except ValueError:
        return 1.0


# --- this process's engine ---


def _from_environment() -> Address:
    return os.environ.get("CHATSITE_ENGINE_URL", ""), os.environ.get("CHATSITE_ENGINE_SECRET", "")


_locate: Callable[[], Address] = _from_environment
_client: EngineClient | None = None
_client_key: tuple[asyncio.AbstractEventLoop, Address] | None = None


def locate_with(locate: Callable[[], Address]) -> None:
    """Say how this process finds (address, secret) of its engine; without it the environment says so."""
    global _locate  # noqa: PLW0603  (wired once at start)
    _locate = locate


def _address() -> Address:
    url, secret = _locate()
    if not url:
        raise EngineDown(gettext_noop("No engine is known here: is the site running?"))
    return url, secret


def engine() -> EngineClient:
    """The client of the running event loop, made at its first use. Raises EngineDown when no engine is known."""
    global _client, _client_key
    key = (asyncio.get_running_loop(), _address())
    if _client is None or _client_key != key:
        _client, _client_key = EngineClient(*key[1]), key
    return _client


async def close() -> None:
    """Give this loop's connections back."""
    global _client, _client_key
    client, _client, _client_key = _client, None, None
    if client is not None:
        await client.aclose()


def load_version(uid: str) -> dict[str, Any]:
    """Sync `EngineClient.load`. Raises EngineDown, EngineBusy or EngineRefused."""
    return _call_sync("POST", "/v1/versions/load", json={"id": uid}, timeout=LOAD_SECONDS)


def set_threads(count: int) -> dict[str, Any]:
    """CPU threads of the engine from its next step on."""
    return _call_sync("POST", "/v1/threads", json={"threads": count})


def _call_sync(method: str, path: str, *, timeout: float = CALL_SECONDS, **body: Any) -> dict[str, Any]:
    url, secret = _address()
    limits = httpx.Timeout(timeout, connect=CONNECT_SECONDS)
    try:
        with httpx.Client(base_url=url, headers=_headers(secret), timeout=limits, trust_env=False) as client:
            return _read(client.request(method, path, **body))
    except httpx.HTTPError as error:
        raise _silent(error) from error
