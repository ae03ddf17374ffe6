"""`manage.py up` as a person uses it: the real processes, started, killed and stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from chatsite.env import BASE_DIR

pytestmark = pytest.mark.slow
START_TIMEOUT_S = 120


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def up(data_dir: Path, port: int, *options: str, **more: Any) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CHATSITE_", "DJANGO_"))}
    return subprocess.Popen(
        [sys.executable, "manage.py", "up", "--port", str(port), *options],
        cwd=BASE_DIR,
        env=environment | {"CHATSITE_DATA_DIR": str(data_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **more,
    )


class Site:
    """A running site, its lines, and every process below it."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.process = up(data_dir, self.port)
        self.lines: list[str] = []
        self.wait_for("Ctrl-C stops everything")

    def wait_for(self, text: str) -> None:
        assert self.process.stdout is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if text in line:
                return
            assert time.monotonic() < deadline, self.lines
        raise AssertionError(f"{text!r} did not come: {self.lines}")

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return json.loads(answer.read())

    def family(self) -> dict[str, psutil.Process]:
        names = {"chat.engine": "engine", "run_huey": "worker", "uvicorn": "web"}
        found: dict[str, psutil.Process] = {}
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):  # one that just ended
                line = " ".join(process.cmdline())
                found |= {name: process for word, name in names.items() if word in line}
        return found

    def is_ready(self) -> bool:
        try:
            return bool(self.get("/readyz")["status"] == "ok")
        except OSError:
            return False


def eventually(question: Callable[[], bool], *, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if question():
            return True
        time.sleep(0.2)
    return False


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("site") / "data"


@pytest.fixture
def site(data_dir: Path) -> Iterator[Site]:
    running = Site(data_dir)
    yield running
    running.process.kill()
    running.process.communicate()


def test_it_starts_repairs_itself_and_stops_in_order(site: Site):
    assert stat.S_IMODE((site.data_dir / "secret_key").stat().st_mode) == 0o600
    assert any(re.search(r"/setup/[\w-]{20,}/$", line) for line in site.lines)
    assert eventually(site.is_ready, within_s=30)
    before = site.family()
    assert sorted(before) == ["engine", "web", "worker"]

    for process in before.values():
        process.kill()
    assert eventually(lambda: len(site.family()) == 3 and site.is_ready(), within_s=60)
    after = site.family()
    assert not {process.pid for process in before.values()} & {process.pid for process in after.values()}

    start = time.monotonic()
    site.process.send_signal(signal.SIGINT)
    output, _ = site.process.communicate(timeout=30)
    assert time.monotonic() - start < 25
    assert (site.process.returncode, output.splitlines()[-1]) == (0, "Chatsite has stopped.")
    assert not [process for process in after.values() if process.is_running()]
    assert not (site.data_dir / "engine.json").exists()


def test_kill_9_of_the_parent_leaves_no_process(site: Site):
    family = list(site.family().values())

    site.process.kill()

    _gone, alive = psutil.wait_procs(family, timeout=5)
    assert len(family) == 3
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def refused(process: subprocess.Popen[str]) -> str:
    """The one line of a start that must not happen."""
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    [line] = output.splitlines()
    return line


def test_a_port_in_use_is_one_clear_line(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]

        line = refused(up(tmp_path / "data", port))

    assert line == f"Port {port} is in use. Choose another: CHATSITE_PORT={port + 1} make run"


def test_the_engine_of_a_site_that_was_killed_is_forgotten(tmp_path: Path):
    stale = tmp_path / "data" / "engine.json"
    stale.parent.mkdir()
    stale.write_text('{"url": "http://127.0.0.1:9", "secret": "old"}')
    with socket.create_server(("127.0.0.1", 0)) as busy:
        refused(up(tmp_path / "data", busy.getsockname()[1]))

    assert not stale.exists()


def test_an_unwritable_data_directory_is_one_clear_line(tmp_path: Path):
    (tmp_path / "file").write_text("not a directory")

    line = refused(up(tmp_path / "file" / "data", free_port()))

    assert line.startswith(f"The data directory {tmp_path}/file/data cannot be written (Not a directory).")


def test_a_second_site_on_the_same_data_is_refused(tmp_path: Path):
    import fcntl

    data_dir = tmp_path / "data"
    data_dir.mkdir()
    with (data_dir / "up.lock").open("w") as lock:
        lock.write("4711")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)

        line = refused(up(data_dir, free_port()))

    assert line == f"A site already runs on the data directory {data_dir} (process 4711)."


def test_no_engine_without_an_address_is_one_clear_line(tmp_path: Path):
    line = refused(up(tmp_path / "data", free_port(), "--no-engine"))

    assert line == "--no-engine needs the engine's address: --engine-url or CHATSITE_ENGINE_URL."


def test_a_wrong_value_in_the_environment_is_one_clear_line(tmp_path: Path):
    environment = os.environ | {"CHATSITE_PORT": "many", "DJANGO_SETTINGS_MODULE": "chatsite.settings"}
    done = subprocess.run(
        [sys.executable, "manage.py", "up"], cwd=BASE_DIR, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert re.fullmatch(r"CHATSITE_PORT is wrong: .* \(got 'many'\)\.\n", done.stderr)


def test_a_wrong_python_is_one_clear_line():
    code = (
        "import sys; sys.version_info = (3, 9, 2); sys.version = '3.9.2 (x)'; sys.argv = ['manage.py', 'up'];"
        "import runpy; runpy.run_path('manage.py', run_name='__main__')"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=BASE_DIR, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (1, "Chatsite needs Python 3.11, this is 3.9.2. Start it with: make run\n")
