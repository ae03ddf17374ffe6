"""The JSON formats: one row a line, or one list of rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from training.ml.corpus.shapes import is_prepared
from training.ml.export import holding
from training.ml.export.holding import CannotHold, Outgoing
from training.ml.export.writer import Writer, framed
from training.ml.records import Document, Kind, Message, Record
from training.ml.texts import gettext_noop

LONGEST_CHARS = 250_000  # at most four bytes each: reading takes lines of a mebibyte
Plain = dict[str, Any]

_FROM = {"system": "system", "user": "human", "assistant": "gpt"}


def _line(make: Callable[[Record], Any]) -> Callable[[Outgoing], str]:
    def encode(row: Outgoing) -> str:
        plain = make(row.record)
        if isinstance(plain, dict):
            plain |= {name: value for name, value in (("group", row.group), ("split", row.split)) if value}
        text = json.dumps(plain, ensure_ascii=False)
        if len(text) > LONGEST_CHARS:
            raise CannotHold("length")
        return text

    return encode


def _messages(record: Record) -> Plain:
    return holding.dialogue(record).body()


def _prompt_completion(record: Record) -> Plain:
    asked, answer = holding.exchange(record)
    plain: Plain = {"prompt": asked, "completion": answer}
    # Else a file of such rows would be taken for the output of OpenAI's `prepare_data`, and lose its arrows.
    return plain | {"prepared": False} if is_prepared(plain) else plain


def _turn(message: Message) -> Plain:
    plain: Plain = {"from": _FROM[message.role], "value": message.content}
    return plain if message.weight == 1 else plain | {"weight": message.weight}


def _sharegpt(record: Record) -> Plain:
    return {"conversations": [_turn(message) for message in holding.dialogue(record).messages]}


def _alpaca(record: Record) -> Plain:
    messages = holding.dialogue(record).messages
    holding.unweighted(messages)
    system = messages[0].content if messages[0].role == "system" else ""
    turns = messages[1:] if system else messages
    holding.in_turn(turns)
    *earlier, asked, answer = (message.content for message in turns)
    plain: Plain = {"instruction": asked, "input": "", "output": answer}
    if system:
        plain["system"] = system
    if earlier:
        plain["history"] = [list(each) for each in zip(earlier[::2], earlier[1::2], strict=True)]
    return plain


def _utterances(record: Record) -> list[str]:
    return holding.unspaced(holding.utterances(record))


def _answer(text: str) -> list[Plain]:
    return [{"role": "assistant", "content": text}]


def _preference(record: Record) -> Plain:
    pair = holding.pair(record)
    plain: Plain = {
        "prompt": [message.to_json() for message in pair.prompt],
        "chosen": _answer(pair.chosen),
        "rejected": _answer(pair.rejected),
    }
    return plain | _margin(pair.margin)


def _margin(margin: float | None) -> Plain:
    return {} if margin is None else {"margin": margin}


def _openai_preference(record: Record) -> Plain:
    pair = holding.pair(record)
    asked = [message.to_json() for message in pair.prompt]
    plain: Plain = {
        "input": {"messages": asked, "tools": [], "parallel_tool_calls": True},
        "preferred_output": _answer(pair.chosen),
        "non_preferred_output": _answer(pair.rejected),
    }
    return plain | _margin(pair.margin)


def _sharegpt_preference(record: Record) -> Plain:
    pair = holding.pair(record)
    plain: Plain = {
        "conversations": [_turn(message) for message in pair.prompt],
        "chosen": {"from": "gpt", "value": pair.chosen},
        "rejected": {"from": "gpt", "value": pair.rejected},
    }
    return plain | _margin(pair.margin)


def _transcripts(record: Record) -> Plain:
    pair = holding.pair(record)
    holding.without_system(pair.prompt)
    holding.unweighted(pair.prompt)
    before = "".join(_spoken(message.role, message.content) for message in pair.prompt)
    plain: Plain = {
        "chosen": before + _spoken("assistant", pair.chosen),
        "rejected": before + _spoken("assistant", pair.rejected),
    }
    return plain | _margin(pair.margin)


def _spoken(role: str, text: str) -> str:
    if text != text.strip():
        raise CannotHold("edges")
    if text.startswith(("Human:", "Assistant:")) or "\n\nHuman:" in text or "\n\nAssistant:" in text:
        raise CannotHold("marks")
    return f"\n\n{'Human' if role == 'user' else 'Assistant'}: {text}"


def _label(record: Record) -> Plain:
    label = holding.label(record)
    return {
        "prompt": [message.to_json() for message in label.prompt],
        "completion": _answer(label.completion),
        "label": label.desirable,
    }


def _document(record: Record) -> Plain:
    if not isinstance(record, Document):
        raise CannotHold("kind")
    return record.body()


def _lines(name: str, title: str, kind: Kind, make: Callable[[Record], Any], read_as: str = "") -> Writer:
    return Writer(
        name=name,
        title=title,
        kinds=(kind,),
        suffix=".jsonl",
        content_type="application/jsonl; charset=utf-8",
        read_as=read_as or name,
        encode=_line(make),
        write=framed(between="\n", after="\n"),
    )


def _list(name: str, title: str, kind: Kind, make: Callable[[Record], Any], read_as: str = "") -> Writer:
    return Writer(
        name=name,
        title=title,
        kinds=(kind,),
        suffix=".json",
        content_type="application/json; charset=utf-8",
        read_as=read_as or name,
        encode=_line(make),
        write=framed(before="[\n", between=",\n", after="\n]\n"),
    )


JSON_WRITERS: tuple[Writer, ...] = (
    _lines("messages", gettext_noop("JSON: messages (OpenAI chat)"), "dialogue", _messages),
    _lines("prompt_completion", gettext_noop("JSON: prompt and completion"), "dialogue", _prompt_completion),
    _list("sharegpt", gettext_noop("JSON: conversations (ShareGPT)"), "dialogue", _sharegpt),
    _list("alpaca", gettext_noop("JSON: instruction, input, output (Alpaca)"), "dialogue", _alpaca),
    _lines("utterances", gettext_noop("JSON: lists of utterances"), "dialogue", _utterances),
    _lines("preference", gettext_noop("JSON: chosen and rejected"), "pair", _preference),
    _lines(
        "openai_preference",
        gettext_noop("JSON: preferred and non-preferred output (OpenAI)"),
        "pair",
        _openai_preference,
    ),
    _list(
        "sharegpt_preference",
        gettext_noop("JSON: conversations, chosen and rejected (LLaMA-Factory)"),
        "pair",
        _sharegpt_preference,
        "preference",
    ),
    _lines(
        "transcripts",
        gettext_noop("JSON: chosen and rejected transcripts (hh-rlhf)"),
        "pair",
        _transcripts,
        "preference",
    ),
    _lines("label", gettext_noop("JSON: answers with a thumb (KTO)"), "label", _label),
    _lines("documents", gettext_noop("JSON: texts"), "document", _document),
)
