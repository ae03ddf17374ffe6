"""Which versions are in memory: loaded at need within a budget, the longest unused leaves first.

Loading happens in a thread beside serving, one at a time, and a version that fails to load changes nothing.
Lives in the event loop; knows no HTTP and schedules nothing. Torch is imported by the first load.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from chat.engine.errors import ModelNotFound, NoMemory, VersionInUse, model_refused
from chat.engine.options import Options
from training.ml.errors import PipelineError
from training.ml.texts import gettext_noop

if TYPE_CHECKING:
    from chat.engine.loading import Version

log = structlog.get_logger("chatsite.engine.versions")

_SAFE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
# Share of the budget that the keys and values of one version may grow to.
CACHE_SHARE = 0.25


class Versions:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._loaded: dict[str, Version] = {}
        self._loads: dict[str, asyncio.Task[Version]] = {}
        self._one_at_a_time = asyncio.Lock()
        self._loader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="loader")

    def close(self) -> None:
        self._loader.shutdown(wait=False, cancel_futures=True)

    # --- who uses what ---

    async def acquire(self, uid: str) -> Version:
        """The version, loaded if need be, and kept in memory until `release`. Raises what `load` raises."""
        version = self._loaded.get(uid) or await self.load(uid)
        version.uses += 1
        version.last_used = time.monotonic()
        return version

    def release(self, version: Version) -> None:
        version.uses -= 1
        version.last_used = time.monotonic()

    async def load(self, uid: str) -> Version:
        """Raises ModelNotFound, ModelRefused or NoMemory."""
        if uid in self._loaded:
            return self._loaded[uid]
        task = self._loads.get(uid)
        if task is None:
            task = self._loads[uid] = asyncio.create_task(self._load(uid, self._directory(uid)))
            task.add_done_callback(lambda _task: self._loads.pop(uid, None))
        # Shielded: a client that goes away must not spoil the load for the others who wait for it.
        return await asyncio.shield(task)

    def unload(self, uid: str) -> None:
        """Raises ModelNotFound when it is not loaded, VersionInUse while it answers."""
        version = self._loaded.get(uid)
        if version is None:
            raise ModelNotFound(gettext_noop("%(version)s is not loaded."), version=uid, param="id")
        if version.uses:
            text = gettext_noop("%(version)s is answering %(count)d requests.")
            raise VersionInUse(text, version=uid, count=version.uses, param="id")
        self._drop([version])

    # --- what is there ---

    @property
    def loaded(self) -> list[Version]:
        return list(self._loaded.values())

    @property
    def loading(self) -> list[str]:
        return list(self._loads)

    def available(self) -> list[str]:
        """Names of the model directories, finished ones only."""
        root = self._options.models_dir
        if not root.is_dir():
            return []
        names = [path.parent.name for path in root.glob("*/config.json")]
        return sorted(name for name in names if _SAFE_ID.fullmatch(name))

    def describe(self) -> dict[str, Any]:
        return {
            "object": "list",
            "data": [_describe(version) for version in self.loaded],
            "loading": self.loading,
            "bytes": sum(version.bytes for version in self.loaded),
            "budget_bytes": self._options.budget_bytes,
        }

    # --- loading ---

    def _directory(self, uid: str) -> Path:
        directory = self._options.models_dir / uid
        # The name comes from the request: it must not lead elsewhere.
        if not _SAFE_ID.fullmatch(uid) or not directory.is_dir():
            raise ModelNotFound(gettext_noop("The model '%(version)s' does not exist."), version=uid, param="model")
        return directory

    async def _load(self, uid: str, directory: Path) -> Version:
        async with self._one_at_a_time:
            start = time.perf_counter()
            try:
                needed = await self._in_thread(lambda: _loading().estimate_bytes(directory, self._options.engine_dtype))
                version = await self._make(uid, directory, needed)
            except PipelineError as error:
                log.warning("version refused", version=uid, cause=error.message)
                raise model_refused(error) from error
            self._loaded[uid] = version
            version.last_used = time.monotonic()
            seconds = round(time.perf_counter() - start, 3)
            log.info("version loaded", version=uid, bytes=version.bytes, seconds=seconds, **version.facts)
            return version

    async def _make(self, uid: str, directory: Path, needed: int) -> Version:
        leaving = self._choose_leaving(uid, needed)
        # With memory to spare the old ones go last, so that a version that turns out broken cost nothing.
        if not _memory_is_ample(needed):
            self._drop(leaving)
        options = self._options
        cache_bytes = int(options.budget_bytes * CACHE_SHARE)
        version: Version = await self._in_thread(
            lambda: _loading().load(
                directory, wanted=options.engine_dtype, max_rows=options.engine_rows, cache_bytes=cache_bytes
            )
        )
        self._drop([version for version in leaving if not version.uses])
        return version

    def _choose_leaving(self, uid: str, needed: int) -> list[Version]:
        """The longest unused versions that have to go. Raises NoMemory when that is not enough."""
        budget = self._options.budget_bytes
        room = budget - sum(version.bytes for version in self.loaded)
        leaving: list[Version] = []
        for version in sorted(self.loaded, key=lambda version: version.last_used):
            if room >= needed:
                break
            if not version.uses:
                leaving.append(version)
                room += version.bytes
        if room < needed:
            raise NoMemory(
                gettext_noop(
                    "%(version)s needs %(needed).0f MB, %(room).0f of %(budget).0f MB can be made free. "
                    "Raise CHATSITE_ENGINE_MEMORY_MB or wait until other versions are idle."
                ),
                version=uid,
                needed=needed / 1e6,
                room=max(room, 0) / 1e6,
                budget=budget / 1e6,
                param="model",
            )
        return leaving

    def _drop(self, versions: list[Version]) -> None:
        for version in versions:
            if self._loaded.pop(version.uid, None):
                log.info("version unloaded", version=version.uid)
        if versions:
            self._loader.submit(_loading_forget)

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._loader, work)


def _loading() -> Any:
    from chat.engine import loading

    return loading


def _loading_forget() -> None:
    _loading().forget()


def _describe(version: Version) -> dict[str, Any]:
    return {
        "id": version.uid,
        "object": "version",
        "bytes": version.bytes,
        "precision": version.precision,
        "answering": version.uses,
        "idle_seconds": round(time.monotonic() - version.last_used, 1),
        **version.facts,
    }


def _memory_is_ample(needed: int) -> bool:
    """True when the system can hold this beside everything that is loaded; False where it cannot be known."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return False
    return available > 2 * needed
