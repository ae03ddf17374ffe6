"""How commands name things: a model by name, id or `active`, a version by name, number or hash, a run by number."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError
from django.db.models import Q

from training.models import DatasetVersion, ModelVersion, TrainingRun


def model(text: str) -> ModelVersion:
    wanted = Q(is_active=True) if text == "active" else Q(name=text) | Q(uid=text)
    found = ModelVersion.objects.filter(wanted).first()
    if found is None:
        raise CommandError(f"There is no model {text!r}.")
    return found


def dataset(text: str) -> DatasetVersion:
    wanted = Q(name=text) | Q(sha256=text)
    if text.isdecimal():
        wanted |= Q(pk=int(text))
    found = DatasetVersion.objects.filter(wanted).first()
    if found is None:
        raise CommandError(f"There is no dataset version {text!r}.")
    return found


def run(number: int) -> TrainingRun:
    found = TrainingRun.objects.select_related("base", "dataset").filter(pk=number).first()
    if found is None:
        raise CommandError(f"There is no run {number}.")
    return found


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)
