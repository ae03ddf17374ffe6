"""Starts a real collector process on a directory and reads what it wrote."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatsite.env import BASE_DIR
from tests.collect.site import HOST


@dataclass
class Outcome:
    end: dict[str, Any]
    rows: list[dict[str, Any]]
    output: str
    log: str

    @property
    def refused(self) -> dict[str, int]:
        refused: dict[str, int] = self.end["refused"]
        return refused

    def texts(self) -> list[list[str]]:
        """Each row as its texts, in a stable order."""
        found = [[turn["content"] for turn in row.get("messages", [])] or [row["text"]] for row in self.rows]
        return sorted(found)


def rows_of(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "records.jsonl").read_bytes().splitlines()]


def begin(directory: Path, source: str, cookie: str = "", **parameters: Any) -> subprocess.Popen[str]:
    directory.mkdir(parents=True, exist_ok=True)
    job = {"source": source, "allow": [HOST], "delay_seconds": 0, **parameters}
    (directory / "job.json").write_text(json.dumps(job), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "training.collect", str(directory)],
        cwd=BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(cookie + "\n")
    process.stdin.flush()
    return process


def finish(process: subprocess.Popen[str], directory: Path) -> Outcome:
    output, log = process.communicate(timeout=60)
    lines = [json.loads(line) for line in output.splitlines()]
    assert process.returncode == 0, log
    return Outcome(end=lines[-1], rows=rows_of(directory), output=output, log=log)


def collect(directory: Path, source: str, cookie: str = "", **parameters: Any) -> Outcome:
    return finish(begin(directory, source, cookie, **parameters), directory)


def wait_for(seen: Any, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)
