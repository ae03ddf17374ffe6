"""Who is next: each user's first request before anyone's second. Pure bookkeeping, no threads.

Start-time fair queueing (Goyal, Vin and Cheng 1996) with requests of weight 1: a request's turn is one after its
user's last, but never before the turn that is being served, so nobody saves up turns by staying away.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

# A user who is forgotten begins with the current turn, which is what most would get anyway.
REMEMBERED_USERS = 4096


class Waiting(Protocol):
    @property
    def user(self) -> Hashable: ...


W = TypeVar("W", bound=Waiting)


class FairQueue(Generic[W]):
    """Waiting requests with their turns, in the order of their arrival."""

    def __init__(self) -> None:
        self._turns: dict[W, int] = {}
        self._last: dict[Hashable, int] = {}
        self._now = 0

    def __len__(self) -> int:
        return len(self._turns)

    def __contains__(self, request: W) -> bool:
        return request in self._turns

    def push(self, request: W) -> None:
        turn = max(self._now, self._last.get(request.user, -1) + 1)
        self._turns[request] = self._last[request.user] = turn
        if len(self._last) > REMEMBERED_USERS:
            waiting = {request.user for request in self._turns}
            self._last = {user: turn for user, turn in self._last.items() if user in waiting}

    def order(self) -> list[W]:
        """Who begins before whom. Within a turn the earlier arrival is first."""
        return sorted(self._turns, key=self._turns.__getitem__)

    def begin(self, request: W) -> None:
        """Its turn has come."""
        self._now = max(self._now, self._turns.pop(request))

    def discard(self, request: W) -> bool:
        """It leaves without having begun. True when it was waiting."""
        return self._turns.pop(request, None) is not None

    def clear(self) -> list[W]:
        everything = list(self._turns)
        self._turns.clear()
        return everything
