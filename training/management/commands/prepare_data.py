"""Check a file of training rows, mend what may be mended, and write the result beside it."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext, gettext_noop, ngettext

from training import storage, wording
from training.management import lookup
from training.ml import findings, legacy_prepare, prepare
from training.ml.corpus.rules import in_words
from training.ml.errors import PipelineError
from training.ml.findings import REMEDIES, RULES, TokenRules
from training.ml.prepare import Case, Report
from training.ml.records import Body

SHOWN_CASES = 3
CONTEXT_CHARS = 24
PREVIEW_CHARS = 120
ORDER = ("error", "warning", "note")
HEADINGS = {"error": gettext_noop("Errors"), "warning": gettext_noop("Warnings"), "note": gettext_noop("Notes")}
STATUSES = """
exit status:
  0  checked, and no error is left (warnings and notes may be)
  1  checked, but errors are left: unreadable rows, broken characters that cannot be mended
  2  nothing could be done: the file cannot be read or the result cannot be written
With --legacy the status is that of the old tool: 0, or 1 for a file that it refuses.
"""


class Command(BaseCommand):
    help = "Check a file of training rows in any known format, mend what may be mended, write FILE_prepared.jsonl."

    # It reads one file and needs neither tables nor a worker; the old tool's output has no room for warnings.
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, epilog=STATUSES, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.add_argument("file")
        parser.add_argument("-q", "--quiet", action="store_true", help="ask nothing; do what is safe and write")
        parser.add_argument("--json", action="store_true", help="print the result as JSON; asks nothing")
        parser.add_argument("--output", type=Path, help="where to write; default: FILE_prepared.jsonl beside the file")
        parser.add_argument("--model", default="", help="a model by name or directory: are the rows too long for it?")
        parser.add_argument(
            "--legacy", action="store_true", help="do exactly what OpenAI's old fine_tunes.prepare_data did"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["legacy"]:
            self._legacy(options)
        else:
            self._prepare(options)

    # --- the old tool -----------------------------------------------------------------------------------------------

    def _legacy(self, options: dict[str, Any]) -> None:
        if options["json"] or options["output"] or options["model"]:
            raise CommandError("--legacy takes no --json, --output or --model: the old tool had none.", returncode=2)
        quiet = bool(options["quiet"])
        try:
            legacy_prepare.prepare(options["file"], say=self._say, ask=lambda text: self._answer(text, quiet=quiet))
        except legacy_prepare.Refused as refused:
            self.stderr.write(str(refused), style_func=str, ending="")
            sys.exit(1)
        except OSError as error:
            raise CommandError(f"The result cannot be written: {error.strerror}.", returncode=2) from error

    def _say(self, text: str) -> None:
        self.stdout.write(text, ending="")

    def _answer(self, text: str, *, quiet: bool) -> bool:
        self._say(text)
        if quiet:
            self._say("Y\n")
            return True
        self.stdout.flush()
        return self._line().lower() != "n"

    def _line(self) -> str:
        """What the person typed. At the end of the input nobody agrees to anything."""
        typed = sys.stdin.readline()
        return typed.rstrip("\n") if typed else "n"

    # --- ours -------------------------------------------------------------------------------------------------------

    def _prepare(self, options: dict[str, Any]) -> None:
        path = Path(options["file"])
        try:
            report = prepare.examine(path, tokens=_tokens(options["model"]))
        except PipelineError as error:
            raise CommandError(wording.error_text(error), returncode=2) from error
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.", returncode=2) from error
        if not options["json"]:
            for line in _for_people(report):
                self.stdout.write(line)
        remedies = self._agreed(path, report, quiet=options["quiet"], silent=options["json"])
        target, counts = self._write(path, report, remedies, options)
        if options["json"]:
            self.stdout.write(lookup.as_json(_as_json(path, report, remedies, target, counts)))
        if report.errors_left(remedies):
            sys.exit(1)

    def _agreed(self, path: Path, report: Report, *, quiet: bool, silent: bool) -> list[str]:
        """The remedies that were agreed to, each with a look at what it does."""
        offered = [name for name in prepare.ORDER if report.remedies.get(name)]
        if quiet or silent:
            return [name for name in offered if quiet and REMEDIES[name].safe]
        return [name for name in offered if self._asked(path, report, name)]

    def _asked(self, path: Path, report: Report, name: str) -> bool:
        count = len(report.remedies[name])
        rows = ngettext("%(count)d row", "%(count)d rows", count) % {"count": count}
        self.stdout.write(f"\n{gettext(REMEDIES[name].label)} ({rows}):")
        for number, before, after in prepare.previews(path, report, name, SHOWN_CASES):
            for line in _preview(number, before, after):
                self.stdout.write(line)
        return self._answer(f"{gettext('Do it?')} [Y/n]: ", quiet=False)

    def _write(
        self, path: Path, report: Report, remedies: list[str], options: dict[str, Any]
    ) -> tuple[Path | None, dict[str, int]]:
        target = options["output"] or prepare.free_name(path)
        if not options["quiet"]:
            text = gettext("Write the rows to %(file)s?") % {"file": target}
            if options["json"] or not self._answer(f"\n{text} [Y/n]: ", quiet=False):
                return None, {}
        try:
            counts = prepare.write(path, report, target, remedies)
        except OSError as error:
            raise CommandError(f"{target} cannot be written: {error.strerror}.", returncode=2) from error
        if not options["json"]:
            text = gettext("Wrote %(written)d rows to %(file)s: %(changed)d changed, %(removed)d left out.")
            facts = {name: counts[name] for name in ("written", "changed", "removed")}
            self.stdout.write("\n" + text % (facts | {"file": target}))
            self.stdout.write(
                gettext("No separator or stop mark was added: the template of the model marks the turns.")
            )
        return target, counts


def _tokens(model: str) -> TokenRules | None:
    if not model:
        return None
    directory = Path(model)
    return TokenRules.of(directory if directory.is_dir() else storage.model_dir(lookup.model(model).uid))


# --- in words -------------------------------------------------------------------------------------------------------


def _for_people(report: Report) -> Iterator[str]:
    detected = report.detected
    text = gettext("%(rows)d rows read (%(format)s, %(encoding)s), %(bad)d unreadable.")
    yield text % {"rows": report.rows, "format": detected.format, "encoding": detected.encoding, "bad": report.rows_bad}
    for severity in ORDER:
        rules = [rule for rule in RULES if report.counts[rule] and RULES[rule].severity == severity]
        if rules or (severity == "error" and report.rows_bad):
            yield f"\n=== {gettext(HEADINGS[severity])} ==="
        if severity == "error":
            yield from _unreadable(report)
        for rule in rules:
            yield from _rule(report, rule)
    if not report.counts and not report.rows_bad:
        yield gettext("Nothing was found.")


def _unreadable(report: Report) -> Iterator[str]:
    if not report.rows_bad:
        return
    yield f"\n{gettext('Rows that could not be read')}: {report.rows_bad}"
    for bad in report.unreadable[:SHOWN_CASES]:
        yield f"  {_line_number(str(bad.line))}: {wording.say(in_words(bad.rule, bad.facts))}"
        yield f"    {bad.excerpt}"
    if report.rows_bad > SHOWN_CASES:
        yield f"  {_more(report.rows_bad - SHOWN_CASES)}"


def _rule(report: Report, rule: str) -> Iterator[str]:
    yield f"\n{gettext(RULES[rule].title)}: {report.counts[rule]}"
    yield f"  {gettext(RULES[rule].why)}"
    for case in report.cases[rule][:SHOWN_CASES]:
        yield f"  - {_case(case)}"
    if report.counts[rule] > SHOWN_CASES:
        yield f"  {_more(report.counts[rule] - SHOWN_CASES)}"


def _line_number(address: str) -> str:
    return gettext("line %(address)s") % {"address": address}


def _more(count: int) -> str:
    return ngettext("and %(count)d more", "and %(count)d more", count) % {"count": count}


def _case(case: Case) -> str:
    what = wording.say(findings.what(case.found.rule, case.found.facts))
    if not case.row:
        return what
    where = gettext("row %(row)d") % {"row": case.row}
    if case.address != str(case.row):
        where += f" ({_line_number(case.address)})"
    return f"{where}: {what}{_marked(case)}"


def _marked(case: Case) -> str:
    """The span between brackets, with some words around it."""
    start, end = case.found.start, case.found.end
    if start is None or end is None or not case.text or end - start > CONTEXT_CHARS * 2:
        return ""
    before, after = case.text[max(0, start - CONTEXT_CHARS) : start], case.text[end : end + CONTEXT_CHARS]
    return "\n      …" + f"{before}【{case.text[start:end]}】{after}…".replace("\n", "⏎")


def _preview(number: int, before: Body, after: Body | None) -> Iterator[str]:
    yield "  " + gettext("row %(row)d") % {"row": number}
    changed = {place.where: place.text for place in findings.places(after or {})}
    for place in findings.places(before):
        text = changed.get(place.where)
        if text == place.text:
            continue
        start = max(0, _first_difference(place.text, text) - CONTEXT_CHARS) if text is not None else 0
        yield f"    - {_short(place.text, start)}"
        if text is not None:
            yield f"    + {_short(text, start)}"


def _first_difference(one: str, other: str) -> int:
    shorter = min(len(one), len(other))
    return next((place for place in range(shorter) if one[place] != other[place]), shorter)


def _short(text: str, start: int) -> str:
    line = text[start : start + PREVIEW_CHARS].replace("\n", "⏎")
    return f"{'…' if start else ''}{line}{'…' if len(text) > start + PREVIEW_CHARS else ''}"


def _as_json(
    path: Path, report: Report, remedies: list[str], target: Path | None, counts: dict[str, int]
) -> dict[str, Any]:
    return {
        "file": str(path),
        "format": report.detected.format,
        "encoding": report.detected.encoding,
        "rows": report.rows,
        "rows_bad": report.rows_bad,
        "unreadable": [{"line": bad.line, "rule": bad.rule, "text": bad.message} for bad in report.unreadable],
        "findings": {rule: _rule_as_json(report, rule) for rule in RULES if report.counts[rule]},
        "remedies": {name: len(rows) for name, rows in report.remedies.items()},
        "applied": remedies,
        "output": str(target) if target else None,
        "written": counts.get("written", 0),
        "changed": counts.get("changed", 0),
        "removed": counts.get("removed", 0),
    }


def _rule_as_json(report: Report, rule: str) -> dict[str, Any]:
    return {
        "severity": RULES[rule].severity,
        "count": report.counts[rule],
        "title": gettext(RULES[rule].title),
        "why": gettext(RULES[rule].why),
        "cases": [_case_as_json(case) for case in report.cases[rule]],
    }


def _case_as_json(case: Case) -> dict[str, Any]:
    return {
        "row": case.row or None,
        "address": case.address,
        "where": case.found.where,
        "start": case.found.start,
        "end": case.found.end,
        "text": wording.say(findings.what(case.found.rule, case.found.facts)),
        "remedy": case.found.remedy,
    }
