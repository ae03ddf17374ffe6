"""The engine's environment. Its names are those of the site (`CHATSITE_...`); it reads only what concerns it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_DATA_DIR = Path(__file__).resolve().parents[2] / "data"
MEMORY_SHARE = 0.5


class Options(BaseSettings):
    """Field `engine_url` is CHATSITE_ENGINE_URL, and so on."""

    model_config = SettingsConfigDict(env_prefix="CHATSITE_", env_ignore_empty=True, extra="ignore")

    engine_url: str = "http://127.0.0.1:8100"
    engine_secret: SecretStr = Field(min_length=1)
    data_dir: Path = DEFAULT_DATA_DIR
    engine_models_dir: Path | None = None
    engine_memory_mb: int | None = Field(default=None, ge=1)
    # Sequences decoded at once, a version; the rest waits in the queue.
    engine_rows: int = Field(default=32, ge=1, le=1024)
    engine_queue: int = Field(default=256, ge=1, le=100_000)
    engine_dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    # Set where the engine shall outlive the process that started it.
    engine_detached: bool = False
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("engine_url")
    @classmethod
    def local_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme != "http" or not parts.hostname or not parts.port:
            raise ValueError("should look like http://127.0.0.1:8100")
        return value

    @property
    def host(self) -> str:
        return urlsplit(self.engine_url).hostname or "127.0.0.1"

    @property
    def port(self) -> int:
        return urlsplit(self.engine_url).port or 8100

    @property
    def models_dir(self) -> Path:
        return (self.engine_models_dir or self.data_dir / "models").expanduser().resolve()

    @property
    def budget_bytes(self) -> int:
        """For weights and caches of all loaded versions."""
        if self.engine_memory_mb is not None:
            return self.engine_memory_mb * 2**20
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * MEMORY_SHARE)
