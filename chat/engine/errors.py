"""What the engine answers when it says no: OpenAI's error shape, with the status that belongs to it."""

from __future__ import annotations

from typing import Any

from training.ml.errors import PipelineError, Told
from training.ml.texts import Words


class ApiError(Told):
    """Base. `param` names the wrong field of the request; `code` is stable.

    What an operator may meet when a version is loaded is marked for translation; what only a program that calls the
    engine meets is English, as OpenAI's is.
    """

    status = 500
    kind = "server_error"
    code = "engine_failure"

    def __init__(
        self, said: str | Words, /, *, param: str | None = None, code: str | None = None, **facts: Any
    ) -> None:
        super().__init__(said, **facts)
        self.param = param
        self.code = code or self.code

    def to_json(self) -> dict[str, Any]:
        told = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return {"error": told | {"words": self.words}}


class BadRequest(ApiError):
    """Raised when the request itself is wrong."""

    status = 400
    kind = "invalid_request_error"
    code = "invalid_value"


class Unauthorized(ApiError):
    """Raised when the secret is missing or wrong."""

    status = 401
    kind = "authentication_error"
    code = "invalid_api_key"


class ModelNotFound(ApiError):
    """Raised when there is no version of that name."""

    status = 404
    kind = "invalid_request_error"
    code = "model_not_found"


class ModelRefused(ApiError):
    """Raised when a version is there but cannot be loaded."""

    status = 422
    kind = "invalid_request_error"
    code = "bad_model"


class NoMemory(ApiError):
    """Raised when a version does not fit beside those in use."""

    status = 409
    kind = "invalid_request_error"
    code = "not_enough_memory"


class VersionInUse(ApiError):
    """Raised when a version that is answering should be unloaded."""

    status = 409
    kind = "invalid_request_error"
    code = "version_in_use"


class TooLarge(ApiError):
    """Raised when the body is larger than any sensible request."""

    status = 413
    kind = "invalid_request_error"
    code = "request_too_large"


class Busy(ApiError):
    """Raised when the queue is full."""

    status = 429
    kind = "rate_limit_error"
    code = "queue_full"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Closing(ApiError):
    """Raised when the engine is about to end."""

    status = 503
    code = "engine_closing"


def model_refused(error: PipelineError) -> ModelRefused:
    return ModelRefused(error.words, param="model", code=error.code)
