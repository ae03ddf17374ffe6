"""The engine's HTTP: OpenAI's completions over loopback, and the calls by which the site loads versions.

Thin: reads requests, asks the parts, writes answers. Every call but /health needs the secret of this start.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat.engine.completions import Answer, chunks, make_job, whole
from chat.engine.errors import ApiError, Busy, TooLarge, Unauthorized
from chat.engine.metrics import Metrics
from chat.engine.options import Options
from chat.engine.requests import MAX_BODY_BYTES, Completion, Threads, VersionId, parse
from chat.engine.scheduler import Scheduler
from chat.engine.versions import Versions
from training.ml.texts import gettext_noop

log = structlog.get_logger("chatsite.engine")

_SAFE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Longer text prompts are encoded beside the event loop, which must not wait for them.
LONG_PROMPT_CHARACTERS = 2_000


class Engine:
    """The parts of one engine and its endpoints."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.metrics = Metrics()
        self.versions = Versions(options)
        self.scheduler = Scheduler(queue_limit=options.engine_queue)
        self._expected = 0  # requests that wait for their version to load
        self.metrics.watch(
            waiting=lambda: self.scheduler.waiting + self._expected,
            running=lambda: self.scheduler.running,
            loaded=lambda: len(self.versions.loaded),
            used_bytes=lambda: sum(version.bytes for version in self.versions.loaded),
        )

    def app(self) -> ASGIApp:
        starlette = Starlette(
            routes=[
                Route("/health", self.health),
                Route("/metrics", self.show_metrics),
                Route("/v1/models", self.models),
                Route("/v1/completions", self.complete, methods=["POST"]),
                Route("/v1/versions", self.show_versions),
                Route("/v1/versions/load", self.load, methods=["POST"]),
                Route("/v1/versions/unload", self.unload, methods=["POST"]),
                Route("/v1/threads", self.set_threads, methods=["POST"]),
            ],
            exception_handlers={ApiError: _refuse, 404: _unknown, 405: _unknown, Exception: _fail},
            lifespan=self._lifespan,
        )
        return Gate(starlette, secret=self.options.engine_secret.get_secret_value())

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        self.scheduler.start()
        yield
        self.scheduler.close()
        self.versions.close()

    # --- completions ---

    async def complete(self, request: Request) -> Response:
        asked = parse(Completion, await _body(request))
        answer = await self._begin(asked)
        if asked.stream:
            return EventStream(answer)
        return await _unless_gone(request, answer)

    async def _begin(self, asked: Completion) -> Answer:
        """A submitted answer. Raises ApiError; then nothing is held."""
        self.scheduler.check_room(self._expected)
        self._expected += 1
        try:
            version = await self.versions.acquire(asked.model)
        finally:
            self._expected -= 1
        try:
            if isinstance(asked.prompt, str) and len(asked.prompt) > LONG_PROMPT_CHARACTERS:
                asked.prompt = await asyncio.to_thread(version.renderer.text_ids, asked.prompt)
            job = make_job(asked, version)
            self.scheduler.check_room(self._expected)
            answer = Answer(job, asked, self.scheduler, self.metrics, on_close=lambda: self.versions.release(version))
            answer.submit()
        except BaseException:
            self.versions.release(version)
            raise
        return answer

    # --- versions ---

    async def load(self, request: Request) -> Response:
        version = await self.versions.load(parse(VersionId, await _body(request)).id)
        return JSONResponse({"id": version.uid, "loaded": True, "bytes": version.bytes, **version.facts})

    async def unload(self, request: Request) -> Response:
        uid = parse(VersionId, await _body(request)).id
        self.versions.unload(uid)
        return JSONResponse({"id": uid, "loaded": False})

    async def show_versions(self, _request: Request) -> Response:
        queue = {
            "waiting": self.scheduler.waiting,
            "running": self.scheduler.running,
            "limit": self.options.engine_queue,
        }
        return JSONResponse(self.versions.describe() | {"threads": self.scheduler.threads, "queue": queue})

    async def models(self, _request: Request) -> Response:
        loaded = {version.uid for version in self.versions.loaded}
        names = await asyncio.to_thread(self.versions.available)
        data = [{"id": name, "object": "model", "owned_by": "chatsite", "loaded": name in loaded} for name in names]
        return JSONResponse({"object": "list", "data": data})

    # --- the process ---

    async def set_threads(self, request: Request) -> Response:
        count = parse(Threads, await _body(request)).threads
        self.scheduler.set_threads(count)
        return JSONResponse({"threads": count})

    async def health(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok", "versions": [version.uid for version in self.versions.loaded]})

    async def show_metrics(self, _request: Request) -> Response:
        return Response(self.metrics.page(), media_type="text/plain; version=0.0.4")


# --- answers ---


class EventStream(StreamingResponse):
    """Server-sent events. However the response ends, the sequence ends with it."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(_lines(answer), media_type="text/event-stream", headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._answer.close()


async def _lines(answer: Answer) -> AsyncIterator[bytes]:
    async for value in chunks(answer):
        yield f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode("utf-8", "replace")
    yield b"data: [DONE]\n\n"


async def _unless_gone(request: Request, answer: Answer) -> Response:
    """The whole completion, or nothing once the client has left."""
    work = asyncio.create_task(whole(answer))
    gone = asyncio.create_task(_wait_until_gone(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        return JSONResponse(work.result()) if work.done() else Response(status_code=499)
    finally:
        work.cancel()
        gone.cancel()
        answer.close()


async def _wait_until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _body(request: Request) -> bytes:
    """Raises TooLarge before it is all in memory."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise TooLarge(f"The request has more than {MAX_BODY_BYTES} bytes.")
        parts.append(part)
    return b"".join(parts)


# --- refusals ---


def _error_response(error: ApiError) -> Response:
    headers = {"retry-after": str(error.retry_after_s)} if isinstance(error, Busy) else {}
    return JSONResponse(error.to_json(), status_code=error.status, headers=headers)


async def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101  (registered for it)
    return _error_response(error)


async def _unknown(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    refusal = ApiError(f"{request.method} {request.url.path} does not exist here.", code="not_found")
    refusal.kind = "invalid_request_error"
    return JSONResponse(refusal.to_json(), status_code=status)


async def _fail(_request: Request, error: Exception) -> Response:
    if isinstance(error, ClientDisconnect):
        return Response(status_code=499)
    log.error("request failed", exc_info=error)
    return _error_response(ApiError(gettext_noop("The engine failed at this request.")))


class Gate:
    """Checks the secret and gives every request an id for the log; the answer says it."""

    def __init__(self, app: ASGIApp, *, secret: str) -> None:
        self._app = app
        self._expected = f"Bearer {secret}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id = _request_id(headers.get(b"x-request-id", b""))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        given = headers.get(b"authorization", b"")
        allowed = scope["path"] == "/health" or hmac.compare_digest(given, self._expected)
        app = (
            self._app
            if allowed
            else _error_response(Unauthorized(gettext_noop("The engine's secret is missing or wrong.")))
        )
        await app(scope, receive, _saying(send, request_id))


def _request_id(given: bytes) -> str:
    text = given.decode("latin-1")
    return text if _SAFE_REQUEST_ID.fullmatch(text) else uuid.uuid4().hex


def _saying(send: Send, request_id: str) -> Callable[[Message], Any]:
    async def say(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
        await send(message)

    return say
