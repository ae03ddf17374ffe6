"""The one-time link on which the first administrator sets a password.

Only the token's hash is on disk, and only while no administrator exists. Whoever removes the file has used the link.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from chatsite import roles


def _file() -> Path:
    return Path(settings.DATA_DIR) / "setup_token"


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def new_token() -> str | None:
    """A fresh token, which ends the one before it; None, and no file, once an administrator exists."""
    if roles.has_administrator():
        _file().unlink(missing_ok=True)
        return None
    token = secrets.token_urlsafe(24)
    descriptor = os.open(_file(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(_hashed(token))
    return token


def is_valid(token: str) -> bool:
    try:
        stored = _file().read_text(encoding="ascii")
    except OSError:
        return False
    return hmac.compare_digest(stored, _hashed(token)) and not roles.has_administrator()


def make_first_administrator(user: User, *, token: str) -> bool:
    """Save `user` as the first administrator and use the link up; False where another click was faster."""
    if not is_valid(token):
        return False
    with transaction.atomic():
        user.is_superuser = True
        user.is_staff = True
        user.save()
        roles.grant(user, role="administrator")
        # Two clicks at once: only one of them can remove the file, the other one's account is rolled back.
        try:
            _file().unlink()
        except FileNotFoundError:
            transaction.set_rollback(True)
            return False
    return True
