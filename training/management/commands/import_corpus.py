"""Read a file of questions and answers, dialogues, texts or a document into examples, here and now."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from training import corpora, curation, intake, wording
from training.ml import corpus as reader
from training.ml.corpus import columns
from training.ml.errors import PipelineError
from training.models import Corpus, Example

POLL_SECONDS = 0.2
TABLES = ("csv", "tsv", "xlsx")


class Command(BaseCommand):
    help = "Import a file; what it is will be found out. Bad lines are listed with a remedy, good rows are kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--name", default="", help="shown in the admin; default: the name of the file")
        parser.add_argument("--licence", default="")
        parser.add_argument(
            "--format", default="", choices=("", *reader.FORMATS), metavar="FORMAT", help=_names(reader.FORMATS)
        )
        parser.add_argument(
            "--encoding",
            default="",
            choices=("", *reader.ENCODING_NAMES),
            metavar="ENCODING",
            help=_names(reader.ENCODING_NAMES),
        )
        parser.add_argument(
            "--columns",
            default="",
            help="of a table, such as question=ask,answer=answer; a column is named by its heading or its number. "
            f"Roles: {', '.join(columns.WORDS)}, details",
        )
        parser.add_argument("--owner", default="", help="user name")
        parser.add_argument("--approve", action="store_true", help="approve every readable row at once")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        owner = User.objects.filter(username=options["owner"]).first()
        if options["owner"] and owner is None:
            raise CommandError(f"There is no user {options['owner']!r}.")
        corpus = self._read(self._upload(options, owner))
        approved = 0
        if options["approve"]:
            approved = curation.approve(Example.objects.filter(corpus=corpus), user=owner)
        result = _result(corpus) | {"approved": approved}
        self.stdout.write(json.dumps(result, ensure_ascii=False) if options["json"] else _for_people(result))
        if corpus.status == Corpus.Status.FAILED:
            raise CommandError(wording.corpus_error(corpus))
        if corpus.status == Corpus.Status.ASKING:
            raise CommandError(_question(corpus))

    def _upload(self, options: dict[str, Any], owner: User | None) -> Corpus:
        path: Path = options["file"]
        names = {"name": options["name"] or path.name, "original_name": path.name, "licence": options["licence"]}
        said = _said(options)
        try:
            with path.open("rb") as file:
                return corpora.add_upload(file, owner=owner, options=said, **names)
        except corpora.SameFile as error:
            self.stderr.write(wording.error_text(error))
            corpus = Corpus.objects.get(pk=error.facts["corpus"])
            if said and said != corpus.options:
                corpora.read_as(corpus, said)
                corpus.refresh_from_db()
            return corpus
        except PipelineError as error:
            raise CommandError(wording.error_text(error)) from error
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from error

    def _read(self, corpus: Corpus) -> Corpus:
        """Read what waits until this corpus is done; a worker that runs beside may be faster."""
        while corpus.status in (Corpus.Status.QUEUED, Corpus.Status.READING):
            if not corpora.read_queued():
                time.sleep(POLL_SECONDS)
            corpus.refresh_from_db()
        return corpus


def _names(names: Iterable[str]) -> str:
    return f"default: found out. One of {', '.join(names)}"


def _said(options: dict[str, Any]) -> dict[str, Any]:
    """What the options say of the file, as `Corpus.options` keeps it."""
    pairs = [pair.partition("=") for pair in options["columns"].split(",") if pair.strip()]
    for role, _, column in pairs:
        if role.strip() not in (*columns.WORDS, "details") or not column.strip():
            raise CommandError(f"--columns: {role}={column} is no role=column. Example: question=ask,answer=answer")
    table = {"columns": [[role.strip(), column.strip()] for role, _, column in pairs]} if pairs else {}
    chosen = options["format"] or (options["file"].suffix[1:].lower() if pairs else "")
    known = chosen if chosen in TABLES or options["format"] else ""
    return corpora.options_of(format="" if known == "xlsx" else known, encoding=options["encoding"], **table)


def _question(corpus: Corpus) -> str:
    preview = reader.preview(corpora.file_of(corpus), intake.detect(corpora.file_of(corpus), corpus.options))
    return (
        f"The columns could not be guessed. They are: {', '.join(preview.header)}. "
        "Say which is what, for example: --columns question=1,answer=2"
    )


def _result(corpus: Corpus) -> dict[str, Any]:
    findings = corpus.findings.order_by("id")
    return {
        "id": corpus.pk,
        "name": corpus.name,
        "status": corpus.status,
        "format": corpus.format,
        "encoding": corpus.encoding,
        "rows_read": corpus.rows_read,
        "rows_new": corpus.rows_new,
        "rows_known": corpus.rows_known,
        "rows_bad": corpus.rows_bad,
        "findings": [{"line": item.line, "rule": item.rule, "text": wording.finding_text(item)} for item in findings],
    }


def _for_people(result: dict[str, Any]) -> str:
    lines = [f"line {item['line']}: {item['text']}" if item["line"] else item["text"] for item in result["findings"]]
    read = "{name}: {rows_read} rows read ({format}, {encoding}), {rows_new} new, {rows_bad} unreadable"
    return "\n".join([*lines, read.format(**result), f"approved: {result['approved']}"])
