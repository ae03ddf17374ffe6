"""Small pieces of the admin's pages."""

from __future__ import annotations

import uuid
from typing import Any

from django import template

from training import narration, registry

register = template.Library()


@register.inclusion_tag("admin/training/train_again_button.html", takes_context=True)
def train_again_button(context: Any) -> dict[str, Any]:
    """The button of the first visible job; its key makes a second click harmless."""
    return {
        "csrf_token": context.get("csrf_token"),
        "active": registry.active_model(),
        "request_key": uuid.uuid4().hex,
    }


@register.filter
def metric_name(metric: str) -> str:
    return narration.metric_name(metric)


@register.filter
def split_name(split: str) -> str:
    return narration.split_name(split)
