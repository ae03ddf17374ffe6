"""What must be true before the processes start: a data directory of our own, a free port, secrets.

Every failure is a NotReady whose text is one line for the person at the terminal.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import socket
import tempfile
from pathlib import Path
from typing import IO

from chatsite.env import Environment

SUBDIRECTORIES = ("models", "datasets", "runs", "uploads", "logs")


class NotReady(Exception):
    """Raised when the site cannot start here; the text says why and what to do."""


def make_data_dir(data_dir: Path) -> None:
    try:
        for name in SUBDIRECTORIES:
            (data_dir / name).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=data_dir) as probe:
            probe.write(b"probe")
    except OSError as error:
        problem = f"The data directory {data_dir} cannot be written ({error.strerror})."
        raise NotReady(f"{problem} Choose another with CHATSITE_DATA_DIR.") from None


def lock_data_dir(data_dir: Path) -> IO[str]:
    """Hold the data directory for this process; the lock ends with the returned file, or with the process."""
    file = (data_dir / "up.lock").open("a+", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise NotReady(f"A site already runs on the data directory {data_dir} (process {owner}).") from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the web server does: a port whose last connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise NotReady(_port_problem(host, port, error)) from None


def _port_problem(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is in use. Choose another: CHATSITE_PORT={port + 1} make run"
    return f"The site cannot listen on {host}, port {port}: {error.strerror}."


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _write_private(path: Path, text: str) -> None:
    """Whole or not at all, readable by its owner only from the first byte on."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)


def ensure_secret_key(environment: Environment) -> str:
    key = environment.find_secret_key()
    if not key:
        key = secrets.token_urlsafe(48)
        _write_private(environment.secret_key_file, key)
    return key


def write_engine_file(environment: Environment, *, url: str, secret: str) -> None:
    _write_private(environment.engine_file, json.dumps({"url": url, "secret": secret}))
