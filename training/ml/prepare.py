"""A file of rows checked, mended where that was agreed to, and written as JSON Lines. Reads it twice, holds it never.

What a person is asked and told is the caller's affair; legacy_prepare is the old tool.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.ml import corpus, findings
from training.ml.corpus import Detected, Readable, Unreadable
from training.ml.files import write_whole
from training.ml.findings import Checker, Found, Row, TokenRules, remedied
from training.ml.records import Body, Dialogue, Document, Kind, Label, Pair

EXAMPLES_KEPT = 20
_BATCH_ROWS = 500
_EXCHANGE = ["user", "assistant"]
_KINDS: dict[type, Kind] = {Dialogue: "dialogue", Document: "document", Pair: "pair", Label: "label"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One finding as it is shown. row counts every row of the file from 1; address is where it stands there."""

    row: int
    address: str
    found: Found
    text: str


@dataclass(slots=True)
class Report:
    """What one file holds: counts by rule, a few cases of each, and the rows that each remedy would mend."""

    detected: Detected
    rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    cases: dict[str, list[Case]] = field(default_factory=lambda: defaultdict(list))
    remedies: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    remedies_of: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    unreadable: list[Unreadable] = field(default_factory=list)
    rows_bad: int = 0
    plain: bool = True

    def add(self, row: int, address: str, found: Found, text: str) -> None:
        self.counts[found.rule] += 1
        self.remedies_of[found.rule].add(found.remedy)
        if found.remedy:
            self.remedies[found.remedy].add(row)
        if len(self.cases[found.rule]) < EXAMPLES_KEPT:
            self.cases[found.rule].append(Case(row=row, address=address, found=found, text=text))

    def errors_left(self, remedies: Collection[str]) -> bool:
        """Is there an error that none of these remedies mends?"""
        errors = (rule for rule in self.counts if findings.RULES[rule].severity == "error")
        return self.rows_bad > 0 or any(not self.remedies_of[rule] <= set(remedies) for rule in errors)


Read = tuple[int, Readable]


def _read(path: Path, detected: Detected, report: Report | None = None) -> Iterator[Read]:
    """Good rows with their number; what could not be read is put into the report, where there is one."""
    for number, row in enumerate(corpus.read(path, detected), 1):
        if isinstance(row, Readable):
            yield number, row
        elif report is not None:
            report.rows_bad += 1
            if len(report.unreadable) < EXAMPLES_KEPT:
                report.unreadable.append(row)


def _row(number: int, row: Readable) -> Row:
    return Row(key=number, kind=_KINDS[type(row.record)], body=row.record.body(), group=row.group)


def examine(
    path: Path, *, tokens: TokenRules | None = None, on_progress: Callable[[int], None] = lambda rows: None
) -> Report:
    """Check every row. Raises BadFile, in words, when the file cannot be read at all."""
    detected = corpus.detect(path)
    report, checker = Report(detected=detected), Checker(tokens=tokens)
    addresses: dict[int, str] = {}
    read = _read(path, detected, report)
    while batch := list(itertools.islice(read, _BATCH_ROWS)):
        rows = [_row(number, row) for number, row in batch]
        for row, (number, source), found in zip(rows, batch, checker.look(rows), strict=True):
            addresses[number] = source.key
            report.plain = report.plain and _is_plain(row.body)
            for one in found:
                report.add(number, source.key, one, findings.text_at(row.body, one.where))
        report.rows += len(rows)
        on_progress(report.rows)
    for key, one in checker.compare():
        report.add(key or 0, addresses.get(key or 0, ""), one, "")
    return report


# --- mending and writing --------------------------------------------------------------------------------------------

# Removing comes first: what is gone need not be mended.
ORDER = tuple(sorted(findings.REMEDIES, key=lambda name: not name.startswith("remove")))


def previews(path: Path, report: Report, remedy: str, most: int = 3) -> Iterator[tuple[int, Body, Body | None]]:
    """Number, row before and row after of the first rows that a remedy changes."""
    wanted = report.remedies[remedy]
    chosen = ((number, row.record.body()) for number, row in _read(path, report.detected) if number in wanted)
    for number, body in itertools.islice(chosen, most):
        yield number, body, remedied(remedy, body)


def write(path: Path, report: Report, target: Path, remedies: Collection[str]) -> Counter[str]:
    """Write the mended rows, all of them or none. Returns rows written, removed and changed."""
    counts: Counter[str] = Counter()
    write_whole(target, _lines(path, report, [name for name in ORDER if name in remedies], counts))
    return counts


def _lines(path: Path, report: Report, remedies: Iterable[str], counts: Counter[str]) -> Iterator[str]:
    chosen = list(remedies)
    for number, row in _read(path, report.detected):
        before = row.record.body()
        after: Body | None = before
        for name in chosen:
            if after is not None and number in report.remedies[name]:
                after = remedied(name, after)
        if after is None:
            counts["removed"] += 1
            continue
        counts["written"] += 1
        counts["changed"] += after != before
        yield json.dumps(_shaped(after, row.group, plain=report.plain), ensure_ascii=False) + "\n"


def _is_plain(body: Body) -> bool:
    """One question and one answer, which prompt and completion say as well."""
    messages = body.get("messages", [])
    return [turn["role"] for turn in messages] == _EXCHANGE and all("weight" not in turn for turn in messages)


def _shaped(body: Body, group: str, *, plain: bool) -> dict[str, Any]:
    shaped = dict(body)
    if plain and _is_plain(body):
        shaped = {"prompt": body["messages"][0]["content"], "completion": body["messages"][1]["content"]}
    return shaped | {"group": group} if group else shaped


def free_name(path: Path) -> Path:
    """`<stem>_prepared.jsonl` beside the file, with a number where that is taken."""
    stem = path.name.split(".")[0] if path.name.endswith((".gz", ".zip")) else path.stem
    names = (f"{stem}_prepared{f' ({number})' if number else ''}.jsonl" for number in itertools.count())
    return next(target for name in names if not (target := path.with_name(name)).exists())
