"""Collections in the admin: begin one, watch it, stop it, go on with it; what was not fetched, and why."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST
from unfold.decorators import display

from training import collections, tasks, wording
from training.admin.collection_form import FORMS, NOTES, CollectionForm, cookie_field, parameter_rows
from training.admin.pages import DataAdmin, user_of
from training.collect import reasons
from training.ml.errors import PipelineError
from training.models import Collection

Status = Collection.Status
BADGES = {
    Status.QUEUED: "info",
    Status.RUNNING: "primary",
    Status.DONE: "success",
    Status.STOPPED: "warning",
    Status.FAILED: "danger",
}
# Each with what it is good for.
SOURCES = {
    Collection.Source.WEIBO_TOPIC: _(
        "Posts that carry a topic, with the replies to them, as dialogues. Needs a cookie."
    ),
    Collection.Source.DOUBAN_GROUP: _("Topics of a group, with the replies to them, as dialogues."),
    Collection.Source.FEED: _("News and blogs: each entry becomes a document."),
    Collection.Source.PAGES: _("An FAQ becomes questions and answers, other pages become documents."),
}


@admin.register(Collection)
class CollectionAdmin(DataAdmin):
    list_display = ("name", "source", "badge", "requests", "records", "owner", "created_at")
    list_filter = ("status", "source")
    search_fields = ("name",)
    list_select_related = ("owner",)

    @display(description=_("status"), label=BADGES, ordering="status")
    def badge(self, collection: Collection) -> tuple[str, str]:
        return collection.status, collection.get_status_display()

    def has_delete_permission(self, request: HttpRequest, obj: Collection | None = None) -> bool:
        return False  # the corpus and its rows name where they came from

    def own_pages(self) -> list[URLPattern]:
        return [
            self.page("<int:pk>/progress/", self.progress_view, "progress"),
            self.page("<int:pk>/stop/", require_POST(self.stop_view), "stop"),
            self.page("<int:pk>/go-on/", require_POST(self.go_on_view), "go_on"),
            self.page("<int:pk>/keep/", require_POST(self.keep_view), "keep"),
        ]

    # --- pages ---

    @method_decorator(sensitive_post_parameters("cookie"))
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.require_add(request)
        make = FORMS.get(request.GET.get("source", ""))
        if make is None:
            sources = [(source.value, source.label, text) for source, text in SOURCES.items()]
            return self.show(request, "collection_sources.html", title=gettext("Collect from the web"), sources=sources)
        form = make(request.POST or None)
        if request.method == "POST" and form.is_valid() and (collection := self._queue(request, form)):
            tasks.ring_data()
            return _to_page(collection.pk)
        context = {"form": form, "note": NOTES[form.source]}
        return self.show(request, "collection_form.html", title=Collection.Source(form.source).label, **context)

    def _queue(self, request: HttpRequest, form: CollectionForm) -> Collection | None:
        data = form.cleaned_data
        try:
            return collections.queue(
                form.source,
                form.parameters(),
                name=data["name"],
                cookie=data.get("cookie", ""),
                licence=data["licence"],
                owner=user_of(request),
            )
        except PipelineError as error:
            form.complain(error)
            return None

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.require_view(request)
        collection = self.get_object(request, object_id)
        if collection is None:
            raise Http404
        context = {
            "collection": collection,
            "progress": _progress(collection),
            "error": gettext(collection.error) if collection.error else "",
            "refused": refused_rows(collection),
            "parameters": list(parameter_rows(collection)),
            "note": NOTES[collection.source],
            "may_stop": collection.status in (Status.QUEUED, Status.RUNNING),
            "may_go_on": collection.status in (Status.STOPPED, Status.FAILED),
            "may_keep": collection.status in (Status.STOPPED, Status.FAILED) and collection.records > 0,
            "asks_cookie": "cookie" in FORMS[collection.source].base_fields,
            "cookie_help": cookie_field().help_text,
        }
        return self.show(request, "collection_page.html", title=collection.name, **context)

    def progress_view(self, request: HttpRequest, pk: int) -> JsonResponse:
        self.require_view(request)
        return JsonResponse(_progress(get_object_or_404(Collection, pk=pk)))

    # --- what is asked ---

    def stop_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        self.require_change(request)
        try:
            collections.stop(get_object_or_404(Collection, pk=pk))
        except PipelineError as error:
            messages.warning(request, wording.error_text(error))
        return _to_page(pk)

    @method_decorator(sensitive_post_parameters("cookie"))
    def go_on_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        self.require_change(request)
        try:
            collections.go_on(get_object_or_404(Collection, pk=pk), cookie=request.POST.get("cookie", ""))
        except PipelineError as error:
            messages.warning(request, wording.error_text(error))
        else:
            tasks.ring_data()
        return _to_page(pk)

    def keep_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        self.require_change(request)
        try:
            collections.keep(get_object_or_404(Collection, pk=pk))
        except PipelineError as error:
            messages.warning(request, wording.error_text(error))
        else:
            tasks.ring_data()
        return _to_page(pk)


def _to_page(pk: int) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:training_collection_change", args=(pk,)))


def refused_rows(collection: Collection) -> list[dict[str, Any]]:
    """Why addresses were not fetched or not used, the most frequent first, with some of them."""
    found = sorted(collection.refused.items(), key=lambda item: -item[1]["count"])
    return [facts | {"text": gettext(reasons.sentence(code))} for code, facts in found]


def _progress(collection: Collection) -> dict[str, Any]:
    return {
        "state": collection.status,
        "label": collection.get_status_display(),
        "finished": collection.status not in (Status.QUEUED, Status.RUNNING),
        "requests": collection.requests,
        "records": collection.records,
        "not_fetched": sum(facts["count"] for facts in collection.refused.values()),
    }
