"""`python -m chatsite.leash [--signal TERM] PARENT COMMAND...`: run a command that ends when its parent does.

The kernel sends the signal (KILL by default) however the parent ends, kill -9 included. PARENT is the parent's process
id, so that a parent that died before the leash was on is noticed too; 0 means whoever the parent is now. Linux only;
standard library only, because it starts before anything else of the site.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def tie(signal_number: int, *, parent: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if parent and os.getppid() != parent:
        os.kill(os.getpid(), signal_number)


def main(arguments: list[str]) -> None:
    signal_number = signal.SIGKILL
    if arguments[0] == "--signal":
        signal_number = signal.Signals[f"SIG{arguments[1]}"]
        arguments = arguments[2:]
    parent, *command = arguments
    tie(signal_number, parent=int(parent))
    os.execvp(command[0], command)  # noqa: S606  (replacing this process is the purpose)


if __name__ == "__main__":
    main(sys.argv[1:])
