"""`manage.py up`: the whole site in the foreground; Ctrl-C ends it in order."""

from __future__ import annotations

import os
import secrets
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, call_command
from django.db import connections
from django.db.utils import DatabaseError
from pydantic import SecretStr

from chatsite import firstadmin, preflight
from chatsite.console import Console
from chatsite.env import BASE_DIR, Environment, read_environment
from chatsite.supervisor import Program, StartFailed, Supervisor

# web 6 + worker 11 + engine 5 = 22 s: everything has ended within 25 s of Ctrl-C.
WEB_GRACE_S, WORKER_GRACE_S, ENGINE_GRACE_S = 6.0, 11.0, 5.0


class Command(BaseCommand):
    help = "Start web, engine and worker in the foreground. Ctrl-C ends them in order, a second one at once."
    # The checks of a fresh directory would complain about what this command makes.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, help="port of the site (default: CHATSITE_PORT, else 8000)")
        parser.add_argument("--host", help="address to listen on (default: CHATSITE_HOST, else 127.0.0.1)")
        parser.add_argument(
            "--no-engine", action="store_true", help="start no engine; CHATSITE_ENGINE_URL says where it is"
        )
        parser.add_argument("--engine-url", help="use the engine at this address and start none")
        parser.add_argument("--no-worker", action="store_true", help="start no worker; it runs elsewhere")
        parser.add_argument("--verbose", action="store_true", help="show every log line of every process")

    def handle(self, *args: Any, **options: Any) -> None:
        environment = read_environment().model_copy(
            update={name: options[name] for name in ("port", "host", "engine_url") if options[name]}
        )
        try:
            self._run(environment, options)
        except (preflight.NotReady, StartFailed) as error:
            sys.exit(str(error))
        except KeyboardInterrupt:
            sys.exit("Stopped before the site was up.")
        except OSError as error:
            sys.exit(f"The site cannot start: {error}")

    def _run(self, environment: Environment, options: dict[str, Any]) -> None:
        own_engine = not (options["no_engine"] or options["engine_url"])
        if options["no_engine"] and not environment.engine_url:
            raise preflight.NotReady("--no-engine needs the engine's address: --engine-url or CHATSITE_ENGINE_URL.")
        preflight.make_data_dir(environment.data_dir)
        with preflight.lock_data_dir(environment.data_dir):
            # Of a site that was killed: its engine is gone.
            environment.engine_file.unlink(missing_ok=True)
            preflight.check_port(environment.host, environment.port)
            settings.SECRET_KEY = preflight.ensure_secret_key(environment)
            if own_engine:
                environment = with_own_engine(environment)
            settings.ENGINE_URL, settings.ENGINE_SECRET = (
                environment.engine_url or "",
                reveal(environment.engine_secret),
            )
            prepare_data(sweep=not options["no_worker"])
            console = Console(environment.data_dir / "logs", verbose=options["verbose"])
            programs = choose_programs(environment, own_engine=own_engine, worker=not options["no_worker"])
            with engine_announced(environment):
                Supervisor(programs, say=console.say).run(on_ready=lambda: welcome(environment, console))
        console.announce("Chatsite has stopped.")


def with_own_engine(environment: Environment) -> Environment:
    """A fresh port and a fresh secret for this start."""
    url = f"http://127.0.0.1:{preflight.free_port()}"
    secret = secrets.token_urlsafe(32)
    return environment.model_copy(update={"engine_url": url, "engine_secret": SecretStr(secret)})


def prepare_data(*, sweep: bool) -> None:
    """The tables and the starter model, in this process, before any child needs them.

    sweep: remove what a killed site left half made; a worker that runs elsewhere may be at work on just that.
    """
    from training import registry, storage

    if sweep:
        storage.sweep()
    try:
        call_command("migrate", interactive=False, verbosity=0)
        call_command("createcachetable", verbosity=0)
    except DatabaseError as error:
        raise preflight.NotReady(f"The database cannot be prepared: {error}") from None
    registry.install_starter()


@contextmanager
def engine_announced(environment: Environment) -> Iterator[None]:
    """While the site runs, other commands on this data directory find its engine."""
    secret = reveal(environment.engine_secret)
    preflight.write_engine_file(environment, url=environment.engine_url or "", secret=secret)
    try:
        yield
    finally:
        environment.engine_file.unlink(missing_ok=True)


def reveal(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


def child_environment(environment: Environment) -> dict[str, str]:
    told = {
        "CHATSITE_DATA_DIR": str(environment.data_dir),
        "CHATSITE_HOST": environment.host,
        "CHATSITE_PORT": str(environment.port),
        "CHATSITE_ENGINE_URL": environment.engine_url or "",
        "CHATSITE_ENGINE_SECRET": reveal(environment.engine_secret),
        "CHATSITE_ENGINE_MODELS_DIR": str(environment.models_dir),
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(BASE_DIR),
    }
    return os.environ | told


def choose_programs(environment: Environment, *, own_engine: bool, worker: bool) -> list[Program]:
    """In the order of starting; stopping goes the other way: web, worker, engine."""
    python, manage = sys.executable, str(BASE_DIR / "manage.py")
    told = child_environment(environment)
    programs = []
    if own_engine:
        programs.append(
            Program(
                name="engine",
                command=(python, "-m", "chat.engine"),
                environment=told,
                grace_s=ENGINE_GRACE_S,
                health_url=f"{environment.engine_url}/health",
            )
        )
    if worker:
        command = (python, manage, "run_huey")
        programs.append(Program(name="worker", command=command, environment=told, grace_s=WORKER_GRACE_S))
    web = Program(
        name="web",
        command=web_command(environment, python),
        environment=told,
        grace_s=WEB_GRACE_S,
        health_url=f"{address(environment)}healthz",
    )
    return [*programs, web]


def web_command(environment: Environment, python: str) -> tuple[str, ...]:
    listen = ("--host", environment.host, "--port", str(environment.port))
    # Deflate costs memory and time on small frames; without a limit of its own uvicorn waits for open answers for ever.
    limits = ("--ws-per-message-deflate", "false", "--ws-max-size", "1048576", "--timeout-graceful-shutdown", "5")
    quiet = ("--no-access-log", "--no-server-header")
    return (python, "-m", "uvicorn", "chatsite.asgi:application", *listen, "--ws", "websockets-sansio", *limits, *quiet)


def address(environment: Environment) -> str:
    """Where this machine reaches the site."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(environment.host, environment.host)  # noqa: S104
    return f"http://{host}:{environment.port}/"


def warm_up() -> None:
    """Have the engine load the model that answers before the first question comes; without it that one just waits."""
    from training import registry, serving

    active = registry.active_model()
    if active is not None:
        with suppress(serving.EngineError):
            serving.load_version(active.uid)
    connections.close_all()


def welcome(environment: Environment, console: Console) -> None:
    url = address(environment)
    threading.Thread(target=warm_up, name="warm-up", daemon=True).start()
    console.announce(f"\nChatsite is ready: {url}")
    token = firstadmin.new_token()
    if token:
        console.announce(f"Make the first administrator here (this link works once): {url}setup/{token}/")
    connections.close_all()
    console.announce("Ctrl-C stops everything.\n")
