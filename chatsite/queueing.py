"""The job queue's file: opened at first use, its messages written as JSON, so that nothing in it is ever unpickled.

Knows nothing of tasks. Values may be what JSON knows, plus datetimes and huey's own messages.
"""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime, timedelta
from typing import Any

from huey import SqliteHuey
from huey.registry import Message
from huey.serializer import Serializer
from huey.storage import SqliteStorage
from huey.utils import Error

MARK = "__chatsite__"


def _pack(value: Any) -> Any:
    match value:
        case Message() | Error():
            return {MARK: type(value).__name__, "value": {key: _pack(item) for key, item in value._asdict().items()}}
        case datetime():
            return {MARK: "datetime", "value": value.isoformat()}
        case timedelta():
            return {MARK: "timedelta", "value": value.total_seconds()}
        case dict():
            return {key: _pack(item) for key, item in value.items()}
        case list() | tuple():
            return [_pack(item) for item in value]
        case _:
            return value


def _unpack(value: dict[str, Any]) -> Any:
    match value.get(MARK):
        case "Message":
            return Message(**value["value"])
        case "Error":
            return Error(**value["value"])
        case "datetime":
            return datetime.fromisoformat(value["value"])
        case "timedelta":
            return timedelta(seconds=value["value"])
        case _:
            return value


class JSONSerializer(Serializer):
    """Raises TypeError for a value that JSON does not know: a task takes plain values only."""

    def _serialize(self, data: Any) -> bytes:
        return json.dumps(_pack(data), ensure_ascii=False, separators=(",", ":")).encode()

    def _deserialize(self, data: bytes) -> Any:
        return json.loads(data, object_hook=_unpack)


class LazySqliteStorage(SqliteStorage):
    """huey opens its file when it is imported; here a command that queues nothing touches no file at all."""

    def __init__(self, name: str = "huey", **options: Any) -> None:
        super().__init__(name, create_tables=False, **options)

    def _create_connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection = super()._create_connection()
        for statement in self.ddl:
            connection.execute(statement)
        return connection


class QueueFile(SqliteHuey):
    storage_class = LazySqliteStorage
