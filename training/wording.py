"""Pipeline complaints in the reader's language: the same English sentence is the key, the stored facts fill it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext, gettext_noop

from training.ml import clean, dataset
from training.ml.corpus import FILE_RULES, ROW_RULES
from training.ml.errors import PipelineError
from training.models import Finding

OWN_RULES: dict[str, str] = {
    "turns_left_out": gettext_noop(
        "%(count)d dialogues end with a turn that nobody answers. That last turn was left out, the rest was kept."
    ),
    "same_content": gettext_noop(
        "%(count)d rows say the same as an example that was there before. Freezing keeps one of each."
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
    "duplicates": gettext_noop("the same as another row"),
    "between_splits": gettext_noop("alike to rows of two splits, would leak"),
}


def english(rule: str, facts: Mapping[str, Any]) -> str:
    return _sentence(rule) % facts


def say(rule: str, facts: Mapping[str, Any], otherwise: str = "") -> str:
    """The complaint in the active language; `otherwise` for a rule that is not known any more."""
    try:
        return gettext(_sentence(rule)) % facts
    except (KeyError, TypeError, ValueError):
        return otherwise


def _sentence(rule: str) -> str:
    for rules in (OWN_RULES, ROW_RULES, FILE_RULES, dataset.RULES):
        if rule in rules:
            return rules[rule]
    raise KeyError(rule)


def finding_text(finding: Finding) -> str:
    return say(finding.rule, finding.facts, finding.message)


def error_text(error: PipelineError) -> str:
    """A pipeline error that was just caught, for the person whose request it is."""
    rule = getattr(error, "rule", "") or error.facts.get("rule") or error.code
    return say(rule, error.facts, error.message)


def reason_text(reason: str) -> str:
    return gettext(REASONS[reason]) if reason in REASONS else reason


def step_label(name: str) -> str:
    return gettext(clean.STEPS[name].label) if name in clean.STEPS else name
