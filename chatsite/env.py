"""The environment: every CHATSITE_ value, typed, read once; an error names the variable and what it should be.

Knows nothing of Django settings; `settings.py` turns these values into them.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Literal

from django.core.exceptions import ImproperlyConfigured
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

BASE_DIR = Path(__file__).resolve().parent.parent
PREFIX = "CHATSITE_"


class Environment(BaseSettings):
    """Field `data_dir` is CHATSITE_DATA_DIR, and so on. An empty value counts as not set."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore")

    data_dir: Path = BASE_DIR / "data"
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    debug: bool = False
    https: bool = False
    allowed_hosts: str = "localhost,127.0.0.1,[::1]"
    trusted_proxies: int = Field(default=0, ge=0, le=10)
    secret_key: SecretStr | None = None
    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    engine_url: str | None = None
    engine_secret: SecretStr | None = None
    engine_memory_mb: int | None = Field(default=None, ge=64)
    engine_models_dir: Path | None = None
    metrics_token: SecretStr | None = None
    open_signup: bool = True
    time_zone: str = "UTC"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("data_dir", "engine_models_dir")
    @classmethod
    def absolute(cls, value: Path | None) -> Path | None:
        return value and value.expanduser().resolve()

    @field_validator("engine_url")
    @classmethod
    def http_address(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("should begin with http:// or https://")
        return value and value.rstrip("/")

    @property
    def hosts(self) -> list[str]:
        return [host.strip() for host in self.allowed_hosts.split(",") if host.strip()]

    @property
    def models_dir(self) -> Path:
        return self.engine_models_dir or self.data_dir / "models"

    @property
    def secret_key_file(self) -> Path:
        return self.data_dir / "secret_key"

    @property
    def engine_file(self) -> Path:
        """Where `up` tells other commands of this machine the engine's address and secret."""
        return self.data_dir / "engine.json"

    def find_secret_key(self) -> str:
        """CHATSITE_SECRET_KEY, else the file that `up` made, else nothing: the system check says so."""
        if self.secret_key:
            return self.secret_key.get_secret_value()
        try:
            return self.secret_key_file.read_text(encoding="ascii").strip()
        except OSError:
            return ""

    def find_engine(self) -> tuple[str, str]:
        """(address, secret) of the engine: from the environment, else of the site running on this data directory."""
        told = {"url": "", "secret": ""}
        if self.engine_url is None:
            with suppress(OSError, ValueError):
                told = json.loads(self.engine_file.read_text(encoding="ascii"))
        secret = self.engine_secret.get_secret_value() if self.engine_secret else told["secret"]
        return self.engine_url or told["url"], secret


def read_environment() -> Environment:
    """Raises ImproperlyConfigured with one line a wrong variable."""
    try:
        return Environment()
    except ValidationError as error:
        lines = [
            f"{PREFIX}{str(item['loc'][0]).upper()} is wrong: {item['msg']} (got {item['input']!r})."
            for item in error.errors()
        ]
        raise ImproperlyConfigured("\n".join(lines)) from None
