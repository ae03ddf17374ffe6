"""The one double of the suite: an engine that speaks the real one's HTTP and says what a test wrote down.

It runs in a thread with a server of its own, so the site's real client talks to it over a real socket.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from chat.engine.app import Gate
from chat.engine.errors import ApiError, Busy, ModelNotFound
from chat.engine.requests import Completion, Threads, VersionId, parse

SECRET = "scripted"


@dataclass
class ScriptedEngine:
    """Says `pieces` one after another. After `hold_after` of them it waits until `release`.

    `is_loading`: says nothing at all until `release`; `ahead`: queue places told before it begins; `busy`: refuses
    with 429; `break_after`: dies in mid-answer; `fail_after`: tells an error in mid-answer; `models`: the versions
    that exist, None = every name.
    """

    pieces: list[str] = field(default_factory=lambda: ["你", "好", "！"])
    finish_reason: str = "stop"
    piece_seconds: float = 0.0
    is_loading: bool = False
    ahead: list[int] = field(default_factory=list)
    hold_after: int | None = None
    break_after: int | None = None
    fail_after: int | None = None
    models: list[str] | None = None
    busy: bool = False
    refuse: dict[str, Any] | None = None
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    request_ids: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    cancelled: int = 0

    def __post_init__(self) -> None:
        self._released = threading.Event()

    def release(self) -> None:
        self._released.set()

    def wait_until_cancelled(self, count: int = 1) -> bool:
        until = time.monotonic() + 5
        while self.cancelled < count and time.monotonic() < until:
            time.sleep(0.01)
        return self.cancelled >= count

    # --- its HTTP ---

    def app(self) -> ASGIApp:
        routes = [
            Route("/v1/completions", self._complete, methods=["POST"]),
            Route("/v1/models", self._models),
            Route("/v1/versions/load", self._load, methods=["POST"]),
            Route("/v1/versions/unload", self._unload, methods=["POST"]),
            Route("/v1/versions", self._versions),
            Route("/v1/threads", self._threads, methods=["POST"]),
            Route("/health", self._health),
        ]
        # The real door: secret, request ids and the shape of refusals are the same by being the same.
        return Gate(Starlette(routes=routes, exception_handlers={ApiError: refuse}), secret=SECRET)

    async def _health(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok", "versions": self.loaded})

    async def _threads(self, request: Request) -> Response:
        return JSONResponse({"threads": parse(Threads, await request.body()).threads})

    async def _models(self, _request: Request) -> Response:
        data = [{"id": uid, "object": "model", "loaded": uid in self.loaded} for uid in self.models or self.loaded]
        return JSONResponse({"object": "list", "data": data})

    async def _versions(self, _request: Request) -> Response:
        data = [{"id": uid, "object": "version", "bytes": 1, "answering": 0} for uid in self.loaded]
        queue = {"waiting": 0, "running": 0, "limit": 1}
        told = {"object": "list", "data": data, "bytes": len(data), "budget_bytes": 100, "threads": 1, "queue": queue}
        return JSONResponse(told)

    async def _load(self, request: Request) -> Response:
        uid = parse(VersionId, await request.body()).id
        self._find(uid)
        self._refuse_if_told()
        self.loaded.append(uid)
        return JSONResponse({"id": uid, "loaded": True, "bytes": 1})

    async def _unload(self, request: Request) -> Response:
        uid = parse(VersionId, await request.body()).id
        if uid not in self.loaded:
            raise ModelNotFound(f"{uid} is not loaded.", param="id")
        self.loaded = [name for name in self.loaded if name != uid]
        return JSONResponse({"id": uid, "loaded": False})

    async def _complete(self, request: Request) -> Response:
        body = await request.body()
        asked = parse(Completion, body)
        self.asked.append(json.loads(body))
        self.request_ids.append(request.headers.get("x-request-id", ""))
        self._find(asked.model)
        self._refuse_if_told()
        if self.busy:
            raise Busy("The queue is full.", retry_after_s=3)
        if self.is_loading:
            await self._wait_for_release()
        if asked.stream:
            return StreamingResponse(self._say(asked), media_type="text/event-stream")
        events = [event async for event in self._events(asked) if "choices" in event]
        return JSONResponse(_joined(events))

    def _find(self, uid: str) -> None:
        if self.models is not None and uid not in self.models:
            raise ModelNotFound(f"The model {uid!r} does not exist.", param="model")

    def _refuse_if_told(self) -> None:
        if self.refuse is not None:
            error = ModelNotFound(self.refuse["message"], param=self.refuse.get("param"), code=self.refuse.get("code"))
            raise error

    async def _say(self, asked: Completion) -> AsyncIterator[str]:
        try:
            async for event in self._events(asked):
                yield f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
            yield "data: [DONE]\n\n"
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def _events(self, asked: Completion) -> AsyncIterator[dict[str, Any]]:
        for ahead in self.ahead:
            yield {"object": "text_completion.queued", "ahead": ahead}
            await asyncio.sleep(0.02)
        yield {"object": "text_completion.started"}
        for index, piece in enumerate(self.pieces[: asked.max_tokens]):
            if index == self.break_after:
                raise ConnectionAbortedError("scripted")
            if index == self.fail_after:
                yield ApiError("The model failed at this step.").to_json()
                return
            if index == self.hold_after:
                await self._wait_for_release()
            await asyncio.sleep(self.piece_seconds)
            yield _chunk(asked, text=piece, ids=[100 + index])
        made = min(len(self.pieces), asked.max_tokens)
        usage = {"prompt_tokens": len(asked.prompt), "completion_tokens": made}
        usage["total_tokens"] = sum(usage.values())
        reason = self.finish_reason if made == len(self.pieces) else "length"
        yield _chunk(asked, reason=reason, usage=usage)

    async def _wait_for_release(self) -> None:
        while not self._released.is_set():
            await asyncio.sleep(0.005)


def _chunk(
    asked: Completion,
    *,
    text: str = "",
    ids: list[int] | None = None,
    reason: str | None = None,
    usage: dict[str, int] | None = None,
) -> dict[str, Any]:
    logprobs = [-0.5] * len(ids or []) if asked.logprobs else None
    choice = {"index": 0, "text": text, "token_ids": ids or [], "logprobs": logprobs, "finish_reason": reason}
    return {
        "id": "cmpl-scripted",
        "object": "text_completion",
        "created": 0,
        "model": asked.model,
        "choices": [choice],
        "usage": usage,
    }


def _joined(events: list[dict[str, Any]]) -> dict[str, Any]:
    choices = [event["choices"][0] for event in events]
    whole = choices[-1] | {
        "text": "".join(choice["text"] for choice in choices),
        "token_ids": [token for choice in choices for token in choice["token_ids"]],
    }
    if whole["logprobs"] is not None:
        whole["logprobs"] = [value for choice in choices for value in choice["logprobs"]]
    return events[-1] | {"choices": [whole]}


async def refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    headers = {"retry-after": str(error.retry_after_s)} if isinstance(error, Busy) else {}
    return JSONResponse(error.to_json(), status_code=error.status, headers=headers)


@contextmanager
def serving(app: ASGIApp, *, lifespan: Literal["on", "off"] = "off") -> Iterator[str]:
    """Serve any application on a free port, in a thread; yields its address."""
    config = uvicorn.Config(app, port=0, log_config=None, lifespan=lifespan, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)


@contextmanager
def running(engine: ScriptedEngine) -> Iterator[ScriptedEngine]:
    """Serve it on a free port; `engine.url` says where."""
    with serving(engine.app()) as engine.url:
        try:
            yield engine
        finally:
            engine.release()
