"""Rules that need the tokenizer of a base: rows that do not fit, and characters that it does not know."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from training.ml.findings.base import Found, Place, Row, places, turns
from training.ml.records import Message
from training.ml.render import Renderer

# From this share of a row's tokens on it is more than one odd character.
UNKNOWN_SHARE = 0.01
_WORD_CHARS = 20


class TokenRules:
    """The rules of one base. Safe for any number of rows; encodes a batch with one call into the tokenizer."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._unknown = _unknown_id(renderer)

    @classmethod
    def of(cls, model_dir: Path) -> TokenRules:
        """Raises BadModel when the directory is none of a model."""
        return cls(Renderer.load(model_dir))

    def find(self, rows: Sequence[Row]) -> list[list[Found]]:
        rendered = self._renderer.render_many([_messages(row) for row in rows])
        return [
            [*self._long(row, len(ids.ids)), *self._strange(row, ids.ids)]
            for row, ids in zip(rows, rendered, strict=True)
        ]

    def _long(self, row: Row, tokens: int) -> list[Found]:
        limit = self._renderer.context_length
        # Documents are cut into pieces that fit.
        if row.kind == "document" or tokens <= limit:
            return []
        last = list(places(row.body))[-1]
        return [Found(rule="too_long", where=last.where, facts={"tokens": tokens, "limit": limit})]

    def _strange(self, row: Row, ids: Sequence[int]) -> list[Found]:
        count = ids.count(self._unknown) if self._unknown is not None else 0
        if not count or count < UNKNOWN_SHARE * len(ids):
            return []
        place, start, end = self._first_unknown(row)
        facts = {"count": count, "tokens": len(ids), "found": place.text[start:end]}
        return [Found(rule="unknown_tokens", where=place.where, start=start, end=end, facts=facts)]

    def _first_unknown(self, row: Row) -> tuple[Place, int, int]:
        """A character, or the first word where each character by itself is known."""
        texts = list(places(row.body))
        place = next((text for text in texts if self._unknown in self._renderer.text_ids(text.text)), texts[0])
        for number, character in enumerate(place.text):
            if self._unknown in self._renderer.text_ids(character):
                return place, number, number + 1
        words = re.finditer(r"\S+", place.text)
        word = next((word for word in words if self._unknown in self._renderer.text_ids(word[0])), None)
        return (place, word.start(), min(word.end(), word.start() + _WORD_CHARS)) if word else (place, 0, 1)


def _messages(row: Row) -> list[Message]:
    """The row as it is rendered for training; of a pair, with the longer of its answers."""
    if row.kind == "document":
        return [Message(role="user", content=row.body["text"])]
    said = [Message.from_json(turn) for turn in turns(row.body)]
    answers = [row.body[name] for name in ("chosen", "rejected", "completion") if name in row.body]
    return [*said, Message(role="assistant", content=max(answers, key=len))] if answers else said


def _unknown_id(renderer: Renderer) -> int | None:
    model = json.loads(renderer.tokenizer.to_str())["model"]
    token = model.get("unk_token")
    if isinstance(token, str):
        return renderer.tokenizer.token_to_id(token)
    number = model.get("unk_id")
    return number if isinstance(number, int) else None
