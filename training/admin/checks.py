"""Checks in the admin: ask for one, watch it, read what was found rule by rule, mend, leave, undo."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.decorators import display

from training import checks, mending, tasks, wording
from training.admin.check_form import CheckForm, in_words
from training.admin.check_rows import shown
from training.admin.pages import DataAdmin, user_of
from training.ml.errors import PipelineError
from training.ml.findings import RULES
from training.models import Check, Finding

Status, State = Check.Status, Finding.State
BADGES = {
    Status.QUEUED: "info",
    Status.RUNNING: "primary",
    Status.DONE: "success",
    Status.FAILED: "danger",
    Status.CANCELLED: "warning",
}
FINISHED = (Status.DONE, Status.FAILED, Status.CANCELLED)
PER_PAGE = 20


@admin.register(Check)
class CheckAdmin(DataAdmin):
    list_display = ("number", "badge", "looked_at", "rows_total", "found", "owner", "created_at")
    list_filter = ("status",)
    list_select_related = ("owner",)

    @display(description=_("check"), ordering="pk")
    def number(self, check: Check) -> str:
        return str(check)

    @display(description=_("status"), label=BADGES, ordering="status")
    def badge(self, check: Check) -> tuple[str, str]:
        return check.status, check.get_status_display()

    @display(description=_("selection"))
    def looked_at(self, check: Check) -> str:
        return "; ".join(in_words(check.selection)) or gettext("Every example")

    @display(description=_("findings"))
    def found(self, check: Check) -> str:
        return f"{sum(check.counts.values()):,}" if check.status == Status.DONE else "–"

    def has_delete_permission(self, request: HttpRequest, obj: Check | None = None) -> bool:
        return False  # what was decided about a row is remembered by later checks

    def own_pages(self) -> list[URLPattern]:
        return [
            self.page("<int:pk>/progress/", self.progress_view, "progress"),
            self.page("<int:pk>/cancel/", require_POST(self.cancel_view), "cancel"),
            self.page("<int:pk>/again/", require_POST(self.again_view), "again"),
            self.page("<int:pk>/rule/<slug:rule>/", self.rule_view, "rule"),
            self.page("<int:pk>/rule/<slug:rule>/all/", require_POST(self.all_view), "all"),
            self.page("finding/<int:pk>/", require_POST(self.finding_view), "finding"),
        ]

    # --- pages ---

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.require_add(request)
        form = CheckForm(request.POST if request.method == "POST" else None, initial=_first_choice(request))
        if request.method == "POST" and form.is_valid():
            try:
                check = checks.queue_check(form.selection(), owner=user_of(request))
            except PipelineError as error:
                form.add_error(None, wording.error_text(error))
            else:
                tasks.ring_data()
                return _to_page(check.pk)
        return self.show(request, "check_start.html", title=gettext("Check examples"), form=form)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.require_view(request)
        check = self.get_object(request, object_id)
        if check is None:
            raise Http404
        context: dict[str, Any] = {"check": check, "progress": _progress(check), "selection": in_words(check.selection)}
        if check.status == Status.DONE:
            context |= {"rules": [_rule(row) for row in checks.by_rule(check)], "kept": checks.FINDINGS_KEPT}
            context["about_all"] = list(map(wording.finding_text, check.findings.filter(example=None).order_by("pk")))
        return self.show(request, "check_page.html", title=gettext("Check %(number)s") % {"number": check}, **context)

    def rule_view(self, request: HttpRequest, pk: int, rule: str) -> HttpResponse:
        self.require_view(request)
        check = get_object_or_404(Check, pk=pk, status=Status.DONE)
        counts = next((row for row in checks.by_rule(check) if row["rule"] == rule), None)
        if counts is None:
            raise Http404
        state = request.GET.get("state", State.OPEN)
        found = check.findings.filter(rule=rule, state=state).select_related("example").order_by("pk")
        page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
        context = {
            "check": check,
            "rule": _rule(counts),
            "page": page,
            "findings": [shown(finding) for finding in page],
            "state": state,
            "states": [
                (State.OPEN, gettext("Undecided"), counts["open"]),
                (State.APPLIED, State.APPLIED.label, counts["applied"]),
                (State.DISMISSED, State.DISMISSED.label, counts["dismissed"]),
            ],
            "may_change": self.has_change_permission(request, check),
        }
        return self.show(request, "check_rule.html", title=gettext(RULES[rule].title), **context)

    def progress_view(self, request: HttpRequest, pk: int) -> JsonResponse:
        self.require_view(request)
        return JsonResponse(_progress(get_object_or_404(Check, pk=pk)))

    # --- what is asked ---

    def cancel_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        self.require_change(request)
        self._try(request, lambda: checks.cancel(get_object_or_404(Check, pk=pk)))
        return _to_page(pk)

    def again_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A failed check begins again; of any other a new one looks at the same examples."""
        self.require_change(request)
        check = get_object_or_404(Check, pk=pk)
        if check.status == Status.FAILED:
            self._try(request, lambda: checks.queue_again(check))
        else:
            new = self._try(request, lambda: checks.queue_check(check.selection, owner=user_of(request)))
            pk = new.pk if new else pk
        tasks.ring_data()
        return _to_page(pk)

    def finding_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """One finding: mended, left as it is, or undone."""
        self.require_change(request)
        finding = get_object_or_404(Finding.objects.select_related("example"), pk=pk, checked_by__isnull=False)
        user = user_of(request)
        match request.POST.get("action"):
            case "apply":
                self._try(request, lambda: mending.apply(finding, user=user))
            case "dismiss":
                mending.dismiss(Finding.objects.filter(pk=pk))
            case "undo":
                self._try(request, lambda: mending.undo(finding, user=user))
        return _to_rule(request, finding.checked_by_id or 0, finding.rule)

    def all_view(self, request: HttpRequest, pk: int, rule: str) -> HttpResponse:
        """Every finding of a rule at once."""
        self.require_change(request)
        check, user = get_object_or_404(Check, pk=pk), user_of(request)
        match request.POST.get("action"):
            case "apply":
                _tell(request, mending.apply_rule(check, rule, user=user))
            case "dismiss":
                _tell(request, {"dismissed": mending.dismiss(check.findings.filter(rule=rule))})
            case "undo":
                _tell(request, mending.undo_rule(check, rule, user=user))
        return _to_rule(request, pk, rule)

    def _try(self, request: HttpRequest, verb: Any) -> Any:
        try:
            return verb()
        except PipelineError as error:
            messages.warning(request, wording.error_text(error))
            return None


