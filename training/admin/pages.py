"""What the data pages share: own pages below a model's address, and a row as people read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from training import tags
from training.filters import NEVER_FROZEN
from training.ml.records import SPLITS, Body
from training.models import Corpus, Example
from training.narration import split_name

TAGS_KEPT_SECONDS = 30
CORPORA_OFFERED = 200
ROLE_NAMES = {"user": _("Person"), "assistant": _("Assistant"), "system": _("System")}
EXAMPLE_BADGES = {
    Example.Status.DRAFT: "warning",
    Example.Status.APPROVED: "success",
    Example.Status.REJECTED: "danger",
}


class DataAdmin(ModelAdmin):
    """A model with pages of its own in the place of Django's forms."""

    def page(self, route: str, view: Callable[..., HttpResponseBase], name: str) -> URLPattern:
        full = f"{self.opts.app_label}_{self.opts.model_name}_{name}"
        pattern: URLPattern = path(route, self.admin_site.admin_view(view), name=full)
        return pattern

    def own_pages(self) -> list[URLPattern]:
        """The pages beside Django's; they come first, because its patterns take anything."""
        return []

    def get_urls(self) -> list[URLPattern]:
        return [*self.own_pages(), *super().get_urls()]

    def show(self, request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
        facts = {**self.admin_site.each_context(request), "opts": self.opts, **context}
        return TemplateResponse(request, f"admin/training/{template}", facts)

    def require_view(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def require_add(self, request: HttpRequest) -> None:
        if not self.has_add_permission(request):
            raise PermissionDenied

    def require_change(self, request: HttpRequest) -> None:
        if not self.has_change_permission(request):
            raise PermissionDenied


def user_of(request: HttpRequest) -> User:
    """The signed-in person; admin pages are seen by nobody else."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def bubbles(body: Body) -> list[dict[str, str]]:
    """A row as speech bubbles: role (for the colour), name, text."""
    turns = [*body.get("messages", []), *body.get("prompt", [])]
    shown = [_bubble(turn["role"], str(ROLE_NAMES.get(turn["role"], turn["role"])), turn["content"]) for turn in turns]
    if "completion" in body:
        shown.append(_bubble("assistant", "👍" if body.get("label") else "👎", body["completion"]))
    named = (("chosen", gettext("Better answer")), ("rejected", gettext("Worse answer")), ("text", gettext("Text")))
    shown += [_bubble(key, name, body[key]) for key, name in named if key in body]
    return shown


def _bubble(role: str, name: str, text: str) -> dict[str, str]:
    return {"role": role, "name": name, "text": text}


def known_tags() -> list[str]:
    """The tags in use, asked for once in a while."""
    return cast("list[str]", cache.get_or_set("training.tags", tags.in_use, TAGS_KEPT_SECONDS) or [])


# What examples can be filtered by, with the words for people; see training.filters.
CHOICES: dict[str, Callable[[], list[tuple[str, Any]]]] = {
    "status": lambda: list(Example.Status.choices),
    "kind": lambda: list(Example.Kind.choices),
    "corpus": lambda: [(str(pk), name) for pk, name in Corpus.objects.values_list("pk", "name")[:CORPORA_OFFERED]],
    "language": lambda: [("zh", _("Chinese")), ("en", _("English"))],
    "tag": lambda: [(tag, tag) for tag in known_tags()],
    "findings": lambda: [("open", _("with findings"))],
    "split": lambda: [(NEVER_FROZEN, _("never frozen")), *((split, split_name(split)) for split in SPLITS)],
}


def filter_choices() -> dict[str, list[tuple[str, Any]]]:
    return {name: choices() for name, choices in CHOICES.items()}


def role_choices() -> Iterable[tuple[str, Any]]:
    return ROLE_NAMES.items()
