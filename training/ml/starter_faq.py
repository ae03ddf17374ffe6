"""The questions and answers that come with the site: one row for each phrasing of a fact and for each dialogue.

The splits lie beside the texts (`splits.json`), because the starter model was tuned on the training rows: whoever
freezes these rows must hold out the same ones. Knows nothing of Django or of training.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.ml.records import Body, Dialogue, Message

TAG = "starter"
SPLITS_FILE = "splits.json"
# What a first visitor asks, what the empty page suggests to ask, and a cry for help are always trained on.
NEVER_HELD_OUT = (
    *("zh-s001", "zh-s009", "zh-s010", "zh-s012", "zh-s013", "zh-s020", "zh-s026", "zh-s035", "zh-s042"),
    *("zh-p031", "zh-p037", "zh-p123", "en-001", "en-052", "en-053", "en-055", "en-062", "en-063"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaqRow:
    """`group` names the fact: its phrasings share it. `split` is "" until the starter was built once."""

    key: str
    group: str
    topic: str
    language: str
    file: str
    body: Body
    split: str


def read(directory: Path) -> Iterator[FaqRow]:
    splits = read_splits(directory)
    for path in sorted(directory.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            group = f"{TAG}:{entry['group']}"
            for number, body in enumerate(_bodies(entry)):
                key = f"{group}:{number}"
                yield FaqRow(
                    key=key,
                    group=group,
                    topic=entry.get("topic", ""),
                    language=entry["lang"],
                    file=path.name,
                    body=body,
                    split=splits.get(key, ""),
                )


def read_splits(directory: Path) -> dict[str, str]:
    """key -> split, for the rows that are held out or trained on for good."""
    path = directory / SPLITS_FILE
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def write_splits(directory: Path, splits: dict[str, str]) -> None:
    text = json.dumps(dict(sorted(splits.items())), ensure_ascii=False, indent=0)
    (directory / SPLITS_FILE).write_text(text + "\n", encoding="utf-8")


def _bodies(entry: dict[str, Any]) -> list[Body]:
    if "messages" in entry:
        return [{"messages": entry["messages"]}]
    return [_exchange(question, entry["answer"]).body() for question in entry["questions"]]


def _exchange(question: str, answer: str) -> Dialogue:
    return Dialogue(messages=(Message(role="user", content=question), Message(role="assistant", content=answer)))
