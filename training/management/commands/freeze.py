"""Freeze approved examples into a dataset version, here and now."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from training import versions, wording
from training.ml import clean
from training.ml.errors import PipelineError
from training.models import DatasetVersion, Example, Recipe

POLL_SECONDS = 0.2


class Command(BaseCommand):
    help = "Freeze approved examples: cleaned, split so that nothing leaks, never changed again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--kind", choices=Example.Kind.values, default=Example.Kind.DIALOGUE)
        parser.add_argument("--corpus", type=int, action="append", default=[], help="id of a corpus; may be repeated")
        parser.add_argument("--tag", action="append", default=[], help="rows with this tag; may be repeated")
        parser.add_argument("--step", action="append", choices=list(clean.STEPS), help="cleaning step; may be repeated")
        parser.add_argument("--recipe", type=int, help="id of a stored recipe, in the place of steps")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        version = self._queue(options)
        while version.status in (DatasetVersion.Status.QUEUED, DatasetVersion.Status.FREEZING):
            if not versions.freeze_queued():
                time.sleep(POLL_SECONDS)
            version.refresh_from_db()
        if version.status == DatasetVersion.Status.FAILED:
            raise CommandError(wording.version_error(version))
        facts = {"id": version.pk, "name": version.name, "kind": version.kind, "hash": version.sha256}
        result = facts | {"counts": version.counts, "report": version.report}
        if options["json"]:
            self.stdout.write(json.dumps(result, ensure_ascii=False))
        else:
            counts = ", ".join(f"{split} {count}" for split, count in version.counts.items())
            self.stdout.write(f"{version.name}: {version.sha256}\n{counts}")

    def _queue(self, options: dict[str, Any]) -> DatasetVersion:
        selection: versions.Selection = {"corpora": sorted(options["corpus"]), "tags": sorted(options["tag"])}
        steps = clean.DEFAULT.steps if options["step"] is None else options["step"]
        stored = Recipe.objects.filter(pk=options["recipe"]).first()
        if options["recipe"] and stored is None:
            raise CommandError(f"There is no recipe {options['recipe']}.")
        try:
            return versions.queue_freeze(
                selection,
                name=options["name"],
                kind=options["kind"],
                owner=None,
                recipe=stored or versions.recipe_of(steps),
            )
        except PipelineError as error:
            raise CommandError(wording.error_text(error)) from error
