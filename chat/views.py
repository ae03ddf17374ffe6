"""The chat page and what it loads as JSON. Everything is the signed-in person's own; the rest is not found."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.utils.dateparse import parse_datetime
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_POST, require_safe

from chat import conversations, lessons, words
from chat.errors import NotYours
from chat.models import Conversation, Generation, Message, Rating
from chat.watcher import watcher
from training import registry
from training.ml.config import SAMPLING_KNOBS
from training.models import TrainingRun

MAX_SEED = 2**31 - 1

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def owned(view: View[P]) -> View[P]:
    """JSON for the signed-in person: 401 for nobody, 404 for what is not theirs, never a redirect or a cached copy."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not request.user.is_authenticated:
            return JsonResponse({"error": "signed_out"}, status=401)
        try:
            return view(request, *args, **kwargs)
        except NotYours:
            return JsonResponse({"error": "not_found"}, status=404)

    return cast("View[P]", never_cache(guarded))


def person(request: HttpRequest) -> User:
    return cast("User", request.user)


# The page -----------------------------------------------------------------------------------------------------------


@login_required
@ensure_csrf_cookie
@never_cache
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    return render(request, "chat/page.html")


@login_required
@ensure_csrf_cookie
@never_cache
@require_safe
def conversation(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """The same page; whether the conversation is there and theirs, the page is told when it loads it."""
    return render(request, "chat/page.html", {"conversation_id": conversation_id})


# What it loads ------------------------------------------------------------------------------------------------------


@owned
@require_safe
def state(request: HttpRequest) -> JsonResponse:
    user, model = person(request), registry.active_model()
    training = TrainingRun.objects.filter(status__in=TrainingRun.ON_DEVICE).exists()
    return JsonResponse(
        {
            "user": {"id": user.pk, "name": user.get_username()},
            "teach": _teach_address(user),
            "model": {"uid": model.uid, "name": model.name} if model else None,
            "settings": _settings(),
            "consent": lessons.consent_of(user),
            "training": training,
            "language": translation.get_language(),
            "reasons": {"up": _reasons(1), "down": _reasons(-1)},
        }
    )


@owned
@require_safe
def conversation_list(request: HttpRequest) -> JsonResponse:
    before = _moment(request.GET.get("before", ""))
    rows, cursor = conversations.list_page(person(request), query=request.GET.get("q", "")[:200], before=before)
    listed = [
        {
            "id": str(row.pk),
            "title": row.title,
            "updated_at": row.updated_at.isoformat(),
            "answering": getattr(row, "answering", False),
        }
        for row in rows
    ]
    return JsonResponse({"conversations": listed, "next": cursor.isoformat() if cursor else None})


@owned
@require_safe
def conversation_detail(request: HttpRequest, conversation_id: UUID) -> JsonResponse:
    return JsonResponse(tree(person(request), conversations.get(person(request), conversation_id)))


@owned
@require_POST
def rename(request: HttpRequest, conversation_id: UUID) -> JsonResponse:
    found = conversations.get(person(request), conversation_id)
    title = conversations.rename(found, str(_body(request).get("title", "")))
    watcher.tell_soon(person(request).pk, {"type": "title", "conversation": str(found.pk), "title": title})
    return JsonResponse({"title": title})


@owned
@require_POST
def delete(request: HttpRequest, conversation_id: UUID) -> JsonResponse:
    conversations.delete(conversations.get(person(request), conversation_id))
    return JsonResponse({})


@owned
@require_POST
def leaf(request: HttpRequest, conversation_id: UUID) -> JsonResponse:
    found = conversations.get(person(request), conversation_id)
    try:
        wanted = UUID(str(_body(request).get("leaf", "")))
    except ValueError as error:
        raise NotYours from error
    conversations.open_branch(found, conversations.get_message(person(request), wanted))
    return JsonResponse({})


# Pieces -------------------------------------------------------------------------------------------------------------


def tree(user: User, found: Conversation) -> dict[str, Any]:
    """A conversation with all its branches, oldest message first."""
    heavy = ("response_ids", "response_logprobs", "prompt_messages", "library_versions")
    rows = (
        Message.objects.filter(conversation=found)
        .select_related("generation__model")
        .defer("generation__model__template", *(f"generation__{name}" for name in heavy))
        .order_by("created_at", "pk")
    )
    thumbs = {
        rating.message_id: rating
        for rating in Rating.objects.filter(
            message__conversation=found, rater=user, superseded_at__isnull=True, withdrawn_at__isnull=True
        )
    }
    return {
        "id": str(found.pk),
        "title": found.title,
        "leaf": str(found.leaf_id) if found.leaf_id else None,
        "messages": [_message(row, thumbs.get(row.pk)) for row in rows],
    }


def _message(row: Message, rating: Rating | None) -> dict[str, Any]:
    generation: Generation | None = getattr(row, "generation", None)
    # Until an answer has ended, only its generation has the text so far.
    unfinished = generation is not None and generation.status in Generation.UNFINISHED
    return {
        "id": str(row.pk),
        "parent": str(row.parent_id) if row.parent_id else None,
        "role": row.role,
        "author": row.author,
        "text": generation.text if generation is not None and unfinished else row.text,
        "created_at": row.created_at.isoformat(),
        "generation": _generation(generation) if generation else None,
        "rating": {"value": rating.value, "reasons": rating.reasons, "comment": rating.comment} if rating else None,
    }


def _generation(row: Generation) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "status": row.status,
        "model": row.model.name,
        "seq": row.seq,
        "error": words.error(row.error_code),
        "dropped": len(row.dropped_messages),
        "prompt_tokens": len(row.prompt_ids),
        "limit": row.model.context_length,
    }


def _teach_address(user: User) -> str:
    """Where curators make an example of an answer; ID stands for its generation. Empty for everybody else."""
    may = user.is_staff and user.has_perms(("chat.view_generation", "training.add_example"))
    return reverse("admin:chat_generation_teach", args=("ID",)) if may else ""


def _settings() -> dict[str, Any]:
    knobs: dict[str, Any] = {
        name: {"min": knob.low, "max": knob.high, "step": knob.step, "default": knob.default}
        for name, knob in SAMPLING_KNOBS.items()
    }
    return knobs | {"seed": {"min": 0, "max": MAX_SEED, "step": 1, "default": None}}


def _reasons(value: int) -> list[dict[str, str]]:
    return [{"key": key, "label": str(label)} for key, label in words.reasons(value).items()]


def _moment(text: str) -> datetime | None:
    """A cursor of ours; anything else starts at the top."""
    try:
        moment = parse_datetime(text.replace(" ", "+"))
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


def _body(request: HttpRequest) -> dict[str, Any]:
    try:
        value = json.loads(request.body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
