"""The rows of the training side. Fields, choices, constraints and pure properties; verbs live in the noun modules."""

from __future__ import annotations

from training.models.data import Corpus, DatasetVersion, Example, ExampleEvent, Finding, Recipe, VersionRow
from training.models.key import ApiKey
from training.models.model import Activation, Evaluation, ModelVersion
from training.models.run import RunEvent, TrainingRun

__all__ = [
    "Activation",
    "ApiKey",
    "Corpus",
    "DatasetVersion",
    "Evaluation",
    "Example",
    "ExampleEvent",
    "Finding",
    "ModelVersion",
    "Recipe",
    "RunEvent",
    "TrainingRun",
    "VersionRow",
]
