"""What the pipeline says, in the reader's language: the English sentence is the key, the stored facts fill it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext, gettext_noop

from training.ml import clean
from training.ml.corpus import FILE_RULES, ROW_RULES
from training.ml.errors import Told
from training.ml.findings.words import RULES
from training.ml.texts import Words, fill, words
from training.models import Corpus, DatasetVersion, Finding, RunEvent, TrainingRun

OWN_RULES: dict[str, str] = {
    "turns_left_out": gettext_noop(
        "%(count)d dialogues end with a turn that nobody answers. That last turn was left out, the rest was kept."
    ),
    "same_content": gettext_noop(
        "%(count)d rows say the same as an example that was there before. Freezing keeps one of each."
    ),
    "to_finish": gettext_noop(
        "%(count)d drafts were guessed from headings and their text. They are tagged “to-finish”: read and mend them."
    ),
    "more_findings": gettext_noop("%(count)d more lines could not be read. Only the first %(shown)d are listed."),
    "nothing_readable": gettext_noop("No row of the file could be read. The list below says why, line by line."),
    "disk_full": gettext_noop("The disk is full. Make room and start again; nothing was lost."),
    "file_gone": gettext_noop("The uploaded file is no longer in the data directory. Upload it again."),
    "unexpected": gettext_noop("Something went wrong that was not foreseen. The log says what."),
}
REASONS: dict[str, str] = {
    "empty": gettext_noop("empty after cleaning"),
    "same_answers": gettext_noop("chosen and rejected are the same after cleaning"),
    "too_short": gettext_noop("too short"),
    "too_long": gettext_noop("too long"),
    "too_few_tokens": gettext_noop("too few tokens"),
    "too_many_tokens": gettext_noop("too many tokens"),
    "advert": gettext_noop("advertisement"),
    "sensitive": gettext_noop("sensitive word"),
    "duplicates": gettext_noop("the same as another row"),
    "between_splits": gettext_noop("alike to rows of two splits, would leak"),
}


def say(said: Words) -> str:
    return fill(said, gettext)


def english(rule: str, facts: Mapping[str, Any]) -> str:
    return fill(words(_sentence(rule), **facts))


def _sentence(rule: str) -> str:
    for rules in (OWN_RULES, ROW_RULES, FILE_RULES):
        if rule in rules:
            return rules[rule]
    return RULES[rule].what


def finding_text(finding: Finding) -> str:
    """The stored English for a rule that is not known any more, or whose facts were others."""
    try:
        return say(words(_sentence(finding.rule), **finding.facts))
    except (KeyError, TypeError, ValueError):
        return finding.message


def rule_text(rule: str, facts: Mapping[str, Any]) -> str:
    """A complaint that was just made, and is stored nowhere."""
    return say(words(_sentence(rule), **facts))


def error_text(error: Exception) -> str:
    """An error that was just caught, for the person whose request it is."""
    return say(error.words) if isinstance(error, Told) else str(error)


# --- errors that were stored: the column has the English, the words are kept beside it ------------------------------


def corpus_error(corpus: Corpus) -> str:
    """Why it could not be read; where there are facts, the finding with the same sentence has them."""
    finding = Finding.objects.filter(corpus=corpus, line=None, message=corpus.error).first() if corpus.error else None
    return finding_text(finding) if finding else say(words(corpus.error))


def why_failed(version: DatasetVersion) -> Words:
    said: Words = version.report.get("error") or words(version.error)
    return said


def version_error(version: DatasetVersion) -> str:
    return say(why_failed(version))


def run_error(run: TrainingRun) -> str:
    """Why it failed; the event of that transition has the words."""
    if not run.error:
        return ""
    told = RunEvent.objects.filter(run=run, data__state=str(run.status)).last()
    return say(told.data["why"]) if told and "why" in told.data else run.error


def reason_text(reason: str) -> str:
    return gettext(REASONS[reason]) if reason in REASONS else reason


def step_label(step: clean.Choice) -> str:
    """Of a step as a recipe records it: a name alone, or with settings."""
    name = step if isinstance(step, str) else str(step.get("step"))
    return gettext(clean.STEPS[name].label) if name in clean.STEPS else name
