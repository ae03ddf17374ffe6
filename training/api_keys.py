"""Keys for the public API: made once, shown once, kept as a hash. Knows no HTTP."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils import timezone

from training.models import ApiKey

MARK = "sk-"
SHOWN_CHARS = 12
# Written at most once a minute, so that a busy key does not keep the database writing.
USED_EVERY = timedelta(minutes=1)


def create(user: User, *, name: str) -> tuple[ApiKey, str]:
    """The row and the key itself, which nobody can read again."""
    secret = MARK + secrets.token_urlsafe(32)
    row = ApiKey.objects.create(user=user, name=name, prefix=secret[:SHOWN_CHARS], sha256=_hash(secret))
    return row, secret


def verify(secret: str) -> ApiKey | None:
    """The key's row with its user, or None when it is unknown, revoked, or its user's account is closed."""
    row = ApiKey.objects.select_related("user").filter(sha256=_hash(secret), revoked_at__isnull=True).first()
    if row is None or not row.user.is_active:
        return None
    now = timezone.now()
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - USED_EVERY)
    ApiKey.objects.filter(stale, pk=row.pk).update(last_used_at=now)
    return row


def revoke(key: ApiKey) -> None:
    """From the next request on it opens nothing. Twice is once."""
    ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=timezone.now())


def _hash(secret: str) -> str:
    # 256 random bits need no salt and no slow hash.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
