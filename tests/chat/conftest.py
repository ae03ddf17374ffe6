"""A site with a tiny model and two people, Ada and Ben; the engine is scripted, everything else is real."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from django.contrib.auth.models import User

from chat import watcher as watching
from chat.live import manager
from chat.watcher import watcher
from tests.chat.tab import Tab, session_cookie
from tests.scripted_engine import SECRET, ScriptedEngine, running
from training import serving
from training.ml import tokenizer as tokenizers
from training.models import ModelVersion

CONTEXT_LENGTH = 256
TEXTS = ["你好，世界！今天天气怎么样？", "Hello, how are you? I am fine.", "0123456789"] * 3


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the web process reads of a model: everything but the weights."""
    directory = tmp_path_factory.mktemp("tiny")
    tokenizers.train_tokenizer(TEXTS, 300, directory)
    (directory / "config.json").write_text(json.dumps({"n_positions": CONTEXT_LENGTH}), encoding="utf-8")
    return directory


MakeModel = Callable[..., ModelVersion]


@pytest.fixture
def make_model(tiny_files: Path, settings: Any) -> MakeModel:
    def make(uid: str = "tiny-1", *, is_active: bool = True, **changes: Any) -> ModelVersion:
        shutil.copytree(tiny_files, Path(settings.MODELS_DIR) / uid, dirs_exist_ok=True)
        facts: dict[str, Any] = {
            "uid": uid,
            "name": f"model {uid}",
            "origin": "added",
            "weights_sha256": "0" * 64,
            "tokenizer_sha256": "1" * 64,
            "template": (tiny_files / "chat_template.jinja").read_text(encoding="utf-8"),
            "context_length": CONTEXT_LENGTH,
            "parameters": 1,
            "size_bytes": 1,
            "is_active": is_active,
        }
        return ModelVersion.objects.create(**(facts | changes))

    return make


@pytest.fixture
def model(make_model: MakeModel, db: None) -> ModelVersion:
    return make_model()


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create_user("ada", password="a long enough password")


@pytest.fixture
def ben(db: None) -> User:
    return User.objects.create_user("ben", password="a long enough password")


@pytest.fixture
def engine(settings: Any) -> Iterator[ScriptedEngine]:
    with running(ScriptedEngine()) as scripted:
        settings.ENGINE_URL, settings.ENGINE_SECRET = scripted.url, SECRET
        yield scripted


Connect = Callable[..., Any]


@pytest_asyncio.fixture
async def connect(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Connect]:
    """`await connect(user)` opens a tab; all are closed in the end and nothing keeps running."""
    monkeypatch.setattr(watching, "EVERY_SECONDS", 0.05)
    tabs: list[Tab] = []

    async def open_tab(user: User, **options: Any) -> Tab:
        tab = Tab(await session_cookie(user), **options)
        tabs.append(tab)
        assert await tab.open()
        return tab

    yield open_tab
    for tab in tabs:
        await tab.close()
    await manager.shutdown()
    await watcher.stop()
    await serving.close()
