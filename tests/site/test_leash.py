"""The leash: a command that ends when its parent does."""

from __future__ import annotations

import os
import subprocess
import sys

from chatsite.env import BASE_DIR


def leashed(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chatsite.leash", *arguments]
    return subprocess.run(command, cwd=BASE_DIR, capture_output=True, text=True, check=False, timeout=20)


def test_the_command_runs_as_itself():
    done = leashed("0", sys.executable, "-c", "print('here'); raise SystemExit(7)")

    assert (done.returncode, done.stdout) == (7, "here\n")


def test_a_parent_that_died_before_the_leash_was_on_is_noticed():
    done = leashed(str(os.getppid()), sys.executable, "-c", "print('here')")

    assert (done.returncode, done.stdout) == (-9, "")
