"""The data card of a frozen version: what it is, where from, how made, what it lacks; Markdown that writes itself.

In the language of whoever asks. Reads rows and the version's files, changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from django.db.models import Count
from django.utils import timezone
from django.utils.translation import gettext as _

from training import narration, statistics, versions, wording
from training.ml import clean
from training.ml.dataset import FrozenDataset, counted
from training.ml.records import SPLITS
from training.ml.statistics import LENGTH_EDGES, Lengths, turns_of
from training.models import DatasetVersion, Example, VersionRow

# Lengths of a very large version are taken from its first rows, which lie in the order of their hashes: by chance.
_ROWS_MEASURED = 50_000
_BAR_CHARS = 30
_PERSONAL_STEP = "personal@"


def card(version: DatasetVersion) -> str:
    """Raises BadDataset when the files are damaged: a card tells of what is there."""
    frozen = versions.load(version)
    sources = statistics.sources_of(_examples(version))
    parts = [
        f"# {_plain(version.name)}\n",
        _what(version, frozen),
        _section(_("Sources and licences"), _sources(sources)),
        _section(_("Rows"), _rows(version)),
        _section(_("Languages"), _languages(version)),
        _section(_("Lengths in characters"), _lengths(frozen)),
        _section(_("How it was made"), _made(version)),
        _section(_("Known gaps"), _gaps(version, sources)),
        _section(_("How to check it"), _hashes(version, frozen)),
    ]
    return "\n".join(parts)


def _examples(version: DatasetVersion) -> Any:
    return Example.objects.filter(pk__in=VersionRow.objects.filter(version=version).values("example"))


def _section(title: str, lines: Iterator[str]) -> str:
    return f"## {title}\n\n" + "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Text of people inside Markdown: on one line, and without a meaning there."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[")


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    yield "| " + " | ".join(header) + " |"
    yield "|" + " --- |" * len(header)
    for row in rows:
        yield "| " + " | ".join(str(cell) for cell in row) + " |"


def _what(version: DatasetVersion, frozen: FrozenDataset) -> str:
    text = _("%(rows)d rows of the kind “%(kind)s”, frozen on %(at)s by %(who)s. It is never changed again.")
    at = f"{timezone.localtime(version.frozen_at):%Y-%m-%d %H:%M}" if version.frozen_at else "–"
    facts = {"rows": sum(frozen.counts.values()), "kind": version.get_kind_display(), "at": at}
    who = version.owner.get_username() if version.owner else _("the site itself")
    return text % (facts | {"who": _plain(who)}) + "\n"


def _sources(sources: Sequence[dict[str, Any]]) -> Iterator[str]:
    rows = [
        (
            _plain(source["name"]) if source["corpus"] else _("Written here: by hand or from chats"),
            _plain(source["licence"]) or (_("not stated") if source["corpus"] else "–"),
            _plain(source["url"]) or "–",
            source["rows"],
        )
        for source in sources
    ]
    yield from _table((_("Source"), _("Licence"), _("Address"), _("Rows")), rows)


def _rows(version: DatasetVersion) -> Iterator[str]:
    rows = [(narration.split_name(split), f"`{split}`", version.counts.get(split, 0)) for split in SPLITS]
    yield from _table((_("Split"), _("Name"), _("Rows")), rows)
    yield ""
    yield _(
        "Near-duplicates, questions with one answer and ways to ask for one fact stay together, "
        "and a row never changes sides later."
    )


def _languages(version: DatasetVersion) -> Iterator[str]:
    names = {"zh": _("Chinese"), "en": _("English")}
    counts = _examples(version).order_by().values_list("language").annotate(Count("pk"))
    ordered = sorted(counts, key=lambda pair: -pair[1])
    yield from _table((_("Language"), _("Rows")), [(names.get(name, _("neither")), count) for name, count in ordered])


def _lengths(frozen: FrozenDataset) -> Iterator[str]:
    sides = {_("Questions"): Lengths(LENGTH_EDGES), _("Answers"): Lengths(LENGTH_EDGES)}
    for row in islice((row for split in SPLITS for row in frozen.iterate(split)), _ROWS_MEASURED):
        for lengths, texts in zip(sides.values(), turns_of(frozen.kind, row.body), strict=True):
            for text in texts:
                lengths.add(len(text))
    for title, lengths in sides.items():
        told = lengths.to_json()
        if told["count"]:
            yield from _histogram(title, told)
    if sum(frozen.counts.values()) > _ROWS_MEASURED:
        yield _("Measured on %(count)d rows.") % {"count": _ROWS_MEASURED}


def _histogram(title: str, told: dict[str, Any]) -> Iterator[str]:
    facts = {"median": told["median"], "p95": told["p95"], "most": told["most"]}
    yield f"**{title}**: " + _("half up to %(median)d, 95 %% up to %(p95)d, longest %(most)d.") % facts
    yield ""
    yield "```text"
    most = max(bar["count"] for bar in told["bars"])
    for bar in told["bars"]:
        name = f"{bar['from']}–{bar['to']}" if bar["to"] is not None else f"{bar['from']}–"
        yield f"{name:>11} {'█' * round(_BAR_CHARS * bar['count'] / most):<{_BAR_CHARS}} {bar['count']}"
    yield "```"
    yield ""


def _made(version: DatasetVersion) -> Iterator[str]:
    steps = version.recipe.steps if version.recipe else []
    for number, step in enumerate(steps, start=1):
        yield f"{number}. {wording.step_label(step)} (`{_step(step)}`)"
    if not steps:
        yield _("Nothing was cleaned.")
    yield ""
    yield _("Kept by cleaning: %(count)d.") % {"count": version.report.get("kept", 0)}
    for reason, count in counted(version.report).items():
        yield f"- {_('Left out')}: {count} · {wording.reason_text(reason)}"


def _step(step: clean.Choice) -> str:
    return step if isinstance(step, str) else json.dumps(step, ensure_ascii=False, sort_keys=True)


def _gaps(version: DatasetVersion, sources: Sequence[dict[str, Any]]) -> Iterator[str]:
    gaps = list(_found_gaps(version, sources))
    yield from (f"- {gap}" for gap in gaps)
    if not gaps:
        yield _("None that the site can see. It cannot see whether an answer is true.")
    else:
        yield "- " + _("The site cannot see whether an answer is true.")


def _found_gaps(version: DatasetVersion, sources: Sequence[dict[str, Any]]) -> Iterator[str]:
    unstated = sum(source["rows"] for source in sources if source["corpus"] and not source["licence"])
    if unstated:
        yield _("%(count)d rows come from files whose licence nobody stated.") % {"count": unstated}
    steps = [_step(step) for step in (version.recipe.steps if version.recipe else [])]
    if not any(_PERSONAL_STEP in step for step in steps):
        yield _("Personal data was not masked: the recipe has no step for it.")
    if version.report.get("too_small_to_hold_out"):
        yield _("There are too few different rows to hold some out: nothing can be tested on this version. Add more.")
    languages = set(_examples(version).order_by().values_list("language", flat=True).distinct())
    if len(languages - {""}) == 1:
        yield _("All rows are in one language.")
    if flagged := version.report.get("flagged", {}):
        yield _("%(count)d rows were flagged while cleaning.") % {"count": sum(flagged.values())}


def _hashes(version: DatasetVersion, frozen: FrozenDataset) -> Iterator[str]:
    yield _("The same rows and recipe give the same hash on any machine. The files are checked whenever they are read.")
    yield ""
    rows = [(f"`{name}`", f"`{facts['sha256']}`", facts["rows"]) for name, facts in frozen.manifest["files"].items()]
    yield from _table((_("File"), "SHA-256", _("Rows")), [(_("the version"), f"`{version.sha256}`", ""), *rows])
    yield ""
    made_with = ", ".join(f"{name} {number}" for name, number in frozen.manifest["versions"].items())
    facts = {"format": frozen.manifest["format"], "clusters": frozen.manifest.get("clusters", 1), "with": made_with}
    yield _("Format %(format)d, near-duplicates by definition %(clusters)d, made with %(with)s.") % facts
