"""The formats that are plain text: train.txt, pairs with a tab, subtitles, ChatterBot YAML."""

from __future__ import annotations

import json
import re

from training.ml.export import holding
from training.ml.export.holding import Outgoing
from training.ml.export.writer import Encode, Write, Writer, framed
from training.ml.texts import gettext_noop

# What JSON leaves as it is and YAML does not take as it is, or takes for the end of a line.
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def _chitchat(row: Outgoing) -> str:
    return "\n".join(holding.on_one_line(text) for text in holding.utterances(row.record)) + "\n"


def _tab_pair(row: Outgoing) -> str:
    return "\t".join(holding.on_one_line(text) for text in holding.unspaced([*holding.exchange(row.record)])) + "\n"


def _conv(row: Outgoing) -> str:
    lines = (f"M {holding.on_one_line(text)}\n" for text in holding.utterances(row.record))
    return "E\n" + "".join(lines)


def _chatterbot(row: Outgoing) -> str:
    texts = [_quoted(_stripped(text)) for text in holding.utterances(row.record)]
    return "".join(f"{'- -' if index == 0 else '  -'} {text}\n" for index, text in enumerate(texts))


def _stripped(text: str) -> str:
    if text != text.strip() or "\ufffd" in text:
        raise holding.CannotHold("edges")
    return text


def _quoted(text: str) -> str:
    """A double-quoted YAML scalar: JSON's, with the escapes that only YAML needs."""
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def _writer(name: str, title: str, suffix: str, encode: Encode, write: Write) -> Writer:
    return Writer(
        name=name,
        title=title,
        kinds=("dialogue",),
        suffix=suffix,
        content_type="text/plain; charset=utf-8",
        read_as=name,
        encode=encode,
        write=write,
    )


TEXT_WRITERS: tuple[Writer, ...] = (
    _writer("chitchat", gettext_noop("GPT2-chitchat train.txt"), ".txt", _chitchat, framed(between="\n")),
    _writer("tab_pairs", gettext_noop("Pairs with a tab between them"), ".txt", _tab_pair, framed()),
    _writer("conv", gettext_noop("Subtitles (.conv)"), ".conv", _conv, framed()),
    _writer(
        "chatterbot",
        gettext_noop("ChatterBot YAML"),
        ".yml",
        _chatterbot,
        framed(before="categories:\n- chatsite\nconversations:\n"),
    ),
)
