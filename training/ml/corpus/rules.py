"""Every complaint about an uploaded file: a stable code and the English sentence, with what to do about it.

Knows neither files nor Django. The admin translates by looking the same sentence up in gettext.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from training.ml.errors import BadFile, PipelineError
from training.ml.texts import Words, fill, gettext_noop, words

Facts = dict[str, Any]


FILE_RULES: dict[str, str] = {
    "empty_file": gettext_noop("The file is empty. Check that it was saved, then upload it again."),
    "no_rows": gettext_noop("The file has only blank lines. Check that it was saved, then upload it again."),
    "binary_file": gettext_noop(
        "This is not a text file (it looks like %(what)s). Upload text, a table or a document; only ZIP and gzip may "
        "pack them."
    ),
    "pickle": gettext_noop(
        "This is a Python pickle. It is never opened, because opening one can run code. Export the text as JSON Lines."
    ),
    "unknown_encoding": gettext_noop(
        "The characters of this file are in no encoding that is known here. Save it as UTF-8 and upload it again."
    ),
    "unknown_keys": gettext_noop(
        "The rows have the keys %(found)s. Known are: prompt and completion; messages; conversations; instruction "
        "and output; prompt, chosen and rejected; input, preferred_output and non_preferred_output; prompt, "
        "completion and label; text."
    ),
    "no_json": gettext_noop("No line could be read as JSON. The first one says: %(why)s (line %(line)d)."),
    "unsupported": gettext_noop(
        "Files that end in %(suffix)s cannot be read. Save a table as CSV or XLSX, a text as DOCX, Markdown or plain "
        "text."
    ),
    "other_format": gettext_noop(
        "The file cannot be read as %(format)s, which was asked for. Choose another format, or let it be detected."
    ),
    "other_encoding": gettext_noop(
        "The file is not %(encoding)s, which was asked for. Choose another encoding, or let it be detected."
    ),
    "yaml_not_chatterbot": gettext_noop(
        "The YAML has no list “conversations”. A ChatterBot file has one, with lists of utterances in it."
    ),
    "archive_damaged": gettext_noop("The archive is damaged: %(why)s. Pack it again, or upload the files one by one."),
    "archive_empty": gettext_noop("The archive holds no file that could be read. Pack the data files themselves."),
    "archive_path": gettext_noop(
        "The archive is refused: “%(member)s” would be written outside its own folder. Pack it again without such "
        "names."
    ),
    "archive_link": gettext_noop(
        "The archive is refused: “%(member)s” is a link to another file. Pack the file itself."
    ),
    "archive_encrypted": gettext_noop(
        "The archive is locked with a password (“%(member)s”). Pack it again without one."
    ),
    "archive_bomb": gettext_noop(
        "The archive is refused: “%(member)s” unpacks to more than %(ratio)d times its size, as only a trap does."
    ),
    "archive_too_large": gettext_noop(
        "The archive is refused: it unpacks to more than %(limit)d bytes. Upload it in parts."
    ),
    "archive_too_many": gettext_noop(
        "The archive is refused: it has %(count)d files, the most is %(limit)d. Put the rows into fewer files."
    ),
    "archive_nested": gettext_noop(
        "“%(member)s” is packed once more. An archive inside an archive is not opened: unpack it and upload its files."
    ),
    "no_such_column": gettext_noop("The table has no column “%(column)s”. Its columns are: %(found)s."),
    "columns_unknown": gettext_noop(
        "Nothing says which column is the question and which the answer. The columns are: %(found)s. Name them."
    ),
    "no_such_sheet": gettext_noop("The workbook has no sheet “%(sheet)s”. Its sheets are: %(found)s."),
    "sheet_of_charts": gettext_noop("“%(sheet)s” is a sheet of charts, not of cells. Choose another sheet."),
    "bad_office_file": gettext_noop(
        "The file cannot be opened: %(why)s. Open it in the program that made it and save it anew."
    ),
    "office_file_too_large": gettext_noop(
        "The file is refused: unpacked it would take more than %(limit)d MB. Save it in parts, or as plain text."
    ),
    "document_too_large": gettext_noop("The document is larger than %(limit)d MB. Split it into parts."),
    "document_empty": gettext_noop("The document holds no question with an answer and no heading with text below it."),
}

ROW_RULES: dict[str, str] = {
    "line_too_long": gettext_noop(
        "The line has %(bytes)d bytes, the most is %(limit)d. Split it into rows, or look for a lost line break."
    ),
    "wrong_encoding": gettext_noop(
        "The line is not %(encoding)s (from byte %(byte)d on). Save the whole file in one encoding, best UTF-8."
    ),
    "nul": gettext_noop("The line holds a NUL character, which no text has. Delete it."),
    "not_decoded": gettext_noop(
        "A byte (%(byte)s) is in another encoding than the file. Save the whole file in one encoding, best UTF-8."
    ),
    "surrogate": gettext_noop(
        "Half of a character pair (\\%(code)s) stands alone. Write the whole character, for example the whole emoji."
    ),
    "not_json": gettext_noop("Not valid JSON: %(why)s at column %(column)d. Mend the line or delete it."),
    "cut_off": gettext_noop("The line ends before the JSON does. It was cut off: add the end or delete it."),
    "curly_quotes": gettext_noop(
        "The quotes are curly (“ ”). JSON needs straight ones: replace them around keys and texts."
    ),
    "single_quotes": gettext_noop(
        "The quotes are single ('). JSON needs double ones: write the file with a JSON library."
    ),
    "too_deep": gettext_noop("The JSON is nested too deeply to be read."),
    "not_an_object": gettext_noop("The line is %(found)s, it must be a JSON object in braces."),
    "wrong_keys": gettext_noop("The row has the keys %(found)s, it needs %(needed)s. Rename or add them."),
    "not_text": gettext_noop("“%(key)s” is %(found)s, it must be text. Put it in quotes."),
    "empty_text": gettext_noop("“%(key)s” is empty. Fill it in or delete the row."),
    "not_messages": gettext_noop("“%(key)s” must be a list of messages with role and content."),
    "unknown_role": gettext_noop("Message %(number)d has the role %(found)s. Allowed are system, user and assistant."),
    "bad_weight": gettext_noop("Message %(number)d has the weight %(found)s, it must be 0 (only read) or 1 (learnt)."),
    "no_answer": gettext_noop("No message has the role assistant, so there is nothing to learn. Add the answer."),
    "late_system": gettext_noop("Message %(number)d is a system message. It may only be the first."),
    "bad_margin": gettext_noop("“margin” is %(found)s, it must be a number."),
    "same_answers": gettext_noop("“chosen” and “rejected” are the same, so nothing can be learned from the pair."),
    "value_too_long": gettext_noop(
        "The JSON value has more than %(limit)d characters. Split it into rows, or look for a lost quote or bracket."
    ),
    "duplicate_keys": gettext_noop(
        "The key “%(key)s” stands twice in one object, and which of them is meant is a guess. Delete one."
    ),
    "not_turns": gettext_noop("“%(key)s” must be a list of turns with from and value."),
    "not_history": gettext_noop("“history” must be a list of pairs: what was asked and what was answered."),
    "not_utterances": gettext_noop(
        "The list must hold texts, one for each utterance. Put a text with a colon in it in quotes."
    ),
    "bad_label": gettext_noop("“%(key)s” is %(found)s, it must be true (good answer) or false (bad answer)."),
    "other_prompts": gettext_noop(
        "“chosen” and “rejected” are different before their last answers, so they do not answer the same thing."
    ),
    "not_a_transcript": gettext_noop(
        "“%(key)s” does not end with an answer. A transcript has turns that begin with Human: and Assistant:."
    ),
    "not_one_answer": gettext_noop("“%(key)s” must be one answer of the assistant, it is something else."),
    "not_two_columns": gettext_noop(
        "The line has %(count)d columns, it must have two: what was said, a tab, what was answered."
    ),
    "not_conv": gettext_noop("The line begins with neither “E” (a new dialogue) nor “M ” (an utterance). Add it."),
    "bad_yaml": gettext_noop(
        "The YAML cannot be read from here on: %(why)s. Mend this line; the rows before it are kept."
    ),
    "yaml_alias": gettext_noop(
        "The YAML refers to another place (*%(name)s). Such references can fill the memory: write the text itself."
    ),
    "yaml_tag": gettext_noop(
        "The YAML has the tag %(tag)s, which could run code. Only plain texts are read: delete it."
    ),
    "lone_utterance": gettext_noop("A dialogue of one utterance has no answer. Add the answer or delete it."),
    "dialogue_too_long": gettext_noop(
        "The dialogue has more than %(limit)d utterances, or is too long as a whole. Check for lost blank lines "
        "between dialogues."
    ),
    "stray_quote": gettext_noop(
        'A quote stands inside a quoted cell. Write it twice (""), as spreadsheet programs do.'
    ),
    "unclosed_quote": gettext_noop(
        "A cell begins with a quote that is never closed. Close it, or write the cell without it. The rows after it "
        "were read."
    ),
    "wrong_width": gettext_noop(
        "The row has %(count)d cells, the table has %(expected)d columns. A text with a delimiter in it must stand in "
        "quotes."
    ),
    "too_many_cells": gettext_noop("The row has %(count)d cells, the most is %(limit)d."),
    "cell_too_long": gettext_noop("A cell has more than %(limit)d characters. Split its text into rows."),
    "no_turns": gettext_noop("Two columns of one speaker (up to “%(key)s”) follow each other. Let them take turns."),
    "section_too_long": gettext_noop(
        "The section “%(heading)s” has more than %(limit)d characters. Divide it by headings in the document."
    ),
}


def in_words(rule: str, facts: Facts) -> Words:
    return words(ROW_RULES.get(rule) or FILE_RULES[rule], **facts)


def text(rule: str, facts: Facts) -> str:
    """The English sentence; `facts` fill its placeholders."""
    return fill(in_words(rule, facts))


def bad_file(rule: str, **facts: Any) -> BadFile:
    return BadFile(FILE_RULES[rule], rule=rule, **facts)


def storable(words: str) -> str:
    """The words without what no database takes: half characters and NUL."""
    return words.encode("utf-8", "replace").decode().replace("\x00", "␀")


class BadRow(PipelineError):
    """Raised when one row breaks a rule; `read` turns it into an Unreadable."""

    code = "bad_row"

    def __init__(self, rule: str, **facts: Any) -> None:
        facts = {name: storable(fact) if isinstance(fact, str) else fact for name, fact in facts.items()}
        super().__init__(in_words(rule, facts))
        self.rule = rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A row that was left out: where it is (`member`: in which file of an archive), its rule, and how it begins."""

    line: int
    rule: str
    facts: Facts = field(default_factory=dict)
    excerpt: str = ""
    end_byte: int = 0
    member: str = ""

    @property
    def message(self) -> str:
        return text(self.rule, self.facts)
