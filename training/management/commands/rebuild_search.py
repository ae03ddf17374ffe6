"""manage.py rebuild_search: the index by which examples are found by their words, anew from the rows."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from training import search


class Command(BaseCommand):
    help = "Make the word index of the examples anew. The site may go on running; meanwhile fewer rows are found."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        as_json = options["json"]
        count = search.rebuild(lambda done: None if as_json else self.stderr.write(f"\r{done}", ending=""))
        self.stderr.write("")
        self.stdout.write(json.dumps({"examples": count}) if as_json else f"{count} examples are in the index.")
