"""Dataset versions in the admin: choose, freeze, watch, read the rows of each split, download. Frozen is read-only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, reverse
from django.utils.text import slugify
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.decorators import display

from training import tasks, versions, wording
from training.admin.pages import bubbles, user_of
from training.admin.version_pages import VersionPages, text_stream
from training.forms import FreezeForm
from training.ml.dataset import FrozenDataset, counted
from training.ml.errors import PipelineError
from training.ml.records import SPLITS
from training.models import Corpus, DatasetVersion, Example
from training.narration import split_name

Status = DatasetVersion.Status
BADGES = {Status.QUEUED: "info", Status.FREEZING: "primary", Status.FROZEN: "success", Status.FAILED: "danger"}
STAGES = {"read": _("Reading the rows"), "cluster": _("Looking for near-duplicates"), "write": _("Writing")}
SHOWN_ROWS = 5


@admin.register(DatasetVersion)
class DatasetVersionAdmin(VersionPages):
    list_display = ("name", "badge", "kind", "counts_shown", "hash_shown", "owner", "created_at")
    list_filter = ("status", "kind")
    search_fields = ("name", "sha256")
    list_select_related = ("owner",)

    @display(description=_("status"), label=BADGES, ordering="status")
    def badge(self, version: DatasetVersion) -> tuple[str, str]:
        return version.status, version.get_status_display()

    @display(description=_("rows"))
    def counts_shown(self, version: DatasetVersion) -> str:
        counts = (version.counts.get(split, 0) for split in SPLITS)
        return " / ".join(f"{count:,}" for count in counts) if version.counts else "–"

    @display(description=_("hash"), ordering="sha256")
    def hash_shown(self, version: DatasetVersion) -> str:
        return version.sha256[:12] or "–"

    def has_delete_permission(self, request: HttpRequest, obj: DatasetVersion | None = None) -> bool:
        return False  # models name the rows they learned from

    def own_pages(self) -> list[URLPattern]:
        return [
            self.page("<int:pk>/progress/", self.progress_view, "progress"),
            self.page("<int:pk>/download/", self.download_view, "download"),
            *self.export_pages(),
            *self.looking_pages(),
            self.page("<int:pk>/again/", require_POST(self.again_view), "again"),
        ]

    # --- pages ---

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.require_add(request)
        form = FreezeForm(request.POST or None, initial=_first_choice(request))
        if request.method == "POST" and form.is_valid():
            version = self._queue(request, form)
            if version is not None:
                tasks.ring_data()
                return _to_page(version.pk)
        context = {"form": form, "approved": _approved()}
        return self.show(request, "version_freeze.html", title=gettext("Freeze a version"), **context)

    def _queue(self, request: HttpRequest, form: FreezeForm) -> DatasetVersion | None:
        data = form.cleaned_data
        try:
            return versions.queue_freeze(
                form.selection(),
                name=data["name"],
                kind=data["kind"],
                owner=user_of(request),
                recipe=form.chosen_recipe(),
                parent=_newest(data["kind"]),
            )
        except PipelineError as error:
            form.add_error(None, wording.error_text(error))
            return None

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.require_view(request)
        version = self.get_object(request, object_id)
        if version is None:
            raise Http404
        context = {"version": version, "progress": _progress(version), "error": wording.version_error(version)}
        if version.status == Status.FROZEN:
            context |= _contents(version)
        return self.show(request, "version_page.html", title=version.name, **context)

    def progress_view(self, request: HttpRequest, pk: int) -> JsonResponse:
        self.require_view(request)
        return JsonResponse(_progress(get_object_or_404(DatasetVersion, pk=pk)))

    def download_view(self, request: HttpRequest, pk: int) -> HttpResponse | StreamingHttpResponse:
        """The whole version as JSON Lines, streamed."""
        self.require_view(request)
        version = get_object_or_404(DatasetVersion, pk=pk, status=Status.FROZEN)
        try:
            versions.load(version)
        except PipelineError as error:
            messages.error(request, wording.error_text(error))
            return _to_page(pk)
        name = f"{slugify(version.name) or 'dataset'}-{version.sha256[:12]}.jsonl"
        return text_stream(request, versions.as_lines(version), name, "application/jsonl")

    def again_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        self.require_change(request)
        try:
            versions.queue_again(get_object_or_404(DatasetVersion, pk=pk))
        except PipelineError as error:
            messages.warning(request, wording.error_text(error))
        tasks.ring_data()
        return _to_page(pk)


def _to_page(pk: int) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:training_datasetversion_change", args=(pk,)))


def _first_choice(request: HttpRequest) -> dict[str, Any]:
    """What a link to the form may fill in."""
    corpus = request.GET.get("corpus", "")
    return {"corpora": [corpus] if corpus else [], "kind": request.GET.get("kind", Example.Kind.DIALOGUE)}


def _newest(kind: str) -> DatasetVersion | None:
    return DatasetVersion.objects.filter(kind=kind, status=Status.FROZEN).first()


def _approved() -> list[tuple[Any, int]]:
    """How many approved examples there are of each kind."""
    approved = Example.objects.filter(status=Example.Status.APPROVED)
    counts = dict(approved.order_by().values_list("kind").annotate(Count("pk")))
    return [(label, counts.get(kind, 0)) for kind, label in Example.Kind.choices]


def _progress(version: DatasetVersion) -> dict[str, Any]:
    told = version.report.get("progress", {})
    total = told.get("total") or 1
    finished = version.status in (Status.FROZEN, Status.FAILED)
    return {
        "state": version.status,
        "label": version.get_status_display(),
        "stage": str(STAGES.get(told.get("stage", ""), "")),
        "share": 1.0 if finished else min(1.0, told.get("done", 0) / total),
        "finished": finished,
    }


def _contents(version: DatasetVersion) -> dict[str, Any]:
    """Counts, report and the first rows of each split; damage is told in place of the rows."""
    context: dict[str, Any] = {
        "counts": [(split, split_name(split), version.counts.get(split, 0)) for split in SPLITS],
        "changed": [(wording.step_label(name), count) for name, count in version.report.get("changed", {}).items()],
        "dropped": [(wording.reason_text(name), count) for name, count in counted(version.report).items()],
        "steps": [wording.step_label(name) for name in (version.recipe.steps if version.recipe else [])],
        "selection": _selected(version),
        "difference": versions.difference(version, version.parent) if version.parent else None,
    }
    try:
        return context | {"splits": _first_rows(versions.load(version))}
    except PipelineError as error:
        return context | {"damage": wording.error_text(error)}


def _selected(version: DatasetVersion) -> list[str]:
    """Names of the corpora and tags that were chosen."""
    corpora = Corpus.objects.filter(pk__in=version.selection.get("corpora", []))
    return [*(corpus.name for corpus in corpora), *(f"#{tag}" for tag in version.selection.get("tags", []))]


def _first_rows(frozen: FrozenDataset) -> list[tuple[str, list[dict[str, Any]]]]:
    shown = []
    for split in SPLITS:
        rows = [row for row, _number in zip(frozen.iterate(split), range(SHOWN_ROWS), strict=False)]
        shown.append((split_name(split), [{"group": row.group, "bubbles": bubbles(row.body)} for row in rows]))
    return shown
