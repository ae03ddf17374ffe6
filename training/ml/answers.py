"""Greedy answers of a model to prompts of a dataset, for samples during training and for evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch

from training.ml.errors import PromptTooLong
from training.ml.records import Dialogue, Record
from training.ml.render import Renderer

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


@torch.no_grad()
def greedy(model: Any, renderer: Renderer, prompts: Sequence[list[int]]) -> list[str]:
    """The most likely answers, padded on the left into one batch."""
    width = max(map(len, prompts))
    pad = renderer.pad_id if renderer.pad_id is not None else renderer.stop_ids[0]
    ids = np.full((len(prompts), width), pad, dtype=np.int64)
    seen = np.zeros((len(prompts), width), dtype=np.int64)
    for line, prompt in enumerate(prompts):
        ids[line, width - len(prompt) :] = prompt
        seen[line, width - len(prompt) :] = 1
    out = model.generate(
        input_ids=torch.from_numpy(ids).to(model.device),
        attention_mask=torch.from_numpy(seen).to(model.device),
        do_sample=False,
        max_new_tokens=min(LONGEST_ANSWER, renderer.context_length - width),
        eos_token_id=renderer.stop_ids,
        pad_token_id=pad,
    )
    return [renderer.decode(_until_stop(row, renderer.stop_ids)) for row in out[:, width:].tolist()]


def _until_stop(ids: Sequence[int], stops: Sequence[int]) -> list[int]:
    end = next((index for index, value in enumerate(ids) if value in stops), len(ids))
    return list(ids[:end])
