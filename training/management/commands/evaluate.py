"""`manage.py evaluate MODEL DATASET`: measure a model on held-out rows and keep the figures."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from training import evaluations, wording
from training.management import lookup
from training.ml.errors import PipelineError
from training.models import Evaluation


class Command(BaseCommand):
    help = "Measure a model on the held-out rows of a frozen version. Figures that are known are not computed again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", help="name, id, or `active`")
        parser.add_argument("dataset", help="name, number or hash")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        model, dataset = lookup.model(options["model"]), lookup.dataset(options["dataset"])
        try:
            evaluations.measure(model, dataset)
        except PipelineError as error:
            raise CommandError(wording.error_text(error)) from error
        rows = evaluations.in_reading_order(Evaluation.objects.filter(model=model, dataset=dataset))
        facts = [{"split": row.split, "metric": row.metric, "value": row.value, "n": row.n} for row in rows]
        lines = [f"{fact['split']:<12} {fact['metric']:<20} {fact['value']:.4f}  (n = {fact['n']})" for fact in facts]
        self.stdout.write(lookup.as_json(facts) if options["json"] else "\n".join(lines))
