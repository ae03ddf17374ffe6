"""What the starter model is made of: a capped mix of redistributable text, drawn the same way every time.

Reads the JSON Lines files (`*.jsonl.gz`: source, licence, kind, messages | text) of a corpus directory.
Knows nothing of training or of Django; `manage.py train_starter` puts the steps together.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.ml.records import Body, Dialogue, Document, Message

# Characters taken from a source at most, by the first matching part of its name; 0 leaves a source out.
# SmileChat (one subject, mental health) is capped at a quarter of everything by `mix`, not here.
CAPS: tuple[tuple[str, int], ...] = (
    ("EmoLLM datasets/aiwei", 0),  # a flirting persona
    ("EmoLLM datasets/tiangou", 0),  # a fawning persona
    ("EmoLLM", 900_000),
    ("整数加减法", 0),  # sums that a model of this size only learns to get wrong
    ("DISC-FinLLM retrieval", 0),  # prompts far longer than the window
    ("libreoffice", 1_000_000),
    ("Toyhom", 700_000),
    ("chitchat-dataset", 1_800_000),
)
# Copyleft texts stay out, so that nobody has to ask what that licence means for weights.
LEFT_OUT_LICENCES = ("GPL", "GFDL")
QUARTER_SOURCE = "SmileChat"
LONGEST_ROW_CHARS = 700
SHORTEST_TEXT_CHARS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRow:
    """One row of the corpus directory and where it comes from."""

    source: str
    licence: str
    record: Dialogue | Document

    @property
    def chars(self) -> int:
        if isinstance(self.record, Document):
            return len(self.record.text)
        return sum(len(message.content) for message in self.record.messages)

    @property
    def draw(self) -> str:
        """A fixed pseudo-random order that no file order or Python version changes."""
        return hashlib.sha256(json.dumps(self.body, ensure_ascii=False, sort_keys=True).encode()).hexdigest()

    @property
    def body(self) -> Body:
        return self.record.body()


def _tidy(text: str, source: str) -> str:
    # LCCC comes with every character or word apart by a space.
    if "LCCC" in source and not text.isascii():
        text = text.replace(" ", "")
    return text.strip()


def _turns(values: list[dict[str, Any]], source: str) -> tuple[Message, ...]:
    """The turns that fit in LONGEST_ROW_CHARS, from the first question on; system prompts are left out."""
    turns: list[Message] = []
    used = 0
    for value in values:
        text = _tidy(value["content"], source)
        if value["role"] == "system" or not text:
            continue
        if used + len(text) > LONGEST_ROW_CHARS:
            break
        used += len(text)
        turns.append(Message(role=value["role"], content=text))
    while turns and turns[-1].role != "assistant":
        turns.pop()
    return tuple(turns)


def _row(value: dict[str, Any]) -> SourceRow | None:
    source, licence = value["source"], value.get("licence", "")
    if value.get("use", "redistributable") != "redistributable" or licence.startswith(LEFT_OUT_LICENCES):
        return None
    record: Dialogue | Document
    if "messages" in value:
        turns = _turns(value["messages"], source)
        if not turns or turns[0].role != "user":
            return None
        record = Dialogue(messages=turns)
    else:
        text = value["text"].strip()[:LONGEST_ROW_CHARS]
        if len(text) < SHORTEST_TEXT_CHARS:
            return None
        record = Document(text=text)
    return SourceRow(source=source, licence=licence, record=record)


def read_sources(directory: Path) -> Iterator[SourceRow]:
    """Every usable row of the `*.jsonl.gz` files, file by file."""
    for path in sorted(directory.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                row = _row(json.loads(line))
                if row is not None:
                    yield row


def _cap(source: str, total: int) -> int:
    if QUARTER_SOURCE in source:
        return total
    return next((cap for part, cap in CAPS if part in source), total)


def mix(rows: Iterable[SourceRow], *, budget_chars: int) -> list[SourceRow]:
    """At most `budget_chars` characters, each source under its cap and SmileChat at most a quarter of the result."""
    used: Counter[str] = Counter()
    chosen: list[SourceRow] = []
    quarter: list[SourceRow] = []
    for row in sorted(rows, key=lambda item: item.draw):
        if QUARTER_SOURCE in row.source:
            quarter.append(row)
        elif used[row.source] + row.chars <= _cap(row.source, budget_chars):
            used[row.source] += row.chars
            chosen.append(row)
    others = sum(used.values())
    room = min(others // 3, max(0, budget_chars - others))
    for row in quarter:
        if room < row.chars:
            break
        room -= row.chars
        chosen.append(row)
    return _within(sorted(chosen, key=lambda item: item.draw), budget_chars)


def _within(rows: list[SourceRow], budget_chars: int) -> list[SourceRow]:
    kept: list[SourceRow] = []
    for row in rows:
        if budget_chars < row.chars:
            break
        budget_chars -= row.chars
        kept.append(row)
    return kept


def contents(rows: Iterable[SourceRow]) -> list[dict[str, Any]]:
    """The table of the model card: source, licence, rows and characters, largest first."""
    table: dict[str, dict[str, Any]] = {}
    for row in rows:
        line = table.setdefault(row.source, {"source": row.source, "licence": row.licence, "rows": 0, "characters": 0})
        line["rows"] += 1
        line["characters"] += row.chars
    return sorted(table.values(), key=lambda line: -line["characters"])
