"""Uploads in the admin: send a file, watch it being read, see what was read and which lines were not, approve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.decorators import display

from training import corpora, curation, intake, tasks, wording
from training.admin import columns
from training.admin.pages import DataAdmin, bubbles, user_of
from training.forms import ReadAsForm, UploadForm
from training.ml.corpus import FORMATS
from training.ml.errors import PipelineError
from training.models import Corpus, Example, Finding

Status = Corpus.Status
BADGES = {
    Status.QUEUED: "info",
    Status.READING: "primary",
    Status.ASKING: "warning",
    Status.READY: "success",
    Status.FAILED: "danger",
    Status.CANCELLED: "default",
}
GOING = (Status.QUEUED, Status.READING)
# What the upload page says can be read: names of formats by kind, and how their files usually end.
ACCEPTED: tuple[tuple[Any, tuple[str, ...], str], ...] = (
    (
        _("Questions and answers, dialogues"),
        ("prompt_completion", "messages", "sharegpt", "alpaca", "utterances", "chatterbot"),
        ".jsonl .json .yml",
    ),
    (_("Preferences and thumbs"), ("preference", "openai_preference", "label"), ".jsonl .json"),
    (_("Lines of text"), ("chitchat", "tab_pairs", "conv", "documents", "text"), ".txt .conv .jsonl"),
    (_("Tables; the columns are guessed, or asked for"), ("csv", "tsv", "xlsx"), ".csv .tsv .xlsx"),
    (_("Documents, as drafts with their place"), ("markdown", "html", "docx"), ".md .html .docx"),
)
TABLES = ("csv", "tsv", "xlsx")
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
        known = FORMATS.get(corpus.format)
        return gettext(known.title) if known else corpus.format or "–"

    def has_delete_permission(self, request: HttpRequest, obj: Corpus | None = None) -> bool:
        return False  # rows name their corpus; a bad upload is rejected row by row or all at once

    def own_pages(self) -> list[URLPattern]:
        return [
            self.page("<int:pk>/progress/", self.progress_view, "progress"),
            self.page("<int:pk>/approve/", require_POST(self.approve_view), "approve"),
            self.page("<int:pk>/reject/", require_POST(self.reject_view), "reject"),
            self.page("<int:pk>/again/", require_POST(self.again_view), "again"),
            self.page("<int:pk>/cancel/", require_POST(self.cancel_view), "cancel"),
            self.page("<int:pk>/read-as/", require_POST(self.read_as_view), "read_as"),
            self.page("<int:pk>/columns/", self.columns_view, "columns"),
            self.page("<int:pk>/effect/", self.effect_view, "effect"),
        ]

    # --- pages ---

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.require_add(request)
        form = UploadForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            return self._upload(request, form)
        return self._upload_page(request, form)

    def _upload_page(self, request: HttpRequest, form: UploadForm) -> HttpResponse:
        accepted = [(label, [gettext(FORMATS[name].title) for name in names], ends) for label, names, ends in ACCEPTED]
        return self.show(request, "corpus_upload.html", title=gettext("Upload files"), form=form, accepted=accepted)

    def _upload(self, request: HttpRequest, form: UploadForm) -> HttpResponse:
        """Each file by itself: one that cannot be taken leaves the others alone."""
        data = form.cleaned_data
        files = data["file"]
        added: list[int] = []
        for file in files:
            facts = {name: data[name] for name in ("licence", "source_url")}
            name = data["name"] if len(files) == 1 else ""
            try:
                corpus = corpora.add_upload(
                    file, name=name, original_name=file.name, owner=user_of(request), options=form.options(), **facts
                )
            except corpora.SameFile as error:
                messages.warning(request, wording.error_text(error))
                added.append(error.facts["corpus"])
            except PipelineError as error:
                form.add_error("file", f"{file.name}: {wording.error_text(error)}")
            else:
                added.append(corpus.pk)
        tasks.ring_data()
        if form.errors:
            return self._upload_page(request, form)
        return _to_page(added[0]) if len(files) == 1 else HttpResponseRedirect(_list_url())

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.require_view(request)
        corpus = self.get_object(request, object_id)
        if corpus is None:
            raise Http404
        context = {"corpus": corpus, "progress": _progress(corpus), "format": self.format_shown(corpus)}
        context["error"] = wording.corpus_error(corpus)
        context["is_table"] = corpus.format in TABLES
        if corpus.status not in GOING:
            context["read_as"] = ReadAsForm(initial=corpus.options)
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
        self._ask(request, lambda: corpora.queue(get_object_or_404(Corpus, pk=pk)))
        return _to_page(pk)

    def cancel_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        self.require_change(request)
        self._ask(request, lambda: corpora.cancel(get_object_or_404(Corpus, pk=pk)))
        return _to_page(pk)

    def read_as_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        self.require_change(request)
        form = ReadAsForm(request.POST)
        if form.is_valid():
            self._ask(request, lambda: corpora.read_as(get_object_or_404(Corpus, pk=pk), form.options()))
        return _to_page(pk)

    def columns_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Shows what a choice would make of the rows, and reads the file so when that is what was pressed."""
        self.require_change(request)
        corpus = get_object_or_404(Corpus, pk=pk)
        if request.method == "POST" and "look" not in request.POST:
            self._ask(request, lambda: corpora.read_as(corpus, columns.options(corpus, request.POST)))
            return _to_page(pk)
        context = columns.context(corpus, request.POST) | {"corpus": corpus}
        return self.show(request, "corpus_columns.html", title=gettext("What the columns are"), **context)

    def effect_view(self, request: HttpRequest, pk: int) -> JsonResponse:
        """Asked for only when somebody thinks of reading anew: among a million rows it takes a moment."""
        self.require_view(request)
        return JsonResponse({"text": _effect(get_object_or_404(Corpus, pk=pk))})

    def _ask(self, request: HttpRequest, verb: Callable[[], None]) -> None:
        try:
            verb()
        except PipelineError as error:
            messages.warning(request, wording.error_text(error))
        tasks.ring_data()


