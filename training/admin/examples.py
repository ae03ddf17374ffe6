"""Examples in the admin: find, read as a chat, add, edit, approve, reject. Every change is one call of a verb."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.dateformat import format as date_format
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.decorators import action, display

from training import curation, scores, search
from training.admin import example_page, teaching
from training.admin.bulk import DEEDS, BulkPages
from training.admin.exports import ExampleExports
from training.admin.pages import CHOICES, EXAMPLE_BADGES, bubbles, role_choices, user_of
from training.admin.review import ReviewPages
from training.filters import Filter, narrowed
from training.forms import DialogueForm, EditForm, QuestionForm, body_of
from training.ml.errors import PipelineError
from training.ml.words import marked
from training.models import Example, VersionRow
from training.wording import error_text

CHARS_SHOWN = 120
CHARS_BEFORE = 12  # of a text, before the first word that was searched for
EMPTY_TURNS = [{"role": role, "content": ""} for role in ("user", "assistant", "user", "assistant")]
MOST_LISTED = 10_000


class PartOfFilter(admin.SimpleListFilter):
    """One part of training.filters.Filter, as the list's side shows it."""

    parameter_name = ""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return CHOICES[self.parameter_name]()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Example]) -> QuerySet[Example]:
        value = getattr(Filter.read({self.parameter_name: self.value() or ""}), self.parameter_name)
        return narrowed(queryset, self.parameter_name, value) if value else queryset


def _part(name: str, title: Any) -> type[PartOfFilter]:
    return type(f"{name.title()}Filter", (PartOfFilter,), {"title": title, "parameter_name": name})


class NewestFirst(Paginator):  # type: ignore[type-arg]  # it takes no argument when it runs
    """The newest rows of a filter, found by their keys in one look; pages behind MOST_LISTED are not counted."""

    @cached_property
    def keys(self) -> list[int]:
        rows = cast("QuerySet[Example]", self.object_list)
        return list(rows.values_list("pk", flat=True)[: MOST_LISTED + 1])

    @cached_property
    def count(self) -> int:
        return min(len(self.keys), MOST_LISTED)

    @property
    def has_more(self) -> bool:
        return len(self.keys) > MOST_LISTED

    def page(self, number: int | str) -> Page[Example]:
        number = self.validate_number(number)
        start = (number - 1) * self.per_page
        keys = self.keys[start : min(start + self.per_page, MOST_LISTED)]
        rows = Example.objects.filter(pk__in=keys).select_related("corpus").order_by("-pk")
        return Page(rows, number, self)


