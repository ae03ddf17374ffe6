"""The admin of curators and operators; Django reads this package, it reads the pages."""

from __future__ import annotations

from training.admin import corpora, examples, models, runs, versions

__all__ = ["corpora", "examples", "models", "runs", "versions"]
