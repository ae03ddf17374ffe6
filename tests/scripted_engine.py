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
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

SECRET = "scripted"


@dataclass
class ScriptedEngine:
    """Says `pieces` one after another. After `hold_after` of them it waits until `release`.

    `ahead`: queue places told before it begins; `busy`: refuses with 429; `break_after`: dies in mid-answer.
    """

    pieces: list[str] = field(default_factory=lambda: ["你", "好", "！"])
    finish_reason: str = "stop"
    piece_seconds: float = 0.0
    ahead: list[int] = field(default_factory=list)
    hold_after: int | None = None
    break_after: int | None = None
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

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/completions", self._complete, methods=["POST"]),
                Route("/v1/versions/load", self._load, methods=["POST"]),
                Route("/v1/versions", self._versions),
                Route("/v1/threads", self._threads, methods=["POST"]),
                Route("/health", self._health),
            ]
        )

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _threads(self, request: Request) -> Response:
        return JSONResponse(await request.json())

    async def _versions(self, request: Request) -> Response:
        return JSONResponse({"versions": [{"id": uid} for uid in self.loaded]})

    async def _load(self, request: Request) -> Response:
        self.loaded.append((await request.json())["id"])
        return JSONResponse({"id": self.loaded[-1]})

    async def _complete(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {SECRET}":
            return _error(401, "Wrong secret.", "unauthorized")
        self.asked.append(await request.json())
        self.request_ids.append(request.headers.get("x-request-id", ""))
        if self.busy:
            return _error(429, "The queue is full.", "busy", headers={"Retry-After": "3"})
        if self.refuse is not None:
            return JSONResponse({"error": self.refuse}, status_code=404)
        return StreamingResponse(self._say(self.asked[-1]), media_type="text/event-stream")

    async def _say(self, asked: dict[str, Any]) -> AsyncIterator[str]:
        try:
            async for event in self._events(asked):
                yield f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
            yield "data: [DONE]\n\n"
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def _events(self, asked: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        for ahead in self.ahead:
            yield {"object": "text_completion.queued", "ahead": ahead}
            await asyncio.sleep(0.02)
        yield {"object": "text_completion.started"}
        for index, piece in enumerate(self.pieces):
            if index == self.break_after:
                raise ConnectionAbortedError("scripted")
            if index == self.hold_after:
                await self._wait_for_release()
            await asyncio.sleep(self.piece_seconds)
            yield _chunk(asked, text=piece, ids=[100 + index])
        usage = {"prompt_tokens": len(asked["prompt"]), "completion_tokens": len(self.pieces)}
        yield _chunk(asked, reason=self.finish_reason, usage=usage)

    async def _wait_for_release(self) -> None:
        while not self._released.is_set():
            await asyncio.sleep(0.005)


def _chunk(
    asked: dict[str, Any],
    *,
    text: str = "",
    ids: list[int] | None = None,
    reason: str | None = None,
    usage: dict[str, int] | None = None,
) -> dict[str, Any]:
    logprobs = [-0.5] * len(ids or []) if asked.get("logprobs") else None
    choice = {"index": 0, "text": text, "token_ids": ids or [], "logprobs": logprobs, "finish_reason": reason}
    return {
        "id": "cmpl-scripted",
        "object": "text_completion",
        "created": 0,
        "model": asked["model"],
        "choices": [choice],
        "usage": usage,
    }


def _error(status: int, message: str, code: str, *, headers: dict[str, str] | None = None) -> Response:
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
    return JSONResponse(body, status_code=status, headers=headers)


@contextmanager
def running(engine: ScriptedEngine) -> Iterator[ScriptedEngine]:
    """Serve it on a free port; `engine.url` says where."""
    config = uvicorn.Config(engine.app(), port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    engine.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield engine
    finally:
        engine.release()
        server.should_exit = True
        thread.join(timeout=5)
