"""What the engine counts, in a registry of its own so that two engines in one process do not mix."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class Metrics:
    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.requests = Counter(
            "chatsite_engine_requests", "Completions by how they ended", ["outcome"], registry=registry
        )
        self.tokens = Counter("chatsite_engine_tokens", "Tokens read and written", ["kind"], registry=registry)
        self.first_token = Histogram(
            "chatsite_engine_first_token_seconds",
            "From the request to its first token, waiting included",
            buckets=SECONDS,
            registry=registry,
        )
        self.waiting = Gauge("chatsite_engine_queue_length", "Requests that wait", registry=registry)
        self.running = Gauge("chatsite_engine_running", "Requests being answered", registry=registry)
        self.loaded = Gauge("chatsite_engine_loaded_versions", "Versions in memory", registry=registry)
        self.bytes = Gauge("chatsite_engine_version_bytes", "Bytes of weights and caches", registry=registry)

    def watch(
        self,
        *,
        waiting: Callable[[], float],
        running: Callable[[], float],
        loaded: Callable[[], float],
        used_bytes: Callable[[], float],
    ) -> None:
        """Gauges are read when someone asks."""
        self.waiting.set_function(waiting)
        self.running.set_function(running)
        self.loaded.set_function(loaded)
        self.bytes.set_function(used_bytes)

    def page(self) -> bytes:
        return generate_latest(self.registry)
