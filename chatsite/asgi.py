"""What uvicorn runs: the pages, the socket, and what happens when the process starts and ends."""

from __future__ import annotations

import asyncio
import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")

from django.core.asgi import get_asgi_application

# First: everything below needs the apps.
pages = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402

from chat import prompts  # noqa: E402
from chat.database import run_in_thread  # noqa: E402
from chat.live import manager  # noqa: E402
from chat.routing import websocket_urlpatterns  # noqa: E402
from chat.watcher import watcher  # noqa: E402
from training import serving  # noqa: E402


async def lifespan(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Start the watcher and warm up; at the end save every running answer as interrupted."""
    tasks: set[asyncio.Task[None]] = set()
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            watcher.start()
            # Not waited for: pages are served meanwhile.
            tasks.add(asyncio.create_task(run_in_thread(prompts.warm_up)))
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await manager.shutdown()
            await watcher.stop()
            await serving.close()
            await send({"type": "lifespan.shutdown.complete"})
            return


application = ProtocolTypeRouter(
    {
        "http": pages,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
        "lifespan": lifespan,
    }
)
