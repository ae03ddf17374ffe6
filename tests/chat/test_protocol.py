"""What a browser may say, and that nonsense is told apart from it."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from chat import protocol
from chat.protocol import BadFrame, Params, Send


def frame(**changes: Any) -> str:
    plain: dict[str, Any] = {
        "type": "send",
        "cmd_id": "c1",
        "conversation": None,
        "parent": None,
        "text": "你好",
        "params": {},
        "generation": str(uuid4()),
    }
    return json.dumps(plain | changes)


def test_a_question_is_read_with_its_settings() -> None:
    read = protocol.parse(frame(params={"temperature": 0.5, "seed": 7}))

    assert isinstance(read, Send)
    assert (read.text, read.params) == ("你好", Params(temperature=0.5, seed=7))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"text": ""}, "send.text"),
        ({"text": "字" * 8001}, "send.text"),
        ({"text": 5}, "send.text"),
        ({"text": "\ud800"}, "send.text"),
        ({"generation": "x"}, "send.generation"),
        ({"params": {"temperature": "hot"}}, "send.params.temperature"),
        ({"params": {"top_a": 1}}, "send.params.top_a"),
        ({"model": "mine"}, "send.model"),
        ({"cmd_id": ""}, "send.cmd_id"),
        ({"type": "shutdown"}, "type"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(BadFrame) as caught:
        protocol.parse(frame(**changes))

    assert caught.value.field == field


def test_a_refusal_keeps_the_cmd_id_so_that_it_can_be_answered() -> None:
    with pytest.raises(BadFrame) as caught:
        protocol.parse(frame(cmd_id="c9", text=""))

    assert caught.value.cmd_id == "c9"


@pytest.mark.parametrize("text", ["", "{", "[" * 10_000, "NaN", "17", "null", "[1]", '"send"'])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(BadFrame):
        protocol.parse(text)


def test_a_huge_frame_is_refused_unread() -> None:
    with pytest.raises(BadFrame) as caught:
        protocol.parse(" " * (protocol.MAX_FRAME_BYTES + 1))

    assert caught.value.field == "size"


def test_frames_go_out_short_and_unescaped() -> None:
    sent = protocol.dump({"type": "pong", "cmd_id": "好"})

    assert sent == '{"type":"pong","cmd_id":"好"}'
