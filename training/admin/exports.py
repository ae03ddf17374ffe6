"""Downloads: a version or the chosen examples in any format, streamed; what each format can hold is told before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import asdict
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.core.handlers.asgi import ASGIRequest
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from training import exports, wording
from training.admin.pages import DataAdmin
from training.filters import Filter
from training.ml.errors import PipelineError
from training.ml.export import WRITERS, Outgoing
from training.ml.records import SPLITS, Kind
from training.models import DatasetVersion, Example
from training.narration import split_name

_TEMPLATE = "export_page.html"


class VersionExports(DataAdmin):
    """The download page of a frozen version."""

    def export_pages(self) -> list[URLPattern]:
        return [self.page("<int:pk>/export/", self.export_view, "export")]

    def export_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        self.require_view(request)
        version = get_object_or_404(DatasetVersion, pk=pk, status=DatasetVersion.Status.FROZEN)
        back = reverse("admin:training_datasetversion_change", args=(pk,))
        name, split = request.GET.get("format", ""), request.GET.get("split", "")
        try:
            rows = exports.rows_of_version(version, split)
        except PipelineError as error:
            messages.error(request, wording.error_text(error))
            return HttpResponseRedirect(back)
        kinds: list[Kind] = [version.kind]  # type: ignore[list-item]
        if name in {writer.name for writer in exports.formats_for(kinds)}:
            stem = "-".join(part for part in (version.name, version.sha256[:12], split) if part)
            return streamed(request, rows, name, stem)
        splits = [("", gettext("All rows")), *((each, split_name(each)) for each in SPLITS)]
        title = gettext("Download “%(name)s”") % {"name": version.name}
        context = {"title": title, "splits": splits, "back": back, "formats": choices(rows, kinds)}
        return self.show(request, _TEMPLATE, **context)


class ExampleExports(DataAdmin):
    """Downloads of the list of examples: of all that are listed, and of the chosen ones."""

    def export_pages(self) -> list[URLPattern]:
        return [self.page("export/", self.export_view, "export")]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        self.require_view(request)
        chosen = Filter.read(request.GET)
        context = {
            "title": gettext("Download all that are listed"),
            "kept": [(name, value) for name, value in asdict(chosen).items() if value],
            "back": f"{reverse('admin:training_example_changelist')}?{chosen.query()}",
        }
        return self._export(request, chosen.rows(), request.GET.get("format", ""), context)

    @action(description=_("Download the chosen examples"), permissions=("view",))
    def export_chosen(self, request: HttpRequest, rows: QuerySet[Example]) -> HttpResponseBase:
        """The page posts the same choice again, with a format."""
        context = {
            "title": gettext("Download the chosen examples"),
            "kept": _posted(request),
            "by_post": True,
            "back": request.get_full_path(),
        }
        return self._export(request, rows, request.POST.get("format", ""), context)

    def _export(
        self, request: HttpRequest, rows: QuerySet[Example], name: str, context: dict[str, Any]
    ) -> HttpResponseBase:
        kinds = exports.kinds_of(rows)
        if name in {writer.name for writer in exports.formats_for(kinds)}:
            return streamed(request, exports.rows_of(rows), name, "examples")
        return self.show(request, _TEMPLATE, formats=choices(exports.rows_of(rows), kinds), **context)


def _posted(request: HttpRequest) -> list[tuple[str, str]]:
    """The fields by which the list knows which examples were chosen."""
    names = ("action", "select_across", "index", "_selected_action")
    return [(name, str(value)) for name in names for value in request.POST.getlist(name)]


def choices(rows: Iterable[Outgoing], kinds: list[Kind]) -> dict[str, Any]:
    """The formats for a page: each with its title and how many of the rows that were tried it can hold."""
    tried, held = exports.try_out(rows, kinds)
    options = [
        {
            "name": writer.name,
            "title": gettext(writer.title),
            "suffix": writer.suffix,
            "held": held[writer.name],
            "lost": tried - held[writer.name],
        }
        for writer in exports.formats_for(kinds)
    ]
    return {"options": options, "tried": tried, "part": tried == exports.ROWS_TRIED}


def streamed(request: HttpRequest, rows: Iterable[Outgoing], name: str, stem: str) -> StreamingHttpResponse:
    """The file as a download that is written while it is sent."""
    pieces = exports.write(rows, name)
    # Each server takes only its own sort of iterator without collecting it whole.
    content = _async(pieces) if isinstance(request, ASGIRequest) else pieces
    return StreamingHttpResponse(
        content,
        content_type=WRITERS[name].content_type,
        headers={
            "Content-Disposition": f'attachment; filename="{exports.file_name(stem, name)}"',
            "X-Content-Type-Options": "nosniff",
        },
    )


async def _async(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    pull = sync_to_async(lambda: next(pieces, None))
    while (piece := await pull()) is not None:
        yield piece
