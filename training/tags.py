"""Tags of examples: which there are, and who carries one."""

from __future__ import annotations

import json
from collections.abc import Iterable

from django.db import connection
from django.db.models import QuerySet, TextField, Value
from django.db.models.functions import Cast, StrIndex

from training.models import Example

_MOST_TAGS = 20
_TAG_CHARS = 40
# All of a row together: an index holds them.
_ALL_CHARS = 400
_MOST_LISTS = 5000
# From one list of tags to the next one by the index: a million rows with ten lists cost ten steps.
_LISTS = """
    WITH RECURSIVE list(tags) AS (
        SELECT tags FROM (SELECT tags FROM training_example ORDER BY tags LIMIT 1) AS first
        UNION ALL
        SELECT (SELECT e.tags FROM training_example e WHERE e.tags > list.tags ORDER BY e.tags LIMIT 1)
        FROM list WHERE list.tags IS NOT NULL
    )
    SELECT tags FROM list WHERE tags IS NOT NULL LIMIT %s
"""


def tidy(tags: Iterable[str]) -> list[str]:
    """Without doubles and blanks, each and all of bounded length."""
    kept: list[str] = []
    for tag in dict.fromkeys(str(tag).strip()[:_TAG_CHARS].strip() for tag in tags):
        if tag and len(kept) < _MOST_TAGS and sum(map(len, kept)) + len(tag) <= _ALL_CHARS:
            kept.append(tag)
    return kept


def with_tag(rows: QuerySet[Example], tag: str) -> QuerySet[Example]:
    """The rows that carry a tag."""
    if connection.features.supports_json_field_contains:
        return rows.filter(tags__contains=[tag])
    # SQLite keeps the JSON list as text: the quoted tag is in it as it is written.
    place = StrIndex(Cast("tags", TextField()), Value(json.dumps(tag)))
    return rows.alias(tag_place=place).filter(tag_place__gt=0)


def in_use() -> list[str]:
    """Every tag of an example, sorted."""
    with connection.cursor() as cursor:
        cursor.execute(_LISTS, [_MOST_LISTS])
        lists = [json.loads(text) for (text,) in cursor.fetchall()]
    return sorted({tag for tags in lists for tag in tags if tag})
