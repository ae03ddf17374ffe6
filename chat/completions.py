"""The public completions API as a use case: an OpenAI-shaped request in, OpenAI-shaped objects out.

Nothing of it is stored as a conversation. Knows the shapes and the engine, but no HTTP; every failure is an ApiError
that says its status.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from django.contrib.auth.models import User
from pydantic import BaseModel, ConfigDict, Field

from chat import prompts
from chat.database import run_in_thread
from chat.protocol import Params
from training import registry, serving
from training.ml.config import SAMPLING_KNOBS
from training.ml.errors import BadConfig, PipelineError, PromptTooLong
from training.ml.records import Message as Turn
from training.models import ModelVersion

log = structlog.get_logger(__name__)

DEFAULT_ALIAS = "default"
ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
# What this model cannot do; a value that asks for nothing (null, 0, 1 for n) is no request.
UNSUPPORTED = ("tools", "functions", "stop", "logit_bias", "presence_penalty", "frequency_penalty", "logprobs", "audio")


class ApiError(Exception):
    """Raised for anything that a client did wrong or cannot have now; shaped as OpenAI's clients read it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        kind: str = "invalid_request_error",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


# The request --------------------------------------------------------------------------------------------------------


class TextPart(BaseModel):
    model_config = ConfigDict(extra="allow")

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="allow")

    include_usage: bool = False


class ChatRequest(BaseModel):
    """Unknown fields are let through, as clients send many; those that would change the answer are refused."""

    model_config = ConfigDict(extra="allow")

    model: str
    messages: list[ChatMessage] = Field(min_length=1, max_length=2000)
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    seed: int | None = None
    n: int | None = None


# Understanding it ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One answer to be: what the engine is asked and what every object of the reply repeats."""

    id: str
    created: int
    model: str
    request: serving.CompletionRequest
    prompt_tokens: int
    include_usage: bool


async def understand(user: User, asked: ChatRequest, *, request_id: str) -> Completion:
    """Raises ApiError for a model, a setting or a length that cannot be had."""
    return await run_in_thread(_understand, user, asked, request_id)


def find_model(name: str) -> ModelVersion:
    """By its name, its id, or `default` for the one that answers on the page."""
    found = registry.active_model() if name == DEFAULT_ALIAS else _by_name(name)
    if found is None:
        raise ApiError(404, f"The model {name!r} does not exist.", code="model_not_found", param="model")
    return found


def list_models() -> list[ModelVersion]:
    """The active one first."""
    return list(ModelVersion.objects.filter(retired_at__isnull=True).order_by("-is_active", "-id"))


def model_object(model: ModelVersion, *, name: str = "") -> dict[str, Any]:
    created = int(model.created_at.timestamp())
    return {"id": name or model.name, "object": "model", "created": created, "owned_by": "chatsite"}


def _by_name(name: str) -> ModelVersion | None:
    kept = ModelVersion.objects.filter(retired_at__isnull=True)
    return kept.filter(name=name).first() or kept.filter(uid=name).first()


def _understand(user: User, asked: ChatRequest, request_id: str) -> Completion:
    _refuse_unsupported(asked)
    model = find_model(asked.model)
    turns = [Turn(role=ROLES[message.role], content=message.text) for message in asked.messages]
    try:
        sampling = prompts.resolve(_params(asked, model), model.context_length)
        prompt = prompts.fit(model, turns, [str(index) for index in range(len(turns))], sampling)
    except BadConfig as error:
        raise ApiError(400, error.message, code="invalid_value", param=error.facts["field"]) from error
    except PromptTooLong as error:
        raise _too_long(model) from error
    except PipelineError as error:
        raise ApiError(503, error.message, code="model_broken", kind="server_error") from error
    if prompt.dropped:
        # The page says what it leaves out; here nobody would notice.
        raise _too_long(model)
    return Completion(
        id=f"chatcmpl-{request_id}",
        created=int(time.time()),
        model=model.name,
        request=prompts.request(model, prompt, user=str(user.pk), request_id=request_id, logprobs=False),
        prompt_tokens=len(prompt.ids),
        include_usage=bool(asked.stream_options and asked.stream_options.include_usage),
    )


