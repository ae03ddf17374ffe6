"""The command line of a child process that ends when we do. Knows not what the command is."""

from __future__ import annotations

import os
import sys


def leashed(command: list[str]) -> list[str]:
    """The kernel kills the command when this thread's process dies, however it dies."""
    return [sys.executable, "-m", "chatsite.leash", str(os.getpid()), *command]
