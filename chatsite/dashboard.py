"""The admin's first page and its side bar, both in the order of the loop: data, training, models, feedback.

Counts rows for people who may see them; changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.urls import reverse, reverse_lazy
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from chat.models import Rating, Rewrite
from training import registry
from training.models import Corpus, DatasetVersion, Example, TrainingRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One station of the loop: how much is there, and what waits for a person."""

    title: str
    icon: str
    link: str
    figure: str
    waiting: str = ""


def _link(page: str, query: str = "") -> str:
    return reverse(f"admin:{page}") + (f"?{query}" if query else "")


def _counted(text: str, count: int) -> str:
    return text % {"count": count}


def _collect() -> Step:
    corpora = Corpus.objects.count()
    return Step(
        title=_("Collect"),
        icon="upload_file",
        link=_link("training_corpus_changelist"),
        figure=_counted(ngettext("%(count)d corpus", "%(count)d corpora", corpora), corpora),
    )


def _curate() -> Step:
    drafts = Example.objects.filter(status=Example.Status.DRAFT).count()
    approved = Example.objects.filter(status=Example.Status.APPROVED).count()
    return Step(
        title=_("Curate"),
        icon="fact_check",
        link=_link("training_example_changelist", "status=draft" if drafts else ""),
        figure=_counted(ngettext("%(count)d approved example", "%(count)d approved examples", approved), approved),
        waiting=_("%(count)d to review") % {"count": drafts} if drafts else "",
    )


def _freeze() -> Step:
    frozen = DatasetVersion.objects.filter(status=DatasetVersion.Status.FROZEN).count()
    return Step(
        title=_("Freeze"),
        icon="ac_unit",
        link=_link("training_datasetversion_changelist"),
        figure=_counted(ngettext("%(count)d frozen version", "%(count)d frozen versions", frozen), frozen),
    )


def _train() -> Step:
    unfinished = TrainingRun.objects.exclude(status__in=[*TrainingRun.TERMINAL, TrainingRun.Status.DRAFT]).count()
    done = TrainingRun.objects.filter(status=TrainingRun.Status.SUCCEEDED).count()
    return Step(
        title=_("Train"),
        icon="model_training",
        link=_link("training_trainingrun_changelist"),
        figure=_counted(ngettext("%(count)d finished run", "%(count)d finished runs", done), done),
        waiting=_("%(count)d under way") % {"count": unfinished} if unfinished else "",
    )


def _activate() -> Step:
    active = registry.active_model()
    return Step(
        title=_("Activate"),
        icon="rocket_launch",
        link=reverse("admin:training_modelversion_change", args=[active.pk])
        if active
        else _link("training_modelversion_changelist"),
        figure=active.name if active else _("no model answers"),
    )


def _listen() -> Step:
    current = Rating.objects.filter(superseded_at__isnull=True, withdrawn_at__isnull=True).count()
    rewrites = Rewrite.objects.filter(superseded_at__isnull=True).count()
    return Step(
        title=_("Listen"),
        icon="thumbs_up_down",
        link=_link("chat_rating_changelist"),
        figure=_("%(ratings)s, %(rewrites)s")
        % {
            "ratings": _counted(ngettext("%(count)d rating", "%(count)d ratings", current), current),
            "rewrites": _counted(ngettext("%(count)d rewrite", "%(count)d rewrites", rewrites), rewrites),
        },
    )


STEPS: tuple[tuple[str, Callable[[], Step]], ...] = (
    ("training.view_corpus", _collect),
    ("training.view_example", _curate),
    ("training.view_datasetversion", _freeze),
    ("training.view_trainingrun", _train),
    ("training.view_modelversion", _activate),
    ("chat.view_rating", _listen),
)


def add_loop(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's dashboard callback: the stations that this person may see."""
    user = request.user
    context["loop"] = [make() for permission, make in STEPS if isinstance(user, User) and user.has_perm(permission)]
    return context


# --- the side bar ---------------------------------------------------------------------------------------------------


def _item(title: Promise | str, icon: str, app: str, model: str) -> dict[str, Any]:
    def may_see(request: HttpRequest) -> bool:
        return isinstance(request.user, User) and request.user.has_perm(f"{app}.view_{model}")

    link = reverse_lazy(f"admin:{app}_{model}_changelist")
    return {"title": title, "icon": icon, "link": link, "permission": may_see}


NAVIGATION: list[dict[str, Any]] = [
    {
        "title": gettext_lazy("Data"),
        "separator": True,
        "items": [
            _item(gettext_lazy("Corpora"), "upload_file", "training", "corpus"),
            _item(gettext_lazy("Collections"), "travel_explore", "training", "collection"),
            _item(gettext_lazy("Examples"), "fact_check", "training", "example"),
            _item(gettext_lazy("Checks"), "rule", "training", "check"),
            _item(gettext_lazy("Statistics"), "bar_chart", "training", "statistics"),
            _item(gettext_lazy("Cleaning recipes"), "cleaning_services", "training", "recipe"),
            _item(gettext_lazy("Word lists"), "list_alt", "training", "wordlist"),
            _item(gettext_lazy("Dataset versions"), "ac_unit", "training", "datasetversion"),
        ],
    },
    {
        "title": gettext_lazy("Models"),
        "separator": True,
        "items": [
            _item(gettext_lazy("Training runs"), "model_training", "training", "trainingrun"),
            _item(gettext_lazy("Models"), "rocket_launch", "training", "modelversion"),
        ],
    },
    {
        "title": gettext_lazy("Feedback"),
        "separator": True,
        "items": [
            _item(gettext_lazy("Ratings"), "thumbs_up_down", "chat", "rating"),
            _item(gettext_lazy("Rewrites"), "edit_note", "chat", "rewrite"),
            _item(gettext_lazy("Reports"), "flag", "chat", "flag"),
            _item(gettext_lazy("Answers"), "forum", "chat", "generation"),
        ],
    },
    {
        "title": gettext_lazy("Site"),
        "separator": True,
        "items": [
            _item(gettext_lazy("Users"), "person", "auth", "user"),
            _item(gettext_lazy("Groups"), "group", "auth", "group"),
            _item(gettext_lazy("API keys"), "key", "training", "apikey"),
        ],
    },
]


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Unfold's side bar: groups in which this person may see nothing are left out."""
    return [group for group in NAVIGATION if any(item["permission"](request) for item in group["items"])]
