"""The review queue: a page that works by keyboard, mouse and finger, and the answers that its script asks for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from training import review, scores, search, wording
from training.admin.pages import DataAdmin, bubbles, filter_choices, user_of
from training.filters import Filter
from training.ml.errors import PipelineError
from training.ml.words import marked
from training.models import Example, Finding

PRELOADED = 3
_MOST_GIVEN_BACK = 50
DECISIONS = {"approve": Example.Status.APPROVED, "reject": Example.Status.REJECTED}


class ReviewPages(DataAdmin):
    """What the admin of examples has of the queue."""

    def review_pages(self) -> list[URLPattern]:
        return [
            self.page("review/", self.review_view, "review"),
            self.page("review/next/", self.review_next_view, "review_next"),
            self.page("review/release/", require_POST(self.review_release_view), "review_release"),
            self.page("review/<int:pk>/", self.review_item_view, "review_item"),
            self.page("review/<int:pk>/decide/", require_POST(self.review_decide_view), "review_decide"),
            self.page("review/<int:pk>/undo/", require_POST(self.review_undo_view), "review_undo"),
            self.page("review/<int:pk>/score/", require_POST(self.review_score_view), "review_score"),
            self.page("review/<int:pk>/swap/", require_POST(self.review_swap_view), "review_swap"),
        ]

    def review_view(self, request: HttpRequest) -> HttpResponse:
        self.require_change(request)
        # Without a choice of one's own: what waits for somebody to look at it.
        chosen = Filter.read(request.GET or {"status": Example.Status.DRAFT})
        context = {
            "filter": chosen,
            "choices": filter_choices(),
            "list_query": chosen.query(),
            "shown": asdict(chosen),
            "urls": _urls(),
        }
        return self.show(request, "review.html", title=gettext("Review"), **context)

    def review_next_view(self, request: HttpRequest) -> JsonResponse:
        self.require_change(request)
        chosen, user = Filter.read(request.GET), user_of(request)
        after = _number(request.GET.get("after"))
        if "count" not in request.GET:
            rows = review.take(user, chosen, after=after, count=PRELOADED)
            return JsonResponse({"items": [item(row, chosen.q) for row in rows]})
        rows, count = review.begin(user, chosen, after=after, count=PRELOADED)
        counted = {"left": min(count, review.MOST_COUNTED), "more": count > review.MOST_COUNTED}
        return JsonResponse({"items": [item(row, chosen.q) for row in rows]} | counted)

    def review_item_view(self, request: HttpRequest, pk: int) -> JsonResponse:
        self.require_change(request)
        row = get_object_or_404(Example, pk=pk)
        review.lease(user_of(request), [pk])
        return JsonResponse(item(row, Filter.read(request.GET).q))

    def review_release_view(self, request: HttpRequest) -> JsonResponse:
        self.require_change(request)
        keys = [_number(pk) for pk in request.POST.getlist("pk")[:_MOST_GIVEN_BACK]]
        review.release(user_of(request), keys)
        return JsonResponse({})

    def review_decide_view(self, request: HttpRequest, pk: int) -> JsonResponse:
        def decide(sent: dict[str, Any]) -> dict[str, Any]:
            decided = review.decide(
                pk,
                DECISIONS[sent["decision"]],
                row_version=int(sent["row_version"]),
                user=user_of(request),
                reason=str(sent.get("reason", ""))[:500],
                texts={str(place): str(text) for place, text in sent.get("texts", {}).items()},
            )
            return {"item": item(decided.example, ""), "since": decided.since}

        return self._answer(request, pk, decide)

    def review_undo_view(self, request: HttpRequest, pk: int) -> JsonResponse:
        def undo(sent: dict[str, Any]) -> dict[str, Any]:
            row = review.undo(
                pk,
                since=int(sent["since"]),
                status=Example.Status(sent["status"]),
                row_version=int(sent["row_version"]),
                user=user_of(request),
            )
            return {"item": item(row, str(sent.get("q", "")))}

        return self._answer(request, pk, undo)

    def review_score_view(self, request: HttpRequest, pk: int) -> JsonResponse:
        def score(sent: dict[str, Any]) -> dict[str, Any]:
            row = scores.score(pk, str(sent["answer"]), int(sent["value"]), user=user_of(request))
            return {"item": item(row, str(sent.get("q", "")))}

        return self._answer(request, pk, score)

    def review_swap_view(self, request: HttpRequest, pk: int) -> JsonResponse:
        def swap(sent: dict[str, Any]) -> dict[str, Any]:
            row = scores.swap(pk, row_version=int(sent["row_version"]), user=user_of(request))
            return {"item": item(row, str(sent.get("q", "")))}

        return self._answer(request, pk, swap)

    def _answer(self, request: HttpRequest, pk: int, verb: Callable[[dict[str, Any]], dict[str, Any]]) -> JsonResponse:
        """The verb's answer; or why not, in words, and the row as it is now."""
        self.require_change(request)
        row = get_object_or_404(Example, pk=pk)
        try:
            return JsonResponse(verb(json.loads(request.body)))
        except PipelineError as error:
            row.refresh_from_db()
            return JsonResponse({"error": wording.error_text(error), "item": item(row, "")}, status=409)
        except (AttributeError, KeyError, TypeError, ValueError):
            return JsonResponse({"error": gettext("The page and the site do not fit. Load it again.")}, status=400)


def _urls() -> dict[str, str]:
    """Addresses for the script; in those of a row, 0 stands for its number."""
    names = {"next": (), "release": (), "item": (0,), "decide": (0,), "undo": (0,), "score": (0,), "swap": (0,)}
    return {name: reverse(f"admin:training_example_review_{name}", args=key) for name, key in names.items()}


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 19 else 0  # noqa: PLR2004


def item(example: Example, words: str) -> dict[str, Any]:
    """One example as the page's script shows it."""
    wanted = search.asked(words) if words else []
    marks = scores.current(example)
    answers = scores.answers_of(example.kind, example.body)
    texts = zip(review.texts_of(example.body), bubbles(example.body), strict=True)
    return {
        "pk": example.pk,
        "url": reverse("admin:training_example_change", args=(example.pk,)),
        "row_version": example.row_version,
        "status": example.status,
        "label": example.get_status_display(),
        "kind": example.get_kind_display(),
        "source": [str(part) for part in (example.corpus or "", *example.tags) if part],
        "margin": example.body.get("margin"),
        "upside_down": scores.is_upside_down(example),
        "findings": [_finding(row) for row in example.findings.filter(state=Finding.State.OPEN)[:20]],
        "texts": [
            {
                "place": place,
                "role": bubble["role"],
                "name": bubble["name"],
                "text": bubble["text"],
                "parts": marked(bubble["text"], wanted) if wanted else [(False, bubble["text"])],
                "answer": place in answers,
                "score": marks.get(place),
            }
            for place, bubble in texts
        ],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity,
        "text": wording.finding_text(finding),
        "place": finding.where.removesuffix(".content"),
    }
