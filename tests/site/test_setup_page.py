"""The first administrator's link: one account, once."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.fixtures import Settings

from chatsite import firstadmin

pytestmark = pytest.mark.django_db
ANSWER = {"username": "ann", "password1": "a-long-sentence-42", "password2": "a-long-sentence-42"}


@pytest.fixture(autouse=True)
def _own_data_dir(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path


def new_link() -> str:
    token = firstadmin.new_token()
    assert token is not None
    return f"/setup/{token}/"


def test_the_link_makes_one_administrator_and_signs_in(client: Client):
    link = new_link()
    assert client.get(link).status_code == 200

    response = client.post(link, ANSWER)

    assert (response.status_code, response["Location"]) == (302, "/")
    ann = User.objects.get()
    assert (ann.username, ann.is_superuser, ann.is_staff) == ("ann", True, True)
    assert [group.name for group in ann.groups.all()] == ["administrator"]
    assert client.session["_auth_user_id"] == str(ann.pk)


def test_the_link_works_once(client: Client):
    link = new_link()
    client.post(link, ANSWER)

    again = Client().post(link, ANSWER | {"username": "bob"})

    assert (again.status_code, User.objects.count()) == (410, 1)
    assert firstadmin.new_token() is None


def test_a_newer_link_ends_the_older_one(client: Client):
    older, newer = new_link(), new_link()

    assert client.get(older).status_code == 410
    assert client.get(newer).status_code == 200


def test_a_wrong_link_shows_no_form(client: Client):
    new_link()

    assert client.get("/setup/guess/").status_code == 410
    assert client.post("/setup/guess/", ANSWER).status_code == 410
    assert not User.objects.exists()


def test_a_weak_password_is_refused_and_the_link_stays(client: Client):
    link = new_link()

    response = client.post(link, {"username": "ann", "password1": "12345", "password2": "12345"})

    assert (response.status_code, User.objects.count()) == (200, 0)
    assert client.post(link, ANSWER).status_code == 302


def test_only_the_hash_is_on_disk_and_only_for_its_owner(settings: Settings):
    token = new_link().split("/")[2]

    file = Path(settings.DATA_DIR) / "setup_token"

    assert token not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_link_needs_the_csrf_token():
    link = new_link()

    assert Client(enforce_csrf_checks=True).post(link, ANSWER).status_code == 403
