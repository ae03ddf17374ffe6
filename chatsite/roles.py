"""Who may do what: four groups, made again after every migration, and the questions the site asks about them.

End users chat. Curators look after the data. Operators also train, compare and activate models. Administrators also
manage people; the first of them is made by the set-up page.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from django.contrib.auth.models import Group, Permission, User
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

Role = Literal["end user", "curator", "operator", "administrator"]
ROLES: tuple[Role, ...] = ("end user", "curator", "operator", "administrator")
# The group's own name is the key; this is what people read.
ROLE_NAMES = {
    "end user": _("end user"),
    "curator": _("curator"),
    "operator": _("operator"),
    "administrator": _("administrator"),
}
STAFF: frozenset[Role] = frozenset({"curator", "operator", "administrator"})

# role -> (app, model or "*", actions). A model that does not exist is passed over.
WORK = ("view", "add", "change", "delete")
CURATOR: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("training", "*", ("view",)),
    ("training", "corpus", WORK),
    ("training", "example", WORK),
    ("training", "finding", WORK),
    ("training", "check", WORK),
    ("training", "statistics", ("view", "add", "change")),
    ("training", "recipe", WORK),
    ("training", "wordlist", ("view", "add")),
    ("training", "datasetversion", ("view", "add", "change")),
    ("chat", "rating", ("view",)),
    ("chat", "comparison", ("view",)),
    ("chat", "rewrite", ("view",)),
    ("chat", "flag", ("view", "change")),
    # Each rating leads to the answer it is about.
    ("chat", "generation", ("view",)),
)
OPERATOR = (
    *CURATOR,
    ("training", "modelversion", WORK),
    ("training", "trainingrun", WORK),
    ("training", "evaluation", WORK),
    ("training", "collection", ("view", "add", "change")),
    ("training", "activation", ("view", "add")),
)
ADMINISTRATOR = (
    ("training", "*", WORK),
    ("chat", "*", WORK),
    ("auth", "*", WORK),
)
GRANTS: dict[Role, tuple[tuple[str, str, tuple[str, ...]], ...]] = {
    "end user": (),
    "curator": CURATOR,
    "operator": OPERATOR,
    "administrator": ADMINISTRATOR,
}


def name_of(group: Group) -> str:
    """A role in the reader's language; a group that somebody made by hand as it is called."""
    return str(ROLE_NAMES.get(group.name, group.name))


def _permissions(grants: Iterable[tuple[str, str, tuple[str, ...]]]) -> list[Permission]:
    wanted = Q(pk__in=[])
    for app, model, actions in grants:
        of_model = Q(content_type__app_label=app) & (Q() if model == "*" else Q(content_type__model=model))
        for action in actions:
            wanted |= of_model & Q(codename__startswith=f"{action}_")
    return list(Permission.objects.filter(wanted))


def make_roles() -> None:
    """Idempotent. Permissions that an administrator gave a group by hand stay."""
    for role, grants in GRANTS.items():
        group, _created = Group.objects.get_or_create(name=role)
        group.permissions.add(*_permissions(grants))


def grant(user: User, *, role: Role) -> None:
    user.groups.add(Group.objects.get(name=role))
    sync_staff(user)


def sync_staff(user: User) -> None:
    """The admin lets staff in: who has a role with work to do there is staff, whoever lost the last one is not."""
    is_staff = user.is_superuser or user.groups.filter(name__in=STAFF).exists()
    if user.is_staff != is_staff:
        user.is_staff = is_staff
        user.save(update_fields=["is_staff"])


def has_administrator() -> bool:
    return User.objects.filter(Q(is_superuser=True) | Q(groups__name="administrator"), is_active=True).exists()
