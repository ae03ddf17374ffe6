"""What open sockets must hear though nobody in this process did it: one poll a process, twice a second.

The active model changed; another tab or process changed a conversation; a session ended; an answer's writer died.
Knows rows, not sockets: each socket listens with `news` and gets the frames that are for it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.utils import timezone

from chat import conversations, sessions
from chat.database import run_in_thread
from chat.models import Conversation
from chat.protocol import Outgoing
from chat.sessions import Holder
from training import registry

log = structlog.get_logger(__name__)

EVERY_SECONDS = 0.5
# A writer saves every half second: one that is silent for so long is gone.
SILENT_SECONDS = 12
# Rows of another process may become visible a little late; what was told already is not told again.
OVERLAP_SECONDS = 3
MOST_WAITING = 200

Change = tuple[UUID, int, datetime]  # conversation, owner, when


@dataclass(eq=False, slots=True)
class Listener:
    """One socket. `password` is the account's stored hash when it was first looked at."""

    holder: Holder
    frames: asyncio.Queue[Outgoing] = field(default_factory=lambda: asyncio.Queue(MOST_WAITING))
    password: str | None = None

    def tell(self, frame: Outgoing) -> None:
        # A socket that takes nothing is closed by its own send timeout; until then old news is worth nothing.
        if self.frames.full():
            self.frames.get_nowait()
        self.frames.put_nowait(frame)


@dataclass(frozen=True, slots=True)
class Sight:
    """What one poll saw."""

    model: tuple[str, str] | None
    sessions: set[str]
    passwords: dict[int, str]
    changes: list[Change]


class Watcher:
    """Polls while somebody listens, and looks for dead writers all the time."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._model: tuple[str, str] | None = None
        self._has_looked = False
        self._since = timezone.now()
        self._told: set[Change] = set()

    def start(self) -> None:
        """Begin to poll, once."""
        if self._task is None or self._task.done():
            self._has_looked = False
            self._task = asyncio.create_task(self._poll(), context=contextvars.Context())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def news(self, user_id: int, session_key: str) -> AsyncGenerator[Outgoing, None]:
        """The frames for one socket, for as long as it is open; `kick` is the last one."""
        self.start()
        listener = Listener(holder=Holder(user_id, session_key))
        self._listeners.add(listener)
        try:
            while True:
                frame = await listener.frames.get()
                yield frame
                if frame["type"] == "kick":
                    return
        finally:
            self._listeners.discard(listener)

    def tell(self, user_id: int, frame: Outgoing) -> None:
        """News that this process has for all sockets of one person."""
        for listener in self._listeners:
            if listener.holder.user_id == user_id:
                listener.tell(frame)

    def tell_soon(self, user_id: int, frame: Outgoing) -> None:
        """`tell`, from any thread."""
        if self._task is not None and not self._task.done():
            self._task.get_loop().call_soon_threadsafe(self.tell, user_id, frame)

    # Polling --------------------------------------------------------------------------------------------------

    async def _poll(self) -> None:
        while True:
            try:
                await self._look()
            except Exception:  # a locked or absent database must not end the watching
                log.exception("watching failed")
            await asyncio.sleep(EVERY_SECONDS)

    async def _look(self) -> None:
        now = timezone.now()
        gone = await run_in_thread(conversations.interrupt_silent, now - timedelta(seconds=SILENT_SECONDS))
        if gone:
            log.warning("answers without a writer interrupted", answers=gone)
        if not self._listeners:
            # What happens before somebody listens is on the page that they load.
            self._since, self._has_looked = now, False
            return
        # Who comes while we look was not looked for.
        listeners = list(self._listeners)
        holders = {listener.holder for listener in listeners}
        sight = await run_in_thread(_see, holders, self._since - timedelta(seconds=OVERLAP_SECONDS))
        self._tell_model(sight)
        _kick(listeners, sight)
        self._tell_changes(sight, now)
        self._has_looked = True

    def _tell_model(self, sight: Sight) -> None:
        if self._has_looked and sight.model is not None and sight.model != self._model:
            for listener in self._listeners:
                listener.tell({"type": "model_activated", "name": sight.model[1]})
        self._model = sight.model

    def _tell_changes(self, sight: Sight, now: datetime) -> None:
        for change in sight.changes:
            if change not in self._told:
                self.tell(change[1], {"type": "conversation_changed", "conversation": str(change[0])})
        self._told = set(sight.changes)
        self._since = now


def _kick(listeners: Iterable[Listener], sight: Sight) -> None:
    for listener in listeners:
        password = sight.passwords.get(listener.holder.user_id)
        if listener.password is None:
            listener.password = password
        if password is None or password != listener.password:
            listener.tell({"type": "kick", "reason": "account"})
        elif listener.holder.session_key not in sight.sessions:
            listener.tell({"type": "kick", "reason": "session"})


def _see(holders: Iterable[Holder], since: datetime) -> Sight:
    users = {holder.user_id for holder in holders}
    model = registry.active_model()
    changed = Conversation.objects.filter(owner__in=users, updated_at__gt=since)
    return Sight(
        model=(model.uid, model.name) if model else None,
        sessions=sessions.alive(holder.session_key for holder in holders),
        passwords=sessions.passwords(users),
        changes=list(changed.values_list("pk", "owner_id", "updated_at")),
    )


watcher = Watcher()
