"""The supervisor with small programs: what happens when one of them ends, does not start, or does not stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from chatsite.env import BASE_DIR

pytestmark = pytest.mark.slow

SCRIPT = """
import os, sys
from chatsite import supervisor
from chatsite.supervisor import Program, StartFailed, Supervisor

def program(name, code, grace_s=2.0, **more):
    command = (sys.executable, "-c", code)
    return Program(name=name, command=command, environment=dict(os.environ), grace_s=grace_s, **more)

def say(name, line):
    print(f"{name}: {line}", flush=True)

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
PARENT = (
    "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    "print('up', flush=True); time.sleep(600)"
)
def run(*programs):
    try:
        Supervisor(programs, say=say).run(on_ready=lambda: print("READY", flush=True))
    except StartFailed as error:
        sys.exit(str(error))
"""


class Running:
    """A supervisor in a process of its own, and everything below it."""

    def __init__(self, code: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT + textwrap.dedent(code)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONPATH": str(BASE_DIR)},
        )
        self.seen: list[str] = []

    def wait_for(self, text: str, *, count: int = 1) -> None:
        """Until so many lines have it, those that came earlier included: two programs speak in any order."""
        assert self.process.stdout is not None
        while sum(text in line for line in self.seen) < count:
            line = self.process.stdout.readline()
            assert line, f"{text!r} did not come; lines: {self.seen}"
            self.seen.append(line.rstrip())

    def family(self) -> list[psutil.Process]:
        return list(psutil.Process(self.process.pid).children(recursive=True))

    def end(self) -> str:
        output, _ = self.process.communicate(timeout=20)
        return "\n".join(self.seen) + output


def wait_until_gone(processes: list[psutil.Process], *, within_s: float = 5) -> list[psutil.Process]:
    _gone, alive = psutil.wait_procs(processes, timeout=within_s)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def test_ctrl_c_stops_all_and_leaves_nothing():
    running = Running("run(program('one', SLEEPER), program('two', PARENT))")
    running.wait_for("READY")
    running.wait_for(": up", count=2)
    family = running.family()

    running.process.send_signal(signal.SIGINT)
    output = running.end()

    assert running.process.returncode == 0, output
    assert len(family) == 3
    assert wait_until_gone(family) == []


def test_kill_9_of_the_parent_leaves_no_child():
    running = Running("run(program('one', SLEEPER), program('two', DEAF))")
    running.wait_for("READY")
    family = running.family()

    running.process.kill()
    running.end()

    assert len(family) == 2
    assert wait_until_gone(family) == []


def test_a_killed_child_is_started_again_and_the_other_one_is_left_alone():
    running = Running("run(program('one', SLEEPER), program('two', SLEEPER))")
    running.wait_for("READY")
    running.wait_for(": up", count=2)
    first, second = running.family()

    first.kill()
    running.wait_for("one ended (killed by SIGKILL)")
    running.wait_for("one: up", count=2)

    assert second.is_running()
    running.process.send_signal(signal.SIGTERM)
    running.end()
    assert running.process.returncode == 0


def test_a_program_that_cannot_start_ends_everything_with_one_line():
    running = Running("""
        run(program('good', SLEEPER), program('bad', 'raise SystemExit(3)', health_url='http://127.0.0.1:9/'))
        """)

    output = running.end()

    assert running.process.returncode == 1
    assert output.splitlines()[-1] == "bad ended 3 times while starting. Its last lines are in logs/bad.log."


def test_a_deaf_child_is_killed_when_its_grace_is_over():
    running = Running("run(program('deaf', DEAF, grace_s=0.5))")
    running.wait_for("deaf: up")
    start = time.monotonic()

    running.process.send_signal(signal.SIGINT)
    output = running.end()

    assert "deaf did not stop in time and is killed" in output
    assert time.monotonic() - start < 3
    assert running.process.returncode == 0


def test_a_second_ctrl_c_waits_for_nobody():
    running = Running("run(program('deaf', DEAF, grace_s=60))")
    running.wait_for("deaf: up")

    running.process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    running.process.send_signal(signal.SIGINT)
    running.end()

    assert running.process.returncode == 0


@pytest.mark.parametrize("name", ["leash.py", "supervisor.py"])
def test_the_supervisor_needs_no_package(name: str):
    text = (Path(BASE_DIR) / "chatsite" / name).read_text()

    assert "django" not in text.lower().replace("knows nothing of django", "")
