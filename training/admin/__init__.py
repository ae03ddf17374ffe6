"""The admin of curators and operators; Django reads this package, it reads the pages."""

from __future__ import annotations

from training.admin import checks, collections, corpora, examples, models, recipes, runs, statistics, versions

__all__ = ["checks", "collections", "corpora", "examples", "models", "recipes", "runs", "statistics", "versions"]
