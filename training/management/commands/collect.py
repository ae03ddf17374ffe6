"""`manage.py collect SOURCE`: gather text from the web into a corpus, here and now."""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from training import collections, corpora, wording
from training.collect import job, reasons
from training.ml.errors import PipelineError
from training.models import Collection, Corpus

POLL_SECONDS = 0.2


class Command(BaseCommand):
    help = (
        "Gather posts, topics, feed entries or pages into a corpus. Ctrl-C stops it; --resume goes on. "
        "Exit status 1 when nothing was found."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", nargs="?", choices=job.SOURCES)
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="a parameter, such as topic=重阳节; several times for a list (urls, allow)",
        )
        parser.add_argument("--parameters", default="{}", metavar="JSON", help="the parameters as one JSON object")
        parser.add_argument("--cookie-stdin", action="store_true", help="read your own cookie from standard input")
        parser.add_argument("--name", default="")
        parser.add_argument("--licence", default="", help="kept with every row")
        parser.add_argument("--owner", default="", help="user name")
        parser.add_argument("--resume", type=int, metavar="NUMBER", help="go on with a stopped or failed collection")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        cookie = sys.stdin.readline().strip() if options["cookie_stdin"] else ""
        try:
            collection = self._resumed(options, cookie) if options["resume"] else self._queued(options, cookie)
        except PipelineError as error:
            raise CommandError(wording.error_text(error)) from error
        self._collect(collection)
        result = _result(collection)
        self.stdout.write(json.dumps(result, ensure_ascii=False) if options["json"] else _for_people(result))
        if collection.status != Collection.Status.DONE:
            raise CommandError(collection.error or f"Collection {collection.pk} is {collection.status}.")

    def _resumed(self, options: dict[str, Any], cookie: str) -> Collection:
        collection = Collection.objects.filter(pk=options["resume"]).first()
        if collection is None:
            raise CommandError(f"There is no collection {options['resume']}.")
        collections.go_on(collection, cookie=cookie)
        return collection

    def _queued(self, options: dict[str, Any], cookie: str) -> Collection:
        if not options["source"]:
            raise CommandError(f"Name a source: {', '.join(job.SOURCES)}.")
        owner = User.objects.filter(username=options["owner"]).first()
        if options["owner"] and owner is None:
            raise CommandError(f"There is no user {options['owner']!r}.")
        names = {name: options[name] for name in ("name", "licence")}
        return collections.queue(options["source"], _parameters(options), cookie=cookie, owner=owner, **names)

    def _collect(self, collection: Collection) -> None:
        """Work on what waits until this collection has ended and its corpus is read; a worker may be faster."""
        try:
            while _is_under_way(collection):
                if not collections.collect_queued():
                    time.sleep(POLL_SECONDS)
                collection.refresh_from_db()
        except KeyboardInterrupt:
            collections.stop(collection)
            collection.refresh_from_db()
        while collection.corpus and collection.corpus.status in (Corpus.Status.QUEUED, Corpus.Status.READING):
            if not corpora.read_queued():
                time.sleep(POLL_SECONDS)
            collection.corpus.refresh_from_db()


def _is_under_way(collection: Collection) -> bool:
    return collection.status in (Collection.Status.QUEUED, Collection.Status.RUNNING)


def _parameters(options: dict[str, Any]) -> dict[str, Any]:
    try:
        given = json.loads(options["parameters"])
    except ValueError as error:
        raise CommandError(f"--parameters is not JSON: {error}.") from error
    if not isinstance(given, dict):
        raise CommandError('--parameters must be a JSON object, such as {"topic": "重阳节"}.')
    for pair in options["set"]:
        name, equals, value = pair.partition("=")
        if not equals:
            raise CommandError(f"--set {pair!r} must be NAME=VALUE.")
        if name in ("urls", "allow"):
            given.setdefault(name, []).append(value)
        else:
            given[name] = value
    return given


def _result(collection: Collection) -> dict[str, Any]:
    corpus = collection.corpus
    return {
        "id": collection.pk,
        "name": collection.name,
        "status": collection.status,
        "requests": collection.requests,
        "records": collection.records,
        "refused": collection.refused,
        "error": collection.error,
        "corpus": corpus.pk if corpus else None,
        "rows_new": corpus.rows_new if corpus else 0,
    }


def _for_people(result: dict[str, Any]) -> str:
    refused = [f"{facts['count']} not fetched: {reasons.sentence(code)}" for code, facts in result["refused"].items()]
    found = "{name}: {requests} requests, {records} rows, {rows_new} new examples".format(**result)
    return "\n".join([*refused, found])
