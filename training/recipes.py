"""Cleaning recipes and word lists: stored by content, never changed, made ready with the lists that they name.

Also the sample of rows on which a recipe is looked at before it is saved. Verbs only; knows no pages.
"""

from __future__ import annotations

import codecs
import hashlib
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

from django.contrib.auth.models import User
from django.db.models import Max, Min, QuerySet
from django.utils.translation import gettext_noop

from training import storage
from training.ml import clean
from training.ml.clean import Choice, Materials
from training.ml.clean import Recipe as Steps
from training.ml.clean.finder import lines_of
from training.ml.errors import BadFile, PipelineError
from training.ml.records import Dialogue, Kind, Message, Record, record_from_body
from training.models import Example, ModelVersion, Recipe, WordList

MOST_BYTES = 5 * 1024 * 1024
MOST_WORDS = 200_000
LONGEST_WORD = 100
SAMPLE_ROWS = 200
MOST_PASTED_CHARACTERS = 20_000
# Ids may have gaps: so many are drawn for each row that is wanted.
_DRAWN_FOR_EACH = 4


class NoName(PipelineError):
    """Raised when a recipe or list is to be saved without a name."""

    code = "no_name"


# --- recipes --------------------------------------------------------------------------------------------------------


def save(
    steps: Iterable[Choice],
    *,
    name: str,
    owner: User | None = None,
    parent: Recipe | None = None,
) -> tuple[Recipe, bool]:
    """The row of a recipe, and whether it is new: equal steps share one row, whatever they were called.

    Raises BadConfig for steps that cannot be, or whose lists are not here.
    """
    ready = _with_materials(Steps(steps=tuple(steps)))
    _ = ready.ready
    if not name.strip():
        raise NoName(gettext_noop("Give the recipe a name, so that it can be found again."))
    defaults = {"steps": ready.to_json(), "name": name.strip()[:120], "owner": owner, "parent": parent}
    return Recipe.objects.get_or_create(sha256=ready.sha256, defaults=defaults)


def plain(steps: Sequence[Choice] = clean.DEFAULT.steps) -> Recipe:
    """The row of a recipe that nobody named."""
    names = Steps(steps=tuple(steps)).names
    return save(steps, name=", ".join(names) or "-")[0]


def runnable(recipe: Recipe | None) -> Steps:
    """A stored recipe with its lists, as the pipeline runs it; the default where there is none."""
    return _with_materials(Steps.from_json(recipe.steps)) if recipe else clean.DEFAULT


def with_lists(steps: Iterable[Choice]) -> Steps:
    """Steps that need not be stored, with the lists that they name. Raises BadConfig."""
    return _with_materials(Steps(steps=tuple(steps)))


def _with_materials(steps: Steps) -> Steps:
    wanted = {sha256 for choice in steps.steps for sha256 in clean.materials_of(choice)}
    return Steps.from_json(steps.to_json(), _materials(wanted)) if wanted else steps


def _materials(wanted: set[str]) -> Materials:
    found = dict(WordList.objects.filter(sha256__in=wanted).values_list("sha256", "text"))
    for uid, sha256 in (
        _tokenizers().filter(tokenizer_sha256__in=wanted - set(found)).values_list("uid", "tokenizer_sha256")
    ):
        path = storage.model_dir(uid) / "tokenizer.json"
        if sha256 not in found and path.is_file():
            found[sha256] = _unchanged(path, sha256)
    return {sha256: text for sha256, text in found.items() if text}


def _unchanged(path: Path, sha256: str) -> str:
    """Empty where the file is not the one that was recorded; the recipe then says that it misses it."""
    content = path.read_bytes()
    return content.decode() if hashlib.sha256(content).hexdigest() == sha256 else ""


def _tokenizers() -> QuerySet[ModelVersion]:
    return ModelVersion.objects.filter(retired_at=None).order_by("-is_active", "-id")


