"""An exchange from elsewhere that a curator may make an example of: kept in their session while the form is open.

Whoever offers it says how to ask whether its author agrees. Knows nothing of chats.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse

_KEPT_SECONDS = 30 * 60
_MOST = 5
_SESSION_KEY = "training.offers"

Provenance = dict[str, Any]


class _Consent:
    """Whether the author of an exchange still agrees; asked again when the form comes back."""

    holds: Callable[[Provenance], bool] = staticmethod(lambda provenance: False)


def ask_with(holds: Callable[[Provenance], bool]) -> None:
    """Whoever offers exchanges says how to ask."""
    _Consent.holds = staticmethod(holds)


def offer(
    request: HttpRequest, *, question: str, answer: str, source_key: str, provenance: Provenance
) -> HttpResponseRedirect:
    """To the form for a question and an answer, filled with these. Its row will have this source and provenance."""
    key = secrets.token_hex(6)
    offered = {
        "question": question,
        "answer": answer,
        "source_key": f"{source_key}:{key}",
        "provenance": provenance,
        "until": time.time() + _KEPT_SECONDS,
    }
    kept = list(request.session.get(_SESSION_KEY, {}).items())[1 - _MOST :]
    request.session[_SESSION_KEY] = dict(kept) | {key: offered}
    return HttpResponseRedirect(reverse("admin:training_example_add") + f"?offer={key}")


def offered(request: HttpRequest) -> dict[str, Any] | None:
    """What this page was opened with; None when that was too long ago, or its author took the consent back."""
    found: dict[str, Any] | None = request.session.get(_SESSION_KEY, {}).get(request.GET.get("offer", ""))
    return found if found and found["until"] > time.time() and _Consent.holds(found["provenance"]) else None
