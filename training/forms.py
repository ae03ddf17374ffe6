"""The forms of the data pages. They check and word what people type; the verbs do the work."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldAdminURLInputWidget,
    UnfoldBooleanWidget,
)

from training import corpora, versions, wording
from training import tags as tagging
from training.ml import clean
from training.ml import corpus as reader
from training.ml.records import Body
from training.models import Corpus, Example, Recipe

_MOST_RECIPES = 200
ROLES = ("user", "assistant", "system")


def _key() -> str:
    return f"hand:{uuid.uuid4().hex}"


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _tags(text: str) -> list[str]:
    """Tags that people typed, apart by commas (Chinese ones too)."""
    parts = text.replace("，", ",").replace("、", ",").split(",")
    return tagging.tidy(parts)


class ManyFilesWidget(UnfoldAdminFileFieldWidget):
    allow_multiple_selected = True


class ManyFilesField(forms.FileField):
    """One or several files, as a list."""

    widget = ManyFilesWidget

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile[Any]]:
        given = data if isinstance(data, list | tuple) else [data]
        return [super(ManyFilesField, self).clean(file, initial) for file in given]


def format_choices() -> list[tuple[str, Any]]:
    return [("", _("Find out")), *((name, _(entry.title)) for name, entry in reader.FORMATS.items())]


def encoding_choices() -> list[tuple[str, Any]]:
    return [("", _("Find out")), *reader.ENCODING_NAMES.items()]


class ReadAsForm(forms.Form):
    """What a person knows better than the detection."""

    format = forms.ChoiceField(
        label=_("Format"), required=False, choices=format_choices, widget=UnfoldAdminSelectWidget
    )
    encoding = forms.ChoiceField(
        label=_("Encoding"), required=False, choices=encoding_choices, widget=UnfoldAdminSelectWidget
    )

    def options(self) -> dict[str, Any]:
        """As `corpora.options_of` makes them."""
        return corpora.options_of(format=self.cleaned_data["format"], encoding=self.cleaned_data["encoding"])


class UploadForm(ReadAsForm):
    file = ManyFilesField(
        label=_("Files"),
        allow_empty_file=True,  # an empty file is told in the same words as by the command
        help_text=_("One or several. What each of them is will be found out; the list below says what can be read."),
    )
    name = forms.CharField(
        label=_("Name"),
        max_length=200,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Empty: the name of the file. Not used for several files."),
    )
    licence = forms.CharField(
        label=_("Licence"),
        max_length=120,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("May this text be used and passed on? It is kept with every row and every model."),
    )
    source_url = forms.URLField(
        label=_("Source"),
        required=False,
        assume_scheme="https",
        widget=UnfoldAdminURLInputWidget,
        help_text=_("Where the file came from."),
    )


class QuestionForm(forms.Form):
    """One fact: an answer and the ways to ask for it."""

    source_key = forms.CharField(widget=forms.HiddenInput, max_length=60, initial=_key)
    question = forms.CharField(label=_("Question"), widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}))
    answer = forms.CharField(label=_("Answer"), widget=UnfoldAdminTextareaWidget(attrs={"rows": 5}))
    phrasings = forms.CharField(
        label=_("Other ways to ask it"),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text=_("One a line. All ways of asking stay together; some may be held out to test the model on."),
    )
    tags = forms.CharField(
        label=_("Tags"), required=False, widget=UnfoldAdminTextInputWidget, help_text=_("Apart by commas.")
    )
    approve = forms.BooleanField(label=_("Approve at once"), required=False, initial=True, widget=UnfoldBooleanWidget)

    def clean_phrasings(self) -> list[str]:
        return _lines(self.cleaned_data["phrasings"])

    def clean_tags(self) -> list[str]:
        return _tags(self.cleaned_data["tags"])


class DialogueForm(forms.Form):
    """A dialogue by hand; its turns are read by `turns_of`."""

    source_key = forms.CharField(widget=forms.HiddenInput, max_length=60, initial=_key)
    tags = forms.CharField(
        label=_("Tags"), required=False, widget=UnfoldAdminTextInputWidget, help_text=_("Apart by commas.")
    )
    approve = forms.BooleanField(label=_("Approve at once"), required=False, initial=True, widget=UnfoldBooleanWidget)

    def clean_tags(self) -> list[str]:
        return _tags(self.cleaned_data["tags"])


class EditForm(forms.Form):
    """What stands beside the texts of an example. `row_version` is what the editor saw."""

    row_version = forms.IntegerField(widget=forms.HiddenInput)
    group = forms.CharField(
        label=_("Paraphrase group"),
        max_length=80,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Rows that ask for one fact share a group and are never split up."),
    )
    tags = forms.CharField(
        label=_("Tags"), required=False, widget=UnfoldAdminTextInputWidget, help_text=_("Apart by commas.")
    )
    note = forms.CharField(
        label=_("Why"),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("For the history. The row goes back to draft and is approved again."),
    )

    def clean_tags(self) -> list[str]:
        return _tags(self.cleaned_data["tags"])


class FreezeForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=200, widget=UnfoldAdminTextInputWidget)
    kind = forms.ChoiceField(label=_("Kind"), choices=Example.Kind.choices, widget=UnfoldAdminSelectWidget)
    corpora = forms.MultipleChoiceField(
        label=_("Corpora"), required=False, widget=UnfoldAdminCheckboxSelectMultipleWidget, choices=()
    )
    tags = forms.MultipleChoiceField(
        label=_("Tags"),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        choices=(),
        help_text=_("Rows of a chosen corpus or with a chosen tag. Nothing chosen: every approved row of the kind."),
    )
    recipe = forms.ChoiceField(
        label=_("Cleaning recipe"),
        required=False,
        widget=UnfoldAdminSelectWidget,
        choices=(),
        help_text=_("A recipe that was made and tried under “Cleaning recipes”, or the steps that are ticked below."),
    )
    steps = forms.MultipleChoiceField(
        label=_("Cleaning"),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        choices=(),
        initial=list(clean.DEFAULT.steps),
        help_text=_("Done in this order and recorded with the version. Without a good reason leave it as it is."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        ready = Corpus.objects.filter(status=Corpus.Status.READY)
        _offer(self.fields["corpora"], [(str(corpus.pk), corpus.name) for corpus in ready])
        _offer(self.fields["tags"], [(tag, tag) for tag in tagging.in_use()])
        _offer(self.fields["steps"], [(name, wording.step_label(name)) for name in _plain_steps()])
        stored = [(str(recipe.pk), recipe.name) for recipe in Recipe.objects.all()[:_MOST_RECIPES]]
        _offer(self.fields["recipe"], [("", gettext("the steps ticked below")), *stored])

    def selection(self) -> versions.Selection:
        return {
            "corpora": sorted(int(pk) for pk in self.cleaned_data["corpora"]),
            "tags": sorted(self.cleaned_data["tags"]),
        }

    def chosen_recipe(self) -> Recipe:
        """The stored recipe, or that of the ticked steps."""
        pk = self.cleaned_data["recipe"]
        return Recipe.objects.get(pk=pk) if pk else versions.recipe_of(self.cleaned_data["steps"])

    def clean_steps(self) -> list[str]:
        # The browser sends them in the order of the page, which is the order in which they run.
        return [name for name in clean.STEPS if name in self.cleaned_data["steps"]]


def _plain_steps() -> list[str]:
    """Steps that run without a word list, in their newest versions. What mutilates text is chosen in a recipe only."""
    plain = ((name, info) for name, info in clean.STEPS.items() if info.group != "words" and not info.newer)
    return [name for name, info in plain if None not in info.defaults.values()]


def _offer(field: forms.Field, choices: list[tuple[str, str]]) -> None:
    if isinstance(field, forms.ChoiceField):
        field.choices = choices


def turns_of(data: QueryDict) -> list[dict[str, Any]]:
    """The turns of a posted dialogue: parallel lists of role, text and weight; empty turns at the end are no turns."""
    roles, texts = data.getlist("role"), data.getlist("turn")
    weights = data.getlist("weight") or ["1"] * len(texts)
    turns = [_turn(*parts) for parts in zip(roles, texts, weights, strict=False)]
    while turns and not turns[-1]["content"].strip():
        turns.pop()
    if not turns:
        raise ValidationError(gettext("Write at least one question and one answer."))
    return turns


def _turn(role: str, text: str, weight: str) -> dict[str, Any]:
    plain: dict[str, Any] = {"role": role if role in ROLES else "user", "content": text.replace("\r\n", "\n").strip()}
    return plain if weight in ("", "1", "1.0") else plain | {"weight": float(weight)}


def body_of(kind: str, data: QueryDict) -> Body:
    """The content that was posted for an example of a kind. Raises ValidationError."""
    try:
        return _body_of(kind, data)
    except ValueError as error:
        raise ValidationError(gettext("The form was sent incomplete. Open the page again.")) from error


def _body_of(kind: str, data: QueryDict) -> Body:
    def text(name: str) -> str:
        return data.get(name, "").replace("\r\n", "\n").strip()

    match kind:
        case "document":
            return {"text": text("text")}
        case "pair":
            margin = {"margin": float(text("margin"))} if text("margin") else {}
            return {"prompt": turns_of(data), "chosen": text("chosen"), "rejected": text("rejected")} | margin
        case "label":
            desirable = text("desirable") == "1"
            return {"prompt": turns_of(data), "completion": text("completion"), "label": desirable}
        case _:
            return {"messages": turns_of(data)}
