"""Training runs in the admin: start one, watch it live, cancel, pause, resume. Every change is one call of a verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.decorators import display

from training import again, live, plans, runs, tasks, wording
from training.admin.pages import DataAdmin, user_of
from training.admin.run_form import SETTINGS, RunForm
from training.ml.config import METHODS_FOR
from training.ml.errors import PipelineError
from training.models import DatasetVersion, ModelVersion, TrainingRun

Status = TrainingRun.Status
# Every state: unfold shows the bare value of one that is missing here.
BADGES = {
    Status.DRAFT: "default",
    Status.QUEUED: "info",
    Status.RUNNING: "primary",
    Status.EVALUATING: "primary",
    Status.PAUSED: "warning",
    Status.SUCCEEDED: "success",
    Status.FAILED: "danger",
    Status.CANCELLED: "default",
}


@admin.register(TrainingRun)
class TrainingRunAdmin(DataAdmin):
    list_display = ("name", "badge", "progress", "method", "base", "dataset", "loss_shown", "owner", "created_at")
    list_filter = ("status", "method")
    search_fields = ("name", "base__name", "dataset__name")
    list_select_related = ("base", "dataset", "owner")

    # --- the list ---

    @display(description=_("status"), label=BADGES, ordering="status")
    def badge(self, run: TrainingRun) -> tuple[str, str]:
        return run.status, run.get_status_display()

    @display(description=_("progress"))
    def progress(self, run: TrainingRun) -> str:
        return f"{run.share_done:.0%}" if run.total_steps else "–"

    @display(description=_("validation loss"), ordering="validation_loss")
    def loss_shown(self, run: TrainingRun) -> str:
        return "–" if run.validation_loss is None else f"{run.validation_loss:.4f}"

    def has_delete_permission(self, request: HttpRequest, obj: TrainingRun | None = None) -> bool:
        return False  # what was trained, by whom and on what is never forgotten

    # --- the pages ---

    def own_pages(self) -> list[URLPattern]:
        return [
            self.page("plan/", self.plan_view, "plan"),
            self.page("again/", require_POST(self.again_view), "again"),
            self.page("<int:pk>/events/", self.events_view, "events"),
            self.page("<int:pk>/cancel/", require_POST(self.cancel_view), "cancel"),
            self.page("<int:pk>/pause/", require_POST(self.pause_view), "pause"),
            self.page("<int:pk>/resume/", require_POST(self.resume_view), "resume"),
        ]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.require_add(request)
        form = RunForm(request.POST or None, initial=_first_choice(request))
        if request.method == "POST" and form.is_valid():
            return self._start(request, form)
        return self.show(request, "run_start.html", title=gettext("Start a run"), form=form)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.require_view(request)
        run = self.get_object(request, object_id)
        if run is None:
            raise Http404
        shown = {"live": live.since(run, 0), "words": live.words(), "settings": _settings(run)}
        return self.show(request, "run_live.html", title=run.name, run=run, **shown)

    # --- what is asked ---

    def _start(self, request: HttpRequest, form: RunForm) -> HttpResponse:
        data = form.cleaned_data
        run = plans.plan_run(
            base=data["base"],
            dataset=data["dataset"],
            method=data["method"],
            name=data["name"],
            owner=user_of(request),
            chosen=form.chosen(),
            request_key=data["request_key"],
        )
        return _to_live_page(_queued(request, run))

    def again_view(self, request: HttpRequest) -> HttpResponse:
        self.require_add(request)
        try:
            key = request.POST.get("request_key", "")[:40]
            run = again.train_again(user=user_of(request), ring=tasks.ring_data, request_key=key)
        except PipelineError as error:
            messages.warning(request, wording.error_text(error))
            return HttpResponseRedirect(reverse("admin:index"))
        return _to_live_page(_queued(request, run))

    def plan_view(self, request: HttpRequest) -> JsonResponse:
        """The automatic values for a base and a version, and why; or which field is wrong."""
        self.require_add(request)
        try:
            base = ModelVersion.objects.get(pk=int(request.GET.get("base", "")))
            dataset = DatasetVersion.objects.get(pk=int(request.GET.get("dataset", "")))
        except (ValueError, ModelVersion.DoesNotExist, DatasetVersion.DoesNotExist):
            return JsonResponse({"values": {}, "reasons": {}, "error": ""})
        try:
            plan = plans.plan_values(base=base, dataset=dataset, method=request.GET.get("method", ""), chosen={})
        except PipelineError as error:
            return JsonResponse({"values": {}, "reasons": {}, "error": wording.error_text(error)})
        reasons = {name: wording.say(why) for name, why in plan.reasons.items()}
        return JsonResponse({"values": plan.config.to_json(), "reasons": reasons, "error": ""})

    def events_view(self, request: HttpRequest, pk: int) -> JsonResponse:
        self.require_view(request)
        after = request.GET.get("after", "0")
        run = get_object_or_404(TrainingRun.objects.select_related("base", "dataset"), pk=pk)
        return JsonResponse(live.since(run, int(after) if after.isdecimal() else 0))

    def cancel_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._ask(request, pk, runs.request_cancel)

    def pause_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._ask(request, pk, runs.request_pause)

    def resume_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._ask(request, pk, runs.resume_run)

    def _ask(self, request: HttpRequest, pk: int, verb: Callable[[TrainingRun], None]) -> HttpResponse:
        self.require_change(request)
        run = get_object_or_404(TrainingRun, pk=pk)
        try:
            verb(run)
        except runs.RunRefused as error:
            messages.warning(request, str(error))
        tasks.ring_runs()
        return _to_live_page(run)


def _queued(request: HttpRequest, run: TrainingRun) -> TrainingRun:
    """Queue a fresh run, say where it stands, and ring; a second click finds it queued and says nothing."""
    if runs.queue_run(run):
        ahead = runs.queue_position(run) or 0
        text = ngettext("%(count)d run goes first.", "%(count)d runs go first.", ahead) % {"count": ahead}
        queued = gettext("The run is in the queue.")
        messages.success(request, f"{queued} {text}" if ahead else queued)
        tasks.ring_runs()
    return run


def _to_live_page(run: TrainingRun) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:training_trainingrun_change", args=(run.pk,)))


def _first_choice(request: HttpRequest) -> dict[str, Any]:
    """The active model and the newest version, unless the link named others."""
    active = ModelVersion.objects.filter(is_active=True).first()
    newest = DatasetVersion.objects.filter(status=DatasetVersion.Status.FROZEN, kind__in=METHODS_FOR).first()
    return {
        "base": request.GET.get("base") or (active and active.pk),
        "dataset": request.GET.get("dataset") or (newest and newest.pk),
    }


def _settings(run: TrainingRun) -> list[dict[str, Any]]:
    return [
        {"label": label, "value": run.config[name], "reason": _reason(run, name)}
        for name, (label, _meaning) in SETTINGS.items()
        if name in run.config and (name != "beta" or run.method == TrainingRun.Method.DPO)
    ]


def _reason(run: TrainingRun, setting: str) -> str:
    """Why this automatic value; empty for one that the operator chose."""
    return wording.say(run.reasons[setting]) if setting in run.reasons else ""
