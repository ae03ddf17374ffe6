"""Which examples a person looks at: one choice for the list, the review queue and what is done to many at once.

It travels in the address of a page, so it is plain text, and what it does not understand it leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self
from urllib.parse import urlencode

from django.db import connection
from django.db.models import CharField, F, Func, IntegerField, QuerySet

from training import search, tags
from training.ml.records import SPLITS
from training.models import Example, Finding

NEVER_FROZEN = "none"
LANGUAGES = ("zh", "en")
_VALUES = {
    "status": tuple(Example.Status.values),
    "kind": tuple(Example.Kind.values),
    "language": LANGUAGES,
    "split": (NEVER_FROZEN, *SPLITS),
    "findings": ("open",),
}
_MOST_CHARS = 200
_KEY_DIGITS = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Empty means any. `q` are words; findings is "open" for rows in which something is wrong."""

    status: str = ""
    kind: str = ""
    corpus: str = ""
    language: str = ""
    split: str = ""
    tag: str = ""
    findings: str = ""
    q: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Self:
        given = {name: str(query.get(name, "")).strip()[:_MOST_CHARS] for name in cls.__slots__}
        return cls(**{name: value for name, value in given.items() if _is_known(name, value)})

    def query(self) -> str:
        """As it stands in an address."""
        return urlencode({name: value for name, value in asdict(self).items() if value})

    def rows(self) -> QuerySet[Example]:
        """In no order."""
        rows = Example.objects.order_by()
        for name, value in asdict(self).items():
            rows = narrowed(rows, name, value) if value else rows
        return rows


def _is_known(name: str, value: str) -> bool:
    if name == "corpus":
        return value.isascii() and value.isdecimal() and len(value) <= _KEY_DIGITS
    return name not in _VALUES or value in _VALUES[name]


def narrowed(rows: QuerySet[Example], name: str, value: str) -> QuerySet[Example]:
    """The rows that one part of a filter leaves."""
    match name:
        case "tag":
            return tags.with_tag(rows, value)
        case "q":
            return search.matching(rows, value)
        case "findings":
            found = Finding.objects.filter(state=Finding.State.OPEN, example__isnull=False)
            return rows.filter(pk__in=found.values("example"))
        case "split":
            return _with_column(rows, "split", "" if value == NEVER_FROZEN else value)
        case "corpus":
            return _with_column(rows, "corpus_id", int(value))
        case _:
            return _with_column(rows, name, value)


def _with_column(rows: QuerySet[Example], column: str, value: str | int) -> QuerySet[Example]:
    """Compared in the index `example_filters`, which has all of these columns in the order of the list.

    SQLite would rather take another column's index, and fetch every row that it names to look at the rest.
    """
    if connection.vendor != "sqlite":
        return rows.filter(**{column: value})
    kind = IntegerField() if isinstance(value, int) else CharField()
    plain = Func(F(column), template="+%(expressions)s", output_field=kind)
    return rows.alias(**{f"plain_{column}": plain}).filter(**{f"plain_{column}": value})