def _refuse_unsupported(asked: ChatRequest) -> None:
    extra = asked.model_extra or {}
    wrong = next((name for name in UNSUPPORTED if extra.get(name)), None)
    if asked.n not in (None, 1):
        wrong = "n"
    if (extra.get("response_format") or {"type": "text"}) != {"type": "text"}:
        wrong = "response_format"
    if wrong is not None:
        raise ApiError(400, f"{wrong!r} is not supported.", code="unsupported_parameter", param=wrong)


def _params(asked: ChatRequest, model: ModelVersion) -> Params:
    """Without a wish an answer may take the room that answers have; a wish beyond the window means the same."""
    room = min(int(SAMPLING_KNOBS["max_tokens"].high), max(1, int(model.context_length * prompts.ANSWER_SHARE)))
    wish = asked.max_completion_tokens if asked.max_completion_tokens is not None else asked.max_tokens
    return Params(
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        max_tokens=room if wish is None else min(wish, room),
        seed=asked.seed,
    )


def _too_long(model: ModelVersion) -> ApiError:
    text = f"The messages do not fit into the model's {model.context_length} tokens beside the answer."
    return ApiError(400, text, code="context_length_exceeded", param="messages")


# Answering ----------------------------------------------------------------------------------------------------------

Event = serving.Delta | serving.Finished


async def events(completion: Completion) -> AsyncGenerator[Event, None]:
    """Deltas, then one Finished. Closing it ends the work in the engine. Raises ApiError."""
    tokens = 0
    try:
        async with aclosing(serving.engine().stream(completion.request)) as stream:
            async for event in stream:
                if isinstance(event, serving.Delta):
                    tokens += len(event.token_ids)
                if isinstance(event, serving.Delta | serving.Finished):
                    yield event
    except serving.EngineError as error:
        log.warning("completion failed", code=error.code, cause=str(error))
        raise _engine_error(error) from error
    finally:
        log.info("completion", model=completion.model, prompt_tokens=completion.prompt_tokens, tokens=tokens)


async def whole(completion: Completion) -> dict[str, Any]:
    """The whole answer as one object."""
    text, tokens, reason = "", 0, "stop"
    async with aclosing(events(completion)) as stream:
        async for event in stream:
            if isinstance(event, serving.Delta):
                text, tokens = text + event.text, tokens + len(event.token_ids)
            else:
                reason = event.reason
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
    return _object(completion, "chat.completion", [choice]) | {"usage": _usage(completion, tokens)}


async def chunks(completion: Completion, stream: AsyncIterator[Event]) -> AsyncIterator[dict[str, Any]]:
    """The objects of a stream, without the `[DONE]` behind them."""
    tokens = 0
    yield _chunk(completion, {"role": "assistant", "content": ""})
    async for event in stream:
        if isinstance(event, serving.Delta):
            tokens += len(event.token_ids)
            yield _chunk(completion, {"content": event.text})
        else:
            yield _chunk(completion, {}, reason=event.reason)
    if completion.include_usage:
        yield _object(completion, "chat.completion.chunk", []) | {"usage": _usage(completion, tokens)}


def _chunk(completion: Completion, delta: dict[str, str], *, reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
    return _object(completion, "chat.completion.chunk", [choice])


def _object(completion: Completion, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": completion.id,
        "object": kind,
        "created": completion.created,
        "model": completion.model,
        "choices": choices,
    }


def _usage(completion: Completion, tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": tokens,
        "total_tokens": completion.prompt_tokens + tokens,
    }


def _engine_error(error: serving.EngineError) -> ApiError:
    match error:
        case serving.EngineBusy():
            text = "Too many requests are waiting. Try again later."
            return ApiError(429, text, code="engine_busy", kind="rate_limit_error", retry_after=error.retry_after)
        case serving.EngineDown():
            return ApiError(503, "The model server cannot be reached.", code="engine_down", kind="server_error")
    return ApiError(502, f"The model server refused: {error}", code=error.code, kind="server_error")
