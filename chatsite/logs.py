"""What the site logs, with one id from click to token.

A request takes its id from X-Request-ID or gets a fresh one; every line logged while it is answered carries it, and the
response says it. Whoever starts work outside a request binds `request_id` with structlog's context variables.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from chatsite import metrics
from training.logs import json_lines

SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Asked every few seconds by machines: counted, not logged.
QUIET_ROUTES = frozenset({"healthz", "readyz", "metrics"})

log = structlog.get_logger("chatsite.requests")


def logging_config(level: str) -> dict[str, Any]:
    """The LOGGING setting."""
    plain = {"handlers": [], "propagate": True}
    loggers = {
        "django": plain,
        "django.request": plain | {"level": "ERROR"},
        "django.server": plain,
        # A handler of its own keeps `run_huey` from adding a second, plain one.
        "huey": {"handlers": ["console"], "propagate": False, "level": level},
        "httpx": plain | {"level": "WARNING"},
        "uvicorn": plain,
        "uvicorn.error": plain,
        "uvicorn.access": plain | {"level": "WARNING"},
    }
    return json_lines(level, loggers=loggers)


def request_id_of(request: HttpRequest) -> str:
    given = request.headers.get("X-Request-ID", "")
    return given if SAFE_ID.fullmatch(given) else uuid.uuid4().hex


def _begin(request: HttpRequest) -> tuple[str, float]:
    request_id = request_id_of(request)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id)
    return request_id, time.perf_counter()


def _end(request: HttpRequest, response: HttpResponseBase, begun: tuple[str, float]) -> HttpResponseBase:
    request_id, start = begun
    seconds = time.perf_counter() - start
    response["X-Request-ID"] = request_id
    # The route, never the path: paths hold one-time tokens.
    route = request.resolver_match.route if request.resolver_match else "(none)"
    metrics.observe_request(request.method or "", route, response.status_code, seconds)
    if route not in QUIET_ROUTES:
        milliseconds = round(seconds * 1000, 1)
        log.info("request", method=request.method, route=route, status=response.status_code, ms=milliseconds)
    return response


@sync_and_async_middleware
def request_id_middleware(
    get_response: Callable[[HttpRequest], Any],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            begun = _begin(request)
            return _end(request, await get_response(request), begun)

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        begun = _begin(request)
        return _end(request, get_response(request), begun)

    return answer
