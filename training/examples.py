"""Example rows, filled in the same way wherever they come from: hash, preview, language; one, or thousands at once."""

from __future__ import annotations

import re
from typing import Any

from django.db import connection

from training.ml.records import Body, Kind, body_hash, canonical, canonical_hash
from training.models import Example

_PREVIEW_CHARS = 200
_SAMPLE_CHARS = 400
_HAN = re.compile("[\u3400-\u9fff]+")
_LATIN = re.compile("[A-Za-z]+")


def texts_of(body: Body) -> list[str]:
    """Every text of a body, in the order in which people read it."""
    messages = [*body.get("messages", []), *body.get("prompt", [])]
    named = (body[name] for name in ("chosen", "rejected", "completion", "text") if name in body)
    return [*(message["content"] for message in messages), *named]


def preview_of(texts: list[str]) -> str:
    """The start of the texts on one line, at most 200 characters."""
    line = " → ".join([" ".join(text[:_PREVIEW_CHARS].split()) for text in texts[:4]])
    return line if len(line) <= _PREVIEW_CHARS else line[: _PREVIEW_CHARS - 1] + "…"


def language_of(texts: list[str]) -> str:
    """`zh` or `en`, by which letters there are more of; empty when there are none. A Han character counts double."""
    sample = " ".join(texts)[:_SAMPLE_CHARS]
    # What is gone when they are taken out: an import asks this for every row, and lists of matches are slow.
    han = 0 if sample.isascii() else 2 * (len(sample) - len(_HAN.sub("", sample)))
    latin = len(sample) - len(_LATIN.sub("", sample))
    if not han and not latin:
        return ""
    return "zh" if han >= latin / 2 else "en"


def filled(kind: Kind, body: Body) -> dict[str, Any]:
    """The columns that follow from the content."""
    texts = texts_of(body)
    return {
        "body": body,
        "preview": preview_of(texts),
        "content_hash": body_hash(kind, body),
        "language": language_of(texts),
    }


def make(kind: Kind, body: Body, *, source_key: str, **columns: Any) -> Example:
    """An unsaved Example."""
    return Example(kind=kind, source_key=source_key, **({**filled(kind, body)} | columns))


class Bulk:
    """Examples of one source by the thousand, past model instances, which take four times as long.

    One INSERT statement, whose columns come from the model. A row whose source key is there already is left as it is.
    """

    def __init__(self, **common: Any) -> None:
        """common: the columns that all rows share."""
        self.pattern = Example(**common)

    def insert(self, rows: list[dict[str, Any]]) -> int:
        """Write rows that have the same columns; returns how many were new."""
        if not rows:
            return 0
        own = tuple(rows[0])
        fields = [field for field in Example._meta.concrete_fields if not field.primary_key and field.name not in own]
        shared = tuple(field.get_db_prep_save(field.pre_save(self.pattern, add=True), connection) for field in fields)
        column_of = {field.name: str(field.column) for field in Example._meta.concrete_fields}
        columns = [column_of[name] for name in own] + [column_of[field.name] for field in fields]
        with connection.cursor() as cursor:
            cursor.executemany(_insertion(columns), [tuple(row.values()) + shared for row in rows])
            return int(cursor.rowcount)

    @staticmethod
    def row(kind: Kind, body: Body, **columns: Any) -> dict[str, Any]:
        """The columns of one row as the database takes them; the same as those of `filled`."""
        texts, written = texts_of(body), canonical(body)
        return {
            "kind": kind,
            "body": written,
            "preview": preview_of(texts),
            "content_hash": canonical_hash(kind, written),
            "language": language_of(texts),
            **columns,
        }


def _insertion(columns: list[str]) -> str:
    quote = connection.ops.quote_name
    table, key = quote(Example._meta.db_table), quote("source_key")
    names, places = ", ".join(map(quote, columns)), ", ".join(["%s"] * len(columns))
    return f"INSERT INTO {table} ({names}) VALUES ({places}) ON CONFLICT ({key}) DO NOTHING"  # noqa: S608 - names from the model
