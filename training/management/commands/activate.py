"""`manage.py activate MODEL`: let a model answer from now on; `--back` returns to the one before."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from training import registry, serving, wording
from training.management import lookup
from training.ml.errors import PipelineError
from training.models import Activation


class Command(BaseCommand):
    help = "Let a model answer from now on. Exit status 2 when the gate is closed, 1 for any other refusal."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", nargs="?", help="name or id")
        parser.add_argument("--back", action="store_true", help="go back to the model before")
        parser.add_argument("--override", metavar="REASON", default="", help="open the gate; the reason is kept")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            activation = self._switch(options)
        except registry.GateBlocked as error:
            raise CommandError(f"The gate is closed. {error}", returncode=2) from error
        except (registry.StaleActivation, PipelineError, serving.EngineError) as error:
            raise CommandError(f"Nothing was changed. {wording.error_text(error)}") from error
        facts = {"model": activation.model.uid, "name": activation.model.name, "gate": activation.gate}
        self.stdout.write(lookup.as_json(facts) if options["json"] else f"{activation.model.name} answers from now on.")

    def _switch(self, options: dict[str, Any]) -> Activation:
        if options["back"]:
            return registry.roll_back(user=None)
        if not options["model"]:
            raise CommandError("Name a model, or say --back.")
        reason = options["override"]
        return registry.activate(
            lookup.model(options["model"]),
            replaces=registry.active_model(),
            user=None,
            override=bool(reason),
            note=reason,
        )