def tokenizers() -> list[tuple[str, str]]:
    """(sha256, name of a model that has it) for each tokenizer; that of the active model comes first."""
    known: dict[str, str] = {}
    for sha256, name in _tokenizers().values_list("tokenizer_sha256", "name"):
        known.setdefault(sha256, name)
    return list(known.items())


# --- word lists -----------------------------------------------------------------------------------------------------


def add_word_list(content: bytes, *, name: str, use: str, owner: User | None = None) -> tuple[WordList, bool]:
    """The list, and whether it is new: the same words for the same use are one list. Raises BadFile."""
    if len(content) > MOST_BYTES:
        text = gettext_noop("The list has %(size).1f MB; at most %(most).0f MB are taken.")
        raise BadFile(text, size=len(content) / 1e6, most=MOST_BYTES / 1e6)
    words = _checked(lines_of(_decoded(content)))
    if not name.strip():
        raise NoName(gettext_noop("Give the list a name, so that it can be found again."))
    text = "\n".join(words) + "\n"
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    defaults = {"name": name.strip()[:120], "text": text, "words": len(words), "owner": owner}
    return WordList.objects.get_or_create(use=use, sha256=sha256, defaults=defaults)


def _decoded(content: bytes) -> str:
    encodings = ["utf-16"] if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" not in text:
            return text
    raise BadFile(gettext_noop("The list is no text in UTF-8, UTF-16 or GB18030. Save it as UTF-8, one word a line."))


def _checked(words: list[str]) -> list[str]:
    if not words:
        raise BadFile(gettext_noop("There is no word in the list. Write one word a line."))
    if len(words) > MOST_WORDS:
        text = gettext_noop("The list has %(words)d words; at most %(most)d are taken. Split it.")
        raise BadFile(text, words=len(words), most=MOST_WORDS)
    for number, word in enumerate(words, 1):
        if len(word) > LONGEST_WORD:
            text = gettext_noop(
                "Word %(number)d has %(length)d characters: %(word)s… Write one word a line, of at most %(most)d."
            )
            raise BadFile(text, number=number, length=len(word), word=word[:20], most=LONGEST_WORD)
    return words


def users_of(words: WordList) -> list[Recipe]:
    """The recipes that name a list."""
    named = Recipe.objects.filter(pk__in=[pk for pk, steps in _all_steps() if words.sha256 in _named(steps)])
    return list(named)


def _all_steps() -> Iterable[tuple[int, list[Choice]]]:
    return Recipe.objects.values_list("pk", "steps").iterator()


def _named(steps: list[Choice]) -> set[str]:
    return {value for step in steps if isinstance(step, dict) for value in step.values() if isinstance(value, str)}


# --- rows to look at ------------------------------------------------------------------------------------------------


def sample(*, corpus: int | None = None, seed: int = 0, rows: int = SAMPLE_ROWS) -> list[Record]:
    """Random examples, of one corpus or of all; the same ones for the same seed as long as none come or go.

    Ids are drawn, because sorting a million rows by chance would take the database seconds.
    """
    among = Example.objects.filter(corpus=corpus) if corpus else Example.objects.all()
    ends = among.aggregate(first=Min("pk"), last=Max("pk"))
    if ends["first"] is None:
        return []
    span = range(ends["first"], ends["last"] + 1)
    drawn = random.Random(seed).sample(span, min(len(span), rows * _DRAWN_FOR_EACH))  # noqa: S311 (no secret)
    found = among.filter(pk__in=drawn).order_by("pk").values_list("kind", "body")[:rows]
    return [record_from_body(cast("Kind", kind), body) for kind, body in found]


def pasted(text: str) -> Sequence[Record]:
    """Each line as a row of its own, as if somebody had said it."""
    lines = text[:MOST_PASTED_CHARACTERS].replace("\r\n", "\n").split("\n")
    return [Dialogue(messages=(Message(role="user", content=line),)) for line in lines if line.strip()][:SAMPLE_ROWS]
