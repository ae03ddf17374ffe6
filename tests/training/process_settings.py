"""The settings of a process that a test starts: the test's own data directory and database, a real queue."""

from __future__ import annotations

from chatsite.settings import *  # noqa: F403
from chatsite.settings import DATA_DIR, DATABASES

TESTING = True
SECRET_KEY = "only for tests"
DATABASES["default"]["NAME"] = DATA_DIR / "test.sqlite3"
