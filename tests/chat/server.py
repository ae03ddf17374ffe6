"""The real application in a uvicorn process of its own, on the test database and a scripted engine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from django.conf import settings
from django.db import connection

from tests.scripted_engine import SECRET, ScriptedEngine

START_SECONDS = 60


@contextmanager
def serving_site(engine: ScriptedEngine) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Its address and process; ended in order at the end, if it still runs."""
    port = _free_port()
    told = {
        "DJANGO_SETTINGS_MODULE": "chatsite.settings",
        "CHATSITE_DATA_DIR": str(settings.DATA_DIR),
        "CHATSITE_DATABASE_URL": f"sqlite:///{connection.settings_dict['NAME']}",
        "CHATSITE_SECRET_KEY": settings.SECRET_KEY,
        "CHATSITE_ENGINE_URL": engine.url,
        "CHATSITE_ENGINE_SECRET": SECRET,
    }
    command = [sys.executable, "-m", "uvicorn", "chatsite.asgi:application", "--port", str(port)]
    with subprocess.Popen([*command, "--log-level", "warning"], env=os.environ | told) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}/healthz", process)
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, "the server ended"
        try:
            if httpx.get(url, trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("the server does not answer")
