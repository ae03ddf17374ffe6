"""Runs a Jinja chat template with stand-ins for the contents and cuts the result into pieces.

Speaks the dialect of transformers (generation marks, loop controls, `raise_exception`) without importing it.
Knows nothing of tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from training.ml.errors import BadModel
from training.ml.texts import gettext_noop

# Private-use characters: no template contains them, and contents never pass through here.
CONTENT_OPEN, CONTENT_CLOSE = "\ue000", "\ue001"
TRAINED_OPEN, TRAINED_CLOSE = "\ue002", "\ue003"
_MARKERS = re.compile(f"{CONTENT_OPEN}(\\d+){CONTENT_CLOSE}|[{TRAINED_OPEN}{TRAINED_CLOSE}]")
_GENERATION_TAG = re.compile(r"\{%-?\s*generation\b")
NO_OWNER = -1


@dataclass(frozen=True, slots=True)
class Piece:
    """Template text, or the content of message number `content`.

    owners: for each character of `text` (for a content: one entry) the message whose answer it belongs to, or -1.
    """

    text: str = ""
    content: int | None = None
    owners: tuple[int, ...] = ()


class _Generation(Extension):
    """`{% generation %}...{% endgeneration %}` marks what the assistant has to produce."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_mark"), [], [], body).set_lineno(line)

    def _mark(self, caller: Callable[[], str]) -> str:
        return TRAINED_OPEN + caller() + TRAINED_CLOSE


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = lambda value, **kwargs: json.dumps(value, ensure_ascii=False, **kwargs)
    # strftime_now is left out on purpose: a date in the prompt would differ between training and serving.
    environment.globals["raise_exception"] = _refuse
    return environment


class ChatTemplate:
    """A compiled template. Raises BadModel when it cannot be compiled or refuses a sequence of roles."""

    def __init__(self, source: str, variables: Mapping[str, Any]) -> None:
        self.source = source
        self.has_marks = bool(_GENERATION_TAG.search(source))
        # Thinking templates open a thought unless told not to; then a prompt is no prefix of its answer.
        self._variables = {**variables, "enable_thinking": False, "tools": None, "documents": None}
        try:
            self._compiled = _environment().from_string(source)
        except jinja2.TemplateError as error:
            text = gettext_noop("The chat template cannot be read: %(why)s.")
            raise BadModel(text, why=str(error), file="chat_template.jinja") from error

    def pieces(self, roles: Sequence[str], *, prompt: bool) -> list[Piece]:
        """The rendered template for messages with these roles. prompt: open the assistant's turn at the end."""
        messages = [
            {"role": role, "content": f"{CONTENT_OPEN}{index}{CONTENT_CLOSE}"} for index, role in enumerate(roles)
        ]
        try:
            text = self._compiled.render(messages=messages, add_generation_prompt=prompt, **self._variables)
        except (jinja2.TemplateError, TypeError) as error:
            refusal = gettext_noop("The chat template refuses the turns %(roles)s: %(why)s.")
            raise BadModel(refusal, roles="/".join(roles), why=str(error)) from error
        pieces = _cut(text)
        _check_complete([piece.content for piece in pieces if piece.content is not None], roles)
        return pieces


def _check_complete(shown: Sequence[int], roles: Sequence[str]) -> None:
    if list(shown) != list(range(len(roles))):
        missing = [roles[index] for index in range(len(roles)) if index not in shown]
        if missing:
            text = gettext_noop("The chat template leaves out the turns %(missing)s of %(roles)s.")
        else:
            text = gettext_noop("The chat template repeats or reorders turns of %(roles)s.")
        raise BadModel(text, roles="/".join(roles), missing="/".join(missing))


def _cut(text: str) -> list[Piece]:
    """Pieces in order; neighbouring template text is one piece even where a generation mark stood inside it."""
    items = _items(text)
    owners = _owners(items)
    pieces: list[Piece] = []
    fixed: list[str] = []
    fixed_owners: list[int] = []

    def close() -> None:
        if fixed:
            pieces.append(Piece(text="".join(fixed), owners=tuple(fixed_owners)))
            fixed.clear()
            fixed_owners.clear()

    for (value, _region), owner in zip(items, owners, strict=True):
        if isinstance(value, int):
            close()
            pieces.append(Piece(content=value, owners=(owner,)))
        else:
            fixed.append(value)
            fixed_owners.extend([owner] * len(value))
    close()
    return pieces


def _items(text: str) -> list[tuple[int | str, int]]:
    """(content number or template text, number of the generation region or -1)."""
    items: list[tuple[int | str, int]] = []
    position, region, opened = 0, -1, 0
    for match in _MARKERS.finditer(text):
        if match.start() > position:
            items.append((text[position : match.start()], region))
        position = match.end()
        if match.group(1) is not None:
            items.append((int(match.group(1)), region))
        elif match.group() == TRAINED_OPEN:
            region, opened = opened, opened + 1
        else:
            region = -1
    if position < len(text):
        items.append((text[position:], region))
    return items


def _owners(items: Sequence[tuple[int | str, int]]) -> list[int]:
    """A region belongs to the message whose content stands in it."""
    speaker = {region: value for value, region in items if isinstance(value, int)}
    return [speaker.get(region, NO_OWNER) if region >= 0 else NO_OWNER for _, region in items]
