"""One request inside the engine, and the bridge from the thread that decodes to the event loop that answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from chat.engine.errors import ApiError

if TYPE_CHECKING:
    from chat.engine.loading import Version
    from training.ml.decode import Row

Reason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Queued:
    ahead: int


@dataclass(frozen=True, slots=True)
class Started:
    pass


@dataclass(frozen=True, slots=True)
class Token:
    id: int
    logprob: float


@dataclass(frozen=True, slots=True)
class Ended:
    reason: Reason


@dataclass(frozen=True, slots=True)
class Failed:
    error: ApiError


Happening = Queued | Started | Token | Ended | Failed


class Outbox:
    """Filled by the runner's thread, emptied by one reader in the event loop. Neither ever waits for the other."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._filled = asyncio.Event()
        self._lock = threading.Lock()
        self._items: list[Happening] = []

    def put(self, item: Happening) -> None:
        with self._lock:
            self._items.append(item)
            first = len(self._items) == 1
        # One wake-up for all that gathers until the reader comes: this is what batches tokens under load.
        if first:
            self._wake()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._filled.set)
        except RuntimeError:  # the loop is closed: nobody reads any more
            return

    async def take(self) -> list[Happening]:
        """Everything since the last call; waits until there is something."""
        await self._filled.wait()
        with self._lock:
            items, self._items = self._items, []
            self._filled.clear()
        return items


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    temperature: float
    top_k: int
    top_p: float
    seed: int | None


@dataclass(eq=False, slots=True, kw_only=True)
class Job:
    """`user` is whose turn it counts as. `row` belongs to the runner's thread; `cancelled` may be set by any."""

    version: Version
    prompt: list[int]
    sampling: Sampling
    max_tokens: int
    stop_ids: frozenset[int]
    user: Hashable
    outbox: Outbox
    told_ahead: int | None = None
    cancelled: bool = False
    made: int = 0
    row: Row | None = field(default=None)
