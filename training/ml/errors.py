"""What can go wrong in the pipeline. The text of every error is for the person who uploaded or started."""

from __future__ import annotations

from typing import Any


class PipelineError(Exception):
    """Base of all errors whose text may be shown as it is.

    `code` is stable and is what callers and translations look at; `facts` are the values in the text.
    """

    code = "pipeline"

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts


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
