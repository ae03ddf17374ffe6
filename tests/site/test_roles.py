"""Roles: what each group may do, and who is staff."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from chatsite import roles

pytestmark = pytest.mark.django_db


def person(role: roles.Role | None, name: str = "ann") -> User:
    user = User.objects.create_user(name, password="a-long-sentence-42")
    if role:
        roles.grant(user, role=role)
    return User.objects.get(pk=user.pk)


@pytest.mark.parametrize(
    ("role", "curator", "operator", "administrator", "staff"),
    [
        (None, False, False, False, False),
        ("end user", False, False, False, False),
        ("curator", True, False, False, True),
        ("operator", True, True, False, True),
        ("administrator", True, True, True, True),
    ],
)
def test_each_role_stands_on_the_one_below(
    role: roles.Role | None, curator: bool, operator: bool, administrator: bool, staff: bool
):
    user = person(role)

    wanted = ("training.change_example", "training.add_trainingrun", "auth.change_user")
    assert [user.has_perm(name) for name in wanted] == [curator, operator, administrator]
    assert user.is_staff == staff


def test_a_curator_works_on_data_and_starts_no_run():
    user = person("curator")

    assert user.has_perms(["training.change_example", "training.add_corpus", "training.view_trainingrun"])
    assert user.has_perms(["chat.view_rating", "chat.view_generation"])
    assert not user.has_perm("training.add_trainingrun")
    assert not user.has_perm("chat.view_message")
    assert not user.has_perm("auth.change_user")


def test_an_operator_trains_and_activates():
    user = person("operator")

    assert user.has_perms(["training.add_trainingrun", "training.add_activation", "training.change_modelversion"])
    assert not user.has_perm("auth.change_user")


def test_an_administrator_also_manages_people():
    assert person("administrator").has_perms(["auth.change_user", "auth.change_group", "chat.view_conversation"])


def test_losing_the_last_role_closes_the_admin():
    user = person("curator")
    user.groups.clear()

    roles.sync_staff(user)

    assert not user.is_staff


def test_an_administrator_gives_a_role_in_the_admin(client: Client):
    client.force_login(person("administrator", "boss"))
    ann = person(None)
    curator = Group.objects.get(name="curator")

    answer = {"username": "ann", "is_active": "on", "groups": [curator.pk]}
    response = client.post(f"/admin/auth/user/{ann.pk}/change/", answer)

    assert response.status_code == 302, response.context["adminform"].errors
    ann.refresh_from_db()
    assert ann.is_staff


def test_an_administrator_cannot_become_a_superuser_nor_change_one(client: Client):
    boss = person("administrator", "boss")
    root = User.objects.create_superuser("root")
    client.force_login(boss)
    group = Group.objects.get(name="administrator")

    answer = {"username": "boss", "is_active": "on", "is_superuser": "on", "groups": [group.pk]}
    client.post(f"/admin/auth/user/{boss.pk}/change/", answer)
    boss.refresh_from_db()

    assert not boss.is_superuser
    assert client.post(f"/admin/auth/user/{root.pk}/password/", {}).status_code == 403


def test_making_the_roles_again_changes_nothing():
    before = Group.objects.get(name="operator").permissions.count()

    roles.make_roles()

    assert Group.objects.get(name="operator").permissions.count() == before > 0


@pytest.mark.parametrize(("language", "said"), [("en", "curator"), ("zh-hans", "数据员")])
def test_people_read_the_names_of_roles_in_their_language(language: str, said: str):
    person("curator", "carl")
    client = Client(headers={"accept-language": language})
    client.force_login(User.objects.create_superuser("boss"))

    groups = client.get("/admin/auth/group/").content.decode()
    people = client.get("/admin/auth/user/").content.decode()

    assert f">{said}</a>" in groups
    assert said in people, "the filter by role"


def test_a_group_made_by_hand_keeps_its_name():
    assert roles.name_of(Group(name="guests")) == "guests"