@admin.register(Example)
class ExampleAdmin(ReviewPages, BulkPages, ExampleExports):
    list_display = ("chat", "badge", "kind", "source", "changed")
    list_display_links = ("chat",)
    list_filter = (
        _part("status", _("status")),
        _part("kind", _("kind")),
        _part("corpus", _("corpus")),
        _part("tag", _("tag")),
        _part("language", _("language")),
        _part("split", _("split")),
        _part("findings", _("findings")),
    )
    search_fields = ("preview",)  # that there is a field to search in; see get_search_results
    search_help_text = _("Words that are all in it, or the beginning of a source key.")
    list_before_template = "admin/training/example_list_top.html"
    list_per_page = 30
    list_max_show_all = 0
    paginator = NewestFirst
    show_full_result_count = False
    sortable_by = ()
    actions = ("approve_all", "reject_all", "reopen_all", "export_chosen")

    @display(description=_("content"))
    def chat(self, example: Example) -> SafeString:
        parts = [
            (bubble["role"], _marked(bubble["text"], vars(example).get("searched", [])))
            for bubble in bubbles(example.body)[:4]
        ]
        return format_html_join("", '<span class="cs-line" data-role="{}">{}</span>', parts)

    @display(description=_("status"), label=EXAMPLE_BADGES)
    def badge(self, example: Example) -> tuple[str, str]:
        return example.status, example.get_status_display()

    @display(description=_("source"))
    def source(self, example: Example) -> SafeString:
        corpus = [example.corpus.name] if example.corpus else []
        return format_html_join("", '<span class="cs-tag">{}</span>', ((name,) for name in [*corpus, *example.tags]))

    @display(description=_("changed"))
    def changed(self, example: Example) -> str:
        return date_format(timezone.localtime(example.updated_at), "Y-m-d H:i")

    class Media:
        css = {"all": ("training/data.css", "training/review.css")}

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
            self.page("<int:pk>/score/", require_POST(self.score_view), "score"),
            self.page("<int:pk>/pair/", require_POST(self.pair_view), "pair"),
            *self.review_pages(),
            *self.bulk_pages(),
            *self.export_pages(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        chosen = Filter.read(request.GET)
        facts = {
            "list_query": chosen.query(),
            "shown": asdict(chosen),
            "deeds": DEEDS.items(),
            "may_change": self.has_change_permission(request),
            "not_indexed": search.waiting_count() if chosen.q else 0,
            "most": MOST_LISTED,
        }
        answer: HttpResponse = super().changelist_view(request, facts | (extra_context or {}))
        return answer

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Example], search_term: str
    ) -> tuple[QuerySet[Example], bool]:
        return (search.matching(queryset, search_term) if search_term.strip() else queryset), False

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        changelist: ChangeList = super().get_changelist_instance(request)
        # Django reads a single page by the whole filter once more, past the keys that the paginator has.
        changelist.result_list = changelist.paginator.get_page(changelist.page_num).object_list
        words = search.asked(changelist.query)
        for row in changelist.result_list:
            vars(row)["searched"] = words  # for showing them marked
        return changelist

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.require_add(request)
        offered = teaching.offered(request)
        if "offer" in request.GET and offered is None:
            text = gettext("Nothing was saved: it was open for too long, or its author took the consent back.")
            messages.warning(request, text)
            return HttpResponseRedirect(request.path)
        form = QuestionForm(request.POST or None, initial=offered)
        if request.method == "POST" and form.is_valid():
            data = dict(form.cleaned_data)
            if offered:
                data |= {name: offered[name] for name in ("source_key", "provenance")}
            done = self._try(form, lambda: curation.add_pair_of_qa(**data, user=user_of(request)))
            if done is not None:
                return self._added(request, done[0])
        title = gettext("Teach this") if offered else gettext("Add a question and answer")
        return self.show(request, "example_question.html", title=title, form=form, offered=offered)

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
            "answers": example_page.answer_fields(example, request.POST),
            "roles": role_choices(),
            "may_change": self.has_change_permission(request, example),
            "siblings": example_page.siblings(example),
            "alike": example_page.alike(example),
            "marks": example_page.marks(example),
            "upside_down": scores.is_upside_down(example),
            "history": example_page.history(example),
            "withdrawn": curation.WITHDRAWN in example.provenance,
            "versions": VersionRow.objects.filter(example=example).select_related("version"),
        }
        return self.show(request, "example_page.html", title=str(example)[:80], **context)

    def approve_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._decide(request, pk, lambda rows: curation.approve(rows, user=user_of(request)))

    def reject_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        reason = request.POST.get("reason", "")[:500]
        return self._decide(request, pk, lambda rows: curation.reject(rows, user=user_of(request), reason=reason))

    def score_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        value = request.POST.get("value", "")
        mark = int(value) if value in {"1", "2", "3", "4", "5"} else 0
        return self._told(
            request, pk, lambda: scores.score(pk, request.POST.get("answer", ""), mark, user=user_of(request))
        )

    def pair_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        one, other = get_object_or_404(Example, pk=pk), get_object_or_404(Example, pk=request.POST.get("other") or 0)

        def pair() -> None:
            made = scores.pair_of(one, other, user=user_of(request))
            text = gettext("A pair was made of the two: %(pair)s. It waits for review.")
            messages.success(request, text % {"pair": f"#{made.pk}"})

        return self._told(request, pk, pair)

    def _told(self, request: HttpRequest, pk: int, verb: Callable[[], object]) -> HttpResponse:
        self.require_change(request)
        get_object_or_404(Example, pk=pk)
        try:
            verb()
        except PipelineError as error:
            messages.error(request, error_text(error))
        return _to_page(pk)

    def _decide(self, request: HttpRequest, pk: int, verb: Callable[[QuerySet[Example]], int]) -> HttpResponse:
        self.require_change(request)
        example = get_object_or_404(Example, pk=pk)
        self._tell(request, verb(Example.objects.filter(pk=example.pk)))
        return _to_page(pk)


def _marked(text: str, words: list[str]) -> SafeString:
    """The start of a text, or what stands round the first word that was searched for."""
    start = len(text) if words else 0
    for piece in marked(text, words) if words else []:
        if piece.found:
            start = text.index(piece.text)
            break
    shown = "…" + text[start - CHARS_BEFORE :] if CHARS_BEFORE < start < len(text) else text
    pieces = marked(shown[:CHARS_SHOWN], words)
    return format_html_join(
        "", "{}", ((format_html("<mark>{}</mark>", text) if found else text,) for found, text in pieces)
    )


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
