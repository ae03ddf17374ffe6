"""From a branch of a conversation to what the engine is asked: ids, settings, seed. No torch: `tokenizers` only."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import structlog

from chat.models import Message
from chat.protocol import Params
from training import registry, serving, storage
from training.ml.config import SAMPLING_KNOBS, SamplingConfig
from training.ml.errors import PromptTooLong
from training.ml.records import Message as Turn
from training.ml.render import Renderer
from training.models import ModelVersion

log = structlog.get_logger(__name__)

# An answer may take at most this share of the window, so that there is always room for the question.
ANSWER_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """Exactly what the model will see, and which older turns it will not."""

    ids: list[int]
    turns: list[Turn]
    dropped: list[str]
    sampling: SamplingConfig
    stop_ids: list[int]
    limit: int

    @property
    def seed(self) -> int:
        """`resolve` has drawn one where the person had none."""
        return self.sampling.seed or 0

    @property
    def sha256(self) -> str:
        return hashlib.sha256(json.dumps(self.ids).encode()).hexdigest()


@lru_cache(maxsize=4)
def _renderer(uid: str) -> Renderer:
    # A version's directory never changes, so its id is a safe key.
    return Renderer.load(storage.model_dir(uid))


def renderer(model: ModelVersion) -> Renderer:
    return _renderer(model.uid)


def warm_up() -> None:
    """Read the active model's tokenizer and template before the first question needs them."""
    try:
        active = registry.active_model()
        if active is not None:
            renderer(active)
    except Exception:  # the site starts without it: who asks is told in words
        log.warning("renderer not warmed up", exc_info=True)


def resolve(params: Params, context_length: int) -> SamplingConfig:
    """The person's settings with defaults filled in, and the answer's length bound by the window.

    Raises BadConfig for a value out of its range.
    """
    values: dict[str, Any] = {name: knob.default for name, knob in SAMPLING_KNOBS.items()}
    values |= {name: value for name, value in params.model_dump().items() if value is not None}
    values |= {name: int(values[name]) for name in ("top_k", "max_tokens")}
    values.setdefault("seed", secrets.randbelow(2**31))
    asked = SamplingConfig(**values)
    return replace(asked, max_tokens=max(1, min(asked.max_tokens, int(context_length * ANSWER_SHARE))))


def build(model: ModelVersion, branch: list[Message], params: Params) -> Prompt:
    """Raises PromptTooLong when even the last question does not fit, BadConfig for a bad setting."""
    # An answer that failed before its first word is no turn.
    spoken = [message for message in branch if message.text.strip()]
    turns = [Turn(role="user" if item.role == Message.Role.USER else "assistant", content=item.text) for item in spoken]
    return fit(model, turns, [str(message.pk) for message in spoken], resolve(params, model.context_length))


def fit(model: ModelVersion, turns: list[Turn], names: list[str], sampling: SamplingConfig) -> Prompt:
    """As many whole latest turns as fit; `names` are what `dropped` lists. Raises PromptTooLong."""
    rendering = renderer(model)
    fitted = rendering.fit(turns, max_new=sampling.max_tokens)
    dropped = set(fitted.dropped)
    return Prompt(
        ids=fitted.ids,
        turns=[turn for index, turn in enumerate(turns) if index not in dropped],
        dropped=[names[index] for index in fitted.dropped],
        sampling=sampling,
        stop_ids=rendering.stop_ids,
        limit=model.context_length,
    )


def continued(prompt: Prompt, model: ModelVersion, begun: str) -> Prompt:
    """The same prompt with the text of the answer so far behind it.

    The text, not the recorded ids: a stopped answer's ids reach further than what was seen, and an interrupted
    one's may be missing. Raises PromptTooLong when there is no room to go on.
    """
    ids = [*prompt.ids, *renderer(model).text_ids(begun)]
    room = prompt.limit - len(ids)
    if room < 1:
        raise PromptTooLong("The answer already fills the model's window.", tokens=len(ids), limit=prompt.limit)
    sampling = replace(prompt.sampling, max_tokens=min(prompt.sampling.max_tokens, room))
    return replace(prompt, ids=ids, sampling=sampling)


def request(
    model: ModelVersion, prompt: Prompt, *, user: str, request_id: str, logprobs: bool
) -> serving.CompletionRequest:
    """What the engine is asked; `request_id` makes its log lines part of ours."""
    return serving.CompletionRequest(
        model=model.uid,
        prompt=prompt.ids,
        sampling=prompt.sampling,
        stop_token_ids=prompt.stop_ids,
        logprobs=logprobs,
        user=user,
        request_id=request_id,
    )


def template_sha256(model: ModelVersion) -> str:
    return hashlib.sha256(model.template.encode()).hexdigest()
