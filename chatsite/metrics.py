"""The figures that /metrics shows about this web process. Other modules add their own with prometheus_client."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

REQUESTS = Counter("chatsite_http_requests", "Requests answered", ["method", "route", "status"])
REQUEST_SECONDS = Histogram("chatsite_http_request_seconds", "Time to the response's head", ["route"])


def observe_request(method: str, route: str, status: int, seconds: float) -> None:
    REQUESTS.labels(method, route, str(status)).inc()
    REQUEST_SECONDS.labels(route).observe(seconds)
