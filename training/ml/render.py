"""Turns messages into token ids and a loss mask: the only home of the chat template.

Training, evaluation and serving all come here, so a model is asked exactly what it was taught.
Every template goes one way: it is rendered with stand-ins for the contents, so a content never passes through
Jinja, and special tokens that a person types stay plain text. Knows nothing of models or batches; torch-free.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tokenizers import Tokenizer

from training.ml.errors import BadModel, PromptTooLong
from training.ml.records import Message
from training.ml.template import ChatTemplate, Piece
from training.ml.texts import gettext_noop

NO_OWNER = -1
BATCH_FROM = 64  # texts; for fewer, threads cost more than they bring
MOST_LAYOUTS = 2000
CONTEXT_FIELDS = ("n_positions", "max_position_embeddings", "n_ctx", "max_seq_len", "seq_length")
# UTF-8 has no lone surrogates, but JSON from a browser or a file may hold them.
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Rendered:
    """ids and mask have the same length; mask 1 = the model learns to produce this id."""

    ids: list[int]
    mask: list[int]


@dataclass(frozen=True, slots=True)
class FittedPrompt:
    """A prompt that leaves room for the answer; `dropped` are indices of the messages left out."""

    ids: list[int]
    dropped: list[int]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of rendered text as people read it; trained = part of what the model learns."""

    text: str
    trained: bool


@dataclass(frozen=True, slots=True)
class _Part:
    """Fixed ids with the message that owns each (its mask follows that message), or one message's content."""

    ids: tuple[int, ...] = ()
    owners: tuple[int, ...] = ()
    content: int = NO_OWNER
    owner: int = NO_OWNER


