"""`manage.py add_base DIRECTORY`: check, adopt and register a model directory as a base."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from training import registry, wording
from training.management import lookup
from training.ml.errors import PipelineError


class Command(BaseCommand):
    help = "Check a Hugging Face model directory, copy it, give it what a chat needs, and register it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", type=Path)
        parser.add_argument("--name", help="default: the directory's name")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        directory = options["directory"].expanduser().resolve()
        try:
            model = registry.add_base(directory, name=options["name"] or directory.name)
        except PipelineError as error:
            raise CommandError(wording.error_text(error)) from error
        facts = {"uid": model.uid, "name": model.name, "parameters": model.parameters}
        self.stdout.write(lookup.as_json(facts) if options["json"] else f"{model.name} is registered as {model.uid}.")
