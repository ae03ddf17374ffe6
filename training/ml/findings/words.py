"""Every rule in words: its name for people, what was found (facts fill it), why it matters, how to mend it by hand."""

from __future__ import annotations

from dataclasses import dataclass

from training.ml.findings.base import Facts, Severity
from training.ml.texts import Words, gettext_noop, words


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleText:
    severity: Severity
    title: str
    what: str
    why: str


RULES: dict[str, RuleText] = {
    "few_examples": RuleText(
        severity="warning",
        title=gettext_noop("Few examples"),
        what=gettext_noop("Number of examples: %(count)d."),
        why=gettext_noop(
            "With fewer than 100 a model can learn a tone or a format, hardly new facts: expect it to answer these "
            "questions and to fail on others. A few hundred is a start; each doubling usually helps about as much as "
            "the one before. With fewer than five different questions nothing can be held out for a test."
        ),
    ),
    "duplicate": RuleText(
        severity="warning",
        title=gettext_noop("The same row twice"),
        what=gettext_noop("Word for word the same as row %(first)d."),
        why=gettext_noop("What stands there twice is learnt twice as hard, and a copy in the test makes it too easy."),
    ),
    "near_duplicate": RuleText(
        severity="note",
        title=gettext_noop("Nearly the same row"),
        what=gettext_noop("Nearly the same question and answer as row %(first)d."),
        why=gettext_noop(
            "Freezing keeps such rows in one split, so nothing leaks. Many of them make the model favour their words."
        ),
    ),
    "conflict": RuleText(
        severity="warning",
        title=gettext_noop("Different answers to one question"),
        what=gettext_noop(
            "The same question has %(count)d different answers, for example here and in row %(other)d: “%(answer)s”."
        ),
        why=gettext_noop(
            "A model that is told both gives either, or a mixture. Where a fact is asked for, one of them is wrong. In "
            "small talk it may be welcome variety: then leave it as it is."
        ),
    ),
    "leak": RuleText(
        severity="error",
        title=gettext_noop("Trained on and tested with"),
        what=gettext_noop("This row is trained on, and row %(other)d, which asks nearly the same, is held out."),
        why=gettext_noop(
            "The test then measures memory: its figures are better than the model. Reject one of the two."
        ),
    ),
    "personal": RuleText(
        severity="warning",
        title=gettext_noop("Personal data in the text"),
        what=gettext_noop("This looks like personal data: %(kind)s."),
        why=gettext_noop(
            "A model may say to anybody what it was trained on. Mask it, unless it is meant for everybody."
        ),
    ),
    "mojibake": RuleText(
        severity="error",
        title=gettext_noop("Broken characters"),
        what=gettext_noop("These characters were once read in a wrong encoding: “%(found)s”."),
        why=gettext_noop("The model learns to write them. Mend them, or read the source again in its true encoding."),
    ),
    "private_use": RuleText(
        severity="note",
        title=gettext_noop("Characters without a meaning"),
        what=gettext_noop("%(count)d characters (such as U+%(code)s) mean something in one program or font only."),
        why=gettext_noop("Mostly they are emoji of an old telephone or symbols of a font. Nobody else can read them."),
    ),
    "marker": RuleText(
        severity="warning",
        title=gettext_noop("Marks of a chat template in the text"),
        what=gettext_noop("“%(found)s” belongs to a template, not to what somebody said."),
        why=gettext_noop(
            "The site adds the marks of its own template. Marks in the text teach the model to write them, or hide "
            "that several turns stand in one."
        ),
    ),
    "too_long": RuleText(
        severity="warning",
        title=gettext_noop("Too long for the model"),
        what=gettext_noop("The row has %(tokens)d tokens, the model takes %(limit)d."),
        why=gettext_noop("Training cuts it off: the end of the answer is never learnt. Shorten or divide it."),
    ),
    "unknown_tokens": RuleText(
        severity="warning",
        title=gettext_noop("Characters that the tokenizer does not know"),
        what=gettext_noop("%(count)d of %(tokens)d tokens are unknown to the tokenizer, for example “%(found)s”."),
        why=gettext_noop(
            "All of them look alike to the model. Use a base whose tokenizer knows them, or write them out."
        ),
    ),
    "copied_question": RuleText(
        severity="warning",
        title=gettext_noop("The answer repeats the question"),
        what=gettext_noop("The answer is the question over again."),
        why=gettext_noop("The model learns to be a parrot."),
    ),
    "empty_answer": RuleText(
        severity="warning",
        title=gettext_noop("No answer"),
        what=gettext_noop("The answer is “%(found)s”, which stands for none."),
        why=gettext_noop("Such entries come from empty cells. The model would learn to say that word."),
    ),
    "wordless_answer": RuleText(
        severity="note",
        title=gettext_noop("Answer without words"),
        what=gettext_noop("The answer has no letter, digit or emoji: “%(found)s”."),
        why=gettext_noop("It is a reply among people, but no answer that helps anybody."),
    ),
    "empty_question": RuleText(
        severity="warning",
        title=gettext_noop("No question"),
        what=gettext_noop("The question is “%(found)s”, which stands for none."),
        why=gettext_noop("The answer is then given to a question that nobody asked."),
    ),
    "boilerplate": RuleText(
        severity="warning",
        title=gettext_noop("Words of another assistant"),
        what=gettext_noop("“%(found)s” is what other assistants say of themselves."),
        why=gettext_noop("Your model would say it is somebody else, or refuse what it could answer."),
    ),
    "common_answer": RuleText(
        severity="note",
        title=gettext_noop("One answer to many questions"),
        what=gettext_noop("%(count)d rows (%(percent)s %%) have the answer “%(answer)s”."),
        why=gettext_noop("The model learns that this is a safe thing to say, and says it to everything."),
    ),
    "speaker_order": RuleText(
        severity="warning",
        title=gettext_noop("Turns out of order"),
        what=gettext_noop("Turn %(turn)d: %(problem)s."),
        why=gettext_noop("In a chat person and assistant take turns. Another order is one that the model never meets."),
    ),
    "no_final_answer": RuleText(
        severity="warning",
        title=gettext_noop("The last turn is not answered"),
        what=gettext_noop("The dialogue ends with a turn that nobody answers."),
        why=gettext_noop("Nothing can be learnt from it, and it takes room."),
    ),
    "length_outlier": RuleText(
        severity="note",
        title=gettext_noop("Far longer than the rest"),
        what=gettext_noop("%(chars)d characters, where half of the rows have at most %(median)d."),
        why=gettext_noop("Often several rows in one, a pasted page or a lost line break. Look at it."),
    ),
    "length_skew": RuleText(
        severity="note",
        title=gettext_noop("A few rows hold most of the text"),
        what=gettext_noop("The longest %(rows)d of %(count)d rows hold %(percent)s %% of all characters."),
        why=gettext_noop("Training then is mostly about these few. Divide them, or add to the others."),
    ),
}

