"""One deed for a whole selection: a page that tells how many rows it means, and does it part by part with a bar."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from training import bulk
from training.admin.pages import DataAdmin, filter_choices, user_of
from training.filters import Filter

DEEDS = {
    "approve": _("Approve"),
    "reject": _("Reject"),
    "reopen": _("Put back to draft"),
    "tag": _("Add a tag"),
    "untag": _("Remove a tag"),
}
TEXTS = {"reject": _("Reason"), "reopen": _("Reason"), "tag": _("Tag"), "untag": _("Tag")}


class BulkPages(DataAdmin):
    """What the admin of examples has for many rows at once."""

    def bulk_pages(self) -> list[URLPattern]:
        return [self.page("bulk/", self.bulk_view, "bulk")]

    def bulk_view(self, request: HttpRequest) -> HttpResponse:
        self.require_change(request)
        if request.method == "POST":
            return self._bulk_part(request)
        deed = request.GET.get("deed", "")
        chosen = Filter.read(request.GET)
        if deed not in DEEDS:
            return HttpResponseRedirect(reverse("admin:training_example_changelist") + f"?{chosen.query()}")
        count = chosen.rows().count()
        sentence = ngettext("This is about %(count)d example.", "This is about %(count)d examples.", count)
        context = {
            "deed": deed,
            "label": DEEDS[deed],
            "text_label": TEXTS.get(deed, ""),
            "needs_text": deed in ("tag", "untag"),
            "sentence": sentence % {"count": count},
            "count": count,
            "until": bulk.newest(),
            "list_query": chosen.query(),
            "shown": asdict(chosen),
            "choices": filter_choices(),
        }
        return self.show(request, "example_bulk.html", title=gettext("Change a whole selection"), **context)

    def _bulk_part(self, request: HttpRequest) -> JsonResponse:
        try:
            sent: dict[str, Any] = json.loads(request.body)
            part = bulk.do_part(
                sent["deed"],
                Filter.read(request.GET),
                after=int(sent["after"]),
                until=int(sent["until"]),
                user=user_of(request),
                text=str(sent.get("text", ""))[:500],
            )
        except (AttributeError, KeyError, TypeError, ValueError):
            return JsonResponse({"error": gettext("The page and the site do not fit. Load it again.")}, status=400)
        return JsonResponse(asdict(part))
