"""Who is at the other end of a socket now, and which language they read. Knows no frames.

A socket outlives what was true when it opened: the session may end, the account may be closed, the password may
change. So each command asks here again, and the watcher asks for all open sockets at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.utils import timezone, translation
from django.utils.crypto import constant_time_compare
from django.utils.translation.trans_real import parse_accept_lang_header

from chat.database import run_in_thread

Scope = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Holder:
    """The person and the session that a socket was opened with."""

    user_id: int
    session_key: str


async def current_user(scope: Scope, user_id: int) -> User | None:
    """The account as it is now, or None when the session has ended or the account is closed."""
    return await run_in_thread(_user_of, scope["session"].session_key or "", user_id)


def _user_of(session_key: str, user_id: int) -> User | None:
    store = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    facts = store.load() if session_key else {}
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None or facts.get(SESSION_KEY) != str(user_id):
        return None
    # The hash changes with the password: a changed password ends the other sessions.
    matches = constant_time_compare(facts.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())
    return user if matches else None


def passwords(user_ids: Iterable[int]) -> dict[int, str]:
    """The stored password hash of each account that is still open."""
    return dict(User.objects.filter(pk__in=list(user_ids), is_active=True).values_list("pk", "password"))


def alive(session_keys: Iterable[str]) -> set[str]:
    """Which of these sessions still exist. One query, however many sockets are open."""
    open_now = Session.objects.filter(session_key__in=list(session_keys), expire_date__gt=timezone.now())
    return set(open_now.values_list("session_key", flat=True))


def language(scope: Scope) -> str:
    """The person's choice, else what the browser asks for, else the site's own."""
    headers = dict(scope.get("headers", ()))
    accepted = headers.get(b"accept-language", b"").decode("latin-1")
    chosen = scope.get("cookies", {}).get(settings.LANGUAGE_COOKIE_NAME, "")
    for code in [chosen, *(code for code, _weight in parse_accept_lang_header(accepted))]:
        if code and translation.check_for_language(code):
            try:
                return translation.get_supported_language_variant(code)
            except LookupError:
                continue
    return settings.LANGUAGE_CODE
