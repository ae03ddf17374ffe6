"""ChatterBot's YAML: a list `conversations` of lists of utterances, whose speakers take turns.

Read event by event, so that memory stays flat and nothing is built but lists of texts: no tag is obeyed, no reference
is followed.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

import yaml

from training.ml.corpus.base import Detected, Head, Readable, Source
from training.ml.corpus.encodings import codec_of
from training.ml.corpus.lines import excerpt, pass_mark
from training.ml.corpus.rows import in_turn, text
from training.ml.corpus.rules import BadRow, Unreadable, bad_file
from training.ml.records import Dialogue

_KEY = "conversations"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MOST_UTTERANCES = 1000
_LONGEST_CHARS = 4 << 20
_START = re.compile(rf"^{_KEY}\s*:", re.MULTILINE)
_IN_LIST = 1


def detect(source: Source, head: Head) -> Detected | None:
    if _START.search("\n".join(head.lines)):
        return forced(source, head, "chatterbot")
    if source.suffix in (".yml", ".yaml"):
        raise bad_file("yaml_not_chatterbot")
    return None


def forced(_source: Source, head: Head, name: str) -> Detected:
    return Detected(format=name, encoding=head.encoding)


def read(source: Source, detected: Detected) -> Iterator[Readable | Unreadable]:
    with source.open() as file:
        pass_mark(file)
        stream = _Stream(file, codec_of(detected.encoding))
        found = _Conversations(yaml.parse(stream, Loader=_LOADER), stream)
        try:
            yield from found
        except BadRow as bad:
            yield Unreadable(line=found.line, rule=bad.rule, facts=bad.facts, end_byte=file.tell())
        except yaml.YAMLError as error:
            yield _broken(error, file.tell())
        except RecursionError:
            yield Unreadable(line=found.line, rule="too_deep", end_byte=file.tell())


def _broken(error: yaml.YAMLError, end_byte: int) -> Unreadable:
    mark = getattr(error, "problem_mark", None)
    why = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)[:100]
    return Unreadable(line=mark.line + 1 if mark else 1, rule="bad_yaml", facts={"why": why}, end_byte=end_byte)


class _Stream:
    """The text for the parser, which would hold all of it if one conversation took all. Raises BadRow for that."""

    def __init__(self, file: io.BufferedReader, codec: str) -> None:
        self.tell = file.tell
        self._file = io.TextIOWrapper(file, codec, errors="replace")
        self._size = 0

    def read(self, size: int = -1, /) -> str:
        piece = self._file.read(size)
        self._size += len(piece)
        if self._size > _LONGEST_CHARS:
            raise BadRow("value_too_long", limit=_LONGEST_CHARS)
        return piece

    def begin(self) -> None:
        """A conversation begins."""
        self._size = 0


class _Conversations:
    """The conversations of a stream of YAML events."""

    def __init__(self, events: Iterator[Any], stream: _Stream) -> None:
        self._events = events
        self._stream = stream
        self.line = 1

    def __iter__(self) -> Iterator[Readable | Unreadable]:
        depth = 0
        key = ""
        for event in self._events:
            self._stream.begin()
            if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                if depth == _IN_LIST and key == _KEY and isinstance(event, yaml.SequenceStartEvent):
                    _checked(event)
                    yield from self._list()
                    key = ""
                    continue
                depth += 1
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                depth -= 1
                key = ""
            elif isinstance(event, yaml.ScalarEvent) and depth == 1:
                key = event.value if not key else ""
            else:
                _checked(event)

    def _list(self) -> Iterator[Readable | Unreadable]:
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                return
            self._stream.begin()
            self.line = event.start_mark.line + 1
            yield self._conversation(event)

    def _conversation(self, start: Any) -> Readable | Unreadable:
        line = start.start_mark.line + 1
        said: list[str] = []
        try:
            said = self._utterances(start)
            record, left_out = _dialogue(said)
        except BadRow as bad:
            shown = excerpt(" ".join(said)) or excerpt(str(getattr(start, "value", "")))
            return Unreadable(line=line, rule=bad.rule, facts=bad.facts, excerpt=shown, end_byte=self._stream.tell())
        return Readable(line=line, record=record, left_out=left_out, end_byte=self._stream.tell())

    def _utterances(self, start: Any) -> list[str]:
        """The texts of one conversation; it is read to its end even where something in it is refused."""
        said: list[str] = []
        refused = _refusal(start)
        depth = _depth_change(start)
        while depth:
            event = next(self._events)
            depth += _depth_change(event)
            refused = refused or _refusal(event)
            if isinstance(event, yaml.ScalarEvent) and depth == 1 and len(said) <= _MOST_UTTERANCES:
                said.append(event.value)
            elif not isinstance(event, yaml.ScalarEvent) and depth:
                refused = refused or BadRow("not_utterances")
        if refused or not isinstance(start, yaml.SequenceStartEvent):
            raise refused or BadRow("not_utterances")
        return said


def _depth_change(event: Any) -> int:
    if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
        return 1
    return -1 if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent) else 0


def _refusal(event: Any) -> BadRow | None:
    if isinstance(event, yaml.AliasEvent):
        return BadRow("yaml_alias", name=str(event.anchor)[:40])
    tag = getattr(event, "tag", None)
    if tag and not str(tag).startswith("tag:yaml.org,2002:str"):
        return BadRow("yaml_tag", tag=str(tag)[:60])
    return None


def _checked(event: Any) -> None:
    if refused := _refusal(event):
        raise refused


def _dialogue(said: list[str]) -> tuple[Dialogue, int]:
    if len(said) > _MOST_UTTERANCES:
        raise BadRow("dialogue_too_long", limit=_MOST_UTTERANCES)
    if not said:
        raise BadRow("not_utterances")
    if any("\ufffd" in one for one in said):
        raise BadRow("not_decoded", byte="\ufffd")
    return in_turn([text(one.strip(), f"[{number}]") for number, one in enumerate(said, 1)])
