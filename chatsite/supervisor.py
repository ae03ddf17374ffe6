"""Runs the site's processes in the foreground: starts them, restarts the fallen, ends all of them in order.

Knows nothing of Django and nothing of what the processes do. Each child has its own process session, so the terminal's
Ctrl-C reaches only this process, and a leash (`leash.py`), so none outlives it however it ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

TICK_S = 0.1
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_AFTER_S = 30.0
DEATHS_WHILE_STARTING = 3
START_TIMEOUT_S = 120.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Say = Callable[[str, str], None]
_local = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class StartFailed(Exception):
    """Raised when a process keeps ending, or does not answer, before the site was ready once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """`health_url`: asked until it answers 2xx, None where there is nothing to ask; `grace_s`: from TERM to KILL."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    grace_s: float
    health_url: str | None = None


class Child:
    """One program and the process that runs it now, if one does."""

    def __init__(self, program: Program, *, say: Say) -> None:
        self.program = program
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._next_start_at = 0.0
        self.deaths = 0

    def start(self) -> None:
        leash = (sys.executable, "-m", "chatsite.leash", str(os.getpid()))
        self._process = subprocess.Popen(
            [*leash, *self.program.command],
            env=self.program.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._started_at = time.monotonic()
        threading.Thread(target=self._relay, args=(self._process,), daemon=True).start()

    def _relay(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101  (asked for above)
        with process.stdout:
            for line in process.stdout:
                self._say(self.program.name, line.decode(errors="replace").rstrip())

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def tend(self) -> None:
        """Notice a death, and start again once its pause is over."""
        now = time.monotonic()
        if self.is_running:
            return
        if self._process is not None:
            self._bury(self._process, now)
        elif now >= self._next_start_at:
            self.start()

    def _bury(self, process: subprocess.Popen[bytes], now: float) -> None:
        self.deaths = 1 if now - self._started_at > STEADY_AFTER_S else self.deaths + 1
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (self.deaths - 1))
        self._say("up", f"{self.program.name} ended ({ending(process.returncode)}); starting it again in {pause_s:g} s")
        self._kill_group(process)
        self._process = None
        self._next_start_at = now + pause_s

    def answers(self) -> bool:
        """True once the process runs and says that it is well."""
        if not self.is_running or self.program.health_url is None:
            return self.is_running
        try:
            # Any answer but 2xx is raised as an HTTPError, which is an OSError.
            with _local.open(self.program.health_url, timeout=1):
                return True
        except (OSError, ValueError):
            return False

    def ask_to_stop(self) -> None:
        if self._process is not None and self.is_running:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """The process and what is left of its group; nothing where all have ended."""
        if self._process is not None:
            self._kill_group(self._process)
            self._process.wait()

    @staticmethod
    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return


def _is_heard(number: signal.Signals) -> bool:
    return signal.getsignal(number) is not signal.SIG_IGN


def ending(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit {code}"


class Supervisor:
    """Programs are started in the given order and stopped in the opposite one."""

    def __init__(self, programs: Sequence[Program], *, say: Say) -> None:
        self._say = say
        self._children = [Child(program, say=say) for program in programs]
        self._stops_asked = 0

    def run(self, *, on_ready: Callable[[], None]) -> None:
        """Until someone asks to stop. Raises StartFailed; whatever happens, no child is left."""
        with self._listening():
            try:
                self._start()
                if not self._stops_asked:
                    on_ready()
                while not self._stops_asked:
                    self._tend()
            finally:
                self._stop()

    @contextmanager
    def _listening(self) -> Iterator[None]:
        def count(_signal: int, _frame: FrameType | None) -> None:
            self._stops_asked += 1

        # Who started us with nohup wants to survive the terminal's end.
        wanted = [number for number in STOP_SIGNALS if number != signal.SIGHUP or _is_heard(number)]
        before = {number: signal.signal(number, count) for number in wanted}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _start(self) -> None:
        for child in self._children:
            child.start()
        deadline = time.monotonic() + START_TIMEOUT_S
        waiting = list(self._children)
        while waiting and not self._stops_asked:
            self._tend()
            waiting = [child for child in waiting if not child.answers()]
            for child in waiting:
                self._check_start(child, too_late=time.monotonic() > deadline)

    @staticmethod
    def _check_start(child: Child, *, too_late: bool) -> None:
        name = child.program.name
        if child.deaths >= DEATHS_WHILE_STARTING:
            raise StartFailed(
                f"{name} ended {child.deaths} times while starting. Its last lines are in logs/{name}.log."
            )
        if too_late:
            raise StartFailed(f"{name} did not answer within {START_TIMEOUT_S:g} s. Its lines are in logs/{name}.log.")

    def _tend(self) -> None:
        time.sleep(TICK_S)
        for child in self._children:
            child.tend()

    def _stop(self) -> None:
        asked_before = self._stops_asked
        for child in reversed(self._children):
            child.ask_to_stop()
            deadline = time.monotonic() + child.program.grace_s
            while child.is_running and time.monotonic() < deadline and self._stops_asked <= max(asked_before, 1):
                time.sleep(TICK_S / 2)
            if child.is_running:
                self._say("up", f"{child.program.name} did not stop in time and is killed")
            child.kill()
