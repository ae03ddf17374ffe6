"""What a log line looks like, whichever process writes it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from django.conf import settings

from training.logs import json_lines


@pytest.fixture
def structlog_as_before() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def line_of(config: dict[str, Any]) -> dict[str, Any]:
    """What a library's record becomes under that configuration."""
    facts = dict(config["formatters"]["json"])
    formatter = facts.pop("()")(**facts)
    record = logging.LogRecord("uvicorn", logging.INFO, __file__, 1, "started 启动", (), None)
    record.color_message = "\x1b[36mstarted\x1b[0m"
    with structlog.contextvars.bound_contextvars(request_id="click-7"):
        line: dict[str, Any] = json.loads(formatter.format(record))
    return line | {"timestamp": bool(line["timestamp"])}


@pytest.mark.usefixtures("structlog_as_before")
def test_the_site_and_the_engine_write_the_same_line_without_colours():
    engine = json_lines("INFO", loggers={}, stream="ext://sys.stdout")

    wanted = {"event": "started 启动", "level": "info", "logger": "uvicorn", "request_id": "click-7", "timestamp": True}
    assert line_of(settings.LOGGING) == line_of(engine) == wanted
    assert engine["handlers"]["console"]["stream"] == "ext://sys.stdout"
