"""`/v1/`: the part of OpenAI's API that chat clients need, with bearer keys. HTTP only; the work is in completions."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.security import HttpBearer

from chat import completions
from chat.completions import ApiError, ChatRequest, Completion, Event
from chat.database import run_in_thread
from training import api_keys
from training.models import ApiKey


class KeyAuth(HttpBearer):
    async def authenticate(self, request: HttpRequest, token: str) -> ApiKey | None:
        return await run_in_thread(api_keys.verify, token)


api = NinjaAPI(title="Chatsite", urls_namespace="v1", auth=KeyAuth(), docs_url=None, openapi_url=None)


# What it answers ----------------------------------------------------------------------------------------------------


@api.get("/models")
async def list_models(request: HttpRequest) -> dict[str, Any]:
    rows = await run_in_thread(completions.list_models)
    listed = [completions.model_object(row) for row in rows]
    if rows and rows[0].is_active:
        listed.insert(0, completions.model_object(rows[0], name=completions.DEFAULT_ALIAS))
    return {"object": "list", "data": listed}


@api.get("/models/{path:name}")
async def retrieve_model(request: HttpRequest, name: str) -> dict[str, Any]:
    return completions.model_object(await run_in_thread(completions.find_model, name), name=name)


@api.post("/chat/completions")
async def create_completion(request: HttpRequest, asked: ChatRequest) -> HttpResponse | StreamingHttpResponse:
    key: ApiKey = request.auth  # type: ignore[attr-defined]
    request_id = _request_id()
    structlog.contextvars.bind_contextvars(api_key=key.prefix)
    completion = await completions.understand(key.user, asked, request_id=request_id)
    if not asked.stream:
        return JsonResponse(await completions.whole(completion))
    stream = completions.events(completion)
    # The head is sent with the first word: what fails before it fails with a status.
    first = await anext(stream, None)
    head = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    body = _lines(completion, first, stream)
    return StreamingHttpResponse(body, content_type="text/event-stream; charset=utf-8", headers=head)


async def _lines(completion: Completion, first: Event | None, rest: AsyncGenerator[Event, None]) -> AsyncIterator[str]:
    async with aclosing(rest):
        try:
            async for item in completions.chunks(completion, _joined(first, rest)):
                yield _line(item)
        except ApiError as error:
            yield _line(error.body)
            return
        yield "data: [DONE]\n\n"


async def _joined(first: Event | None, rest: AsyncIterator[Event]) -> AsyncIterator[Event]:
    if first is not None:
        yield first
    async for event in rest:
        yield event


def _line(item: dict[str, Any]) -> str:
    return f"data: {json.dumps(item, ensure_ascii=False, separators=(',', ':'))}\n\n"


def _request_id() -> str:
    """The id that the log lines of this request carry already."""
    return str(structlog.contextvars.get_contextvars().get("request_id") or uuid.uuid4().hex)


# How it refuses -----------------------------------------------------------------------------------------------------


def _answer(error: ApiError) -> JsonResponse:
    response = JsonResponse(error.body, status=error.status)
    if error.retry_after is not None:
        response["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    return response


@api.exception_handler(ApiError)
def _api_error(request: HttpRequest, error: ApiError) -> HttpResponse:
    return _answer(error)


@api.exception_handler(AuthenticationError)
def _unauthenticated(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    text = "Send a valid API key: Authorization: Bearer sk-…"
    return _answer(ApiError(401, text, code="invalid_api_key", kind="authentication_error"))


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    first = error.errors[0]
    # ninja names the place of the argument first: ("body", "asked", field, …).
    param = ".".join(str(part) for part in first["loc"][2:]) or None
    return _answer(ApiError(400, f"{param or 'body'}: {first['msg']}", code="invalid_value", param=param))


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    return _answer(ApiError(error.status_code, str(error), code="bad_request"))


@api.exception_handler(Exception)
def _unexpected(request: HttpRequest, error: Exception) -> HttpResponse:
    structlog.get_logger(__name__).error("request failed", exc_info=error)
    return _answer(ApiError(500, "Something went wrong on the server.", code="internal", kind="server_error"))


@csrf_exempt
def unknown(request: HttpRequest, rest: str) -> HttpResponse:
    text = f"Unknown request URL: {request.method} /v1/{rest}."
    return _answer(ApiError(404, text, code="unknown_url"))
