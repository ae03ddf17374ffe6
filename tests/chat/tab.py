"""One browser tab as a test drives it: it speaks frames on the real application and joins deltas as the page does."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.test import Client

from chatsite.asgi import application

Frame = dict[str, Any]
SECONDS = 5.0


def sign_in(user: User) -> str:
    """The session cookie of a new sign-in."""
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value


async def session_cookie(user: User) -> str:
    return await sync_to_async(sign_in)(user)


class Tab:
    """Texts by generation are in `texts`; every frame that came is in `frames`."""

    def __init__(self, cookie: str = "", *, origin: str = "http://localhost", language: str = "en") -> None:
        headers = [(b"origin", origin.encode()), (b"accept-language", language.encode())]
        if cookie:
            headers.append((b"cookie", f"sessionid={cookie}".encode()))
        self.cookie = cookie
        self.socket = WebsocketCommunicator(application, "/ws/chat/", headers=headers)
        self.frames: list[Frame] = []
        self.texts: dict[str, str] = {}

    async def open(self) -> bool:
        is_open, _ = await self.socket.connect(timeout=SECONDS)
        return bool(is_open)

    async def close(self) -> None:
        await self.socket.disconnect()

    async def say(self, type: str, **fields: Any) -> str:
        """Send a frame; returns its cmd_id."""
        frame = {"type": type, "cmd_id": uuid.uuid4().hex, **fields}
        await self.socket.send_json_to(frame)
        return str(frame["cmd_id"])

    async def ask(self, type: str, **fields: Any) -> Frame:
        """Send a frame and wait for its answer."""
        cmd_id = await self.say(type, **fields)
        return await self.until(lambda frame: frame.get("cmd_id") == cmd_id)

    async def send(self, text: str, **fields: Any) -> Frame:
        """A question in a new conversation; returns the ack."""
        plain: Frame = {"conversation": None, "parent": None, "generation": str(uuid.uuid4()), "params": {}}
        return await self.ask("send", text=text, **(plain | fields))

    async def until(self, wanted: Any) -> Frame:
        """Read on until a frame of that type, or one that fits."""
        fits = wanted if callable(wanted) else lambda frame: frame["type"] == wanted
        while True:
            frame = await self.next()
            if fits(frame):
                return frame

    async def next(self) -> Frame:
        frame: Frame = await self.socket.receive_json_from(timeout=SECONDS)
        self.frames.append(frame)
        self._join(frame)
        return frame

    async def until_text(self, generation: str, text: str) -> None:
        while self.texts.get(generation) != text:
            await self.next()

    async def done(self, generation: str) -> Frame:
        """Read on until the answer has ended."""
        return await self.until(lambda frame: frame["type"] == "done" and frame["generation"] == generation)

    async def closed_with(self) -> int:
        """Read on until the server closes the socket; the close code."""
        while True:
            message = await asyncio.wait_for(self.socket.output_queue.get(), SECONDS)
            if message["type"] == "websocket.close":
                return int(message.get("code", 1000))

    def _join(self, frame: Frame) -> None:
        if frame["type"] == "snapshot":
            self.texts[frame["generation"]] = frame["text"]
        elif frame["type"] == "delta":
            before = self.texts.get(frame["generation"], "")
            assert frame["from"] == len(before), "a delta must join what is there"
            self.texts[frame["generation"]] = before + frame["text"]
            assert frame["seq"] == len(self.texts[frame["generation"]])
