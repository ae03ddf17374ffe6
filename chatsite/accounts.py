"""How people sign up: open or closed by CHATSITE_OPEN_SIGNUP; a new account is an end user."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest

from chatsite import roles


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return bool(settings.OPEN_SIGNUP)

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:  # noqa: FBT001, FBT002
        saved: User = super().save_user(request, user, form, commit=commit)
        if commit:
            roles.grant(saved, role="end user")
        return saved
