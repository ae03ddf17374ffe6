"""Cleaning recipes and word lists in the admin: steps in their order, each with what it does to the operator's rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from training import recipes, wording
from training.admin import recipe_editor
from training.admin.pages import DataAdmin, user_of
from training.admin.recipe_editor import Editor
from training.admin.word_list_form import WordListForm
from training.ml import clean
from training.ml.errors import PipelineError
from training.ml.records import Record
from training.models import Corpus, DatasetVersion, Recipe, WordList

_SHOWN_WORDS = 300
_PASTED = "pasted"


@admin.register(Recipe)
class RecipeAdmin(DataAdmin):
    list_display = ("name", "steps_shown", "versions_shown", "parent", "owner", "created_at")
    search_fields = ("name", "sha256")
    list_select_related = ("owner", "parent")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Recipe]:
        rows: QuerySet[Recipe] = super().get_queryset(request).annotate(uses=Count("datasetversion"))
        return rows

    @display(description=_("steps"))
    def steps_shown(self, recipe: Recipe) -> str:
        return "; ".join(wording.step_label(step) for step in recipe.steps) or "–"

    @display(description=_("dataset versions"), ordering="uses")
    def versions_shown(self, recipe: Recipe) -> int:
        return int(getattr(recipe, "uses", 0))

    def has_delete_permission(self, request: HttpRequest, obj: Recipe | None = None) -> bool:
        return False  # versions name the recipe they were made by

    # --- pages ---

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.require_add(request)
        return self._edit(request, None)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.require_view(request)
        recipe = self.get_object(request, object_id)
        if recipe is None:
            raise Http404
        return self._edit(request, recipe)

    def _edit(self, request: HttpRequest, recipe: Recipe | None) -> HttpResponse:
        asked = request.POST.get("do", "")
        if request.method == "POST":
            editor = recipe_editor.from_post(request.POST)
            recipe_editor.change(editor, asked, request.POST.get("new", ""))
        else:
            editor = recipe_editor.from_steps(recipe.steps if recipe else clean.DEFAULT.steps)
        if asked == "save" and editor.is_right and (saved := self._save(request, editor, recipe)):
            return _to_page(saved)
        recipe_editor.look(editor, _sample(request))
        # A script asks for the editor alone and puts it in the place of the old one.
        template = "recipe_editor.html" if "X-Editor" in request.headers else "recipe_page.html"
        return self.show(request, template, **_context(request, editor, recipe), **self._page(request, recipe))

    def _page(self, request: HttpRequest, recipe: Recipe | None) -> dict[str, Any]:
        return {
            "title": recipe.name if recipe else gettext("New cleaning recipe"),
            "recipe": recipe,
            "outdated": _why_not_runnable(recipe),
            "uses": DatasetVersion.objects.filter(recipe=recipe)[:10] if recipe else (),
            "may_save": self.has_add_permission(request),
        }

    def _save(self, request: HttpRequest, editor: Editor, parent: Recipe | None) -> Recipe | None:
        self.require_add(request)
        try:
            recipe, is_new = recipes.save(
                editor.choices, name=request.POST.get("name", ""), owner=user_of(request), parent=parent
            )
        except PipelineError as error:
            messages.error(request, wording.error_text(error))
            return None
        if is_new:
            messages.success(request, gettext("The recipe was saved. Choose it when you freeze."))
        else:
            text = gettext("Nothing new: these steps are already stored as “%(name)s”.")
            messages.info(request, text % {"name": recipe.name})
        return recipe


def _to_page(recipe: Recipe) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:training_recipe_change", args=(recipe.pk,)))


def _why_not_runnable(recipe: Recipe | None) -> str:
    try:
        _ = recipes.runnable(recipe).ready
    except PipelineError as error:
        return wording.error_text(error)
    return ""


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0  # noqa: PLR2004 (what the database takes)


def _seed(request: HttpRequest) -> int:
    return _number(request.POST.get("seed", "")) + (request.POST.get("do") == "other")


def _sample(request: HttpRequest) -> Sequence[Record]:
    """The rows to show the steps on: pasted ones, or examples of a corpus or of all."""
    source = request.POST.get("source", "")
    if source == _PASTED:
        return recipes.pasted(request.POST.get("pasted", ""))
    if not request.user.has_perm("training.view_example"):
        return []
    return recipes.sample(corpus=_number(source) or None, seed=_seed(request))


def _context(request: HttpRequest, editor: Editor, recipe: Recipe | None) -> dict[str, Any]:
    """What was typed beside the steps comes back as it was."""
    corpora = Corpus.objects.filter(status=Corpus.Status.READY).values_list("pk", "name")
    return {
        "editor": editor,
        "offered": recipe_editor.offered(),
        "new": request.POST.get("new", ""),
        "name": request.POST.get("name", recipe.name if recipe else ""),
        "source": request.POST.get("source", ""),
        "sources": [(str(pk), name) for pk, name in corpora],
        "pasted": request.POST.get("pasted", ""),
        "seed": _seed(request),
    }


# --- word lists -----------------------------------------------------------------------------------------------------


@admin.register(WordList)
class WordListAdmin(DataAdmin):
    list_display = ("name", "use", "words", "owner", "created_at")
    list_filter = ("use",)
    search_fields = ("name",)
    list_select_related = ("owner",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[WordList]:
        rows: QuerySet[WordList] = super().get_queryset(request).defer("text")
        return rows

    def has_delete_permission(self, request: HttpRequest, obj: WordList | None = None) -> bool:
        return False  # recipes name it

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.require_add(request)
        form = WordListForm(request.POST or None, request.FILES or None, initial={"use": request.GET.get("use", "")})
        if request.method == "POST" and form.is_valid() and (added := self._add(request, form)):
            return HttpResponseRedirect(reverse("admin:training_wordlist_change", args=(added.pk,)))
        return self.show(request, "word_list_add.html", title=gettext("Add a word list"), form=form)

    def _add(self, request: HttpRequest, form: WordListForm) -> WordList | None:
        data = form.cleaned_data
        try:
            words, is_new = recipes.add_word_list(
                form.content(), name=data["name"], use=data["use"], owner=user_of(request)
            )
        except PipelineError as error:
            form.add_error("file" if data["file"] else "text", wording.error_text(error))
            return None
        if not is_new:
            text = gettext("Nothing new: these words are already stored as “%(name)s”.")
            messages.info(request, text % {"name": words.name})
        return words

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.require_view(request)
        words = self.get_object(request, object_id)
        if words is None:
            raise Http404
        shown = words.text.split("\n", _SHOWN_WORDS)[:_SHOWN_WORDS]
        return self.show(
            request,
            "word_list_page.html",
            title=words.name,
            words=words,
            shown=[word for word in shown if word],
            more=max(0, words.words - _SHOWN_WORDS),
            used_by=recipes.users_of(words),
        )
