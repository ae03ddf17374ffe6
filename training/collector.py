"""Starts the collector process of one claimed collection and watches it, inside a thread of the queue's worker.

Keeps the claim alive and writes how far it is; how it ended is for training.collections to settle. Knows not how a
site is read.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Literal

import structlog
from django.conf import settings
from django.db import Error, close_old_connections

from training import claims
from training.claims import ClaimLost
from training.collect import ledger
from training.leash import leashed
from training.models import Collection

LOOK_SECONDS = 0.2
BEAT_SECONDS = 1.0
# A worker that is asked to end has eight seconds.
GRACE_SECONDS = 5.0
_TAIL_BYTES = 8192

log = structlog.get_logger(__name__)


def directory_of(collection: Collection) -> Path:
    """The ledger of one collection; gone once its corpus is there."""
    return Path(settings.DATA_DIR) / "collections" / str(collection.pk)


def _job_file(collection: Collection) -> Path:
    """The job without the cookie, where its process reads it."""
    directory = directory_of(collection)
    directory.mkdir(parents=True, exist_ok=True)
    asked = {
        **collection.parameters,
        "source": collection.source,
        "licence": collection.licence,
        "contact": _contact(),
    }
    path = directory / "job.json"
    path.write_text(json.dumps(asked, ensure_ascii=False), encoding="utf-8")
    return path


def _contact() -> str:
    """This site's own address, for the user agent; empty where it has no name of its own."""
    names = [host.lstrip(".") for host in settings.ALLOWED_HOSTS if host != "*"]
    own = [name for name in names if "." in name and any(letter.isalpha() for letter in name)]
    return f"https://{own[0]}/" if own else ""


def _start(collection: Collection) -> subprocess.Popen[bytes]:
    """The collector in a session of its own; the cookie goes in by its standard input and stands nowhere."""
    path = _job_file(collection)
    process = subprocess.Popen(
        leashed([sys.executable, "-m", "training.collect", str(path.parent)]),
        cwd=settings.BASE_DIR,
        # It reads what strangers wrote: this site's secrets are not for it.
        env={name: value for name, value in os.environ.items() if not name.startswith("CHATSITE_")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with suppress(BrokenPipeError), process.stdin:  # type: ignore[union-attr]
        process.stdin.write(collection.cookie.encode() + b"\n")  # type: ignore[union-attr]
    return process


class Watch:
    """One collector process and the collection it works for."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.taken = self.put_back = False
        self.told: dict[str, Any] = {}
        self._asked_before = collection.requests
        self._tail = b""
        self._journal = directory_of(collection) / ledger.JOURNAL
        self._journal_before = self._journal_bytes()
        self.process = _start(collection)
        self._threads = [
            self._thread(self._listen, self.process.stdout),
            self._thread(self._drain, self.process.stderr),
        ]
        self._last_beat = 0.0
        self._kill_at = float("inf")

    def _journal_bytes(self) -> int:
        return self._journal.stat().st_size if self._journal.exists() else 0

    # --- what it says ---

    @staticmethod
    def _thread(target: Callable[[IO[bytes]], None], stream: IO[bytes] | None) -> threading.Thread:
        thread = threading.Thread(target=target, args=(stream,), name="collector-output", daemon=True)
        thread.start()
        return thread

    def _listen(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                with suppress(ValueError):
                    self.told = json.loads(line)

    def _drain(self, stream: IO[bytes]) -> None:
        with stream:
            while chunk := stream.read1(4096):  # type: ignore[attr-defined]
                self._tail = (self._tail + chunk)[-_TAIL_BYTES:]

    def counts(self) -> dict[str, Any]:
        told = self.told
        if "requests" not in told:
            return {}
        requests = self._asked_before + told["requests"]
        first = told["refused_first"]
        refused = {code: {"count": count, "first": first[code]} for code, count in told["refused"].items()}
        return {"requests": requests, "records": told["records"], "refused": refused}

    # --- while it runs ---

    def stay(self, stopping: Callable[[], bool]) -> None:
        try:
            while self.process.poll() is None:
                self._look(stopping)
                time.sleep(LOOK_SECONDS)
        finally:
            self._signal(signal.SIGKILL)  # whatever went wrong here, no collector stays behind
            self.process.wait()
            for thread in self._threads:
                thread.join(timeout=2)

    def _look(self, stopping: Callable[[], bool]) -> None:
        self._beat()
        self.put_back = self.put_back or stopping()
        if (self.taken or self.put_back) and self._kill_at == float("inf"):
            self._kill_at = time.monotonic() + GRACE_SECONDS
            self._signal(signal.SIGTERM)
        if time.monotonic() > self._kill_at:
            self._signal(signal.SIGKILL)

    def _beat(self) -> None:
        if self.taken or time.monotonic() - self._last_beat < BEAT_SECONDS:
            return
        self._last_beat = time.monotonic()
        try:
            claims.beat(self.collection, **self.counts())
        except ClaimLost:
            self.taken = True
        except Error as error:
            # A lock held too long passes; a lease that runs out meanwhile is somebody else's to take.
            log.warning("no beat", collection=self.collection.pk, cause=str(error))
            close_old_connections()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    # --- when it has ended ---

    @property
    def reason(self) -> str:
        """Why it failed, a code of training.collect.reasons; empty when it did not say."""
        return str(self.told.get("fatal", ""))

    def ending(self) -> Literal["taken", "put_back", "done", "killed", "failed"]:
        """How it ended. One that was killed goes on where it was, unless it had not got any further since its start."""
        code, end = self.process.returncode, self.told.get("end")
        log.info("collector ended", collection=self.collection.pk, returncode=code, end=end)
        if self.taken:
            return "taken"
        if self.put_back or end == "stopped":
            return "put_back"
        if end == "done":
            return "done"
        if code < 0:
            return "put_back" if self._journal_bytes() > self._journal_before else "killed"
        log.error("collector failed", collection=self.collection.pk, output=self._tail.decode("utf-8", "replace"))
        return "failed"
