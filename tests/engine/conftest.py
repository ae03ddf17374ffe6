"""Real engines on tiny random models, served over a real socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from chat.engine.app import Engine
from chat.engine.options import Options
from tests.scripted_engine import serving
from training.ml import bundle
from training.ml.tokenizer import train_tokenizer
from training.serving import EngineClient

SECRET = "only for tests"
CONTEXT = 128
TEXTS = ["你好，今天天气很好。", "hello there, how are you?", "好的，谢谢你！"] * 20


@pytest.fixture(scope="session")
def tokenizer_dir(tmp_path_factory) -> Path:
    directory: Path = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(TEXTS, 320, directory)
    return directory


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory, tokenizer_dir: Path) -> Path:
    """Two versions that differ in their weights. Tests that change files copy it."""
    root: Path = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("ada", "bea")):
        bundle.new_base(root / name, tokenizer_dir, layers=2, heads=4, width=32, context=CONTEXT, seed=seed)
    return root


@dataclass
class Served:
    """A running engine: its parts, its address, and ways to call it."""

    engine: Engine
    url: str

    def client(self) -> EngineClient:
        return EngineClient(self.url, SECRET)

    def http(self, *, secret: str = SECRET) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {secret}"} if secret else {}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30, trust_env=False)


@contextmanager
def held(served: Served) -> Iterator[None]:
    """Inside, the loaded version's steps wait, so that what arrives meanwhile arrives during one step."""
    [version] = served.engine.versions.loaded
    model, gate = version.decoder.model, threading.Event()
    forward = model.forward

    def slow(*args: Any, **options: Any) -> Any:
        gate.wait(30)
        return forward(*args, **options)

    model.forward = slow
    try:
        yield
    finally:
        model.forward = forward
        gate.set()


@contextmanager
def serve(models_dir: Path, **changes: Any) -> Iterator[Served]:
    settings: dict[str, Any] = {"engine_secret": SecretStr(SECRET), "engine_models_dir": models_dir, "engine_rows": 4}
    engine = Engine(Options(**(settings | changes)))
    with serving(engine.app(), lifespan="on") as url:
        yield Served(engine, url)


@pytest.fixture(scope="session")
def served(models_dir: Path) -> Iterator[Served]:
    """One engine for all tests that leave it as it was."""
    with serve(models_dir) as running:
        yield running
