"""`manage.py run_huey`: huey's own command with as many threads as there are devices, and two for everything else."""

from __future__ import annotations

from typing import Any

from huey.contrib.djhuey.management.commands.run_huey import Command as HueyCommand

from training import devices

# Imports, freezes and the periodic look go on while every device trains.
SPARE_THREADS = 2


class Command(HueyCommand):
    def handle(self, *args: Any, **options: Any) -> None:
        options["workers"] = options.get("workers") or len(devices.slots()) + SPARE_THREADS
        super().handle(*args, **options)
