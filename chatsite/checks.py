"""System checks: what would only show much later, said before anything starts.

No check here stops a command that needs no running site: `up` has its own, harder look (`preflight.py`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register


@register("chatsite")
def data_directory_is_writable(**_: Any) -> list[CheckMessage]:
    data_dir = Path(settings.DATA_DIR)
    if data_dir.exists() and not (data_dir.is_dir() and os.access(data_dir, os.W_OK | os.X_OK)):
        return [
            Error(
                f"The data directory {data_dir} cannot be written.", hint="Set CHATSITE_DATA_DIR.", id="chatsite.E001"
            )
        ]
    return []


@register("chatsite")
def jobs_leave_the_request(**_: Any) -> list[CheckMessage]:
    huey = settings.HUEY
    if isinstance(huey, dict) and huey.get("immediate") and not getattr(settings, "TESTING", False):
        return [Error("HUEY runs jobs inside the web request.", hint='Set "immediate" to False.', id="chatsite.E002")]
    return []


@register("chatsite")
def secret_key_is_set(**_: Any) -> list[CheckMessage]:
    if settings.ENVIRONMENT.find_secret_key() == settings.SECRET_KEY or getattr(settings, "TESTING", False):
        return []
    hint = "`manage.py up` stores one; otherwise set CHATSITE_SECRET_KEY."
    return [
        Warning("There is no secret key: sign-ins last no longer than this process.", hint=hint, id="chatsite.W001")
    ]


@register("chatsite")
def sqlite_takes_the_write_lock_at_once(**_: Any) -> list[CheckMessage]:
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3") and database.get("OPTIONS", {}).get("transaction_mode") != "IMMEDIATE":
        hint = "Deferred transactions fail with 'database is locked' as soon as two processes write."
        return [Error("SQLite is not in IMMEDIATE transaction mode.", hint=hint, id="chatsite.E003")]
    return []
