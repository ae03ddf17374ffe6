"""Examples in the admin: find, read as a chat, add, edit, approve, reject. Every change is one call of a verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.dateformat import format as date_format
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.decorators import action, display

from training import curation, versions
from training.admin.pages import EXAMPLE_BADGES, DataAdmin, bubbles, role_choices, user_of
from training.forms import DialogueForm, EditForm, QuestionForm, body_of
from training.ml.errors import PipelineError
from training.ml.records import SPLITS
from training.models import Example, VersionRow
from training.narration import split_name
from training.wording import error_text

TAGS_KEPT_SECONDS = 30
EMPTY_TURNS = [{"role": role, "content": ""} for role in ("user", "assistant", "user", "assistant")]
ACTIONS = {
    "added": _("Added"),
    "approved": _("Approved"),
    "rejected": _("Rejected"),
    "edited": _("Edited"),
    "reopened": _("Back to draft"),
    "replaced": _("Replaced by its author"),
    "withdrawn": _("Withdrawn by its author"),
}


class TagFilter(admin.SimpleListFilter):
    title = _("tag")
    parameter_name = "tag"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        # To know the tags every row is looked at; the list must not pay that at each click.
        tags = cache.get_or_set("training.tags", versions.tags_in_use, TAGS_KEPT_SECONDS) or []
        return [(tag, tag) for tag in tags]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Example]) -> QuerySet[Example]:
        tag = self.value()
        return versions.with_tag(queryset, tag) if tag else queryset


class LanguageFilter(admin.SimpleListFilter):
    title = _("language")
    parameter_name = "language"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("zh", _("Chinese")), ("en", _("English"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Example]) -> QuerySet[Example]:
        return queryset.filter(language=self.value()) if self.value() else queryset


class SplitFilter(admin.SimpleListFilter):
    title = _("split")
    parameter_name = "split"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("none", _("never frozen")), *((split, split_name(split)) for split in SPLITS)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Example]) -> QuerySet[Example]:
        split = self.value()
        return queryset.filter(split="" if split == "none" else split) if split else queryset


@admin.register(Example)
class ExampleAdmin(DataAdmin):
    list_display = ("chat", "badge", "kind", "source", "changed")
    list_display_links = ("chat",)
    list_filter = ("status", "kind", "corpus", TagFilter, LanguageFilter, SplitFilter)
    search_fields = ("preview", "^source_key")
    list_select_related = ("corpus",)
    list_per_page = 30
    show_full_result_count = False
    actions = ("approve_all", "reject_all", "reopen_all")

    @display(description=_("content"))
    def chat(self, example: Example) -> SafeString:
        parts = [(bubble["role"], bubble["text"][:120]) for bubble in bubbles(example.body)[:4]]
        return format_html_join("", '<span class="cs-line" data-role="{}">{}</span>', parts)

    @display(description=_("status"), label=EXAMPLE_BADGES, ordering="status")
    def badge(self, example: Example) -> tuple[str, str]:
        return example.status, example.get_status_display()

    @display(description=_("source"), ordering="corpus")
    def source(self, example: Example) -> SafeString:
        corpus = [example.corpus.name] if example.corpus else []
        return format_html_join("", '<span class="cs-tag">{}</span>', ((name,) for name in [*corpus, *example.tags]))

    @display(description=_("changed"), ordering="updated_at")
    def changed(self, example: Example) -> str:
        return date_format(timezone.localtime(example.updated_at), "Y-m-d H:i")

    class Media:
        css = {"all": ("training/data.css",)}

    def has_delete_permission(self, request: HttpRequest, obj: Example | None = None) -> bool:
        return False  # rejected is enough, and keeps the history

    # --- many at once ---

    @action(description=_("Approve the chosen examples"), permissions=("change",))
    def approve_all(self, request: HttpRequest, rows: QuerySet[Example]) -> None:
        self._tell(request, curation.approve(rows, user=user_of(request)))

    @action(description=_("Reject the chosen examples"), permissions=("change",))
    def reject_all(self, request: HttpRequest, rows: QuerySet[Example]) -> None:
        self._tell(request, curation.reject(rows, user=user_of(request)))

    @action(description=_("Put the chosen examples back to draft"), permissions=("change",))
    def reopen_all(self, request: HttpRequest, rows: QuerySet[Example]) -> None:
        self._tell(request, curation.back_to_draft(rows, user=user_of(request)))

    def _tell(self, request: HttpRequest, count: int) -> None:
        text = ngettext("%(count)d example was changed.", "%(count)d examples were changed.", count)
        messages.success(request, text % {"count": count})

    # --- pages ---

    def own_pages(self) -> list[URLPattern]:
        return [
            self.page("add/dialogue/", self.add_dialogue_view, "dialogue"),
            self.page("<int:pk>/approve/", require_POST(self.approve_view), "approve"),
            self.page("<int:pk>/reject/", require_POST(self.reject_view), "reject"),
        ]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.require_add(request)
        form = QuestionForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            data = dict(form.cleaned_data)
            done = self._try(form, lambda: curation.add_pair_of_qa(**data, user=user_of(request)))
            if done is not None:
                return self._added(request, done[0])
        return self.show(request, "example_question.html", title=gettext("Add a question and answer"), form=form)

    def add_dialogue_view(self, request: HttpRequest) -> HttpResponse:
        self.require_add(request)
        form = DialogueForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            data = dict(form.cleaned_data)
            done = self._try(
                form,
                lambda: curation.add_dialogue(
                    body_of("dialogue", request.POST)["messages"], **data, user=user_of(request)
                ),
            )
            if done is not None:
                return self._added(request, done)
        turns = _posted_turns(request) or EMPTY_TURNS
        context = {"form": form, "turns": turns, "roles": role_choices()}
        return self.show(request, "example_dialogue.html", title=gettext("Add a dialogue"), **context)

    def _try(self, form: Form, verb: Callable[[], Any]) -> Any:
        """The verb's result, or None with the reason on the form."""
        try:
            return verb()
        except PipelineError as error:
            form.add_error(None, error_text(error))
        except ValidationError as error:
            form.add_error(None, error)
        return None

    def _added(self, request: HttpRequest, example: Example) -> HttpResponse:
        messages.success(request, gettext("Added."))
        if "another" in request.POST:
            return HttpResponseRedirect(request.path)
        return _to_page(example.pk)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.require_view(request)
        example = self.get_object(request, object_id)
        if example is None:
            raise Http404
        form = EditForm(request.POST or None, initial=_initial(example))
        if request.method == "POST":
            self.require_change(request)
            if form.is_valid() and self._try(form, lambda: _edit(request, example, form)) is not None:
                messages.success(request, gettext("Saved. The example waits for approval again."))
                return _to_page(example.pk)
        return self._page(request, example, form)

    def _page(self, request: HttpRequest, example: Example, form: EditForm) -> HttpResponse:
        body = example.body
        context = {
            "example": example,
            "form": form,
            "bubbles": bubbles(body),
            "turns": _posted_turns(request) or [*body.get("messages", []), *body.get("prompt", [])],
            "answers": _answers(request, example),
            "roles": role_choices(),
            "may_change": self.has_change_permission(request, example),
            "siblings": _siblings(example),
            "history": _history(example),
            "withdrawn": curation.WITHDRAWN in example.provenance,
            "versions": VersionRow.objects.filter(example=example).select_related("version"),
        }
        return self.show(request, "example_page.html", title=str(example)[:80], **context)

    def approve_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._decide(request, pk, lambda rows: curation.approve(rows, user=user_of(request)))

    def reject_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        reason = request.POST.get("reason", "")[:500]
        return self._decide(request, pk, lambda rows: curation.reject(rows, user=user_of(request), reason=reason))

    def _decide(self, request: HttpRequest, pk: int, verb: Callable[[QuerySet[Example]], int]) -> HttpResponse:
        self.require_change(request)
        example = get_object_or_404(Example, pk=pk)
        self._tell(request, verb(Example.objects.filter(pk=example.pk)))
        return _to_page(pk)


