"""Uploads in the admin: send a file, watch it being read, see what was read and which lines were not, approve."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.decorators import display

from training import corpora, curation, tasks, wording
from training.admin.pages import DataAdmin, bubbles, user_of
from training.forms import UploadForm
from training.ml.errors import PipelineError
from training.models import Corpus, Example, Finding

Status = Corpus.Status
BADGES = {Status.QUEUED: "info", Status.READING: "primary", Status.READY: "success", Status.FAILED: "danger"}
FORMATS = {
    "prompt_completion": _("JSON Lines, prompt and completion"),
    "messages": _("JSON Lines, messages"),
    "preference": _("JSON Lines, prompt, chosen and rejected"),
    "chitchat": _("GPT2-chitchat train.txt"),
}
FIRST_ROWS = 5


@admin.register(Corpus)
class CorpusAdmin(DataAdmin):
    list_display = ("name", "badge", "format_shown", "rows_read", "rows_new", "rows_bad", "owner", "created_at")
    list_filter = ("status", "format")
    search_fields = ("name", "original_name", "licence")
    list_select_related = ("owner",)

    @display(description=_("status"), label=BADGES, ordering="status")
    def badge(self, corpus: Corpus) -> tuple[str, str]:
        return corpus.status, corpus.get_status_display()

    @display(description=_("format"), ordering="format")
    def format_shown(self, corpus: Corpus) -> str:
        return str(FORMATS.get(corpus.format, corpus.format or "–"))

    def has_delete_permission(self, request: HttpRequest, obj: Corpus | None = None) -> bool:
        return False  # rows name their corpus; a bad upload is rejected row by row or all at once

    def own_pages(self) -> list[URLPattern]:
        return [
            self.page("<int:pk>/progress/", self.progress_view, "progress"),
            self.page("<int:pk>/approve/", require_POST(self.approve_view), "approve"),
            self.page("<int:pk>/reject/", require_POST(self.reject_view), "reject"),
            self.page("<int:pk>/again/", require_POST(self.again_view), "again"),
        ]

    # --- pages ---

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.require_add(request)
        form = UploadForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            return self._upload(request, form)
        return self.show(request, "corpus_upload.html", title=gettext("Upload a file"), form=form)

    def _upload(self, request: HttpRequest, form: UploadForm) -> HttpResponse:
        data = dict(form.cleaned_data)
        file = data.pop("file")
        try:
            corpus = corpora.add_upload(file, original_name=file.name, owner=user_of(request), **data)
        except corpora.SameFile as error:
            messages.warning(request, wording.error_text(error))
            return _to_page(error.facts["corpus"])
        except PipelineError as error:
            form.add_error("file", wording.error_text(error))
            return self.show(request, "corpus_upload.html", title=gettext("Upload a file"), form=form)
        tasks.ring_data()
        return _to_page(corpus.pk)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.require_view(request)
        corpus = self.get_object(request, object_id)
        if corpus is None:
            raise Http404
        context = {"corpus": corpus, "progress": _progress(corpus), "format": self.format_shown(corpus)}
        context["error"] = wording.corpus_error(corpus)
        return self.show(request, "corpus_page.html", title=corpus.name, **context, **_contents(corpus))

    def progress_view(self, request: HttpRequest, pk: int) -> JsonResponse:
        self.require_view(request)
        return JsonResponse(_progress(get_object_or_404(Corpus, pk=pk)))

    # --- what is asked ---

    def approve_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        self.require_change(request)
        drafts = Example.objects.filter(corpus_id=pk, status=Example.Status.DRAFT)
        count = curation.approve(drafts, user=user_of(request))
        text = ngettext("%(count)d example was approved.", "%(count)d examples were approved.", count)
        messages.success(request, text % {"count": count})
        return _to_page(pk)

    def reject_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        self.require_change(request)
        reason = request.POST.get("reason", "")[:500]
        count = curation.reject(Example.objects.filter(corpus_id=pk), user=user_of(request), reason=reason)
        text = ngettext("%(count)d example was rejected.", "%(count)d examples were rejected.", count)
        messages.success(request, text % {"count": count})
        return _to_page(pk)

    def again_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        self.require_change(request)
        try:
            corpora.queue(get_object_or_404(Corpus, pk=pk))
        except corpora.NotAllowed as error:
            messages.warning(request, wording.error_text(error))
        tasks.ring_data()
        return _to_page(pk)


def _to_page(pk: int) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:training_corpus_change", args=(pk,)))


def _progress(corpus: Corpus) -> dict[str, Any]:
    return {
        "state": corpus.status,
        "label": corpus.get_status_display(),
        "share": corpus.share_read,
        "finished": corpus.status in (Status.READY, Status.FAILED),
        "rows_read": corpus.rows_read,
        "rows_new": corpus.rows_new,
        "rows_known": corpus.rows_known,
        "rows_bad": corpus.rows_bad,
    }


def _contents(corpus: Corpus) -> dict[str, Any]:
    """What the page shows of a corpus beside its progress."""
    counts = dict(corpus.examples.order_by().values_list("status").annotate(Count("pk")))
    findings = corpus.findings.order_by("-severity", "id")
    first = corpus.examples.order_by("line")[:FIRST_ROWS]
    return {
        "counts": [(status, label, counts.get(status, 0)) for status, label in Example.Status.choices],
        "drafts": counts.get(Example.Status.DRAFT, 0),
        "lines": [_shown(finding) for finding in findings.filter(line__isnull=False)],
        "notes": [_shown(finding) for finding in findings.filter(line__isnull=True)],
        "rows": [{"line": row.line, "pk": row.pk, "bubbles": bubbles(row.body)} for row in first],
    }


def _shown(finding: Finding) -> dict[str, Any]:
    return {
        "line": finding.line,
        "text": wording.finding_text(finding),
        "excerpt": finding.excerpt,
        "severity": finding.severity,
    }
