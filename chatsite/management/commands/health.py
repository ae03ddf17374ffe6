"""`manage.py health`: is the running site well? Exit status 0 says yes."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

import httpx
from django.core.management import BaseCommand

from chatsite.env import read_environment


class Command(BaseCommand):
    help = "Ask the running site whether the database, the engine, the worker and the disk are well."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", help="address of the site (default: this machine, CHATSITE_PORT)")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        url = options["url"] or f"http://127.0.0.1:{read_environment().port}"
        try:
            found = httpx.get(f"{url.rstrip('/')}/readyz", timeout=10, trust_env=False).json()
        except (httpx.HTTPError, ValueError) as error:
            found = {"status": "unreachable", "site": f"{url}: {type(error).__name__}"}
        self.stdout.write(json.dumps(found) if options["json"] else "\n".join(f"{k:<9} {v}" for k, v in found.items()))
        if found["status"] != "ok":
            sys.exit(1)