class Renderer:
    """One tokenizer and one template, frozen together. Safe to share between threads."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: str,
        *,
        context_length: int,
        stop_ids: Sequence[int],
        eos_token: str = "",
        bos_token: str = "",
        pad_id: int | None = None,
    ) -> None:
        self.tokenizer = _prepared(tokenizer)
        self.context_length = context_length
        self.stop_ids = list(stop_ids)
        self.pad_id = pad_id
        self.template = ChatTemplate(template, {"eos_token": eos_token, "bos_token": bos_token})
        self._content_tokenizer = Tokenizer.from_str(self.tokenizer.to_str())
        self._content_tokenizer.encode_special_tokens = True
        added = self.tokenizer.get_added_tokens_decoder()
        self._special_ids = {index for index, token in added.items() if token.special}
        self._layouts: dict[tuple[tuple[str, ...], bool], tuple[_Part, ...]] = {}

    @classmethod
    def load(cls, model_dir: Path) -> Self:
        """Read everything from a model directory. Raises BadModel when a file is missing or unreadable."""
        settings = read_json(model_dir / "tokenizer_config.json", required=False)
        tokenizer = read_tokenizer(model_dir)
        eos = token_text(settings.get("eos_token"))
        return cls(
            tokenizer,
            read_template(model_dir, settings),
            context_length=_read_context_length(model_dir),
            stop_ids=_read_stop_ids(model_dir, tokenizer, eos),
            eos_token=eos,
            bos_token=token_text(settings.get("bos_token")),
            pad_id=tokenizer.token_to_id(token_text(settings.get("pad_token"))),
        )

    # --- what others ask for ---

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """The ids a model is served: all messages and the opening of the assistant's turn."""
        return self._join(messages, self._encode_contents(messages), prompt=True).ids

    def render(self, messages: Sequence[Message]) -> Rendered:
        """The ids and mask a model is trained on."""
        return self._join(messages, self._encode_contents(messages), prompt=False)

    def render_many(self, dialogues: Iterable[Sequence[Message]]) -> list[Rendered]:
        """`render` of each, with one call into the tokenizer for all of them."""
        listed = list(dialogues)
        encoded = iter(self._encode_many([message.content for messages in listed for message in messages]))
        return [self._join(messages, [next(encoded) for _ in messages], prompt=False) for messages in listed]

    def documents(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of plain texts for pre-training, each closed by the end mark."""
        return [[*ids, *self.stop_ids[:1]] for ids in self._encode_many(texts)]

    def answer_ids(self, prompt: Sequence[Message], answer: Message) -> list[int]:
        """The ids of an answer after its prompt, up to and with the last one that is trained (its end mark)."""
        rendered = self.render([*prompt, answer])
        start = len(self.prompt_ids(prompt))
        end = max((index + 1 for index, trained in enumerate(rendered.mask) if trained), default=start)
        return rendered.ids[start:end]

    def text_ids(self, text: str) -> list[int]:
        """Ids of a text as content: special tokens in it are plain text."""
        return self._encode_many([text])[0]

    def fit(self, messages: Sequence[Message], *, max_new: int) -> FittedPrompt:
        """The prompt with as many whole latest turns as leave `max_new` ids free.

        System messages and the last user turn always stay. Raises PromptTooLong when even these do not fit.
        """
        limit = self.context_length - max_new
        contents = self._encode_contents(messages)
        choices = _drop_choices(messages)
        prompts: dict[int, list[int]] = {}

        def length(choice: int) -> int:
            kept = [index for index in range(len(messages)) if index not in choices[choice]]
            picked = [messages[index] for index in kept]
            prompts[choice] = self._join(picked, [contents[index] for index in kept], prompt=True).ids
            return len(prompts[choice])

        # Dropping more never makes a prompt longer, so the first choice that fits can be bisected.
        best = bisect_left(range(len(choices)), 0, key=lambda choice: limit - length(choice))
        if best == len(choices):
            raise _too_long(length(len(choices) - 1), limit, max_new)
        if best not in prompts:
            length(best)
        return FittedPrompt(ids=prompts[best], dropped=sorted(choices[best]))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids without special tokens."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)

    def visualise(self, messages: Sequence[Message]) -> list[Span]:
        """The rendered text in stretches of trained and untrained ids, special tokens shown."""
        rendered = self.render(messages)
        spans: list[Span] = []
        start = 0
        for end in range(1, len(rendered.ids) + 1):
            if end == len(rendered.ids) or rendered.mask[end] != rendered.mask[start]:
                text = self.tokenizer.decode(rendered.ids[start:end], skip_special_tokens=False)
                spans.append(Span(text=text, trained=bool(rendered.mask[start])))
                start = end
        return spans

    # --- encoding ---

    def _encode_contents(self, messages: Sequence[Message]) -> list[list[int]]:
        return self._encode_many([message.content for message in messages])

    def _encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        clean = [_SURROGATES.sub("\ufffd", text) for text in texts]
        if len(clean) < BATCH_FROM:
            return [self._content_tokenizer.encode(text, add_special_tokens=False).ids for text in clean]
        return [item.ids for item in self._content_tokenizer.encode_batch_fast(clean, add_special_tokens=False)]

    def _join(self, messages: Sequence[Message], contents: Sequence[list[int]], *, prompt: bool) -> Rendered:
        trained = [int(message.role == "assistant" and message.weight > 0) for message in messages]
        trained.append(0)  # what NO_OWNER points at
        ids: list[int] = []
        mask: list[int] = []
        for part in self._layout(tuple(message.role for message in messages), prompt=prompt):
            if part.content == NO_OWNER:
                ids.extend(part.ids)
                mask.extend(trained[owner] for owner in part.owners)
            else:
                ids.extend(contents[part.content])
                mask.extend([trained[part.owner]] * len(contents[part.content]))
        return Rendered(ids=ids, mask=mask)

    # --- layout: depends on the roles alone, so it is made once for each sequence of roles ---

    def _layout(self, roles: tuple[str, ...], *, prompt: bool) -> tuple[_Part, ...]:
        key = (roles, prompt)
        if key not in self._layouts:
            if len(self._layouts) > MOST_LAYOUTS:
                self._layouts.clear()
            pieces = self.template.pieces(roles, prompt=prompt)
            owned = self.template.has_marks
            self._layouts[key] = tuple(self._marked(pieces) if owned else self._unmarked(pieces, roles))
        return self._layouts[key]

    def _marked(self, pieces: Sequence[Piece]) -> list[_Part]:
        parts = []
        for piece in pieces:
            owner = piece.owners[0] if piece.owners else NO_OWNER
            if piece.content is not None:
                parts.append(_Part(content=piece.content, owner=owner))
                continue
            encoding = self.tokenizer.encode(piece.text, add_special_tokens=False)
            owners = tuple(piece.owners[start] for start, _ in encoding.offsets)
            parts.append(_Part(ids=tuple(encoding.ids), owners=owners))
        return parts

    def _unmarked(self, pieces: Sequence[Piece], roles: Sequence[str]) -> list[_Part]:
        """Without generation marks: an answer is its content and what follows up to the first special token."""
        parts: list[_Part] = []
        speaker = NO_OWNER
        for piece in pieces:
            if piece.content is not None:
                speaker = piece.content if roles[piece.content] == "assistant" else NO_OWNER
                parts.append(_Part(content=piece.content, owner=speaker))
                continue
            ids = self.tokenizer.encode(piece.text, add_special_tokens=False).ids
            first = next((index for index, value in enumerate(ids) if value in self._special_ids), -1)
            owners = tuple(speaker if index <= first else NO_OWNER for index in range(len(ids)))
            parts.append(_Part(ids=tuple(ids), owners=owners))
            speaker = NO_OWNER
        return parts


def _drop_choices(messages: Sequence[Message]) -> list[set[int]]:
    """Index sets to leave out: nothing, then the oldest turn, then the two oldest, ... never the last user turn."""
    turns = [index for index, message in enumerate(messages) if message.role == "user"]
    removable = [index for index, message in enumerate(messages) if message.role != "system"]
    return [set()] + [{index for index in removable if index < start} for start in turns[1:]]


def _too_long(tokens: int, limit: int, max_new: int) -> PromptTooLong:
    return PromptTooLong(
        gettext_noop(
            "The last message alone has %(tokens)d tokens, but only %(limit)d fit beside an answer of %(answer)d. "
            "Make it shorter, or ask for a shorter answer."
        ),
        tokens=tokens,
        limit=limit,
        answer=max_new,
    )


# --- reading a model directory ---


def _prepared(tokenizer: Tokenizer) -> Tokenizer:
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


def read_json(path: Path, *, required: bool = True) -> dict[str, Any]:
    if not path.is_file():
        if required:
            raise BadModel(gettext_noop("The model has no file %(file)s."), file=path.name)
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        text = gettext_noop("The model's file %(file)s is not valid JSON: %(why)s.")
        raise BadModel(text, file=path.name, why=str(error)) from error
    return value if isinstance(value, dict) else {}


def read_tokenizer(model_dir: Path) -> Tokenizer:
    path = model_dir / "tokenizer.json"
    if not path.is_file():
        text = gettext_noop("The model has no file %(file)s: save its tokenizer in the fast format.")
        raise BadModel(text, file=path.name)
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        text = gettext_noop("The model's file %(file)s cannot be read: %(why)s.")
        raise BadModel(text, file=path.name, why=str(error)) from error


def read_template(model_dir: Path, settings: dict[str, Any]) -> str:
    path = model_dir / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    value = settings.get("chat_template")
    if isinstance(value, list):  # several named templates
        value = next((item["template"] for item in value if item.get("name") == "default"), None)
    if not isinstance(value, str) or not value:
        text = gettext_noop("The model has no chat template: adopt it as a base first.")
        raise BadModel(text, file=path.name)
    return value


def token_text(value: Any) -> str:
    """A special token in tokenizer_config.json is a string or an object with `content`."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else ""


def _read_context_length(model_dir: Path) -> int:
    config = read_json(model_dir / "config.json")
    for name in CONTEXT_FIELDS:
        if isinstance(config.get(name), int):
            return int(config[name])
    text = gettext_noop("The model's %(file)s says no context length (%(fields)s).")
    raise BadModel(text, file="config.json", fields=", ".join(CONTEXT_FIELDS))


def _read_stop_ids(model_dir: Path, tokenizer: Tokenizer, eos: str) -> list[int]:
    value = read_json(model_dir / "generation_config.json", required=False).get("eos_token_id")
    listed = value if isinstance(value, list) else [] if value is None else [value]
    named = tokenizer.token_to_id(eos) if eos else None
    found = ([named] if named is not None else []) + [int(item) for item in listed]
    if not found:
        text = gettext_noop("The model names no end-of-text token (eos_token).")
        raise BadModel(text, file="tokenizer_config.json")
    return list(dict.fromkeys(found))
