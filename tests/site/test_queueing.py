"""The queue's messages: JSON there and back, and a file that is made at first use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from huey.registry import Message

from chatsite.queueing import JSONSerializer, QueueFile


def test_a_message_comes_back_as_it_was():
    eta = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    after = Message("b", "second", on_error=None, args=[1])
    message = Message("a", "first", eta, 2, 10, 5, args=[1, "二"], kwargs={"flag": True}, on_complete=after)
    serializer = JSONSerializer()

    assert serializer.deserialize(serializer.serialize(message)) == message
    assert serializer.deserialize(serializer.serialize({"wait": timedelta(minutes=2)})) == {
        "wait": timedelta(minutes=2)
    }


def test_what_json_does_not_know_is_refused():
    with pytest.raises(TypeError):
        JSONSerializer().serialize({"thing": object()})


def test_a_task_goes_through_the_file(tmp_path: Path):
    queue = QueueFile("test", filename=str(tmp_path / "q.sqlite3"), serializer=JSONSerializer(), results=False)
    done: list[str] = []

    @queue.task()
    def note(text: str) -> None:
        done.append(text)

    assert not (tmp_path / "q.sqlite3").exists()
    note("早上好")
    assert (tmp_path / "q.sqlite3").exists()

    queue.execute(queue.dequeue())
    assert done == ["早上好"]
    queue.storage.close()
