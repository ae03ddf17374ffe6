"""Examples by their words: an index beside the rows, FTS5 on SQLite and a tsvector on PostgreSQL.

A row that a person adds or edits is put in at once, by the verb; an import's rows follow in the background, because
cutting Chinese into words takes longer than reading a file. `rebuild` begins anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from django.db import connection, transaction
from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

from training.examples import texts_of
from training.ml.words import SEARCHED_CHARS, search_words, words_of
from training.models import Example

# Of a word that nearly every row has, the newest rows that have it are looked at.
MOST_MATCHES = 50_000
_ASKED_CHARS = 200
_ASKED_WORDS = 20
_BATCH = 1000
_SOURCE_KEY = re.compile(r"[a-z-]+:\S+")

_FIND = {
    "sqlite": "SELECT rowid FROM training_search WHERE training_search MATCH %s ORDER BY rowid DESC LIMIT %s",
    "postgresql": "SELECT id FROM training_example WHERE search @@ to_tsquery('simple', %s) ORDER BY id DESC LIMIT %s",
}

Row = tuple[int, int, str]  # id, row version, words


# --- writing --------------------------------------------------------------------------------------------------------


def put(keys: Iterable[int]) -> None:
    """Put rows into the index as they are now; in the transaction that wrote them."""
    _write(_cut(Example.objects.filter(pk__in=list(keys))))


def index_waiting() -> int:
    """Put the next rows that an import brought into the index; returns how many."""
    if connection.vendor == "sqlite" and _mark() > _newest():
        # Numbers begin anew: the database was emptied, and the index is of rows that were.
        _empty()
    rows = _cut(_waiting()[:_BATCH])
    if rows:
        with transaction.atomic():
            _write_unchanged(rows)
    return len(rows)


def waiting_count() -> int:
    """How many rows are not in the index yet, counted no further than MOST_MATCHES."""
    return _waiting()[:MOST_MATCHES].count()


def rebuild(told: Callable[[int], None] = lambda _: None) -> int:
    """Empty the index and put every row in; returns how many. `told` hears of the progress."""
    _empty()
    count = 0
    while done := index_waiting():
        count += done
        told(count)
    return count


def _empty() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("DELETE FROM training_search")
            cursor.execute("UPDATE training_searchmark SET upto = 0")
        else:
            cursor.execute("UPDATE training_example SET search = NULL")


def _waiting() -> QuerySet[Example]:
    rows = Example.objects.order_by("pk")
    if connection.vendor == "sqlite":
        # One writer at a time: whoever has a higher number was written later; of those, verbs have put in some.
        mark = _mark()
        there = RawSQL("SELECT id FROM training_search_content WHERE id > %s", [mark])
        return rows.filter(pk__gt=mark).exclude(pk__in=there)
    return rows.filter(pk__in=RawSQL("SELECT id FROM training_example WHERE search IS NULL", []))


def _mark() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT upto FROM training_searchmark")
        return int(cursor.fetchone()[0])


def _newest() -> int:
    """The highest number that an example ever had."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'training_example'")
        return int(cursor.fetchone()[0])


def _cut(rows: QuerySet[Example]) -> list[Row]:
    found = rows.values_list("pk", "row_version", "body")
    return [(pk, version, _words_of(texts_of(body))) for pk, version, body in found]


def _words_of(texts: list[str]) -> str:
    return search_words("\n".join(texts)[:SEARCHED_CHARS])


def _write(rows: Sequence[Row]) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            statement = "INSERT OR REPLACE INTO training_search (rowid, words) VALUES (%s, %s)"
            cursor.executemany(statement, [(pk, words) for pk, _version, words in rows])
        else:
            statement = "UPDATE training_example SET search = to_tsvector('simple', %s) WHERE id = %s"
            cursor.executemany(statement, [(words, pk) for pk, _version, words in rows])


def _write_unchanged(rows: Sequence[Row]) -> None:
    """Rows that were edited since they were cut are in the index already, by the verb."""
    keys = [pk for pk, _version, _words in rows]
    versions = dict(Example.objects.select_for_update().filter(pk__in=keys).values_list("pk", "row_version"))
    _write([row for row in rows if versions.get(row[0]) == row[1]])
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("UPDATE training_searchmark SET upto = %s", [keys[-1]])


# --- asking ---------------------------------------------------------------------------------------------------------


def asked(text: str) -> list[str]:
    """The words of a question to the index, without doubles."""
    return list(islice(dict.fromkeys(words_of(text[:_ASKED_CHARS])), _ASKED_WORDS))


def matching(rows: QuerySet[Example], text: str) -> QuerySet[Example]:
    """The rows in which all words of the text are; or, for a source key, those whose key begins like it."""
    if _SOURCE_KEY.fullmatch(text):
        return rows.filter(source_key__gte=text, source_key__lt=f"{text}\U0010ffff")
    words = asked(text)
    return having(rows, words) if words else rows.none()


def having(rows: QuerySet[Example], words: Sequence[str]) -> QuerySet[Example]:
    """The rows that have every one of these words of the index; on SQLite, of very many the newest."""
    if connection.vendor == "sqlite":
        found = RawSQL(_FIND["sqlite"], [_question(words), MOST_MATCHES])  # noqa: S611 - the words are a parameter
        return rows.filter(pk__in=found)
    # Not as a list of keys: the planner knows how common a word is, and whether to go by the index or by the rows.
    # No alias before the column: it is that of the query in which this stands.
    has_them = RawSQL("search @@ to_tsquery('simple', %s)", [_question(words)], output_field=BooleanField())
    return rows.filter(has_them)


def newest_having(words: Sequence[str], most: int) -> list[int]:
    """The keys of the newest rows that have every one of these words."""
    with connection.cursor() as cursor:
        cursor.execute(_FIND[connection.vendor], [_question(words), most])
        return [key for (key,) in cursor.fetchall()]


def _question(words: Sequence[str]) -> str:
    """In the index's own language, in which nothing of a quoted word means anything."""
    if connection.vendor == "sqlite":
        return " AND ".join('"' + word.replace('"', '""') + '"' for word in words)
    return " & ".join("'" + word.replace("\\", "").replace("'", "''") + "'" for word in words)
