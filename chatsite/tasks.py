"""What the worker process does for the site itself. Read by `run_huey` only."""

from __future__ import annotations

from huey.contrib.djhuey import on_startup

from chatsite import heartbeat


@on_startup("chatsite.heartbeat")
def start_heartbeat() -> None:
    heartbeat.start()
