"""Short database work from async code, off the one thread that all consumers would share."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from channels.db import database_sync_to_async

P = ParamSpec("P")
T = TypeVar("T")

# Measured with four blocking calls: one after another on the shared thread, together here.
_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="database")


async def run_in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    call: Any = database_sync_to_async(work, thread_sensitive=False, executor=_threads)
    result: T = await call(*args, **kwargs)
    return result
