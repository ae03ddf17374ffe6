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
        "This is not a text file (it looks like %(what)s). Upload JSON Lines or a train.txt, not packed or compressed."
    ),
    "pickle": gettext_noop(
        "This is a Python pickle. It is never opened, because opening one can run code. Export the text as JSON Lines."
    ),
    "unknown_encoding": gettext_noop(
        "The characters of this file are in no encoding that is known here. Save it as UTF-8 and upload it again."
    ),
    "json_array": gettext_noop(
        "The file is one large JSON list. Write one JSON object a line (JSON Lines), without the outer brackets."
    ),
    "row_lists": gettext_noop(
        "Each line is a JSON list. Write each row as an object: with messages, or with prompt and completion."
    ),
    "json_spread": gettext_noop("A JSON object is spread over several lines. Write each object on one line."),
    "unknown_keys": gettext_noop(
        "The rows have the keys %(found)s. Known are: prompt and completion; messages; prompt, chosen and rejected."
    ),
    "no_json": gettext_noop("No line could be read as JSON. The first one says: %(why)s (line %(line)d)."),
    "no_blank_lines": gettext_noop(
        "The file is plain text without blank lines. In a train.txt each line is one utterance and a blank line "
        "stands between dialogues."
    ),
    "unsupported": gettext_noop(
        "Files that end in %(suffix)s cannot be read yet. Save the table as JSON Lines with prompt and completion."
    ),
}

ROW_RULES: dict[str, str] = {
    "line_too_long": gettext_noop(
        "The line has %(bytes)d bytes, the most is %(limit)d. Split it into rows, or look for a lost line break."
    ),
    "wrong_encoding": gettext_noop(
        "The line is not %(encoding)s (from byte %(byte)d on). Save the whole file in one encoding, best UTF-8."
    ),
    "nul": gettext_noop("The line holds a NUL character, which no text has. Delete it."),
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
    "lone_utterance": gettext_noop("A dialogue of one utterance has no answer. Add the answer or delete it."),
    "dialogue_too_long": gettext_noop(
        "The dialogue has more than %(limit)d utterances. Check for lost blank lines between dialogues."
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
    """A row that was left out: where it is, which rule it breaks, and how it begins."""

    line: int
    rule: str
    facts: Facts = field(default_factory=dict)
    excerpt: str = ""
    end_byte: int = 0

    @property
    def message(self) -> str:
        return text(self.rule, self.facts)
