"""Statistics in the admin: choose what, watch, look at the bars, compute again."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, reverse
from django.utils.formats import number_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget

from training import checks, statistics, tasks, wording
from training.admin.pages import DataAdmin
from training.ml.errors import PipelineError
from training.models import Corpus, DatasetVersion, Example, ModelVersion, Statistics
from training.narration import split_name

Status = Statistics.Status
BADGES = {Status.QUEUED: "info", Status.RUNNING: "primary", Status.DONE: "success", Status.FAILED: "danger"}
LANGUAGES = {"zh": _("Chinese"), "en": _("English"), "": _("neither")}
LENGTHS = {
    "questions": _("Characters of a question"),
    "answers": _("Characters of an answer"),
    "rows": _("Characters of a row"),
    "tokens": _("Tokens of a row"),
}
WORDS = {"questions": _("Words of questions"), "answers": _("Words of answers")}
Bar = dict[str, Any]


class StatisticsForm(forms.Form):
    """Which rows, and whose tokenizer counts."""

    corpora = forms.MultipleChoiceField(
        label=_("Corpora"),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("Nothing chosen: every example."),
    )
    version = forms.ChoiceField(
        label=_("Or the rows of a frozen version"), required=False, widget=UnfoldAdminSelectWidget
    )
    model = forms.ChoiceField(
        label=_("Tokenizer of"),
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text=_("Counts the tokens of each row as this model sees it."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        frozen = DatasetVersion.objects.filter(status=DatasetVersion.Status.FROZEN)
        self._offer("corpora", [(str(pk), name) for pk, name in Corpus.objects.values_list("pk", "name")])
        self._offer("version", [("", "–"), *((str(pk), name) for pk, name in frozen.values_list("pk", "name"))])
        self._offer("model", [("", "–"), *checks.models_that_count().values_list("uid", "name")])

    def _offer(self, name: str, choices: list[tuple[str, Any]]) -> None:
        field = self.fields[name]
        if isinstance(field, forms.ChoiceField):
            field.choices = choices

    def asked(self) -> Statistics:
        """Queue what was chosen. Raises PipelineError."""
        data = self.cleaned_data
        selection: statistics.Selection = {"model": data["model"]} if data["model"] else {}
        if data["version"]:
            return statistics.ask(selection, DatasetVersion.objects.get(pk=data["version"]))
        if data["corpora"]:
            selection["corpora"] = sorted(int(pk) for pk in data["corpora"])
        return statistics.ask(selection)


@admin.register(Statistics)
class StatisticsAdmin(DataAdmin):
    list_display = ("counted", "badge", "rows", "finished_at")
    list_select_related = ("version",)

    @display(description=_("rows of"))
    def counted(self, asked: Statistics) -> str:
        return _name(asked)

    @display(description=_("status"), label=BADGES, ordering="status")
    def badge(self, asked: Statistics) -> tuple[str, str]:
        return asked.status, asked.get_status_display()

    @display(description=_("rows"), ordering="rows_total")
    def rows(self, asked: Statistics) -> str:
        return number_format(asked.rows_total, use_l10n=True, force_grouping=True)

    def own_pages(self) -> list[URLPattern]:
        return [
            self.page("<int:pk>/progress/", self.progress_view, "progress"),
            self.page("<int:pk>/again/", require_POST(self.again_view), "again"),
        ]

    # --- pages ---

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.require_add(request)
        form = StatisticsForm(request.POST if request.method == "POST" else None, initial=_first_choice(request))
        if request.method == "POST" and form.is_valid():
            try:
                asked = form.asked()
            except PipelineError as error:
                form.add_error(None, wording.error_text(error))
            else:
                tasks.ring_data()
                return _to_page(asked.pk)
        return self.show(request, "statistics_start.html", title=gettext("Count and measure rows"), form=form)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.require_view(request)
        asked = self.get_object(request, object_id)
        if asked is None:
            raise Http404
        context: dict[str, Any] = {"asked": asked, "progress": _progress(asked), "error": statistics.why_failed(asked)}
        if "rows" in asked.figures:
            context |= in_bars(asked.figures) | {"changed": statistics.changed_since(asked)}
        return self.show(request, "statistics_page.html", title=_name(asked), **context)

    def progress_view(self, request: HttpRequest, pk: int) -> JsonResponse:
        self.require_view(request)
        return JsonResponse(_progress(get_object_or_404(Statistics, pk=pk)))

    def again_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        self.require_change(request)
        asked = get_object_or_404(Statistics.objects.select_related("version"), pk=pk)
        statistics.ask(asked.selection, asked.version)
        tasks.ring_data()
        return _to_page(pk)


def _to_page(pk: int) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:training_statistics_change", args=(pk,)))


def _first_choice(request: HttpRequest) -> dict[str, Any]:
    """What a link to the form may fill in."""
    corpus = request.GET.get("corpus", "")
    return {"corpora": [corpus] if corpus else [], "version": request.GET.get("version", "")}


def _name(asked: Statistics) -> str:
    """What was counted, as people call it."""
    chosen = Corpus.objects.filter(pk__in=asked.selection.get("corpora", [])).values_list("name", flat=True)
    what = str(asked.version) if asked.version else ", ".join(chosen) or gettext("Every example")
    model = ModelVersion.objects.filter(uid=asked.selection.get("model", "")).values_list("name", flat=True).first()
    return f"{what} · {model}" if model else what


def _progress(asked: Statistics) -> dict[str, Any]:
    finished = asked.status in (Status.DONE, Status.FAILED)
    return {
        "state": asked.status,
        "label": asked.get_status_display(),
        "rows": asked.rows_done,
        "share": 1.0 if finished else asked.rows_done / max(1, asked.rows_total),
        "finished": finished,
    }


# --- figures as bars ------------------------------------------------------------------------------------------------


def in_bars(figures: dict[str, Any]) -> dict[str, Any]:
    """The stored figures as the page draws them."""
    clusters = figures["clusters"]
    return {
        "figures": figures,
        "facts": [(title, bars) for title, bars in _facts(figures["facts"]) if bars],
        "lengths": [
            (title, figures["lengths"][name], _histogram(figures["lengths"][name]))
            for name, title in LENGTHS.items()
            if figures["lengths"][name]["count"]
        ],
        "turns": (figures["turns"], _histogram(figures["turns"])) if figures["turns"]["count"] else None,
        "words": [(title, _bars(figures["words"][side])) for side, title in WORDS.items() if figures["words"][side]],
        "clusters": clusters,
        "sizes": _histogram(clusters["sizes"]),
        "sources": figures["sources"],
    }


def _facts(counted: dict[str, dict[str, int]]) -> list[tuple[str, list[Bar]]]:
    """Counts by column, each with its values in words."""
    named: dict[str, tuple[str, dict[str, Any]]] = {
        "status": (gettext("States"), dict(Example.Status.choices)),
        "kind": (gettext("Kinds"), dict(Example.Kind.choices)),
        "language": (gettext("Languages"), LANGUAGES),
        "split": (gettext("Splits"), {"": _("never frozen")}),
    }
    return [
        (title, _bars([[str(_value(column, value, words)), count] for value, count in counted[column].items()]))
        for column, (title, words) in named.items()
        if column in counted
    ]


def _value(column: str, value: str, words: dict[str, Any]) -> Any:
    return split_name(value) if column == "split" and value else words.get(value, value)


def _bars(counts: list[list[Any]]) -> list[Bar]:
    """Label, count, and the bar's length in percent of the longest."""
    most = max((count for _label, count in counts), default=1)
    return [{"label": label, "count": count, "length": round(100 * count / most, 2)} for label, count in counts]


def _histogram(lengths: dict[str, Any]) -> list[Bar]:
    return _bars([[_range(bar["from"], bar["to"]), bar["count"]] for bar in lengths["bars"]])


def _range(low: int, high: int | None) -> str:
    if high is None:
        return gettext("%(count)d and more") % {"count": low}
    return str(low) if low == high else f"{low}–{high}"
