"""Write examples or a frozen version to a file in any format."""

from __future__ import annotations

import sys
import uuid
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from training import exports, versions, wording
from training.management import lookup
from training.ml.errors import PipelineError
from training.ml.export import REASONS, WRITERS, Outgoing, Tally
from training.ml.records import SPLITS
from training.models import Corpus, Example


class Command(BaseCommand):
    help = "Write approved examples, a corpus or a frozen version to a file. What a format cannot hold is counted."

    def add_arguments(self, parser: ArgumentParser) -> None:
        source = parser.add_mutually_exclusive_group()
        source.add_argument("--dataset", help="a frozen version: its name, number or hash")
        source.add_argument("--corpus", type=int, help="id of a corpus: every row of it that was not rejected")
        parser.add_argument("--kind", choices=Example.Kind.values, default=Example.Kind.DIALOGUE)
        parser.add_argument("--format", choices=list(WRITERS), default="messages")
        parser.add_argument("--split", choices=SPLITS, default="", help="only this split of a version")
        parser.add_argument("-o", "--output", default="-", help="a file, or - for the standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        tally = Tally()
        try:
            pieces = exports.write(_rows(options), options["format"], tally)
            _put(pieces, options["output"])
        except (PipelineError, OSError) as error:
            raise CommandError(wording.error_text(error)) from error
        self.stderr.write(f"{tally.written} rows were written.")
        for reason, count in tally.left_out.most_common():
            self.stderr.write(f"{count} rows were left out: {REASONS[reason]}.")


def _rows(options: dict[str, Any]) -> Iterable[Outgoing]:
    if options["dataset"]:
        return exports.rows_of_version(lookup.dataset(options["dataset"]), options["split"])
    if options["split"]:
        raise CommandError("--split needs --dataset.")
    if options["corpus"] is None:
        return exports.rows_of(versions.chosen(options["kind"], {}))
    if not Corpus.objects.filter(pk=options["corpus"]).exists():
        raise CommandError(f"There is no corpus {options['corpus']}.")
    rows = Example.objects.filter(corpus=options["corpus"]).exclude(status=Example.Status.REJECTED)
    return exports.rows_of(rows)


def _put(pieces: Iterator[bytes], output: str) -> None:
    """Into a file that is there whole or not at all."""
    if output == "-":
        sys.stdout.buffer.writelines(pieces)
        sys.stdout.buffer.flush()
        return
    target = Path(output)
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        with aside.open("wb") as file:
            file.writelines(pieces)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
