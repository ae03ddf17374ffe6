"""The gate before every run: what a model is trained on must be what it will be served.

For rows of the dataset it rebuilds the prompt on the serving path and compares ids. Torch-free.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from training.ml.errors import ParityError
from training.ml.records import Dialogue, Message, Pair, Record
from training.ml.render import Rendered, Renderer
from training.ml.texts import gettext_noop, words

if TYPE_CHECKING:
    from training.ml.dataset import FrozenDataset

SAMPLE_ROWS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityReport:
    """rows and answers that were compared; tokens: ids compared."""

    rows: int
    answers: int
    tokens: int


def check_parity(renderer: Renderer, rows: Iterable[Record]) -> ParityReport:
    """Compare every answer of `rows`. Raises ParityError with the first difference, in words.

    For each trained answer: the served prompt is an exact prefix of the trained ids; after it come exactly the ids
    that the answer's text has on its own, then a stop id, and the mask covers just these.
    """
    counted = answers = tokens = 0
    for messages in filter(None, map(_messages, rows)):
        counted += 1
        rendered = renderer.render(messages)
        for index, message in enumerate(messages):
            if message.role == "assistant" and message.weight > 0:
                tokens += _check_answer(renderer, messages, index, rendered)
                answers += 1
    return ParityReport(rows=counted, answers=answers, tokens=tokens)


def check_dataset(renderer: Renderer, dataset: FrozenDataset) -> ParityReport:
    """`check_parity` on the first rows of the training split."""
    from training.ml.rows import records

    return check_parity(renderer, islice(records(dataset, "train"), SAMPLE_ROWS))


def _messages(record: Record) -> tuple[Message, ...]:
    if isinstance(record, Dialogue):
        return record.messages
    if isinstance(record, Pair):
        return (*record.prompt, Message(role="assistant", content=record.chosen))
    return ()


def _check_answer(renderer: Renderer, messages: Sequence[Message], index: int, rendered: Rendered) -> int:
    prompt = renderer.prompt_ids(messages[:index])
    answer = renderer.text_ids(messages[index].content)
    start, end = len(prompt), len(prompt) + len(answer)
    trained = rendered.ids[:start]
    if trained != prompt:
        at = next((n for n, (a, b) in enumerate(zip(trained, prompt, strict=False)) if a != b), len(trained))
        raise _different(renderer, gettext_noop("the prompt"), prompt[at : at + 8], rendered.ids[at : at + 8], at)
    if rendered.ids[start:end] != answer:
        raise _different(renderer, gettext_noop("the answer"), answer[:8], rendered.ids[start : start + 8], start)
    _check_end(renderer, rendered, start, end)
    return end


def _check_end(renderer: Renderer, rendered: Rendered, start: int, end: int) -> None:
    """The mask covers the answer and runs on, unbroken, to a stop id; nothing of the prompt is trained."""
    if start and rendered.mask[start - 1]:
        raise ParityError(
            gettext_noop("The chat template marks the opening of an answer as trained: move its generation mark.")
        )
    stop = end
    while stop < len(rendered.ids) and rendered.mask[stop] and rendered.ids[stop] not in renderer.stop_ids:
        stop += 1
    if not all(rendered.mask[start:end]) or stop >= len(rendered.ids) or not rendered.mask[stop]:
        raise ParityError(
            gettext_noop(
                "The chat template does not train the end of an answer, so the model would never stop: "
                "the end-of-text token must follow the answer inside the generation mark."
            )
        )


def _different(renderer: Renderer, what: str, served: list[int], trained: list[int], at: int) -> ParityError:
    show = renderer.tokenizer.decode
    return ParityError(
        gettext_noop(
            "From token %(at)d on, %(what)s differs: served %(served)s, trained %(trained)s. The chat template does "
            "not render turns alike in training and in serving; adopt the base with a simpler template."
        ),
        at=at,
        what=words(what),
        served=repr(show(served, skip_special_tokens=False)),
        trained=repr(show(trained, skip_special_tokens=False)),
    )
