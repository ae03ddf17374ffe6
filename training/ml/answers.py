"""Greedy answers of a model to prompts of a dataset, for samples during training and for evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from training.ml.config import SamplingConfig
from training.ml.errors import PromptTooLong
from training.ml.records import Dialogue, Record
from training.ml.render import Renderer

if TYPE_CHECKING:
    from transformers.modeling_utils import PreTrainedModel

LONGEST_ANSWER = 128
SAMPLES = 3


class SampleWriter:
    """Answers the same few prompts at each evaluation, so that people see a model learn."""

    def __init__(self, renderer: Renderer, rows: Iterable[Record]) -> None:
        self.renderer = renderer
        asked = (last_exchange(renderer, row) for row in rows if isinstance(row, Dialogue))
        self.asked = list(islice((found for found in asked if found is not None), SAMPLES))

    def __call__(self, model: Any) -> list[dict[str, Any]]:
        if not self.asked:
            return []
        answers = greedy(model, self.renderer, [prompt for prompt, _ in self.asked])
        return [
            {"prompt": self.renderer.decode(prompt), "answer": answer, "reference": reference}
            for (prompt, reference), answer in zip(self.asked, answers, strict=True)
        ]


def last_exchange(renderer: Renderer, row: Dialogue) -> tuple[list[int], str] | None:
    """(prompt ids, reference) of the last trained answer; None when there is none or it does not fit."""
    trained = [index for index, turn in enumerate(row.messages) if turn.role == "assistant" and turn.weight > 0]
    if not trained:
        return None
    try:
        fitted = renderer.fit(row.messages[: trained[-1]], max_new=min(LONGEST_ANSWER, renderer.context_length // 2))
    except PromptTooLong:
        return None
    return fitted.ids, row.messages[trained[-1]].content


def greedy(
    model: PreTrainedModel,
    renderer: Renderer,
    prompts: Sequence[list[int]],
    *,
    stopped: Callable[[], bool] = lambda: False,
) -> list[str]:
    """The most likely answers, made by the decoder that also serves people."""
    from training.ml.decode import generate

    sampling = SamplingConfig(temperature=0, max_tokens=LONGEST_ANSWER)
    made = generate(model, prompts, sampling=sampling, stop_ids=renderer.stop_ids, stopped=stopped)
    return [renderer.decode(answer.ids) for answer in made]
