"""What can be looked at in a frozen version: against another one, as a data card, and token by token."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.core.handlers.asgi import ASGIRequest
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, reverse
from django.utils.text import slugify
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from training import cards, checks, storage, versions, wording
from training.admin.exports import VersionExports
from training.admin.pages import bubbles
from training.differences import Changed, Sides, steps_changed
from training.ml.dataset_diff import CHANGES
from training.ml.errors import PipelineError
from training.ml.pieces import PARTS, seen
from training.ml.records import SPLITS, Split
from training.ml.render import Renderer
from training.models import DatasetVersion, ModelVersion
from training.narration import split_name

PER_PAGE = 10
_CHUNK_LINES = 500
_MOST_DIGITS = 10
CHANGE_NAMES = {
    "added": _("Added"),
    "removed": _("Removed"),
    "changed": _("Changed"),
    "moved": _("In another split"),
}
_MARKS = {"same": "", "new": "+", "gone": "−"}


class VersionPages(VersionExports):
    """The pages of a frozen version beside its own; where its files are damaged, that is said on its own page."""

    def looking_pages(self) -> list[URLPattern]:
        return [
            self.page("<int:pk>/compare/", self.compare_view, "compare"),
            self.page("<int:pk>/card/", self.card_view, "card"),
            self.page("<int:pk>/tokens/", self.tokens_view, "tokens"),
        ]

    def _frozen(self, request: HttpRequest, pk: int) -> DatasetVersion:
        self.require_view(request)
        frozen = DatasetVersion.objects.select_related("recipe", "parent", "owner")
        return get_object_or_404(frozen, pk=pk, status=DatasetVersion.Status.FROZEN)

    # --- against another version ---

    def compare_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        version = self._frozen(request, pk)
        others = DatasetVersion.objects.filter(kind=version.kind, status=DatasetVersion.Status.FROZEN).exclude(pk=pk)
        other = others.filter(pk=_number(request, "with", version.parent_id or 0)).first() or others.first()
        context: dict[str, Any] = {"version": version, "other": other, "others": others}
        title = gettext("Compare “%(name)s”") % {"name": version.name}
        if other is None:
            return self.show(request, "version_compare.html", title=title, **context)
        try:
            sides = Sides(version, other)
        except PipelineError as error:
            return _damaged(request, pk, error)
        if "download" in request.GET:
            name = f"{slugify(version.name) or 'dataset'}-{version.sha256[:12]}-{other.sha256[:12]}.jsonl"
            return text_stream(request, sides.as_lines(), name, "application/jsonl")
        return self.show(request, "version_compare.html", title=title, **context, **_compared(request, sides, version))

    # --- the data card ---

    def card_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        version = self._frozen(request, pk)
        try:
            text = cards.card(version)
        except PipelineError as error:
            return _damaged(request, pk, error)
        if "download" in request.GET:
            name = f"{slugify(version.name) or 'dataset'}-{version.sha256[:12]}.md"
            return text_stream(request, iter([text]), name, "text/markdown")
        title = gettext("Data card of “%(name)s”") % {"name": version.name}
        return self.show(request, "version_card.html", title=title, version=version, text=text)

    # --- token by token ---

    def tokens_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        version = self._frozen(request, pk)
        models = checks.models_that_count()
        model = models.filter(uid=request.GET.get("model", "")).first() or models.first()
        context: dict[str, Any] = {"version": version, "models": models, "model": model}
        context |= {"splits": [(split, split_name(split), version.counts.get(split, 0)) for split in SPLITS]}
        if model is not None:
            try:
                context |= _row_as_tokens(request, version, model)
            except PipelineError as error:
                context["error"] = wording.error_text(error)
        title = gettext("Rows of “%(name)s” as a model sees them") % {"name": version.name}
        return self.show(request, "version_tokens.html", title=title, **context)


def _number(request: HttpRequest, name: str, default: int) -> int:
    text = request.GET.get(name, "")
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else default


def _damaged(request: HttpRequest, pk: int, error: PipelineError) -> HttpResponse:
    messages.error(request, wording.error_text(error))
    return HttpResponseRedirect(reverse("admin:training_datasetversion_change", args=(pk,)))


def _compared(request: HttpRequest, sides: Sides, version: DatasetVersion) -> dict[str, Any]:
    change = request.GET.get("change", "")
    page = Paginator(sides.listed(change), PER_PAGE).get_page(request.GET.get("page"))
    counts = sides.comparison.counts
    other = sides.before
    return {
        "page": page,
        "rows": [_difference(one) for one in sides.shown(list(page))],
        "change": change,
        "changes": [(name, str(CHANGE_NAMES[name]), counts[name]) for name in CHANGES],
        "kept": counts["kept"],
        "steps": [(sort, _MARKS[sort], wording.step_label(step)) for sort, step in steps_changed(version, other)],
        "splits": [(split_name(name), version.counts.get(name, 0), other.counts.get(name, 0)) for name in SPLITS],
    }


def _difference(one: Changed) -> dict[str, Any]:
    return {
        "change": one.change,
        "name": CHANGE_NAMES[one.change],
        "key": one.key,
        "split": split_name(one.split) if one.split else "",
        "split_before": split_name(one.split_before) if one.split_before else "",
        "now": bubbles(one.now) if one.now else [],
        "before": bubbles(one.before) if one.before else [],
    }


def _row_as_tokens(request: HttpRequest, version: DatasetVersion, model: ModelVersion) -> dict[str, Any]:
    """The asked row, its place and its neighbours. Raises BadDataset, BadModel."""
    frozen = versions.load(version)
    filled = [split for split in SPLITS if frozen.counts.get(split)]
    split: Split = next((name for name in filled if name == request.GET.get("split")), filled[0])
    number = min(max(1, _number(request, "row", 1)), frozen.counts[split])
    row = frozen.row(split, number - 1)
    views = seen(Renderer.load(storage.model_dir(model.uid)), frozen.kind, row.body)
    return {
        "split": split,
        "number": number,
        "count": frozen.counts[split],
        "key": row.key,
        "views": [(gettext(PARTS[view.part]), view) for view in views],
        "bubbles": bubbles(row.body),
    }


# --- downloads ------------------------------------------------------------------------------------------------------


def text_stream(request: HttpRequest, lines: Iterator[str], name: str, content_type: str) -> StreamingHttpResponse:
    chunks = _chunks(lines)
    # Each server takes only its own sort of iterator without collecting it whole.
    content = _async(chunks) if isinstance(request, ASGIRequest) else chunks
    return StreamingHttpResponse(
        content,
        content_type=f"{content_type}; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _chunks(lines: Iterator[str]) -> Iterator[str]:
    held: list[str] = []
    for line in lines:
        held.append(line)
        if len(held) == _CHUNK_LINES:
            yield "".join(held)
            held = []
    yield "".join(held)


async def _async(chunks: Iterator[str]) -> AsyncIterator[str]:
    pull = sync_to_async(lambda: next(chunks, None))
    while (chunk := await pull()) is not None:
        yield chunk
