"""Steps that drop what is too short or too long, in characters or in the tokens of a model."""

from __future__ import annotations

from collections.abc import Callable

from training.ml.clean.kinds import KEEP, Judge, Ready, Verdict
from training.ml.clean.mapping import texts_of
from training.ml.clean.parameters import Materials, Settings
from training.ml.records import Record


def _judge(count: Callable[[str], int], settings: Settings, reasons: tuple[str, str]) -> Ready:
    low, high = Verdict(dropped=reasons[0]), Verdict(dropped=reasons[1])

    def judge(record: Record) -> Verdict:
        counts = [count(text) for text in texts_of(record)]
        counts = [sum(counts)] if settings["of"] == "row" else counts
        if min(counts) < settings["least"]:
            return low
        return high if max(counts) > settings["most"] else KEEP

    return Judge(judge)


def make_characters(settings: Settings, _materials: Materials) -> Ready:
    """Characters without the white space around a text."""
    return _judge(lambda text: len(text.strip()), settings, ("too_short", "too_long"))


def make_tokens(settings: Settings, materials: Materials) -> Ready:
    """Tokens of the words alone; a chat template adds a few for each turn."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(materials[settings["tokenizer"]])
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(text: str) -> int:
        # The library refuses lone surrogates; a model reads them as one unknown character.
        sound = text.encode("utf-8", "replace").decode()
        return len(tokenizer.encode(sound, add_special_tokens=False).ids)

    return _judge(count, settings, ("too_few_tokens", "too_many_tokens"))
