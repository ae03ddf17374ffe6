"""The forms that begin a collection, one a source. They word and convert; training.collect.job checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldAdminURLInputWidget,
    UnfoldBooleanWidget,
)

from training import wording
from training.collect import job, settings
from training.ml.errors import PipelineError
from training.models import Collection

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

Source = Collection.Source
_MOST_SHOWN = 5


def _text(label: _StrPromise, help_text: _StrPromise, **more: Any) -> forms.CharField:
    return forms.CharField(
        label=label,
        help_text=help_text,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        **({"max_length": 300} | more),
    )


def _lines(label: _StrPromise, help_text: _StrPromise, rows: int) -> forms.CharField:
    return forms.CharField(
        label=label, help_text=help_text, required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": rows})
    )


def _count(
    limits: settings.Range, label: _StrPromise, help_text: _StrPromise, usual: int | None = None
) -> forms.IntegerField:
    return forms.IntegerField(
        label=label,
        help_text=help_text,
        initial=usual or limits.usual,
        min_value=int(limits.least),
        max_value=int(limits.most),
        widget=UnfoldAdminIntegerFieldWidget,
    )


def _reply_pages() -> forms.IntegerField:
    return _count(
        settings.REPLY_PAGES,
        _("Pages of replies"),
        _("For each post, and for each reply that was answered. 0: posts only, no dialogues."),
    )


def cookie_field() -> forms.CharField:
    return forms.CharField(
        label=_("Cookie"),
        required=False,
        # What was typed is not sent back, not even when the form is shown again.
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"}, render_value=False),
        help_text=_(
            "Your own, from your browser: sign in there, open the developer tools, copy the request header “Cookie”. "
            "It is sent to this site alone, never shown or logged, and forgotten when the collection is done."
        ),
    )


class CollectionForm(forms.Form):
    """What every source is asked."""

    source: ClassVar[str]
    own: ClassVar[tuple[str, ...]]
    shared: ClassVar[tuple[str, ...]] = ("delay_seconds", "concurrency", "robots", "allow")

    name = _text(_("Name"), _("Empty: source and topic."), max_length=200)
    licence = _text(
        _("Licence"),
        _("What you may do with these texts, in a few words. It is kept with every row and every model."),
        max_length=120,
    )
    delay_seconds = forms.FloatField(
        label=_("Pause between requests"),
        initial=settings.DELAY_SECONDS.usual,
        min_value=settings.DELAY_SECONDS.least,
        max_value=settings.DELAY_SECONDS.most,
        widget=UnfoldAdminDecimalFieldWidget(attrs={"step": "any"}),
        help_text=_("In seconds, to one site. A site that says it is busy is left alone for longer."),
    )
    concurrency = _count(
        settings.CONCURRENCY, _("Requests at once"), _("More than one is faster, and less polite to a small site.")
    )
    robots = forms.BooleanField(
        label=_("Obey robots.txt"),
        initial=True,
        required=False,
        widget=UnfoldBooleanWidget,
        help_text=_("What a site asks robots to leave alone is left alone. Turn it off only with the site's leave."),
    )
    allow = _lines(
        _("Private addresses that are allowed"),
        _(
            "Your own network and this machine are never asked, also not after a redirect. To collect from a server of "
            "your own, write its address, as 10.1.2.3 or 10.1.2.0/24, one a line."
        ),
        2,
    )

    def parameters(self) -> dict[str, Any]:
        """As they are stored: plain JSON, without what was left empty."""
        names = (*self.own, *self.shared)
        given = {name: self.cleaned_data[name] for name in names if self.cleaned_data.get(name) not in (None, "")}
        return {name: value.splitlines() if name in ("urls", "allow") else value for name, value in given.items()}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors:
            try:
                job.read(self.source, self.parameters())
            except PipelineError as error:
                self.complain(error)
        return cleaned

    def complain(self, error: PipelineError) -> None:
        """Beside the field that it is about."""
        field = error.facts.get("field")
        self.add_error(field if field in self.fields else None, ValidationError(wording.error_text(error)))

    def shown(self, *names: str) -> list[forms.BoundField]:
        return [self[name] for name in names if name in self.fields]

    @property
    def own_fields(self) -> list[forms.BoundField]:
        return self.shown(*self.own, "cookie")

    @property
    def shared_fields(self) -> list[forms.BoundField]:
        return self.shown("name", "licence", *self.shared)


class WeiboForm(CollectionForm):
    source = Source.WEIBO_TOPIC.value
    own = ("topic", "pages", "reply_pages")

    topic = _text(_("Topic"), _("Without the # signs, for example 重阳节."), max_length=settings.LONGEST_TOPIC)
    pages = _count(settings.PAGES, _("Pages of posts"), _("A page usually has about ten posts."))
    reply_pages = _reply_pages()
    cookie = cookie_field()


class DoubanForm(CollectionForm):
    source = Source.DOUBAN_GROUP.value
    own = ("group", "pages", "reply_pages")

    group = _text(_("Douban group"), _("Its address, https://www.douban.com/group/NAME/, or only the NAME."))
    pages = _count(settings.PAGES, _("Pages of topics"), _("A page usually has 25 topics."))
    reply_pages = _reply_pages()
    cookie = cookie_field()


class FeedForm(CollectionForm):
    source = Source.FEED.value
    own = ("urls", "pages")

    urls = _lines(_("Addresses of feeds"), _("RSS or Atom, one address a line."), 4)
    pages = _count(settings.PAGES, _("Older pages"), _("How far back, for a feed that has older pages."))


class PagesForm(CollectionForm):
    source = Source.PAGES.value
    own = ("urls", "sitemap", "pages", "question", "answer", "title", "text")

    urls = _lines(_("Addresses of pages"), _("One a line. Or name a site map instead."), 4)
    sitemap = forms.URLField(
        label=_("Site map"),
        required=False,
        assume_scheme="https",
        widget=UnfoldAdminURLInputWidget,
        help_text=_("Usually https://the-site/sitemap.xml. Pages of other sites in it are passed over."),
    )
    pages = _count(settings.PAGES, _("Pages at most"), _("Of a site map only."), usual=100)
    question = _text(
        _("Selector of the question"),
        _("CSS, for example: dl.faq dt. Each match is a question; the answers follow in the same order."),
    )
    answer = _text(_("Selector of the answer"), _("CSS, for example: dl.faq dd. There must be as many as questions."))
    title = _text(_("Selector of the title"), _("CSS, for example: h1. For pages without questions; may be empty."))
    text = _text(_("Selector of the text"), _("CSS, for example: article p. For pages without questions."))


FORMS: dict[str, type[CollectionForm]] = {form.source: form for form in (WeiboForm, DoubanForm, FeedForm, PagesForm)}
NOTES: dict[str, _StrPromise] = {
    Source.WEIBO_TOPIC.value: _(
        "Whether Weibo's terms allow you to gather posts and to train on them is for you to find out. Posts are "
        "personal data: mask names and numbers with the cleaning recipe before you train. The interface of the mobile "
        "site is promised by nobody: it may change or refuse at any time."
    ),
    Source.DOUBAN_GROUP.value: _(
        "Whether Douban's terms allow it is for you to find out, and its robots.txt may forbid it. Ask for leave, or "
        "gather only groups whose members agreed. Posts are personal data: clean them before you train."
    ),
    Source.FEED.value: _(
        "A feed is meant to be read by programs, but its texts stay their authors'. Where the feed names a licence it "
        "is kept with each row, unless you name one here."
    ),
    Source.PAGES.value: _(
        "Best for your own organisation's pages: its FAQ, help and news. For other people's pages ask first; their "
        "texts stay theirs."
    ),
}


def parameter_rows(collection: Collection) -> Iterator[tuple[str, Any]]:
    """The parameters as people read them: label and value."""
    fields = FORMS[collection.source].base_fields
    for name, value in collection.parameters.items():
        label = fields[name].label if name in fields else name
        yield str(label), _shown(value)


def _shown(value: Any) -> Any:
    if isinstance(value, bool):
        return gettext("Yes") if value else gettext("No")
    if not isinstance(value, list):
        return value
    more = ["…"] if len(value) > _MOST_SHOWN else []
    return ", ".join([*value[:_MOST_SHOWN], *more])
