"""The form that starts a run: every setting may stay empty, its automatic value then stands in the field."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from training import plans, wording
from training.ml.config import FIT_RANGES, METHODS_FOR
from training.ml.errors import BadConfig
from training.models import DatasetVersion, ModelVersion, TrainingRun

# field -> (label, what it does in one sentence)
SETTINGS: dict[str, tuple[Promise, Promise]] = {
    "epochs": (_("Epochs"), _("How often every row is seen.")),
    "learning_rate": (
        _("Learning rate"),
        _("How far each step moves the weights; too high forgets, too low learns nothing."),
    ),
    "batch_size": (_("Batch"), _("Rows a step; larger is calmer and needs more memory.")),
    "max_length": (_("Length"), _("Tokens a row at most; what is longer is cut.")),
    "weight_decay": (_("Weight decay"), _("Pulls weights towards zero, against learning by heart.")),
    "dropout": (_("Dropout"), _("Share of signals switched off while training, against learning by heart.")),
    "patience": (
        _("Patience"),
        _(
            "Evaluations without improvement before it stops and goes back to the best; "
            "0 = neither, the last weights are kept."
        ),
    ),
    "seed": (_("Seed"), _("The same seed and data give the same model.")),
    "devices": (_("Devices"), _("Always 1: a run uses one GPU, or the CPU. With more GPUs, more runs train at once.")),
    "beta": (_("Beta"), _("Preference tuning only: how strongly the model is held near its base.")),
}
WHOLE_NUMBERS = {"batch_size", "max_length", "patience", "seed", "devices"}


def _number_field(name: str) -> forms.Field:
    label, meaning = SETTINGS[name]
    low, high = FIT_RANGES[name]
    field: Any = forms.IntegerField if name in WHOLE_NUMBERS else forms.FloatField
    kind = int if name in WHOLE_NUMBERS else float
    made: forms.Field = field(
        label=label,
        help_text=meaning,
        required=False,
        min_value=kind(low),
        max_value=kind(high),
        localize=False,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal", "autocomplete": "off", "data-setting": name}),
    )
    return made


class RunForm(forms.Form):
    request_key = forms.CharField(widget=forms.HiddenInput, max_length=40)
    base = forms.ModelChoiceField(
        label=_("Base"),
        queryset=ModelVersion.objects.none(),
        widget=UnfoldAdminSelectWidget,
        help_text=_("The model it starts from."),
    )
    dataset = forms.ModelChoiceField(
        label=_("Dataset version"),
        queryset=DatasetVersion.objects.none(),
        widget=UnfoldAdminSelectWidget,
        help_text=_("Only frozen versions can be trained on."),
    )
    method = forms.ChoiceField(
        label=_("Method"),
        required=False,
        choices=[("", _("Automatic")), *TrainingRun.Method.choices],
        widget=UnfoldAdminSelectWidget,
        help_text=_("Follows from the rows unless you choose."),
    )
    name = forms.CharField(
        label=_("Name"),
        required=False,
        max_length=80,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Becomes part of the new model's name."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["base"].queryset = ModelVersion.objects.filter(retired_at=None)  # type: ignore[attr-defined]
        self.fields["dataset"].queryset = DatasetVersion.objects.filter(  # type: ignore[attr-defined]
            status=DatasetVersion.Status.FROZEN, kind__in=METHODS_FOR
        )
        self.fields["request_key"].initial = uuid.uuid4().hex
        for name in SETTINGS:
            self.fields[name] = _number_field(name)

    @property
    def settings(self) -> list[forms.BoundField]:
        return [self[name] for name in SETTINGS]

    def chosen(self) -> dict[str, Any]:
        """What the operator typed; an empty field is left to the automatic value."""
        return {name: self.cleaned_data[name] for name in SETTINGS if self.cleaned_data.get(name) is not None}

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                plans.plan_values(
                    base=data["base"], dataset=data["dataset"], method=data["method"], chosen=self.chosen()
                )
            except BadConfig as error:
                name = str(error.facts.get("field", ""))
                self.add_error(name if name in self.fields else None, wording.error_text(error))
        return data
