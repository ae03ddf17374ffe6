"""One socket: reads a frame, calls a use case, sends what comes. It never writes an answer and never waits for one."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any
from uuid import UUID

import structlog
from channels.generic.websocket import AsyncWebsocketConsumer
from django.utils import translation
from django.utils.translation import gettext as _

from chat import feedback, protocol, replies, sessions
from chat.conversations import NotYours
from chat.live import manager
from chat.protocol import Incoming, Outgoing
from chat.watcher import watcher

log = structlog.get_logger(__name__)

SEND_SECONDS = 20
FRAMES_A_SECOND = 20
REMEMBERED_COMMANDS = 200

UNAUTHENTICATED, GONE, TOO_SLOW, ABUSE = 4401, 4401, 1013, 1008


class ChatConsumer(AsyncWebsocketConsumer):
    """The socket of one tab of one signed-in person."""

    async def connect(self) -> None:
        self.followers: dict[UUID, asyncio.Task[None]] = {}
        self.answered: OrderedDict[str, Outgoing] = OrderedDict()
        self.recent: deque[float] = deque(maxlen=FRAMES_A_SECOND)
        self.sending = asyncio.Lock()
        self.user_id = self.scope["user"].pk
        if self.user_id is None:
            await self.close(UNAUTHENTICATED)
            return
        await self.accept()
        self.news = asyncio.create_task(self._tell_news())

    async def disconnect(self, code: int) -> None:
        """Ends the following, never the answers."""
        tasks = [*getattr(self, "followers", {}).values(), getattr(self, "news", None)]
        for task in filter(None, tasks):
            task.cancel()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self._too_fast():
            await self.close(ABUSE)
            return
        try:
            command = protocol.parse(text_data or "")
        except protocol.BadFrame as error:
            if error.field == "size":
                await self.close(ABUSE)
                return
            await self._nack(error.cmd_id, "bad_frame", _("The page sent something that the site does not understand. Reload it."))
            return
        await self._once(command)

    def _too_fast(self) -> bool:
        now = time.monotonic()
        too_fast = len(self.recent) == FRAMES_A_SECOND and now - self.recent[0] < 1
        self.recent.append(now)
        return too_fast

    async def _once(self, command: Incoming) -> None:
        """A command that comes twice gets the same answer and is done once."""
        known = self.answered.get(command.cmd_id)
        if known is None:
            known = await self._answer(command)
            self.answered[command.cmd_id] = known
            if len(self.answered) > REMEMBERED_COMMANDS:
                self.answered.popitem(last=False)
        await self.put(known)
        if known["type"] == "ack":
            self._follow_up(command, known)

    async def _answer(self, command: Incoming) -> Outgoing:
        # The account is looked at anew for each command: it may have been closed since the socket opened.
        user = await sessions.current_user(self.scope, self.user_id)
        if user is None:
            await self.close(GONE)
            return self._refusal(command.cmd_id, "signed_out", _("You are signed out."))
        with translation.override(sessions.language(self.scope)), structlog.contextvars.bound_contextvars(cmd=command.type):
            try:
                facts = await HANDLERS[type(command)](user, command)
            except NotYours:
                return self._refusal(command.cmd_id, "not_found", _("This no longer exists, or it is not yours."))
            except replies.Refused as refused:
                return self._refusal(command.cmd_id, refused.code, refused.text)
            except Exception:
                log.exception("command failed")
                return self._refusal(command.cmd_id, "internal", _("Something went wrong on the server. Try again."))
        if command.type == "ping":
            return {"type": "pong", "cmd_id": command.cmd_id}
        ack: Any = {"type": "ack", "cmd_id": command.cmd_id, **facts}
        return ack

    def _follow_up(self, command: Incoming, ack: Any) -> None:
        generation = ack.get("generation")
        if generation is not None and command.type != "stop":
            self.follow(UUID(generation))

    # Following --------------------------------------------------------------------------------------------------

    def follow(self, generation_id: UUID) -> None:
        """Send an answer from its beginning on; a second `resume` starts over."""
        old = self.followers.pop(generation_id, None)
        if old is not None:
            old.cancel()
        self.followers[generation_id] = asyncio.create_task(self._follow(generation_id))

    async def _follow(self, generation_id: UUID) -> None:
        async with aclosing(manager.follow(generation_id)) as frames:
            async for frame in frames:
                await self.put(frame)

    async def _tell_news(self) -> None:
        session = self.scope["session"].session_key
        async with aclosing(watcher.news(self.user_id, session)) as frames:
            async for frame in frames:
                await self.put(frame)
                if frame["type"] == "kick":
                    await self.close(GONE)

    # Sending ----------------------------------------------------------------------------------------------------

    async def put(self, frame: Outgoing) -> None:
        """Send one frame whole; a client that reads nothing for SEND_SECONDS is let go."""
        try:
            async with self.sending:
                await asyncio.wait_for(self.send(text_data=protocol.dump(frame)), SEND_SECONDS)
        except TimeoutError:
            with suppress(OSError, RuntimeError):
                await self.close(TOO_SLOW)
        except (OSError, RuntimeError):
            # The client went away between two frames; disconnect() follows.
            return

    async def _nack(self, cmd_id: str, code: str, text: str) -> None:
        await self.put(self._refusal(cmd_id, code, text))

    def _refusal(self, cmd_id: str, code: str, text: str) -> Outgoing:
        return {"type": "nack", "cmd_id": cmd_id, "code": code, "text": text}


Handler = Callable[[Any, Any], Awaitable[dict[str, Any]]]


def _asking(case: Callable[[Any, Any], Awaitable[replies.Asked]]) -> Handler:
    async def handle(user: Any, command: Any) -> dict[str, Any]:
        asked: dict[str, Any] = dict((await case(user, command)).ack())
        return asked

    return handle


async def _resume(user: Any, command: protocol.Resume) -> dict[str, Any]:
    return {"generation": str(await replies.resume(user, command))}


async def _stop(user: Any, command: protocol.Stop) -> dict[str, Any]:
    await replies.stop(user, command)
    return {"generation": str(command.generation)}


async def _pong(user: Any, command: protocol.Ping) -> dict[str, Any]:
    return {}


HANDLERS: dict[type, Handler] = {
    protocol.Send: _asking(replies.send),
    protocol.Regenerate: _asking(replies.regenerate),
    protocol.Edit: _asking(replies.edit),
    protocol.Continue: _asking(replies.continue_),
    protocol.Resume: _resume,
    protocol.Stop: _stop,
    protocol.Rate: feedback.rate,
    protocol.Withdraw: feedback.withdraw,
    protocol.Rewrite: feedback.rewrite,
    protocol.Flag: feedback.flag,
    protocol.GiveConsent: feedback.consent,
    protocol.Ping: _pong,
}
