"""What can go wrong in the pipeline. The text of every error is for the person who uploaded or started."""

from __future__ import annotations

import errno
from typing import Any

from training.ml.texts import Words, fill, words


class Told(Exception):
    """An error for people. `words` can be said in any language, `message` is them in English.

    said: a template, filled with `facts` (plain JSON; more of them than the template has is fine), or whole Words.
    """

    def __init__(self, said: str | Words, /, **facts: Any) -> None:
        self.words = words(said, **facts) if isinstance(said, str) else said
        self.message = fill(self.words)
        super().__init__(self.message)

    @property
    def facts(self) -> dict[str, Any]:
        return self.words["facts"]


class PipelineError(Told):
    """Base of all errors of the pipeline. `code` is stable and is what callers look at."""

    code = "pipeline"


class BadFile(PipelineError):
    """Raised when an uploaded file cannot be read at all: empty, binary, unknown format or encoding."""

    code = "bad_file"


class BadModel(PipelineError):
    """Raised when a directory is not a usable causal language model."""

    code = "bad_model"


class BadConfig(PipelineError):
    """Raised when a training setting is out of its range; `facts["field"]` names it."""

    code = "bad_config"


class BadDataset(PipelineError):
    """Raised when a frozen dataset is missing, damaged, or has no row for what it is asked for."""

    code = "bad_dataset"


class ParityError(PipelineError):
    """Raised when the ids a model would be trained on differ from the ids it would be served."""

    code = "parity"


class PromptTooLong(PipelineError):
    """Raised when even the last turn alone does not fit; facts: `tokens`, `limit`."""

    code = "prompt_too_long"


class Diverged(PipelineError):
    """Raised when the loss becomes NaN or infinite; facts: `step`."""

    code = "diverged"


class DiskFull(PipelineError):
    """Raised when a write would not fit, or did not; facts: `needed_bytes`, `free_bytes`."""

    code = "disk_full"


def is_disk_full(error: BaseException) -> bool:
    """Also where a library (safetensors, torch, SQLite) wrapped the system's error and only its text is left."""
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return True
    return any(text in str(error) for text in ("No space left", "Disk quota", "disk is full"))
