"""`python -m chat.engine` as a process: it listens early, ends in order, and never outlives its parent."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from chatsite.env import BASE_DIR

pytestmark = pytest.mark.slow

SECRET = "s3cret"
COMMAND = [sys.executable, "-m", "chat.engine"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(models_dir: Path, url: str) -> dict[str, str]:
    told = {
        "CHATSITE_ENGINE_URL": url,
        "CHATSITE_ENGINE_SECRET": SECRET,
        "CHATSITE_ENGINE_MODELS_DIR": str(models_dir),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(BASE_DIR),
    }
    return os.environ | told


@contextmanager
def started(models_dir: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    url = f"http://127.0.0.1:{free_port()}"
    process = subprocess.Popen(COMMAND, env=environment(models_dir, url), stdout=subprocess.PIPE, text=True)
    headers = {"authorization": f"Bearer {SECRET}"}
    try:
        with httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as http:
            wait_for_health(http)
            yield process, http
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def wait_for_health(http: httpx.Client) -> dict[str, Any]:
    until = time.monotonic() + 60
    while True:
        try:
            told: dict[str, Any] = http.get("/health").json()
        except httpx.HTTPError:
            assert time.monotonic() < until
            time.sleep(0.02)
        else:
            return told


def test_it_listens_answers_and_logs_json(models_dir: Path):
    body = {"model": "ada", "prompt": [5], "max_tokens": 4, "seed": 1, "stop_token_ids": [999]}
    with started(models_dir) as (process, http):
        assert http.get("/health").json() == {"status": "ok", "versions": []}
        answer = http.post("/v1/completions", json=body, headers={"x-request-id": "click-7"})
        assert len(answer.json()["choices"][0]["token_ids"]) == 4

        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=20)

    lines = [json.loads(line) for line in output.splitlines()]
    [done] = [line for line in lines if line["event"] == "completion"]
    assert (done["request_id"], done["tokens"], done["outcome"]) == ("click-7", 4, "length")
    assert {"level", "timestamp", "logger"} <= done.keys()
    assert process.returncode in (0, -signal.SIGTERM)


def test_who_still_waits_at_the_end_is_told(models_dir: Path, monkeypatch):
    monkeypatch.setenv("CHATSITE_ENGINE_ROWS", "1")
    body = {"model": "ada", "prompt": [5], "max_tokens": 120, "stop_token_ids": [999], "stream": True}
    with started(models_dir) as (process, http):
        http.post("/v1/versions/load", json={"id": "ada"}).raise_for_status()
        with (
            http.stream("POST", "/v1/completions", json=body) as first,
            http.stream("POST", "/v1/completions", json=body) as second,
        ):
            lines = second.iter_lines()
            assert "queued" in next(lines)
            process.send_signal(signal.SIGTERM)
            rest = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
            first.read()
        assert process.wait(timeout=20) in (0, -signal.SIGTERM)

    assert rest[-1]["error"]["code"] == "engine_closing"


def test_it_ends_when_its_parent_does(models_dir: Path):
    url = f"http://127.0.0.1:{free_port()}"
    code = f"import subprocess, sys, time; print(subprocess.Popen({COMMAND}).pid, flush=True); time.sleep(600)"
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment(models_dir, url), stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        engine = int(parent.stdout.readline())
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
            wait_for_health(http)
        parent.kill()
        parent.wait()

        until = time.monotonic() + 20
        while Path(f"/proc/{engine}").exists() and not _is_dead(engine):
            assert time.monotonic() < until
            time.sleep(0.05)


def _is_dead(pid: int) -> bool:
    """Dead, or dead and not yet collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"CHATSITE_ENGINE_SECRET": ""}, "CHATSITE_ENGINE_SECRET is wrong"),
        ({"CHATSITE_ENGINE_URL": "nonsense"}, "CHATSITE_ENGINE_URL is wrong"),
        ({"CHATSITE_ENGINE_MEMORY_MB": "lots"}, "CHATSITE_ENGINE_MEMORY_MB is wrong"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, changes: dict[str, str], words: str):
    settings = environment(tmp_path, "http://127.0.0.1:8123") | changes

    done = subprocess.run(COMMAND, env=settings, cwd=BASE_DIR, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
