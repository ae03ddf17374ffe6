"""One Example row, filled in the same way wherever it comes from: hash, preview, language. Saves nothing."""

from __future__ import annotations

import re
from typing import Any

from training.ml.records import Body, Kind, body_hash
from training.models import Example

_PREVIEW_CHARS = 200
_SAMPLE_CHARS = 400
_HAN = re.compile("[\u3400-\u9fff]")
_LETTER = re.compile("[A-Za-z]")


def texts_of(body: Body) -> list[str]:
    """Every text of a body, in the order in which people read it."""
    messages = [*body.get("messages", []), *body.get("prompt", [])]
    named = (body[name] for name in ("chosen", "rejected", "completion", "text") if name in body)
    return [*(message["content"] for message in messages), *named]


def preview_of(body: Body) -> str:
    """The start of the texts on one line, at most 200 characters."""
    line = " → ".join(" ".join(text[:_PREVIEW_CHARS].split()) for text in texts_of(body)[:4])
    return line if len(line) <= _PREVIEW_CHARS else line[: _PREVIEW_CHARS - 1] + "…"


def language_of(body: Body) -> str:
    """`zh` or `en`, by which letters there are more of; empty when there are none. A Han character counts double."""
    sample = " ".join(texts_of(body))[:_SAMPLE_CHARS]
    han, latin = 2 * len(_HAN.findall(sample)), len(_LETTER.findall(sample))
    if not han and not latin:
        return ""
    return "zh" if han >= latin / 2 else "en"


def filled(kind: Kind, body: Body) -> dict[str, Any]:
    """The columns that follow from the content."""
    return {
        "body": body,
        "preview": preview_of(body),
        "content_hash": body_hash(kind, body),
        "language": language_of(body),
    }


def make(kind: Kind, body: Body, *, source_key: str, **columns: Any) -> Example:
    """An unsaved Example."""
    return Example(kind=kind, source_key=source_key, **({**filled(kind, body)} | columns))
