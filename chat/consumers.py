"""One socket: reads a frame, has it done, sends what comes. It never writes an answer and never waits for one."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Coroutine
from contextlib import aclosing, suppress
from uuid import UUID

import structlog
from channels.generic.websocket import AsyncWebsocketConsumer
from django.utils import translation
from django.utils.translation import gettext as _

from chat import commands, metrics, protocol, sessions
from chat.following import follow
from chat.live import manager
from chat.protocol import Incoming, Outgoing
from chat.watcher import watcher

log = structlog.get_logger(__name__)

SEND_SECONDS = 20
FRAMES_A_SECOND = 20

# Close codes: 4401 sign in again, 1008 abuse, 1011 our fault, 1013 come back later.
UNAUTHENTICATED, ABUSE, BROKEN, TOO_SLOW = 4401, 1008, 1011, 1013

# After these the page shows an answer that it may not be following yet.
BEGIN_TO_FOLLOW = (protocol.Send, protocol.Regenerate, protocol.Edit, protocol.Continue, protocol.Resume)


class ChatConsumer(AsyncWebsocketConsumer):
    """The socket of one tab of one signed-in person."""

    async def connect(self) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self.followers: dict[str, asyncio.Task[None]] = {}
        self.recent: deque[float] = deque(maxlen=FRAMES_A_SECOND)
        self.sending = asyncio.Lock()
        self.is_open = False
        self.user_id = self.scope["user"].pk
        if self.user_id is None:
            await self.close(UNAUTHENTICATED)
            return
        await self.accept()
        self.is_open = True
        metrics.SOCKETS.inc()
        self.spawn(self._tell_news())

    async def disconnect(self, code: int) -> None:
        """Ends the following, never the answers."""
        if self.is_open:
            metrics.SOCKETS.dec()
        self.is_open = False
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        # The page's own words for what is refused, whichever thread or task says them.
        translation.activate(sessions.language(self.scope))
        if self._is_too_fast():
            await self.close(ABUSE)
            return
        try:
            command = protocol.parse(text_data or "")
        except protocol.BadFrame as error:
            await self._refuse(error)
            return
        await self._obey(command)

    def _is_too_fast(self) -> bool:
        now = time.monotonic()
        is_too_fast = len(self.recent) == FRAMES_A_SECOND and now - self.recent[0] < 1
        self.recent.append(now)
        return is_too_fast

    async def _refuse(self, error: protocol.BadFrame) -> None:
        if error.field == "size":
            await self.close(ABUSE)
            return
        log.info("bad frame", field=error.field)
        text = _("The page sent something that the site does not understand. Reload it.")
        await self.put(commands.nack(error.cmd_id, "bad_frame", text))

    async def _obey(self, command: Incoming) -> None:
        # The account is looked at anew for each command: it may have been closed since the socket opened.
        user = await sessions.current_user(self.scope, self.user_id)
        if user is None:
            await self._send_away("session")
            return
        answer = await commands.answer_once(user, command)
        await self.put(answer)
        if answer["type"] == "ack" and isinstance(command, BEGIN_TO_FOLLOW):
            self.follow(answer["generation"], command.after_seq if isinstance(command, protocol.Resume) else 0)

    # Following --------------------------------------------------------------------------------------------------

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guard(work))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _guard(self, work: Coroutine[None, None, None]) -> None:
        """A follower that fails closes the socket: the page comes back by itself and resumes."""
        try:
            await work
        except Exception:
            log.exception("socket task failed")
            await self.close(BROKEN)

    def follow(self, generation: str, after: int) -> None:
        """Send an answer from `after` on; a second `resume` starts over."""
        old = self.followers.pop(generation, None)
        if old is not None:
            old.cancel()
        task = self.spawn(self._follow(generation, after))
        self.followers[generation] = task
        task.add_done_callback(lambda done: self._forget(generation, done))

    def _forget(self, generation: str, task: asyncio.Task[None]) -> None:
        if self.followers.get(generation) is task:
            del self.followers[generation]

    async def _follow(self, generation: str, after: int) -> None:
        async with aclosing(follow(manager, UUID(generation), after=after)) as frames:
            async for frame in frames:
                await self.put(frame)

    async def _tell_news(self) -> None:
        session_key = self.scope["session"].session_key or ""
        async with aclosing(watcher.news(self.user_id, session_key)) as frames:
            async for frame in frames:
                await self.put(frame)
        # The last news is that the session has ended.
        await self.close(UNAUTHENTICATED)

    # Sending ----------------------------------------------------------------------------------------------------

    async def put(self, frame: Outgoing) -> None:
        """Send one frame whole; a client that reads nothing for SEND_SECONDS is let go."""
        # A client may go away between two frames; disconnect() follows.
        with suppress(OSError, RuntimeError):
            try:
                async with self.sending:
                    await asyncio.wait_for(self.send(text_data=protocol.dump(frame)), SEND_SECONDS)
            except TimeoutError:
                await self.close(TOO_SLOW)

    async def _send_away(self, reason: str) -> None:
        await self.put({"type": "kick", "reason": reason})
        with suppress(OSError, RuntimeError):
            await self.close(UNAUTHENTICATED)
