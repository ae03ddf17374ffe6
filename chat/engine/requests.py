"""Reads and checks what a client asks. Every refusal names the field and says what it should be.

Knows no model: whether ids exist and the prompt fits is judged by the version that answers.
"""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from chat.engine.errors import BadRequest, TooLarge

MAX_BODY_BYTES = 8 * 2**20
SEED_LIMIT = 2**63 - 1
MAX_STOPS = 16
MAX_STOP_CHARACTERS = 256
SHOWN_CHARACTERS = 40

# What OpenAI's API has and this engine has not: refused rather than ignored, unless it asks for nothing.
NOTHING_ASKED: dict[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "best_of": (None, 1),
    "echo": (None, False),
    "suffix": (None, ""),
    "logit_bias": (None, {}),
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
}

StopString = Annotated[str, Field(min_length=1, max_length=MAX_STOP_CHARACTERS)]


class Completion(BaseModel):
    """The body of POST /v1/completions. top_k 0 or -1 = off; no stop_token_ids = the model's own end mark."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)

    model: str = Field(min_length=1)
    prompt: str | list[int]
    max_tokens: int = Field(default=16, ge=1)
    temperature: float = Field(default=1.0, ge=0, le=2)
    top_k: int = Field(default=0, ge=-1)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int | None = Field(default=None, ge=0, le=SEED_LIMIT)
    stop: list[StopString] = Field(default=[], max_length=MAX_STOPS)
    stop_token_ids: list[int] | None = Field(default=None, max_length=1024)
    logprobs: bool = False
    stream: bool = False
    user: str = Field(default="", max_length=256)

    @field_validator("prompt", mode="before")
    @classmethod
    def one_prompt(cls, value: Any) -> Any:
        if isinstance(value, str):
            return value
        if not isinstance(value, list) or not all(type(item) is int for item in value):
            raise ValueError("should be a text or a list of token ids")
        if not value:
            raise ValueError("is empty: at least one token is needed")
        return value

    @field_validator("stop", mode="before")
    @classmethod
    def one_or_many(cls, value: Any) -> Any:
        return [] if value is None else [value] if isinstance(value, str) else value

    @field_validator("logprobs", mode="before")
    @classmethod
    def number_or_flag(cls, value: Any) -> Any:
        # OpenAI's field is a count of alternatives; the chosen id's own is told either way.
        return value is not None if value is None or type(value) is int else value

    @field_validator("max_tokens", "temperature", "top_k", "top_p", "user", "stream", mode="before")
    @classmethod
    def null_means_default(cls, value: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].default if value is None else value


class VersionId(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    id: str = Field(min_length=1)


class Threads(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    threads: int = Field(ge=1, le=1024)


Body = TypeVar("Body", bound=BaseModel)


def parse(shape: type[Body], body: bytes) -> Body:
    """Raises BadRequest naming the first wrong field."""
    if len(body) > MAX_BODY_BYTES:
        raise TooLarge(f"The request has more than {MAX_BODY_BYTES} bytes.")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The body is not valid JSON: {error}.", code="invalid_json") from error
    if not isinstance(value, dict):
        raise BadRequest("The body should be a JSON object.", code="invalid_json")
    try:
        checked = shape.model_validate(value)
    except ValidationError as error:
        raise _refusal(error) from None
    if shape is Completion:
        _refuse_unsupported(value)
    return checked


def _refusal(error: ValidationError) -> BadRequest:
    first = error.errors(include_url=False, include_context=False)[0]
    param = str(first["loc"][0]) if first["loc"] else None
    said = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return BadRequest(f"{param} is wrong: {said}{_got(first.get('input'))}.", param=param)


def _got(value: Any) -> str:
    if isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) < SHOWN_CHARACTERS):
        plain = value if not isinstance(value, float) or math.isfinite(value) else str(value)
        return f" (got {plain!r})"
    return ""


def _refuse_unsupported(value: dict[str, Any]) -> None:
    for name, harmless in NOTHING_ASKED.items():
        if value.get(name) not in harmless:
            raise BadRequest(f"{name} is not supported by this engine.", param=name, code="unsupported_parameter")
