"""The form that takes a word list: a file, or words typed in."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from training import recipes
from training.models import WordList


class WordListForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=120, widget=UnfoldAdminTextInputWidget)
    use = forms.ChoiceField(label=_("Used for"), choices=WordList.Use.choices, widget=UnfoldAdminSelectWidget)
    file = forms.FileField(
        label=_("File"),
        required=False,
        allow_empty_file=True,  # an empty list is told in our words
        widget=UnfoldAdminFileFieldWidget,
        help_text=_("One word a line; lines that begin with # are comments. UTF-8, UTF-16 or GB18030."),
    )
    text = forms.CharField(
        label=_("Or write the words here"),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 8}),
        help_text=_("For the segmenter a word may be followed by a space and its frequency."),
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        file, text = data.get("file"), data.get("text", "")
        if not file and not text.strip():
            raise ValidationError(gettext("Choose a file, or write the words."))
        if file and file.size > recipes.MOST_BYTES:
            self.add_error("file", gettext("The file is too big for a list of words."))
        return data

    def content(self) -> bytes:
        file = self.cleaned_data["file"]
        content: bytes = file.read() if file else self.cleaned_data["text"].encode("utf-8", "replace")
        return content
