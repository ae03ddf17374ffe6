"""A web site on this machine, for collectors: answers by path, says what it was asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

# Not 127.0.0.1: that one has to be refused while this one is allowed.
HOST = "127.0.0.5"


@dataclass
class Answer:
    body: bytes | str = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait_seconds: float = 0.0


@dataclass
class Asked:
    path: str
    query: dict[str, str]
    headers: dict[str, str]


def as_json(value: Any) -> Answer:
    return Answer(json.dumps(value, ensure_ascii=False), headers={"Content-Type": "application/json"})


def as_html(text: str) -> Answer:
    return Answer(
        f"<!doctype html><html><body>{text}</body></html>", headers={"Content-Type": "text/html; charset=utf-8"}
    )


def redirect(url: str) -> Answer:
    return Answer(status=302, headers={"Location": url})


Maker = Callable[[Asked], Answer]


class Site:
    """`answers` by path; a list is used up, its last one stays."""

    def __init__(self) -> None:
        self.answers: dict[str, Maker | Answer | list[Answer]] = {}
        self.asked: list[Asked] = []
        self.most_at_once = self._at_once = 0
        self._lock = threading.Lock()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.serve(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{HOST}:{self._server.server_port}"
        self.thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked if asked.path != "/robots.txt"]

    def _answer(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked)
            found = self.answers.get(asked.path, Answer("not found", status=404))
            if isinstance(found, list):
                found = found.pop(0) if len(found) > 1 else found[0]
        return found(asked) if callable(found) else found

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        answer = self._answer(Asked(parts.path, query, dict(request.headers.items())))
        self._count(1)
        time.sleep(answer.wait_seconds)
        self._count(-1)
        body = answer.body.encode() if isinstance(answer.body, str) else answer.body
        try:
            request.send_response(answer.status)
            for name, value in ({"Content-Length": str(len(body))} | answer.headers).items():
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the collector was killed, or had enough

    def _count(self, change: int) -> None:
        """Requests that wait for an answer; over before the answer is sent, so that the next one counts anew."""
        with self._lock:
            self._at_once += change
            self.most_at_once = max(self.most_at_once, self._at_once)

    @contextmanager
    def open(self) -> Iterator[Site]:
        self.thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            self.thread.join()
