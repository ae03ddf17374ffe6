"""The trainer's door: `python -m training.child <run> <claim token>`, started by `training.worker`."""

from __future__ import annotations

import os
import sys


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
    django.setup()
    from training.attempt import execute  # needs the apps to be ready

    execute(int(sys.argv[1]), sys.argv[2])


if __name__ == "__main__":
    main()
