"""`manage.py train_starter CORPUS`: makes the model that a fresh site talks with."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from training import wording
from training.ml.errors import PipelineError

STARTER = Path(settings.BASE_DIR) / "training" / "starter"


class Command(BaseCommand):
    """Thin: the steps are in training.ml.starter_build."""

    help = "Train the starter model from a directory of redistributable text (*.jsonl.gz), with fixed seeds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("corpus", type=Path, help="directory of *.jsonl.gz files")
        parser.add_argument(
            "--work",
            type=Path,
            default=Path(settings.DATA_DIR) / "starter",
            help="where to work; a stopped build goes on there",
        )
        parser.add_argument("--out", type=Path, default=STARTER / "model", help="where the finished model goes")
        parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0 = as many as there are cores")

    def handle(self, **options: Any) -> None:
        if not list(options["corpus"].glob("*.jsonl.gz")):
            raise CommandError(f"{options['corpus']} has no *.jsonl.gz file.")
        # Imported here: other commands must start without torch.
        import torch

        from training.ml import starter_build

        if options["threads"]:
            torch.set_num_threads(options["threads"])
        try:
            model = starter_build.build(options["corpus"], STARTER, options["work"], self.stdout.write)
            starter_build.publish(model, options["work"], options["out"], self.stdout.write)
        except PipelineError as error:
            raise CommandError(wording.error_text(error)) from error