def _to_page(pk: int) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:training_example_change", args=(pk,)))


def _initial(example: Example) -> dict[str, Any]:
    return {"row_version": example.row_version, "group": example.group, "tags": ", ".join(example.tags)}


def _edit(request: HttpRequest, example: Example, form: EditForm) -> Example:
    data = form.cleaned_data
    return curation.edit(
        example.pk,
        body_of(example.kind, request.POST),
        row_version=data["row_version"],
        user=user_of(request),
        note=data["note"],
        group=data["group"],
        tags=data["tags"],
    )


def _posted_turns(request: HttpRequest) -> list[dict[str, str]]:
    """What a person typed, for showing it again beside an error."""
    pairs = zip(request.POST.getlist("role"), request.POST.getlist("turn"), strict=False)
    return [{"role": role, "content": text} for role, text in pairs]


def _answers(request: HttpRequest, example: Example) -> list[dict[str, str]]:
    """The single texts of a pair, label or document, as fields."""
    names = {"chosen": _("Better answer"), "rejected": _("Worse answer"), "completion": _("Answer"), "text": _("Text")}
    return [
        {"name": name, "label": str(label), "text": request.POST.get(name, example.body[name])}
        for name, label in names.items()
        if name in example.body
    ]


def _siblings(example: Example) -> QuerySet[Example]:
    """Other ways to ask for the same fact."""
    if not example.group:
        return Example.objects.none()
    return Example.objects.filter(group=example.group).exclude(pk=example.pk)[:20]


def _history(example: Example) -> list[dict[str, Any]]:
    return [
        {
            "at": event.at,
            "who": event.user.get_username() if event.user else "",
            "what": ACTIONS.get(event.action, event.action),
            "note": event.note,
            "before": bubbles(event.before) if event.before else [],
        }
        for event in example.events.select_related("user").order_by("-id")
    ]
