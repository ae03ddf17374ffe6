"""Rules about one text: personal data, broken characters, marks of a template."""

from __future__ import annotations

import re
from collections.abc import Iterator

from training.ml.clean.safety import KIND_LABELS
from training.ml.findings import mojibake
from training.ml.findings.base import Found, Place
from training.ml.privacy import find_personal
from training.ml.texts import words

_EXCERPT_CHARS = 40
_NAMES = (
    "im_start|im_end|im_sep|user|assistant|system|human|bot|observation|end|pad|endoftext|startoftext|endofprompt|"
    "begin_of_text|end_of_text|start_header_id|end_header_id|eot_id|eom_id|python_tag|prompt|answer"
)
MARKS = re.compile(
    rf"<\|(?:{_NAMES})\|>|<｜[\w▁]+｜>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|</s>|\[gMASK\]|<eop>"
    r"|\[(?:CLS|SEP|UNK|PAD)\]"
    r"|(?m:^[ \t]*#{2,3} ?(?:Human|Assistant|Instruction|Response|User|System|指令|回答|用户|助手)[ \t]*[:：])"
    r"|(?:\A|\n\n)(?:Human|Assistant):(?=\s)",
)
# Addresses that are kept for examples (RFC 2606) are nobody's.
_NOBODY = re.compile(r"[@.]example(?:\.(?:com|net|org))?\Z")
_MARK_HINT = re.compile(r"<[|｜/<se]|\[|##|Human:|Assistant:")


def personal(place: Place) -> Iterator[Found]:
    for span in find_personal(place.text):
        if span.kind == "email" and _NOBODY.search(place.text, 0, span.end):
            continue
        facts = {"kind": words(KIND_LABELS[span.kind])}
        yield Found(rule="personal", where=place.where, start=span.start, end=span.end, facts=facts, remedy="mask")


def broken(place: Place) -> Iterator[Found]:
    for one in mojibake.find(place.text):
        facts = {"found": place.text[one.start : one.end][:_EXCERPT_CHARS]}
        remedy = "mend_encoding" if one.was else ""
        yield Found(rule="mojibake", where=place.where, start=one.start, end=one.end, facts=facts, remedy=remedy)


def private_use(place: Place) -> Iterator[Found]:
    if numbers := mojibake.private(place.text):
        start = numbers[0]
        yield Found(
            rule="private_use",
            where=place.where,
            start=start,
            end=start + 1,
            facts={"count": len(numbers), "code": f"{ord(place.text[start]):04X}"},
            remedy="drop_private",
        )


def marks(text: str) -> list[re.Match[str]]:
    """The marks of any known template. `</s>` is one only where no struck-out text ends with it."""
    if not _MARK_HINT.search(text):
        return []
    return [match for match in MARKS.finditer(text) if match[0] != "</s>" or "<s>" not in text]


def template_marks(place: Place) -> Iterator[Found]:
    found = marks(place.text)
    remedy = "strip_marks" if found and without_marks(place.text) is not None else ""
    for match in found:
        start = match.start() + len(match[0]) - len(match[0].lstrip())
        facts = {"found": match[0].strip()}
        yield Found(rule="marker", where=place.where, start=start, end=match.end(), facts=facts, remedy=remedy)


def without_marks(text: str) -> str | None:
    """The text without marks at its ends; None when one stands between words, where it may divide turns."""
    found = marks(text)
    while found:
        first, last = found[0], found[-1]
        if not text[: first.start()].strip():
            text = text[first.end() :]
        elif not text[last.end() :].strip():
            text = text[: last.start()]
        else:
            return None
        text = text.strip()
        found = marks(text)
    return text or None


TEXT_RULES = (personal, broken, private_use, template_marks)
