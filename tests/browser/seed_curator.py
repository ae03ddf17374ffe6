"""Adds a curator to a data directory of the browser tests.

CHATSITE_DATA_DIR=... python -m tests.browser.seed_curator NAME
"""

from __future__ import annotations

import os
import sys

os.environ["DJANGO_SETTINGS_MODULE"] = "chatsite.settings"

import django

from tests.browser.seed import PASSWORD


def make_curator(name: str) -> None:
    from django.contrib.auth.models import User

    from chatsite import roles

    roles.make_roles()
    roles.grant(User.objects.create_user(name, password=PASSWORD), role="curator")


if __name__ == "__main__":
    django.setup()
    make_curator(sys.argv[1])
