"""The texts of a record, whatever its kind: read, and rewritten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from training.ml.records import Dialogue, Document, Label, Message, Pair, Record

TextStep = Callable[[str], str]


def _map_messages(messages: tuple[Message, ...], step: TextStep) -> tuple[Message, ...]:
    """The very same tuple where nothing changed: most rows are clean, and making messages costs more than looking."""
    texts = [step(message.content) for message in messages]
    if all(text == message.content for text, message in zip(texts, messages, strict=True)):
        return messages
    return tuple(
        Message(role=message.role, content=text, weight=message.weight)
        for text, message in zip(texts, messages, strict=True)
    )


def map_texts(record: Record, step: TextStep) -> Record:
    """The record with `step` done to each of its texts; the same object where none of them changed."""
    match record:
        case Dialogue(messages=messages):
            after = _map_messages(messages, step)
            return record if after is messages else Dialogue(messages=after)
        case Document(text=text):
            new: Record = Document(text=step(text))
        case Pair():
            prompt = _map_messages(record.prompt, step)
            new = replace(record, prompt=prompt, chosen=step(record.chosen), rejected=step(record.rejected))
        case Label():
            new = replace(record, prompt=_map_messages(record.prompt, step), completion=step(record.completion))
    return record if new == record else new


def texts_of(record: Record) -> Sequence[str]:
    match record:
        case Dialogue(messages=messages):
            return [message.content for message in messages]
        case Document(text=text):
            return [text]
        case Pair():
            return [*(message.content for message in record.prompt), record.chosen, record.rejected]
        case Label():
            return [*(message.content for message in record.prompt), record.completion]
