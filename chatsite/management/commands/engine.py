"""`manage.py engine`: the model server alone, for a machine of its own."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management import BaseCommand, CommandError

from chatsite.env import BASE_DIR, read_environment


class Command(BaseCommand):
    help = "Run the model server alone. CHATSITE_ENGINE_SECRET must be the same here and where the site runs."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", help="address to listen on (default: CHATSITE_ENGINE_URL)")

    def handle(self, *args: Any, **options: Any) -> None:
        environment = read_environment()
        url = options["url"] or environment.engine_url
        if not url:
            raise CommandError("Say where to listen: --url http://127.0.0.1:8100 or CHATSITE_ENGINE_URL.")
        if not environment.engine_secret:
            raise CommandError("Set CHATSITE_ENGINE_SECRET; the site needs the same one.")
        told = {
            "CHATSITE_ENGINE_URL": url,
            "CHATSITE_ENGINE_MODELS_DIR": str(environment.models_dir),
            "CHATSITE_ENGINE_DETACHED": "1",
        }
        os.chdir(BASE_DIR)
        os.execvpe(sys.executable, [sys.executable, "-m", "chat.engine"], os.environ | told)  # noqa: S606
