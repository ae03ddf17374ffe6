"""Files of JSON rows: one a line, in one large list or object, or spread over lines; of any known shape.

Knows how rows lie in a file; what a row means is shapes' matter.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from training.ml.corpus import shapes
from training.ml.corpus.base import Detected, Head, Layout, Readable, Source
from training.ml.corpus.lines import Line, per_line, read_lines
from training.ml.corpus.rows import group_of, key_list, parse, provenance_of
from training.ml.corpus.rules import BadRow, Unreadable, bad_file
from training.ml.corpus.spacing import is_spaced, joined
from training.ml.corpus.values import Value, read_values

_SAMPLE_VALUES = 200
_SAMPLE_BYTES = 16 << 20
# What begins in a bracket may be talk: [doge], {smile}.
_START = re.compile(r"""\{\s*(["'“}]|$)|\[\s*([\[{"\]]|$)""")
_SUFFIXES = (".json", ".jsonl", ".ndjson")


def detect(source: Source, head: Head) -> Detected | None:
    layout = _layout(source, head)
    if layout:
        return _shaped(source, head, layout)
    if source.suffix in _SUFFIXES and head.lines:
        raise _no_known_row([], head)
    return None


def forced(source: Source, head: Head, name: str) -> Detected:
    layout = _layout(source, head)
    if not layout:
        raise _no_known_row([], head)
    return _with_marks(
        source, Detected(format=name, encoding=head.encoding, layout=layout), _sample(source, head, layout)
    )


def read(source: Source, detected: Detected) -> Iterator[Readable | Unreadable]:
    if detected.layout == "lines":
        return per_line(source, detected.encoding, lambda line: _of_line(line, detected))
    return _read_values(source, detected)


# --- how the rows lie -----------------------------------------------------------------------------------------------


def _layout(source: Source, head: Head) -> Layout | None:
    found = head.texts
    if not found:
        return _spread(source, head.encoding) if head.unreadable else None
    braces = sum(text[0] == "{" for text in found)
    if not _START.match(found[0]):
        return "lines" if braces * 2 > len(found) else None
    values = [_parsed(text) for text in found]
    lists = sum(isinstance(value, list) for value in values)
    if isinstance(values[0], dict) or (isinstance(values[0], list) and lists * 2 > len(values)):
        return _lines_or_one(values, whole=head.whole)
    if found[0][0] == "{" and len(found) > 1 < len(found[0]) and braces * 2 >= len(found):
        return "lines"
    return _spread(source, head.encoding) or ("lines" if found[0][0] == "{" else None)


def _lines_or_one(values: list[Any], *, whole: bool) -> Layout:
    """One line alone may be a row, a list of rows or an object of rows."""
    if len(values) > 1 or not whole or shapes.shape_of(values[0]):
        return "lines"
    inner = values[0].values() if isinstance(values[0], dict) else values[0]
    return "items" if any(isinstance(item, dict | list) for item in inner) else "lines"


def _parsed(text: str) -> Any:
    try:
        return parse(text)
    except BadRow:
        return None


def _spread(source: Source, encoding: str) -> Layout | None:
    """JSON over several lines: rows one after the other, or in one list or object."""
    first = next(iter(read_values(source, encoding, "values")), None)
    if isinstance(first, Value) and shapes.shape_of(first.value):
        return "values"
    for layout in ("items", "values"):
        found = itertools.islice(read_values(source, encoding, layout), _SAMPLE_VALUES)
        if any(isinstance(item, Value) and isinstance(item.value, dict | list) and item.value for item in found):
            return layout
    return None


# --- what the rows are ----------------------------------------------------------------------------------------------


def _sample(source: Source, head: Head, layout: Layout) -> list[Any]:
    if layout == "lines":
        return [value for text in head.texts if (value := _parsed(text)) is not None]
    found = itertools.islice(read_values(source, head.encoding, layout), _SAMPLE_VALUES)
    near = itertools.takewhile(lambda item: item.end_byte <= _SAMPLE_BYTES, found)
    return [item.value for item in near if isinstance(item, Value)]


def _shaped(source: Source, head: Head, layout: Layout) -> Detected:
    sample = _sample(source, head, layout)
    votes = Counter(name for name in map(shapes.shape_of, sample) if name)
    if not votes:
        raise _no_known_row(sample, head)
    name = votes.most_common(1)[0][0]
    return _with_marks(source, Detected(format=name, encoding=head.encoding, layout=layout), sample)


def _no_known_row(sample: list[Any], head: Head) -> Exception:
    objects = [value for value in sample if isinstance(value, dict)]
    if objects:
        return bad_file("unknown_keys", found=key_list(objects[0]))
    number, text = next(((number, text) for number, text in enumerate(head.lines, head.start) if text.strip()), (1, ""))
    try:
        parse(text)
    except BadRow as bad:
        return bad_file("no_json", why=bad.words, line=number)
    return bad_file("unknown_keys", found="[…]")


def _with_marks(source: Source, detected: Detected, sample: list[Any]) -> Detected:
    """Do all rows carry the marks of prepared ones? Stripping a real arrow would change somebody's text.

    And are lists of utterances written with spaces between words? Those are joined.
    """
    if detected.format == "utterances":
        said = (str(item) for value in sample if isinstance(value, list) for item in value)
        return replace(detected, spaced=is_spaced("\n".join(said)))
    if detected.format != "prompt_completion" or not _all_prepared(sample):
        return detected
    return replace(detected, prepared=_all_prepared(_everything(source, detected)))


def _all_prepared(values: Iterable[Any]) -> bool:
    pairs = (value for value in values if shapes.shape_of(value) == "prompt_completion")
    seen = False
    for value in pairs:
        if not shapes.is_prepared(value):
            return False
        seen = True
    return seen


def _everything(source: Source, detected: Detected) -> Iterator[Any]:
    if detected.layout == "lines":
        lines = read_lines(source, detected.encoding)
        return (_parsed(line.text) for line in lines if isinstance(line, Line) and line.text.strip())
    values = read_values(source, detected.encoding, detected.layout)
    return (item.value for item in values if isinstance(item, Value))


# --- reading --------------------------------------------------------------------------------------------------------


def _of_line(line: Line, detected: Detected) -> Readable:
    value = _unspaced(parse(line.text), detected)
    record, left_out = shapes.to_record(value, detected.format, prepared=detected.prepared)
    group = group_of(value) if isinstance(value, dict) and "group" in value else ""
    return Readable(
        line=line.number,
        record=record,
        group=group,
        left_out=left_out,
        end_byte=line.end_byte,
        provenance=provenance_of(value),
    )


def _unspaced(value: Any, detected: Detected) -> Any:
    if not detected.spaced or not isinstance(value, list):
        return value
    return [joined(said) if isinstance(said, str) else said for said in value]


def _read_values(source: Source, detected: Detected) -> Iterator[Readable | Unreadable]:
    for item in read_values(source, detected.encoding, detected.layout):
        yield item if isinstance(item, Unreadable) else _of_value(item, detected)


def _of_value(item: Value, detected: Detected) -> Readable | Unreadable:
    try:
        value = _unspaced(item.value, detected)
        record, left_out = shapes.to_record(value, detected.format, prepared=detected.prepared)
    except BadRow as bad:
        shown = json.dumps(item.value, ensure_ascii=False)[:80]
        return Unreadable(
            line=item.line,
            rule=bad.rule,
            facts=bad.facts,
            excerpt=shown.encode("utf-8", "replace").decode(),
            end_byte=item.end_byte,
        )
    group = group_of(item.value) if isinstance(item.value, dict) else ""
    return Readable(line=item.line, nth=item.nth, record=record, group=group, left_out=left_out, end_byte=item.end_byte)
