"""What OpenAI's retired `fine_tunes.prepare_data` did with a file: its fifteen checks, its words, its output.

Kept so that files prepared years ago can be prepared again to the same bytes, misfires included; `training.ml.findings`
is what to use for new data. English only, as it was. Knows neither our records nor Django.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from training.ml.legacy_prepare import closing, writing
from training.ml.legacy_prepare.checks import CHECKS, Advice, Refused, is_classification
from training.ml.legacy_prepare.table import Table, read_any_format

__all__ = ["Outcome", "Refused", "prepare"]

Say = Callable[[str], None]
Ask = Callable[[str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The files that were written; none when nothing had to be changed or the person said no."""

    files: tuple[Path, ...] = ()
    declined: bool = False


def prepare(path: str, *, say: Say, ask: Ask) -> Outcome:
    """Check the file, ask about each change, write the result beside it.

    say: writes text as it is, without a line break of its own. ask: writes the question and returns the answer.
    Raises Refused, with everything the old tool wrote to standard error, when the file cannot be used.
    """
    say("Analyzing...\n")
    table, first = read_any_format(path)
    table, advice = _examine(table, first, say)
    if any(item.necessary or item.optional for item in advice):
        say("\n\nBased on the analysis we will perform the following actions:\n")
    else:
        say("\n\nNo remediations found.\n")
    changed = _tell_necessary(advice, say)
    table, applied = _apply_optional(table, advice, say, ask)
    return _finish(path, table, changed=changed or applied, say=say, ask=ask)


def _examine(table: Table, first: Advice, say: Say) -> tuple[Table, list[Advice]]:
    """Run every check; what is necessary is done at once, what is optional is collected."""
    advice = [first]
    if first.message:
        say(first.message)
    for check in CHECKS:
        found = check(table)
        if found.message:
            say(found.message)
        if found.apply and found.necessary:
            table = found.apply(table, say)
        advice.append(found)
    return table, advice


def _tell_necessary(advice: list[Advice], say: Say) -> bool:
    told = [item.necessary for item in advice if item.necessary]
    for text in told:
        say(f"- [Necessary] {text}\n")
    return bool(told)


def _apply_optional(table: Table, advice: list[Advice], say: Say, ask: Ask) -> tuple[Table, bool]:
    applied = False
    for item in advice:
        if item.apply and item.optional and ask(f"- [Recommended] {item.optional} [Y/n]: "):
            table = item.apply(table, say)
            applied = True
    return table, applied


def _finish(path: str, table: Table, *, changed: bool, say: Say, ask: Ask) -> Outcome:
    classes = is_classification(table)
    split = classes and ask(writing.SPLIT_QUESTION)
    if not changed and not split:
        say(closing.unchanged(path, table))
        return Outcome()
    if not ask("\n\nYour data will be written to a new JSONL file. Proceed [Y/n]: "):
        say("Aborting... did not write the file\n")
        return Outcome(declined=True)
    files = writing.write(path, table, split=split)
    say(closing.written(files, table))
    return Outcome(files=tuple(map(Path, files)))
