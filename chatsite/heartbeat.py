"""The worker's sign of life: a time in the shared cache, written by the worker and read by /readyz."""

from __future__ import annotations

import threading
import time

import structlog
from django.core.cache import cache
from django.db import Error, close_old_connections

KEY = "chatsite.worker.beat"
EVERY_S = 5

log = structlog.get_logger(__name__)
_started = threading.Lock()


def beat() -> None:
    cache.set(KEY, time.time(), timeout=24 * 3600)


def age_s() -> float | None:
    """Seconds since the worker's last sign of life; None where there was none for a day."""
    last = cache.get(KEY)
    return None if last is None else max(0.0, time.time() - last)


def _beat_for_ever() -> None:
    while True:
        try:
            close_old_connections()
            beat()
        except Error as error:
            log.warning("no heartbeat", cause=str(error))
        time.sleep(EVERY_S)


def start() -> None:
    """Begin to beat, once a process; the thread ends with it."""
    if _started.acquire(blocking=False):
        threading.Thread(target=_beat_for_ever, name="heartbeat", daemon=True).start()