def _to_page(pk: int) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:training_corpus_change", args=(pk,)))


def _list_url() -> str:
    return reverse("admin:training_corpus_changelist")


def _effect(corpus: Corpus) -> str:
    """What reading anew would replace, and what would stay; empty where there is nothing yet."""
    every = corpus.examples.count()
    if not every:
        return ""
    replaced = intake.untouched_of(corpus).count()
    return gettext(
        "Drafts that nobody has worked on are replaced (%(replaced)s). All other rows stay as they are (%(staying)s)."
    ) % {"replaced": replaced, "staying": every - replaced}


def _progress(corpus: Corpus) -> dict[str, Any]:
    return {
        "state": corpus.status,
        "label": corpus.get_status_display(),
        "share": corpus.share_read,
        "finished": corpus.status not in GOING,
        "rows_read": corpus.rows_read,
        "rows_new": corpus.rows_new,
        "rows_known": corpus.rows_known,
        "rows_bad": corpus.rows_bad,
        "bytes": filesizeformat(corpus.bytes_read),
        **_speed(corpus),
    }


def _speed(corpus: Corpus) -> dict[str, str]:
    """Rows in a second, and how long the rest will take at the pace so far."""
    if corpus.status != Status.READING or not corpus.started_at or not corpus.beat or not corpus.share_read:
        return {"rate": "–", "left": "–"}
    seconds = max(0.1, (corpus.beat - corpus.started_at).total_seconds())
    left = round(seconds * (1 / corpus.share_read - 1))
    return {"rate": f"{corpus.rows_read / seconds:,.0f}", "left": f"{left // 60}:{left % 60:02d}"}


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
        "member": finding.facts.get("member", ""),
        "text": wording.finding_text(finding),
        "excerpt": finding.excerpt,
        "severity": finding.severity,
    }
