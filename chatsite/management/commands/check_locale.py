"""`manage.py check_locale`: is every text translated, and do the compiled files say what the sources say?

A tool for developers: it needs gettext and polib, which a running site does not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import polib
from django.conf import settings
from django.core.management import BaseCommand, CommandError, call_command
from django.test.utils import override_settings

from chatsite.env import BASE_DIR

LOCALES = ("zh_Hans",)
DOMAINS = ("django", "djangojs")
NOT_OURS = (".venv", "data", "tests", "node_modules", "vendor", "chatsite/locale", ".git")

Key = tuple[str, str, str]


class Command(BaseCommand):
    help = "Fail with a list where a text has no translation, or a compiled translation is out of date."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        if shutil.which("xgettext") is None:
            raise CommandError("gettext is missing: apt-get install gettext")
        problems = [problem for domain in DOMAINS for problem in problems_of(domain)]
        if problems:
            raise CommandError("\n".join([f"{len(problems)} problems with translations:", *problems]))
        self.stdout.write("All texts are translated.")


def problems_of(domain: str) -> Iterator[str]:
    texts = texts_in_use(domain)
    for locale in LOCALES:
        source = Path(settings.LOCALE_PATHS[0]) / locale / "LC_MESSAGES" / f"{domain}.po"
        if not source.exists():
            yield from [f"{source} is missing; {len(texts)} texts need it"] if texts else []
            continue
        yield from untranslated(texts, source)
        yield from out_of_date(source)
        yield from wrong_placeholders(source)


def key(entry: Any) -> Key:
    return entry.msgctxt or "", entry.msgid, entry.msgid_plural or ""


def texts_in_use(domain: str) -> dict[Key, str]:
    """Every marked text of the code and the templates, with the place where it stands."""
    with tempfile.TemporaryDirectory() as scratch:
        locale_dir = Path(scratch) / "locale"
        locale_dir.mkdir()
        with override_settings(LOCALE_PATHS=[str(locale_dir)]), chdir(BASE_DIR):
            ignore = [pattern for name in NOT_OURS for pattern in (name, f"./{name}")]
            call_command("makemessages", all=True, domain=domain, ignore_patterns=ignore, keep_pot=True, verbosity=0)
        template = locale_dir / f"{domain}.pot"
        if not template.exists():
            return {}
        return {key(entry): place(entry) for entry in polib.pofile(str(template))}


def place(entry: Any) -> str:
    path, line = entry.occurrences[0] if entry.occurrences else ("?", "")
    return f"{os.path.normpath(path)}:{line}"


def untranslated(texts: dict[Key, str], source: Path) -> Iterator[str]:
    entries = {key(entry): entry for entry in polib.pofile(str(source)) if not entry.obsolete}
    for text, where in texts.items():
        entry = entries.get(text)
        if entry is None:
            yield f"{where}: {text[1]!r} is not in {source.name}"
        elif not entry.translated():
            yield f"{where}: {text[1]!r} is {'unsure (fuzzy)' if entry.fuzzy else 'empty'} in {source.name}"


def out_of_date(source: Path) -> Iterator[str]:
    compiled = source.with_suffix(".mo")
    if not compiled.exists():
        yield f"{compiled} is missing: run manage.py compilemessages"
        return
    wanted = {key(entry): said(entry) for entry in polib.pofile(str(source)).translated_entries()}
    found = {key(entry): said(entry) for entry in polib.mofile(str(compiled))}
    if wanted != found:
        yield f"{compiled} is out of date: run manage.py compilemessages"


def said(entry: Any) -> Any:
    return entry.msgstr_plural or entry.msgstr


def wrong_placeholders(source: Path) -> Iterator[str]:
    command = ["msgfmt", "--check-format", "--output-file=/dev/null", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        yield done.stderr.strip()
