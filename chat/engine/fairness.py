"""Who is next: each user's first request before anyone's second. Pure bookkeeping, no threads.

A user's turn counts what the user has running, so one person with many requests waits behind everyone with fewer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import Generic, Protocol, TypeVar


class Waiting(Protocol):
    @property
    def user(self) -> Hashable: ...


W = TypeVar("W", bound=Waiting)


class FairQueue(Generic[W]):
    """Requests in the order of their arrival; `order` says in which order they begin."""

    def __init__(self) -> None:
        self._waiting: dict[W, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, request: W) -> bool:
        return request in self._waiting

    def push(self, request: W) -> None:
        self._waiting[request] = None

    def discard(self, request: W) -> bool:
        """True when it was waiting."""
        if request not in self._waiting:
            return False
        del self._waiting[request]
        return True

    def clear(self) -> list[W]:
        everything = list(self._waiting)
        self._waiting.clear()
        return everything

    def order(self, running: Mapping[Hashable, int]) -> list[W]:
        """running: how many requests of each user are being answered now."""
        turns = _turns(self._waiting, running)
        # sorted is stable: within a turn the earlier arrival is first.
        return sorted(self._waiting, key=lambda request: turns[request])


def _turns(waiting: Iterable[W], running: Mapping[Hashable, int]) -> dict[W, int]:
    taken: Counter[Hashable] = Counter(running)
    turns = {}
    for request in waiting:
        turns[request] = taken[request.user]
        taken[request.user] += 1
    return turns
