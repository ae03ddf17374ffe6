"""The environment: typed values, and errors that name the variable."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from chatsite.env import Environment, read_environment


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CHATSITE_DATA_DIR", str(tmp_path))
    for name in ("CHATSITE_ENGINE_URL", "CHATSITE_ENGINE_SECRET", "CHATSITE_SECRET_KEY", "CHATSITE_PORT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CHATSITE_PORT", "eighty"),
        ("CHATSITE_PORT", "70000"),
        ("CHATSITE_DEBUG", "perhaps"),
        ("CHATSITE_ENGINE_URL", "127.0.0.1:8100"),
        ("CHATSITE_LOG_LEVEL", "loud"),
    ],
)
def test_an_error_names_the_variable_and_what_it_got(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(name, value)

    with pytest.raises(ImproperlyConfigured) as raised:
        read_environment()

    assert str(raised.value).startswith(f"{name} is wrong: ")
    assert repr(value) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_empty_value_counts_as_not_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CHATSITE_PORT", "")

    assert read_environment().port == 8000


def test_secrets_are_not_printed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CHATSITE_SECRET_KEY", "hush-hush")
    monkeypatch.setenv("CHATSITE_DATABASE_URL", "postgres://ann:hush-hush@db/chatsite")

    assert "hush-hush" not in repr(read_environment())


def test_the_secret_key_comes_from_the_environment_else_from_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert Environment().find_secret_key() == ""

    (tmp_path / "secret_key").write_text("from the file\n")
    assert Environment().find_secret_key() == "from the file"

    monkeypatch.setenv("CHATSITE_SECRET_KEY", "from the environment")
    assert Environment().find_secret_key() == "from the environment"


def test_another_command_finds_the_engine_of_the_running_site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert Environment().find_engine() == ("", "")

    (tmp_path / "engine.json").write_text('{"url": "http://127.0.0.1:1234", "secret": "s"}')
    assert Environment().find_engine() == ("http://127.0.0.1:1234", "s")

    monkeypatch.setenv("CHATSITE_ENGINE_URL", "http://gpu:9000/")
    assert Environment().find_engine() == ("http://gpu:9000", "")
