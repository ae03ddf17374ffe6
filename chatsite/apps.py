"""The project's own app: commands, roles and checks that need both training and chat."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


def make_roles(**_: Any) -> None:
    from chatsite import roles  # the user model is not there before all apps are ready

    roles.make_roles()


class ChatsiteConfig(AppConfig):
    name = "chatsite"

    def ready(self) -> None:
        from chatsite import checks  # noqa: F401  (registers the system checks)

        post_migrate.connect(make_roles, sender=self, dispatch_uid="chatsite.roles")
