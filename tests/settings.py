"""The real settings, on a directory of this test run's own, with a fast password hash and jobs that run at once."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

# Before torch is loaded: two test processes whose threads wait for each other's cores are ten times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["CHATSITE_DATA_DIR"] = tempfile.mkdtemp(prefix="chatsite-tests-")
atexit.register(shutil.rmtree, os.environ["CHATSITE_DATA_DIR"], ignore_errors=True)

from chatsite.settings import *  # noqa: E402, F403
from chatsite.settings import DATA_DIR, DATABASES, HUEY  # noqa: E402

TESTING = True
SECRET_KEY = "only for tests"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
HUEY = HUEY | {"immediate": True}
# A file, so that threads and server processes of a test see the same rows.
DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
