"""The pages that belong to no side: health, metrics, and the set-up page of the first administrator."""

from __future__ import annotations

import hmac
from http import HTTPStatus

import prometheus_client
from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.forms import UserCreationForm
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from chatsite import firstadmin, health


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """This process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """Everything an answer needs is there; 503 and the reason where something is not."""
    findings = health.examine()
    is_ready = not any(finding.problem for finding in findings)
    body = {"status": "ok" if is_ready else "unready"} | {item.name: item.problem or "ok" for item in findings}
    return JsonResponse(body, status=HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE)


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' text format, for who sends CHATSITE_METRICS_TOKEN; while none is set, for staff."""
    wanted, sent = settings.METRICS_TOKEN, request.headers.get("Authorization", "")
    may_read = hmac.compare_digest(sent.encode(), f"Bearer {wanted}".encode()) if wanted else request.user.is_staff
    if not may_read:
        return HttpResponse(status=HTTPStatus.UNAUTHORIZED)
    return HttpResponse(prometheus_client.generate_latest(), content_type=prometheus_client.CONTENT_TYPE_LATEST)


class FirstAdministratorForm(UserCreationForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ("username",)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def setup(request: HttpRequest, token: str) -> HttpResponse:
    """Works once: a used, replaced or wrong link says so and shows no form."""
    if not firstadmin.is_valid(token):
        return render(request, "site/setup_used.html", status=HTTPStatus.GONE)
    form = FirstAdministratorForm(request.POST or None)
    if not form.is_valid():
        return render(request, "site/setup.html", {"form": form, "token": token})
    user = form.save(commit=False)
    if not firstadmin.make_first_administrator(user, token=token):
        return render(request, "site/setup_used.html", status=HTTPStatus.GONE)
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return redirect("/")
