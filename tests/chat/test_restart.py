"""A web process that ends in mid-answer, as a real one does: by a signal, with sockets open."""

from __future__ import annotations

import json
import subprocess
import uuid
from contextlib import suppress
from typing import Any

import pytest
from django.contrib.auth.models import User
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from chat.models import Generation
from tests.chat.server import serving_site
from tests.chat.tab import sign_in
from tests.scripted_engine import ScriptedEngine
from training.models import ModelVersion

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def open_socket(address: str, user: User) -> ClientConnection:
    headers = {"Cookie": f"sessionid={sign_in(user)}"}
    url = f"{address.replace('http', 'ws')}/ws/chat/"
    return connect(url, origin=Origin(address), additional_headers=headers, proxy=None, legacy=True)


def read_until_text(line: ClientConnection, text: str) -> None:
    said = ""
    while said != text:
        frame: dict[str, Any] = json.loads(line.recv(timeout=10))
        if frame["type"] in ("snapshot", "delta"):
            said = frame["text"] if frame["type"] == "snapshot" else said + frame["text"]


def test_an_ordered_end_keeps_every_character_that_was_said(
    ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.pieces, engine.hold_after = list("一二三四五六"), 4
    generation = str(uuid.uuid4())
    question = {"type": "send", "cmd_id": "c", "text": "Hello", "generation": generation}

    with serving_site(engine) as (address, process), open_socket(address, ada) as line:
        line.send(json.dumps(question))
        read_until_text(line, "一二三四")
        process.terminate()
        with suppress(ConnectionClosed):
            while True:
                line.recv(timeout=10)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        code = process.returncode

    row = Generation.objects.select_related("message").get(pk=generation)
    assert code is not None
    assert (row.status, row.text, row.message.text, row.error_code) == ("interrupted", "一二三四", "一二三四", "lost")
    assert engine.wait_until_cancelled()
