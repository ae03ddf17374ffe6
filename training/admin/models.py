"""Models in the admin: figures, lineage, the gate against the active one, activate, roll back, add a base."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget

from training import evaluations, narration, registry, serving, tasks, wording
from training.admin.pages import DataAdmin, user_of
from training.ml.errors import PipelineError
from training.models import Activation, Evaluation, ModelVersion

REFUSALS = (registry.GateBlocked, registry.StaleActivation, PipelineError, serving.EngineError)


class BaseForm(forms.Form):
    """A directory of this server, in the Hugging Face format."""

    directory = forms.CharField(
        label=_("Directory"),
        widget=UnfoldAdminTextInputWidget,
        help_text=_("A Hugging Face model directory on this server, with safetensors weights and a tokenizer.json."),
    )
    name = forms.CharField(
        label=_("Name"), max_length=60, widget=UnfoldAdminTextInputWidget, help_text=_("How people will find it.")
    )

    def clean_directory(self) -> Path:
        directory = Path(self.cleaned_data["directory"]).expanduser()
        if not directory.is_absolute() or not directory.is_dir():
            raise forms.ValidationError(gettext("This is not the full path of a directory on this server."))
        return directory


@admin.register(ModelVersion)
class ModelVersionAdmin(DataAdmin):
    list_display = ("name", "state", "origin", "parent", "dataset", "size", "created_at")
    list_filter = ("origin", "is_active")
    search_fields = ("name", "uid")
    list_select_related = ("parent", "dataset")

    @display(description=_("state"), label={"active": "success", "retired": "warning", "ready": "default"})
    def state(self, model: ModelVersion) -> tuple[str, str]:
        if model.is_active:
            return "active", gettext("answers now")
        return ("retired", gettext("retired")) if model.retired_at else ("ready", gettext("ready"))

    @display(description=_("size"), ordering="parameters")
    def size(self, model: ModelVersion) -> str:
        return f"{model.parameters / 1e6:.1f} M"

    def has_delete_permission(self, request: HttpRequest, obj: ModelVersion | None = None) -> bool:
        return False  # runs, answers and activations point at it

    # --- the pages ---

    def own_pages(self) -> list[URLPattern]:
        return [
            self.page("<int:pk>/activate/", require_POST(self.activate_view), "activate"),
            self.page("<int:pk>/measure/", require_POST(self.measure_view), "measure"),
            self.page("<int:pk>/roll-back/", require_POST(self.roll_back_view), "roll_back"),
        ]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.require_add(request)
        form = BaseForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                model = registry.add_base(form.cleaned_data["directory"], name=form.cleaned_data["name"])
            except PipelineError as error:
                form.add_error(None, wording.error_text(error))
            else:
                messages.success(request, gettext("The base is ready to be trained and activated."))
                return _to_page(model.pk)
        return self.show(request, "model_add.html", title=gettext("Add a base"), form=form)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.require_view(request)
        model = self.get_object(request, object_id)
        if model is None:
            raise Http404
        active = registry.active_model()
        return self.show(
            request,
            "model_page.html",
            title=model.name,
            model=model,
            active=active,
            report=None if model.is_active else registry.gate(model, active),
            may_activate=self.has_change_permission(request, model),
            unmeasured=_unmeasured(model),
            earlier=_earlier(model),
            figures=_figures(model),
            children=ModelVersion.objects.filter(parent=model),
            history=Activation.objects.filter(model=model).select_related("user", "replaced")[:20],
            request_key=uuid.uuid4().hex,
        )

    # --- what is asked ---

    def activate_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        model = self._changeable(request, pk)
        override, note = bool(request.POST.get("override")), request.POST.get("note", "").strip()
        if override and not note:
            messages.error(request, gettext("Say why you override the gate; it is kept with the activation."))
            return _to_page(pk)
        replaces = request.POST.get("replaces", "")
        seen = ModelVersion.objects.filter(pk=int(replaces)).first() if replaces.isdecimal() else None
        verb = registry.activate
        return _switch(request, pk, lambda user: verb(model, replaces=seen, user=user, override=override, note=note))

    def measure_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Figures that the gate misses: of both models, on the candidate's own version."""
        model = self._changeable(request, pk)
        missing = [one.uid for one in _unmeasured(model)]
        if missing and model.dataset:
            tasks.ring_measure(missing, model.dataset.sha256)
        messages.success(request, gettext("Both models are being measured. Look again in a minute."))
        return _to_page(pk)

    def roll_back_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        seen = self._changeable(request, pk)
        return _switch(request, pk, lambda user: registry.roll_back(user=user, replaces=seen))

    def _changeable(self, request: HttpRequest, pk: int) -> ModelVersion:
        self.require_change(request)
        return get_object_or_404(ModelVersion, pk=pk)


def _switch(request: HttpRequest, pk: int, verb: Callable[[User], Activation]) -> HttpResponse:
    try:
        activation = verb(user_of(request))
    except REFUSALS as error:
        unchanged = gettext("Nothing was changed.")
        messages.error(request, f"{unchanged} {wording.error_text(error)}")
        return _to_page(pk)
    messages.success(request, gettext("%(name)s answers from now on.") % {"name": activation.model.name})
    return _to_page(activation.model_id)


def _to_page(pk: int) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:training_modelversion_change", args=(pk,)))


def _unmeasured(model: ModelVersion) -> list[ModelVersion]:
    """Of the model and the active one: who has no figures on the rows that the gate compares."""
    dataset, active = model.dataset, registry.active_model()
    if dataset is None or active is None or model == active:
        return []
    splits = evaluations.splits_with_rows(dataset)
    return [one for one in (model, active) if not evaluations.is_measured(one, dataset, splits)]


def _earlier(model: ModelVersion) -> ModelVersion | None:
    """What a roll back would bring: only for the model that answers now."""
    return registry.earlier_model() if model.is_active else None


def _figures(model: ModelVersion) -> list[dict[str, Any]]:
    rows = Evaluation.objects.filter(model=model).select_related("dataset")
    ordered = evaluations.in_reading_order(rows, "-dataset_id")
    return [{"row": row, "split": narration.split_name(row.split)} for row in ordered]
