"""The admin of curators and operators; Django reads this package, it reads the pages."""

from __future__ import annotations

from training.admin import models, runs

__all__ = ["models", "runs"]
