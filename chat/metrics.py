"""The figures that the chat side adds to /metrics."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

ANSWERS = Counter("chatsite_answers", "Answers that ended", ["status"])
ANSWER_TOKENS = Counter("chatsite_answer_tokens", "Tokens of the answers that ended")
SOCKETS = Gauge("chatsite_sockets", "Open chat sockets of this web process")


def observe_answer(status: str, *, tokens: int) -> None:
    ANSWERS.labels(status).inc()
    ANSWER_TOKENS.inc(tokens)