ORDER_PROBLEMS = {
    "same": gettext_noop("the same speaker twice in a row"),
    "first": gettext_noop("the assistant speaks first"),
    "system": gettext_noop("the system speaks in the middle"),
    "open": gettext_noop("the prompt ends with the assistant"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RemedyText:
    """label: for a button. safe: nothing that somebody said is lost, so it may be done unasked."""

    label: str
    safe: bool = False


REMEDIES: dict[str, RemedyText] = {
    "remove_copy": RemedyText(label=gettext_noop("Remove the copy"), safe=True),
    "remove_empty": RemedyText(label=gettext_noop("Remove the row without an answer"), safe=True),
    "mend_encoding": RemedyText(label=gettext_noop("Read the characters in their true encoding"), safe=True),
    "drop_unanswered": RemedyText(label=gettext_noop("Leave the unanswered turns out"), safe=True),
    "strip_marks": RemedyText(label=gettext_noop("Take the marks off"), safe=True),
    "remove_row": RemedyText(label=gettext_noop("Remove the row")),
    "mask": RemedyText(label=gettext_noop("Mask it")),
    "cut_phrase": RemedyText(label=gettext_noop("Cut the phrase out")),
    "merge_turns": RemedyText(label=gettext_noop("Join the turns of one speaker")),
    "drop_private": RemedyText(label=gettext_noop("Leave these characters out")),
}


def what(rule: str, facts: Facts) -> Words:
    """The finding as a sentence."""
    return words(RULES[rule].what, **facts)
