"""The curators' and operators' side: corpora, examples, versions, runs, models."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings
from django.utils.translation import gettext_lazy as _


class TrainingConfig(AppConfig):
    name = "training"
    verbose_name = _("Training")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from training import serving

        # Read at each call: tests and `up` move the engine.
        serving.locate_with(lambda: (settings.ENGINE_URL, settings.ENGINE_SECRET))