def _to_page(pk: int) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:training_check_change", args=(pk,)))


def _to_rule(request: HttpRequest, pk: int, rule: str) -> HttpResponseRedirect:
    """Back to the same page of the list, where the next finding has moved up."""
    address = reverse("admin:training_check_rule", args=(pk, rule))
    state, page = request.POST.get("state", State.OPEN), request.POST.get("page", "1")
    if state not in State.values or not page.isdecimal():
        return HttpResponseRedirect(address)
    return HttpResponseRedirect(f"{address}?state={state}&page={page}#findings")


def _tell(request: HttpRequest, counts: dict[str, int]) -> None:
    """One sentence for each thing that happened."""
    told = {
        "mended": ngettext("%(count)d row was mended.", "%(count)d rows were mended.", counts.get("mended", 0)),
        "needless": gettext("%(count)d needed it no more."),
        "undone": ngettext("%(count)d row is as it was.", "%(count)d rows are as they were.", counts.get("undone", 0)),
        "dismissed": gettext("%(count)d findings are left as they are."),
        "failed": gettext("%(count)d could not be changed, because the row is another one by now."),
        "left": gettext("There are more: press the button again."),
    }
    for name, text in told.items():
        if count := counts.get(name, 0):
            messages.info(request, text % {"count": count} if "%(" in text else text)


def _first_choice(request: HttpRequest) -> dict[str, Any]:
    """What a link to the form may fill in."""
    corpus, version = request.GET.get("corpus", ""), request.GET.get("version", "")
    model = checks.models_that_count().filter(is_active=True).values_list("uid", flat=True).first()
    return {"corpora": [corpus] if corpus else [], "version": version, "model": model or ""}


def _progress(check: Check) -> dict[str, Any]:
    """Rows are looked at one by one, then compared: each half of the way."""
    total = max(1, check.rows_total)
    comparing = check.status == Status.RUNNING and check.rows_done >= check.rows_total
    return {
        "state": check.status,
        "label": check.get_status_display(),
        "stage": gettext("Comparing the rows") if comparing else "",
        "share": min(1.0, check.rows_done / (2 * total)),
        "finished": check.status in FINISHED,
        "rows": min(check.rows_done, check.rows_total),
        "found": sum(check.counts.values()),
    }


def _rule(counts: checks.RuleCount) -> dict[str, Any]:
    """A rule with its words."""
    text = RULES[counts["rule"]]
    severity = Finding.Severity(counts["severity"]).label
    return {**counts, "title": gettext(text.title), "why": gettext(text.why), "severity_label": severity}
