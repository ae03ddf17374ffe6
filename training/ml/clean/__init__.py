"""Cleaning as an ordered list of named, versioned, pure steps: a record is kept, changed or dropped with a reason.

The same rows and the same recipe give the same bytes anywhere. A step never changes its meaning: a better one gets
a new version, and the old one stays, so that every recorded recipe can be run again. Knows no files and no database.
"""

from training.ml.clean.kinds import StepInfo
from training.ml.clean.mapping import TextStep, map_texts, texts_of
from training.ml.clean.parallel import CleanedRow, clean_many
from training.ml.clean.parameters import Materials, Parameter
from training.ml.clean.recipe import (
    DEFAULT,
    Choice,
    Cleaned,
    Recipe,
    Tally,
    materials_of,
    name_of,
    settings_of,
)
from training.ml.clean.steps import STEPS

__all__ = [
    "DEFAULT",
    "STEPS",
    "Choice",
    "Cleaned",
    "CleanedRow",
    "Materials",
    "Parameter",
    "Recipe",
    "StepInfo",
    "Tally",
    "TextStep",
    "clean_many",
    "map_texts",
    "materials_of",
    "name_of",
    "settings_of",
    "texts_of",
]
