"""From ids to text, piece by piece: deltas of whole characters that join to exactly the text of all ids.

Knows tokenizers and stop strings; nothing of models or HTTP. Torch-free.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Sequence
from functools import cached_property

from tokenizers import Tokenizer

from training.ml.render import Renderer

BROKEN = "\ufffd"
_BYTE_TOKEN = re.compile("<0x[0-9A-Fa-f]{2}>")


class Vocabulary:
    """What the text side needs of one model's tokenizer."""

    def __init__(self, tokenizer: Tokenizer, decode: Callable[[Sequence[int]], str]) -> None:
        self._tokenizer = tokenizer
        self.decode = decode

    @classmethod
    def of(cls, renderer: Renderer) -> Vocabulary:
        return cls(renderer.tokenizer, renderer.decode)

    def may_change(self, token: int) -> bool:
        """True where later ids can still change the text before them.

        Byte fallback turns a whole run of byte tokens into one broken sign a byte when any of it is broken, and
        special tokens do not end a run, because they are left out first.
        """
        if not self._byte_ids:
            return False
        return token in self._byte_ids or token in self._special_ids or self._tokenizer.id_to_token(token) is None

    @cached_property
    def _byte_ids(self) -> frozenset[int]:
        if "ByteFallback" not in json.dumps(json.loads(self._tokenizer.to_str())["decoder"]):
            return frozenset()
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=True)
        return frozenset(index for token, index in vocabulary.items() if _BYTE_TOKEN.fullmatch(token))

    @cached_property
    def _special_ids(self) -> frozenset[int]:
        added = self._tokenizer.get_added_tokens_decoder()
        return frozenset(index for index, token in added.items() if token.special)


class TextStream:
    """Feed ids, get text. A window of the latest ids is decoded, so the cost does not grow with the answer.

    The window begins at a place where the text was whole, one such place back, because some decoders treat the first
    token of a text in their own way.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._window: list[int] = []
        self._sent = 0  # characters of the window's text already given out
        self._whole = 0  # ids of the window up to the latest place with whole text

    def push(self, token: int) -> str:
        """The characters that are certain now."""
        self._window.append(token)
        if self._vocabulary.may_change(token):
            return ""
        text = self._vocabulary.decode(self._window)
        # Bytes at the end that do not make a character yet decode to one broken sign; all before it is final.
        certain = text[:-1] if text.endswith(BROKEN) else text
        delta, self._sent = certain[self._sent :], max(self._sent, len(certain))
        if certain is text:
            self._move_window()
        return delta

    def flush(self) -> str:
        """What is left at the end, broken characters included."""
        text = self._vocabulary.decode(self._window)
        delta, self._sent = text[self._sent :], max(self._sent, len(text))
        return delta

    def _move_window(self) -> None:
        rest = self._window[self._whole :]
        text = self._vocabulary.decode(rest)
        # A window without text (special tokens, a lone space mark) would lose what its next token's text depends on.
        if text:
            self._window, self._sent, self._whole = rest, len(text), len(rest)


class StopStrings:
    """Cuts a text at the first stop string, and holds back what may become one."""

    def __init__(self, stops: Collection[str]) -> None:
        self._stops = sorted(stops, key=len)
        self._held = ""

    def push(self, text: str) -> tuple[str, bool]:
        """(text that may be shown, True when a stop string ended it)."""
        if not self._stops:
            return text, False
        whole = self._held + text
        found = [place for stop in self._stops if (place := whole.find(stop)) >= 0]
        if found:
            self._held = ""
            return whole[: min(found)], True
        keep = max(_overlap(whole, stop) for stop in self._stops)
        shown, self._held = whole[: len(whole) - keep], whole[len(whole) - keep :]
        return shown, False

    def flush(self) -> str:
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that a stop string begins with."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)
