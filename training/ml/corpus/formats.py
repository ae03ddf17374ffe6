"""Every format that can be read, in the order in which a text is asked which of them it is.

Knows the names and the modules; how a format looks is its module's matter.
"""

from __future__ import annotations

from dataclasses import dataclass

from training.ml.corpus import chatterbot, chitchat, conv, documents, json_rows, plain, tabbed, tables
from training.ml.corpus.base import Detected, FormatModule, Head, Source
from training.ml.corpus.rules import bad_file
from training.ml.texts import gettext_noop, words


@dataclass(frozen=True, slots=True)
class Format:
    """`name` is stored, `title` is read by people (and translated for them)."""

    name: str
    title: str
    module: FormatModule


FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (
        Format("prompt_completion", gettext_noop("JSON: prompt and completion"), json_rows),
        Format("messages", gettext_noop("JSON: messages (OpenAI chat)"), json_rows),
        Format("sharegpt", gettext_noop("JSON: conversations (ShareGPT)"), json_rows),
        Format("alpaca", gettext_noop("JSON: instruction, input, output (Alpaca)"), json_rows),
        Format("utterances", gettext_noop("JSON: lists of utterances"), json_rows),
        Format("preference", gettext_noop("JSON: chosen and rejected"), json_rows),
        Format("openai_preference", gettext_noop("JSON: preferred and non-preferred output (OpenAI)"), json_rows),
        Format("label", gettext_noop("JSON: answers with a thumb (KTO)"), json_rows),
        Format("documents", gettext_noop("JSON: texts"), json_rows),
        Format("chitchat", gettext_noop("GPT2-chitchat train.txt"), chitchat),
        Format("tab_pairs", gettext_noop("Pairs with a tab between them"), tabbed),
        Format("conv", gettext_noop("Subtitles (.conv)"), conv),
        Format("chatterbot", gettext_noop("ChatterBot YAML"), chatterbot),
        Format("csv", gettext_noop("CSV table"), tables),
        Format("tsv", gettext_noop("TSV table"), tables),
        Format("xlsx", gettext_noop("Excel table (XLSX)"), tables),
        Format("markdown", gettext_noop("Markdown document"), documents),
        Format("html", gettext_noop("HTML page"), documents),
        Format("docx", gettext_noop("Word document (DOCX)"), documents),
        Format("text", gettext_noop("Plain text"), plain),
    )
}
_BINARY = ("xlsx", "docx")
_UNSUPPORTED = (".xls", ".doc", ".xml", ".parquet", ".arrow", ".pdf", ".rtf", ".odt", ".ods")
_ORDER: tuple[FormatModule, ...] = (json_rows, chatterbot, conv, documents, tables, tabbed, chitchat, plain)


def of_text(source: Source, head: Head) -> Detected:
    """What a text is. Raises BadFile where its module says that it is broken."""
    if source.suffix in _UNSUPPORTED:
        raise bad_file("unsupported", suffix=source.suffix)
    return next(found for module in _ORDER if (found := module.detect(source, head)))


def of_office(source: Source, name: str) -> Detected:
    """An XLSX or DOCX, which is no text."""
    return FORMATS[name].module.forced(source, Head(encoding="utf-8", lines=[], whole=False), name)


def as_asked(source: Source, head: Head, name: str) -> Detected:
    """What a person said that it is. Raises BadFile where it cannot be that."""
    if name not in FORMATS or name in _BINARY:
        raise bad_file("other_format", format=words(FORMATS[name].title) if name in FORMATS else name)
    return FORMATS[name].module.forced(source, head, name)
