"""A real browser and two real sites: one with the scripted engine behind it, one as `manage.py up` starts it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.seed import PASSWORD
from tests.scripted_engine import SECRET, ScriptedEngine, running

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("CHATSITE_TEST_CHROMIUM", "/usr/bin/chromium")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
START_SECONDS = 300
expect.set_options(timeout=20_000)

# Playwright keeps an event loop in the test's thread, where Django would refuse the ORM.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


@dataclass(frozen=True)
class Site:
    url: str
    engine: ScriptedEngine
    data: Path
    cookies: dict[str, Any] = field(default_factory=dict)  # name -> the session of who has signed in already


@pytest.fixture(scope="session")
def running_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    data = tmp_path_factory.mktemp("site")
    with running(ScriptedEngine()) as engine, socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        reserved.close()
        environment = os.environ | {
            "CHATSITE_DATA_DIR": str(data),
            "CHATSITE_ENGINE_URL": engine.url,
            "CHATSITE_ENGINE_SECRET": SECRET,
            "CHATSITE_SECRET_KEY": "only for tests, and long enough for the check",
            "DJANGO_SETTINGS_MODULE": "chatsite.settings",
            "OMP_NUM_THREADS": "1",
        }
        subprocess.run([sys.executable, "-m", "tests.browser.seed"], cwd=ROOT, env=environment, check=True)
        command = [sys.executable, "-m", "uvicorn", "chatsite.asgi:application", "--port", str(port)]
        command += ["--ws", "websockets-sansio", "--log-level", "warning", "--timeout-graceful-shutdown", "2"]
        web = subprocess.Popen(command, cwd=ROOT, env=environment)
        try:
            _wait_for(f"http://127.0.0.1:{port}/healthz")
            yield Site(url=f"http://127.0.0.1:{port}", engine=engine, data=data)
        finally:
            web.terminate()
            web.wait(15)


@dataclass(frozen=True)
class WholeSite:
    """What `manage.py up` started, and the link it printed for the first administrator."""

    url: str
    setup_link: str


@pytest.fixture(scope="module")
def whole_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeSite]:
    """The site as its owner starts it: real engine, real worker, and the starter model answers."""
    directory = tmp_path_factory.mktemp("whole-site")
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CHATSITE_", "DJANGO_"))}
    output = directory / "output"
    with output.open("w") as lines:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--port", str(port)],
            cwd=ROOT,
            env=environment | {"CHATSITE_DATA_DIR": str(directory / "data"), "PYTHONUNBUFFERED": "1"},
            stdout=lines,
            stderr=subprocess.STDOUT,
        )
    try:
        yield WholeSite(url=f"http://127.0.0.1:{port}", setup_link=_setup_link(output, process))
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
        print(output.read_text())
    assert code == 0


def _setup_link(output: Path, process: subprocess.Popen[bytes]) -> str:
    until = time.monotonic() + START_SECONDS
    while "Ctrl-C stops everything." not in output.read_text():
        assert process.poll() is None and time.monotonic() < until, output.read_text()
        time.sleep(0.1)
    [link] = re.findall(r"http://\S+/setup/\S+", output.read_text())
    return str(link)


def _wait_for(address: str) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        try:
            if httpx.get(address).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError(address)


@pytest.fixture
def site(running_site: Site) -> Iterator[Site]:
    """The engine forgets the script of the test before; nothing of this test's stays held."""
    vars(running_site.engine).update(vars(ScriptedEngine(url=running_site.engine.url)))
    yield running_site
    running_site.engine.release()


# Module-scoped: a longer life would take the event loop from the async tests that come later.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield opened
        opened.close()


@contextmanager
def strict_page(browser: Browser, **options: Any) -> Iterator[Page]:
    """A page in a profile of its own; whatever its console calls an error fails the test."""
    problems: list[str] = []
    context = browser.new_context(**({"locale": "en-US"} | options))
    context.on("weberror", lambda error: problems.append(str(error.error)))
    context.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    try:
        yield context.new_page()
    finally:
        context.close()
    assert not problems


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page in a profile of its own; at the end no script may have failed and no policy been broken."""
    contexts, problems = [], []

    def opened(**options: Any) -> Page:
        context = browser.new_context(**({"locale": "en-US"} | options))
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if "Content Security" in said.text else None)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not problems


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    return open_page()


@pytest.fixture
def sign_in(site: Site) -> Callable[[Page, str], Page]:
    def signed_in(page: Page, name: str) -> Page:
        if name in site.cookies:
            page.context.add_cookies(site.cookies[name])
            page.goto(site.url)
        else:
            page.goto(f"{site.url}/accounts/login/")
            page.fill("[name=login]", name)
            page.fill("[name=password]", PASSWORD)
            page.click("form.stack [type=submit]")
        expect(page.locator("body")).to_have_attribute("data-ready", "1")
        site.cookies[name] = page.context.cookies()
        return page

    return signed_in


@pytest.fixture
def alice(page: Page, sign_in: Callable[[Page, str], Page]) -> Page:
    return sign_in(page, "alice")
