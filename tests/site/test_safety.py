"""Headers and cookies: what a browser is told about every page."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

pytestmark = pytest.mark.django_db


def policy(response: object) -> dict[str, str]:
    header = response["Content-Security-Policy"]  # type: ignore[index]
    return {part.split()[0]: " ".join(part.split()[1:]) for part in header.split(";") if part.strip()}


@pytest.mark.parametrize("path", ["/accounts/login/", "/accounts/signup/", "/healthz", "/setup/x/", "/no-such-page/"])
def test_pages_outside_the_admin_run_only_our_own_scripts(client: Client, path: str):
    found = policy(client.get(path))

    assert found["default-src"] == "'none'"
    assert re.fullmatch(r"'self'( 'nonce-[^']+')?", found["script-src"])
    assert re.fullmatch(r"'self'( 'nonce-[^']+')?", found["style-src"])
    assert found["connect-src"] == "'self'"
    assert found["frame-ancestors"] == "'none'"
    assert "unsafe" not in " ".join(found.values())


def test_the_admin_may_evaluate_but_load_nothing_foreign(admin_client: Client):
    found = policy(admin_client.get("/admin/"))

    assert found["script-src"] == "'self' 'unsafe-eval'"
    assert found["style-src"] == "'self' 'unsafe-inline'"
    assert found["default-src"] == "'none'"


def test_the_admin_is_entered_through_the_ordinary_sign_in(client: Client):
    response = client.get("/admin/login/")

    assert (response.status_code, response["Location"].split("?")[0]) == (302, "/accounts/login/")


def test_someone_without_a_role_does_not_enter_the_admin(client: Client):
    client.force_login(User.objects.create_user("ann"))

    assert client.get("/admin/", follow=True).status_code == 403


def test_the_request_id_is_kept_when_safe_and_replaced_when_not(client: Client):
    assert client.get("/healthz", headers={"X-Request-ID": "click-1.a_B"})["X-Request-ID"] == "click-1.a_B"

    replaced = client.get("/healthz", headers={"X-Request-ID": 'x" onload="'})["X-Request-ID"]

    assert re.fullmatch(r"[0-9a-f]{32}", replaced)


@pytest.mark.parametrize(("asked", "expected"), [("zh-CN,zh;q=0.9", "zh-hans"), ("en-GB", "en"), ("fr", "zh-hans")])
def test_the_language_follows_the_browser(client: Client, asked: str, expected: str):
    assert client.get("/accounts/login/", headers={"Accept-Language": asked})["Content-Language"] == expected


def test_sign_up_makes_an_end_user(client: Client):
    answer = {"username": "ann", "password1": "a-long-sentence-42", "password2": "a-long-sentence-42"}

    response = client.post("/accounts/signup/", answer)

    ann = User.objects.get()
    assert (response.status_code, response["Location"]) == (302, "/")
    assert [group.name for group in ann.groups.all()] == ["end user"]
    assert not ann.is_staff


def test_closed_sign_up_shows_no_form(client: Client, settings):
    settings.OPEN_SIGNUP = False

    response = client.post("/accounts/signup/", {"username": "ann", "password1": "x", "password2": "x"})

    assert "password1" not in response.content.decode()
    assert not User.objects.exists()


def test_the_catalogue_for_scripts_is_served(client: Client):
    assert client.get("/jsi18n/")["Content-Type"].startswith("text/javascript")
