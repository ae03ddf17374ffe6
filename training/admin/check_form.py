"""The form that asks for a check: which examples, and whose tokenizer counts."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget

from training import checks
from training.admin.pages import known_tags
from training.models import Corpus, DatasetVersion, Example, ModelVersion


def _many(label: Any, help_text: Any = "") -> forms.MultipleChoiceField:
    widget = UnfoldAdminCheckboxSelectMultipleWidget
    return forms.MultipleChoiceField(label=label, required=False, widget=widget, choices=(), help_text=help_text)


class CheckForm(forms.Form):
    corpora = _many(_("Corpora"))
    tags = _many(_("Tags"), _("Rows of a chosen corpus or with a chosen tag. Nothing chosen: all of them."))
    statuses = _many(_("States"), _("Nothing chosen: rows in any state."))
    version = forms.ChoiceField(
        label=_("Or the rows of a frozen version"),
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text=_(
            "Their texts as they are now, with the splits of the version. The choices above then do not count."
        ),
    )
    model = forms.ChoiceField(
        label=_("Tokenizer of"),
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text=_("Tells which rows are too long for this model and which characters it does not know."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        ready = Corpus.objects.exclude(status=Corpus.Status.FAILED).values_list("pk", "name")
        self._offer("corpora", [(str(pk), name) for pk, name in ready])
        self._offer("tags", [(tag, tag) for tag in known_tags()])
        self._offer("statuses", list(Example.Status.choices))
        frozen = DatasetVersion.objects.filter(status=DatasetVersion.Status.FROZEN).values_list("pk", "name")
        self._offer("version", [("", "–"), *((str(pk), name) for pk, name in frozen)])
        self._offer("model", [("", "–"), *checks.models_that_count().values_list("uid", "name")])

    def _offer(self, name: str, choices: list[tuple[str, Any]]) -> None:
        field = self.fields[name]
        if isinstance(field, forms.ChoiceField):
            field.choices = choices

    def selection(self) -> checks.Selection:
        data: dict[str, Any] = self.cleaned_data
        chosen = checks.Selection(version=int(data["version"])) if data["version"] else _of_rows(data)
        if data["model"]:
            chosen["model"] = data["model"]
        return chosen


def _of_rows(data: dict[str, Any]) -> checks.Selection:
    return {
        "corpora": sorted(int(pk) for pk in data["corpora"]),
        "tags": sorted(data["tags"]),
        "statuses": [status for status in Example.Status.values if status in data["statuses"]],
    }


def in_words(selection: checks.Selection) -> list[str]:
    """What a check looks at, as people call it."""
    if version := selection.get("version"):
        names = [str(name) for name in DatasetVersion.objects.filter(pk=version).values_list("name", flat=True)]
    else:
        corpora = Corpus.objects.filter(pk__in=selection.get("corpora", [])).values_list("name", flat=True)
        states = dict(Example.Status.choices)
        names = [*corpora, *(f"#{tag}" for tag in selection.get("tags", []))]
        names += [str(states[status]) for status in selection.get("statuses", []) if status in states]
    models = ModelVersion.objects.filter(uid=selection.get("model", "")).values_list("name", flat=True)
    return [*names, *models]
