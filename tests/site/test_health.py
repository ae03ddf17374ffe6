"""/healthz, /readyz and /metrics."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from pytest_django.fixtures import Settings

from chatsite import heartbeat

pytestmark = pytest.mark.django_db


@pytest.fixture
def healthy_engine(settings: Settings) -> Iterator[None]:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        settings.ENGINE_URL = f"http://127.0.0.1:{server.server_address[1]}"
        yield
        server.shutdown()
        thread.join()


def test_healthz_answers_for_the_process(client: Client):
    response = client.get("/healthz")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.usefixtures("healthy_engine")
def test_readyz_is_content_when_everything_is_there(client: Client):
    heartbeat.beat()

    response = client.get("/readyz")

    everything = {"status": "ok", "database": "ok", "engine": "ok", "worker": "ok", "disk": "ok"}
    assert (response.status_code, response.json()) == (200, everything)


def test_readyz_says_what_is_missing(client: Client, settings: Settings):
    settings.ENGINE_URL = "http://127.0.0.1:9"
    settings.LOW_DISK_BYTES = 1 << 60
    cache.clear()

    response = client.get("/readyz")

    found = response.json()
    assert response.status_code == 503
    assert found["status"] == "unready"
    assert found["database"] == "ok"
    assert found["engine"] == "no answer: ConnectError"
    assert found["worker"] == "gave no sign of life yet"
    assert found["disk"].startswith("only ")


def test_a_worker_that_is_silent_for_long_is_missed(client: Client, settings: Settings):
    settings.HEARTBEAT_MAX_AGE_S = -1
    heartbeat.beat()

    assert client.get("/readyz").json()["worker"].startswith("last sign of life")


def test_metrics_are_for_staff_until_a_token_is_set(client: Client, settings: Settings):
    client.get("/healthz")
    assert client.get("/metrics").status_code == 401
    client.force_login(User.objects.create_user("ann", is_staff=True))
    assert b'chatsite_http_requests_total{method="GET",route="healthz",status="200"}' in client.get("/metrics").content

    settings.METRICS_TOKEN = "secret"
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer secret"}).status_code == 200
