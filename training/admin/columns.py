"""The page on which a person says what the columns of a table are, and sees what its first rows would become."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.http import QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from training import corpora, intake, wording
from training.admin.pages import bubbles
from training.ml import corpus as reader
from training.ml.corpus import Detected, Table, Unreadable, tables
from training.ml.errors import PipelineError
from training.models import Corpus

ROLES: dict[str, Any] = {
    "question": _("Question"),
    "details": _("Details of the question"),
    "answer": _("Answer"),
    "system": _("System text"),
    "chosen": _("Better answer"),
    "rejected": _("Worse answer"),
    "label": _("Thumb (good or bad)"),
    "margin": _("Margin between the answers"),
    "group": _("Paraphrase group"),
    "text": _("Text without question"),
}
DELIMITERS = {",": _("comma"), "\t": _("tab"), ";": _("semicolon"), "|": _("bar")}
_CELL_CHARS = 200


def context(corpus: Corpus, data: QueryDict) -> dict[str, Any]:
    """What the page shows. data: what was chosen on it so far; empty at first, then the guess is shown."""
    try:
        detected = _detected(corpus, data)
        preview = reader.preview(corpora.file_of(corpus), detected)
    except (PipelineError, FileNotFoundError) as error:
        gone = gettext("The uploaded file is no longer in the data directory. Upload it again.")
        return {"error": wording.error_text(error) if isinstance(error, PipelineError) else gone}
    table = detected.table or Table()
    columns = _chosen(data, len(preview.header)) if "sent" in data else preview.columns
    roles = {tables.place(which, preview.header): role for role, which in columns}
    return {
        "table": table,
        "delimiters": DELIMITERS.items() if detected.format != "xlsx" else (),
        "sheets": preview.sheets,
        "roles": ROLES.items(),
        "columns": [
            {"number": number, "name": name, "role": roles.get(number - 1, "")}
            for number, name in enumerate(preview.header, 1)
        ],
        "cells": [[cell[:_CELL_CHARS] for cell in row] for row in preview.rows],
        "complete": tables.is_complete(columns),
        "outcomes": [_outcome(row, preview.header, columns) for row in preview.rows] if columns else [],
    }


def options(corpus: Corpus, data: QueryDict) -> dict[str, Any]:
    """What was chosen, as `Corpus.options` keeps it. Raises PipelineError when the file cannot be read so."""
    detected = _detected(corpus, data)
    table = detected.table or Table()
    header = reader.preview(corpora.file_of(corpus), detected).header
    return {name: value for name, value in corpus.options.items() if name in ("format", "encoding")} | {
        "table": {
            "columns": [list(column) for column in _chosen(data, len(header))],
            "delimiter": table.delimiter,
            "sheet": table.sheet,
            "header": table.header,
        }
    }


def _detected(corpus: Corpus, data: QueryDict) -> Detected:
    detected = intake.detect(corpora.file_of(corpus), corpus.options)
    if "sent" not in data:
        return detected
    table = detected.table or Table()
    delimiter = data.get("delimiter", table.delimiter)
    chosen = replace(
        table,
        columns=(),
        delimiter=delimiter if delimiter in tables.DELIMITERS else table.delimiter,
        sheet=data.get("sheet", table.sheet),
        header="header" in data,
    )
    return replace(detected, table=chosen)


def _chosen(data: QueryDict, count: int) -> tuple[tuple[str, str], ...]:
    """Columns by their number: two of them may have one name."""
    numbered = ((data.get(f"column-{number}", ""), str(number)) for number in range(1, count + 1))
    return tuple((role, which) for role, which in numbered if role in ROLES)


def _outcome(row: list[str], header: list[str], columns: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    if not tables.is_complete(columns):
        return {}
    became = tables.try_out(row, header, columns)
    if isinstance(became, Unreadable):
        return {"problem": wording.rule_text(became.rule, became.facts)}
    return {"bubbles": bubbles(became.record.body())}
