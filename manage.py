#!/usr/bin/env python
"""The command line of the site: `python manage.py up` starts everything."""

from __future__ import annotations

import os
import sys


def main() -> None:
    if sys.version_info[:2] != (3, 11):
        sys.exit(f"Chatsite needs Python 3.11, this is {sys.version.split()[0]}. Start it with: make run")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
    except ModuleNotFoundError as error:
        sys.exit(f"The package {error.name} is not installed here. Install everything with: make run")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
