"""Small helpers for tests that write a file and read it back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training.ml import corpus
from training.ml.corpus import Detected, Readable, Unreadable
from training.ml.errors import BadFile
from training.ml.records import Dialogue


def write(tmp_path: Path, content: str | bytes, name: str = "file.jsonl", encoding: str = "utf-8") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def jsonl(*rows: Any) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read(path: Path, **asked: str) -> tuple[Detected, list[Readable], list[Unreadable]]:
    detected = corpus.detect(path, **asked)
    rows = list(corpus.read(path, detected))
    good = [row for row in rows if isinstance(row, Readable)]
    return detected, good, [row for row in rows if isinstance(row, Unreadable)]


def texts(row: Readable) -> list[str]:
    assert isinstance(row.record, Dialogue)
    return [message.content for message in row.record.messages]


def told(bad: list[Unreadable]) -> list[tuple[int, str]]:
    for row in bad:
        assert len(row.message) > 20
        (row.message + str(row.facts) + row.excerpt).encode()
    return [(row.line, row.rule) for row in bad]


def refused(path: Path, **asked: str) -> str:
    with pytest.raises(BadFile) as caught:
        read(path, **asked)
    return str(caught.value.facts["rule"])
