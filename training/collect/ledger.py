"""What a collection has found and what is still to do, on disk: a kill at any moment loses nothing and doubles nothing.

`records.jsonl` holds the rows. Each line of `journal.jsonl` closes one task: how long the records are with its rows
in, and which tasks it led to. Rows come first, the line after them, each synced; rows that no line vouches for are cut
off at the next start and their task is read again. Knows nothing of the web.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

RECORDS = "records.jsonl"
JOURNAL = "journal.jsonl"
# Held by the one process that may write.
LOCK = "lock"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One address to read. `kind` is what the source does with it, `facts` are what it needs to know; plain JSON."""

    kind: str
    url: str
    key: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The same name is never read twice."""
        return self.key or f"{self.kind} {self.url}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def _line(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # Half a character pair is nothing that a file in UTF-8 can hold.
    return text.encode("utf-8", "replace") + b"\n"


def _whole_lines(path: Path) -> tuple[list[Row], int]:
    """The journal's lines and their size; a last one that a kill cut short does not count."""
    content = path.read_bytes() if path.exists() else b""
    whole = content.rfind(b"\n") + 1
    return [json.loads(line) for line in content[:whole].splitlines()], whole


class Ledger:
    """Open one at a time for a directory. `records` counts rows, of earlier runs too."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._known: dict[str, Task | None] = {}  # None: closed
        self._keys: set[str] = set()
        self._kinds: Counter[str] = Counter()
        self.records = 0
        self._vouched = 0
        lines, size = _whole_lines(directory / JOURNAL)
        for line in lines:
            self._vouched = self._replay(line)
        self._journal = _Tape(directory / JOURNAL, size)
        self._rows = _Tape(directory / RECORDS, self._vouched)

    def _replay(self, line: Row) -> int:
        self._add(Task(**task) for task in line["todo"])
        self._keys.update(line["keys"])
        self.records += len(line["keys"])
        if line["done"]:
            self._known[line["done"]] = None
        end: int = line["end"]
        return end

    def _add(self, tasks: Iterable[Task]) -> list[Task]:
        new = []
        for task in tasks:
            if task.name not in self._known:
                self._known[task.name] = task
                self._kinds[task.kind] += 1
                new.append(task)
        return new

    @property
    def is_new(self) -> bool:
        return not self._known

    @property
    def open(self) -> list[Task]:
        return [task for task in self._known.values() if task is not None]

    def count(self, kind: str) -> int:
        """How many tasks of a kind there ever were."""
        return self._kinds[kind]

    def begin(self, tasks: Iterable[Task]) -> None:
        """The tasks that everything starts from."""
        self._write("", [], self._add(tasks))

    def close(self, task: Task, rows: Iterable[Row] = (), todo: Iterable[Task] = ()) -> list[Task]:
        """Keep what a task gave; returns those of its tasks that are new. A row has its own `key` in `source`."""
        fresh = [row for row in rows if row["source"]["key"] not in self._keys]
        keys = list(dict.fromkeys(row["source"]["key"] for row in fresh))
        first_of = {row["source"]["key"]: row for row in reversed(fresh)}
        new = self._add(todo)
        self._write(task.name, [first_of[key] for key in keys], new)
        self._known[task.name] = None
        self._keys.update(keys)
        self.records += len(keys)
        return new

    def _write(self, done: str, rows: list[Row], todo: list[Task]) -> None:
        self._rows.append(b"".join(map(_line, rows)))
        entry = {
            "done": done,
            "end": self._rows.size,
            "keys": [row["source"]["key"] for row in rows],
            "todo": [task.to_json() for task in todo],
        }
        try:
            self._journal.append(_line(entry))
        except OSError:
            self._rows.shorten(self._vouched)
            raise
        self._vouched = self._rows.size

    def shut(self) -> None:
        self._rows.close()
        self._journal.close()


class _Tape:
    """A file that only grows, by whole pieces: one that does not fit (a full disk) leaves nothing behind."""

    def __init__(self, path: Path, size: int) -> None:
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        self.shorten(size)

    def shorten(self, size: int) -> None:
        os.ftruncate(self._handle, size)
        self.size = os.lseek(self._handle, size, os.SEEK_SET)

    def append(self, content: bytes) -> None:
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(self._handle, rest) :]
            os.fsync(self._handle)
        except OSError:
            self.shorten(self.size)
            raise
        self.size += len(content)

    def close(self) -> None:
        os.close(self._handle)
