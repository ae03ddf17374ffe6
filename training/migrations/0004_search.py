"""The index by which examples are found by their words: FTS5 on SQLite, a tsvector on PostgreSQL."""

from __future__ import annotations

from typing import Any

from django.db import migrations

# The words are kept in the table: what is deleted from an index without them has to be told word by word, exactly.
# One row of `training_searchmark`: up to which example every row is in the index.
SQLITE = (
    "CREATE VIRTUAL TABLE training_search USING fts5(words, tokenize='unicode61', detail=none, columnsize=0)",
    "CREATE TABLE training_searchmark (upto integer NOT NULL)",
    "INSERT INTO training_searchmark (upto) VALUES (0)",
)
# Django does not know the column: new rows have none until they are in the index.
POSTGRESQL = (
    "ALTER TABLE training_example ADD COLUMN search tsvector",
    "CREATE INDEX training_example_search ON training_example USING gin (search)",
    "CREATE INDEX training_example_unsearched ON training_example (id) WHERE search IS NULL",
    "CREATE INDEX training_example_tagged ON training_example USING gin (tags jsonb_path_ops)",
)
BACK = {
    "sqlite": ("DROP TABLE training_searchmark", "DROP TABLE training_search"),
    "postgresql": ("DROP INDEX training_example_tagged", "ALTER TABLE training_example DROP COLUMN search"),
}


def make(apps: Any, schema_editor: Any) -> None:
    _execute(schema_editor, {"sqlite": SQLITE, "postgresql": POSTGRESQL})


def drop(apps: Any, schema_editor: Any) -> None:
    _execute(schema_editor, BACK)


def _execute(schema_editor: Any, statements: dict[str, tuple[str, ...]]) -> None:
    for statement in statements[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("training", "0003_data_studio")]
    operations = [migrations.RunPython(make, drop)]
