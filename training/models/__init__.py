"""The rows of the training side. Fields, choices, constraints and pure properties; verbs live in the noun modules."""

from __future__ import annotations

from training.models.corpus import Collection, Corpus
from training.models.dataset import DatasetVersion, Recipe, Statistics, VersionRow, WordList
from training.models.example import AnswerScore, Example, ExampleEvent
from training.models.finding import Check, Finding
from training.models.key import ApiKey
from training.models.model import Activation, Evaluation, ModelVersion
from training.models.run import RunEvent, TrainingRun

__all__ = [
    "Activation",
    "AnswerScore",
    "ApiKey",
    "Check",
    "Collection",
    "Corpus",
    "DatasetVersion",
    "Evaluation",
    "Example",
    "ExampleEvent",
    "Finding",
    "ModelVersion",
    "Recipe",
    "RunEvent",
    "Statistics",
    "TrainingRun",
    "VersionRow",
    "WordList",
]
