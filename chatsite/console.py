"""The children's lines: all of them into logs/NAME.log, those that people should see onto the terminal."""

from __future__ import annotations

import logging
import logging.handlers
import re
import sys
import threading
from pathlib import Path

KEPT_BYTES = 10 * 1024**2
CHATTER = re.compile(r'^\{.*"level": "(info|debug)"')


class Console:
    """`verbose` shows the JSON lines of everyday work too. A terminal that is gone is no reason to end."""

    def __init__(self, log_dir: Path, *, verbose: bool = False) -> None:
        self._log_dir = log_dir
        self._verbose = verbose
        self._handlers: dict[str, logging.Handler] = {}
        self._lock = threading.Lock()

    def say(self, name: str, line: str) -> None:
        with self._lock:
            self._write_file(name, line)
            if self._verbose or not CHATTER.match(line):
                self._write_terminal(f"{name:<6} | {line}\n")

    def announce(self, text: str) -> None:
        with self._lock:
            self._write_terminal(f"{text}\n")

    def _write_file(self, name: str, line: str) -> None:
        if name not in self._handlers:
            path = self._log_dir / f"{name}.log"
            handler = logging.handlers.RotatingFileHandler(
                path, maxBytes=KEPT_BYTES, backupCount=3, encoding="utf-8", delay=True
            )
            # A full disk must not fill the terminal with tracebacks.
            handler.handleError = lambda _record: None  # type: ignore[method-assign, assignment]
            self._handlers[name] = handler
        self._handlers[name].handle(logging.LogRecord(name, logging.INFO, "", 0, line, None, None))

    @staticmethod
    def _write_terminal(text: str) -> None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError:
            return
