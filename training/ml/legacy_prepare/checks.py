"""The fifteen checks in their order. Each looks at the table and returns what it says and what it would change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

GUIDE = "See https://platform.openai.com/docs/guides/fine-tuning/preparing-your-dataset for more detail"
LONGEST_CHARS = 10_000
_FEW_ROWS = 100
_LONG_SUFFIX, _LONG_PREFIX, _SHORTEST_ANSWER_PREFIX = 10, 12, 5
_SEPARATORS = ("\n\n###\n\n", "\n\n===\n\n", "\n\n---\n\n", "\n\n===>\n\n", "\n\n--->\n\n")
_ENDINGS = ("\n", ".", " END", "***", "+++", "&&&", "$$$", "@@@", "%%%")
_FEW = (
    ". In general, we recommend having at least a few hundred examples. We've found that performance tends to linearly "
    "increase for every doubling of the number of examples"
)

Say = Callable[[str], None]


class Refused(Exception):
    """Raised when a check ends the work. The text is all that the old tool wrote about it."""

    def __init__(self, check: str, why: str) -> None:
        super().__init__(f"\n\nERROR in {check} validator: {why}\n\nAborting...")


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as text, row by row.

    labels: the row numbers that the old tool kept when rows before them went. gaps: it no longer counted them on; its
    estimate of time shows it.
    """

    columns: list[str]
    rows: list[list[str]]
    labels: list[int] = field(default_factory=list)
    gaps: bool = False

    def __post_init__(self) -> None:
        if not self.labels:
            self.labels.extend(range(len(self.rows)))

    def column(self, name: str) -> list[str]:
        index = self.columns.index(name)
        return [row[index] for row in self.rows]

    def mapped(self, name: str, change: Callable[[str], str]) -> Table:
        index = self.columns.index(name)
        rows = [[change(cell) if at == index else cell for at, cell in enumerate(row)] for row in self.rows]
        return replace(self, rows=rows)

    def without(self, numbers: Sequence[int], *, gaps: bool = True) -> Table:
        gone = set(numbers)
        kept = [number for number in range(len(self.rows)) if number not in gone]
        rows, labels = [self.rows[number] for number in kept], [self.labels[number] for number in kept]
        return replace(self, rows=rows, labels=labels, gaps=self.gaps or gaps)


Change = Callable[[Table, Say], Table]


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """message: said at once. necessary or optional: what `apply` does, in words."""

    message: str = ""
    necessary: str = ""
    optional: str = ""
    apply: Change | None = None


def _mapping(name: str, change: Callable[[str], str]) -> Change:
    return lambda table, _say: table.mapped(name, change)


# --- what kind of data it is -----------------------------------------------------------------------------------------


def is_open_ended(table: Table) -> bool:
    return not any(table.column("prompt"))


def is_classification(table: Table) -> bool:
    completions = table.column("completion")
    return not is_open_ended(table) and len(set(completions)) < len(completions) / 3


def common_suffix(texts: Sequence[str]) -> str:
    return common_prefix([text[::-1] for text in texts])[::-1]


def common_prefix(texts: Sequence[str]) -> str:
    first, last = min(texts, default=""), max(texts, default="")
    shorter = min(len(first), len(last))
    return first[: next((place for place in range(shorter) if first[place] != last[place]), shorter)]


# --- rows and columns ------------------------------------------------------------------------------------------------


def num_examples(table: Table) -> Advice:
    count = len(table.rows)
    return Advice(message=f"\n- Your file contains {count} prompt-completion pairs{'' if count >= _FEW_ROWS else _FEW}")


def necessary_column(table: Table, name: str) -> Advice:
    if name in table.columns:
        return Advice()
    other = next((column for column in table.columns if column.lower() == name), None)
    if other is None:
        why = f"`{name}` column/key is missing. Please make sure you name your columns/keys appropriately, then retry"
        raise Refused("necessary_column", why)

    def lower(table: Table, _say: Say) -> Table:
        return replace(table, columns=[name if column == other else column for column in table.columns])

    return Advice(
        message=f"\n- The `{name}` column/key should be lowercase",
        necessary=f"Lower case column name to `{name}`",
        apply=lower,
    )


def additional_column(table: Table) -> Advice:
    more = [column for column in table.columns if column not in ("prompt", "completion")]

    def keep(table: Table, _say: Say) -> Table:
        kept = [list(cells) for cells in zip(table.column("prompt"), table.column("completion"), strict=True)]
        return replace(table, columns=["prompt", "completion"], rows=kept)

    if not more:
        return Advice()
    message = (
        "\n- The input file should contain exactly two columns/keys per row. Additional columns/keys present are: "
        f"{more}"
    )
    return Advice(
        message=message + "".join(map(_ignored, more)),
        necessary=f"Remove additional columns/keys: {more}",
        apply=keep,
    )


def _ignored(name: str) -> str:
    return (
        f"\n  WARNING: Some of the additional columns/keys contain `{name}` in their name. These will be ignored, and "
        f"the column/key `{name}` will be used instead. This could also result from a duplicate column/key in the "
        "provided file."
    )


def non_empty_field(table: Table) -> Advice:
    empty = [number for number, text in enumerate(table.column("completion")) if not text]
    if not empty:
        return Advice()
    return Advice(
        message=f"\n- `completion` column/key should not contain empty strings. These are rows: {empty}",
        necessary=f"Remove {len(empty)} rows with empty completions",
        apply=lambda table, _say: table.without(empty),
    )


def format_inferrer(table: Table) -> Advice:
    if not is_classification(table):
        return Advice()
    return Advice(
        message="\n- Based on your data it seems like you're trying to fine-tune a model for classification"
        "\n- For classification, we recommend you try one of the faster and cheaper models, such as `ada`"
        "\n- For classification, you can estimate the expected model performance by keeping a held out dataset, which "
        "is not used for training"
    )


def duplicated_rows(table: Table) -> Advice:
    seen: Counter[tuple[str, str]] = Counter()
    again = []
    for number, pair in enumerate(zip(table.column("prompt"), table.column("completion"), strict=True)):
        if seen[pair]:
            again.append(number)
        seen[pair] += 1
    if not again:
        return Advice()
    return Advice(
        message=f"\n- There are {len(again)} duplicated prompt-completion sets. These are rows: {again}",
        optional=f"Remove {len(again)} duplicate rows",
        apply=lambda table, _say: table.without(again),
    )


def _long(table: Table) -> list[int]:
    pairs = zip(table.column("prompt"), table.column("completion"), strict=True)
    return [number for number, (prompt, answer) in enumerate(pairs) if len(prompt) + len(answer) > LONGEST_CHARS]


def _taken_as_labels(table: Table, numbers: Sequence[int]) -> list[int]:
    """The old tool counted the long rows anew, but took the numbers for those from before others were removed.

    So it removed other rows than it said. Where no row had such a number it broke off; the right rows are taken then.
    """
    places = {label: number for number, label in enumerate(table.labels)}
    if not all(number in places for number in numbers):
        return list(numbers)
    return [places[number] for number in numbers]


def _leaves_gaps(numbers: Sequence[int], count: int) -> bool:
    """Do the numbers that stay no longer follow each other evenly?"""
    run = numbers[-1] - numbers[0] + 1 == len(numbers)
    at_an_end = numbers[0] == 0 or numbers[-1] == count - 1
    return not run or not (at_an_end or len(numbers) == count - 2)


def long_examples(table: Table) -> Advice:
    long = [] if is_open_ended(table) else _long(table)
    if not long:
        return Advice()

    def remove(table: Table, say: Say) -> Table:
        now = _long(table)
        if now != long:
            say(
                "The indices of the long examples has changed as a result of a previously applied recommendation.\n"
                f"The {len(now)} long examples to be dropped are now at the following indices: {now}\n"
            )
        gone = _taken_as_labels(table, now)
        return table.without(gone, gaps=_leaves_gaps(gone, len(table.rows))) if gone else table

    return Advice(
        message=f"\n- There are {len(long)} examples that are very long. These are rows: {long}\n"
        "For conditional generation, and for classification the examples shouldn't be longer than 2048 tokens.",
        optional=f"Remove {len(long)} long examples",
        apply=remove,
    )


def lower_case(table: Table, name: str) -> Advice:
    texts = table.column(name)
    upper = sum(letter.isalpha() and letter.isupper() for text in texts for letter in text)
    lower = sum(letter.isalpha() and letter.islower() for text in texts for letter in text)
    if upper * 2 <= lower:
        return Advice()
    return Advice(
        message=f"\n- More than a third of your `{name}` column/key is uppercase. Uppercase {name}s tends to perform "
        "worse than a mixture of case encountered in normal language. We recommend to lower case the data if that "
        f"makes sense in your domain. {GUIDE}s",
        optional=f"Lowercase all your data in column/key `{name}`",
        apply=_mapping(name, str.lower),
    )


# --- beginnings and endings ------------------------------------------------------------------------------------------


def _quoted(text: str) -> str:
    return text.replace("\n", "\\n")


def _unused_separator(prompts: Sequence[str]) -> str:
    if not any(" ->" in prompt or "\n" in prompt for prompt in prompts):
        return " ->"
    return next((mark for mark in _SEPARATORS if not any(mark in prompt for prompt in prompts)), "\n\n### =>\n\n")


def _unused_ending(completions: Sequence[str]) -> str:
    return next((mark for mark in _ENDINGS if not any(mark in text for text in completions)), " [END]")


def _told_suffix(name: str, suffix: str, better: str, *, texts: Sequence[str], warning: str) -> Advice:
    message = f"\n- All {name}s end with suffix `{_quoted(suffix)}`"
    if len(suffix) > _LONG_SUFFIX:
        message += (
            f". This suffix seems very long. Consider replacing with a shorter suffix, such as `{_quoted(better)}`"
        )
    if any(text.count(suffix) > 1 for text in texts):
        message += f"\n  WARNING: Some of your {name}s contain the suffix `{suffix}` more than once. {warning}"
    return Advice(message=message)


def common_prompt_suffix(table: Table) -> Advice:
    if is_open_ended(table):
        return Advice()
    prompts = table.column("prompt")
    suffix, better = common_suffix(prompts), _unused_separator(prompts)
    if all(prompt == suffix for prompt in prompts):
        why = (
            f"All prompts are identical: `{suffix}`\nConsider leaving the prompts blank if you want to do open-ended "
            "generation, otherwise ensure prompts are different"
        )
        raise Refused("common_suffix", why)
    if suffix:
        warning = "We strongly suggest that you review your prompts and add a unique suffix"
        return _told_suffix("prompt", suffix, better, texts=prompts, warning=warning)
    return Advice(
        message="\n- Your data does not contain a common separator at the end of your prompts. Having a separator "
        "string appended to the end of the prompt makes it clearer to the fine-tuned model where the completion should "
        f"begin. {GUIDE} and examples. If you intend to do open-ended generation, then you should leave the prompts "
        "empty",
        optional=f"Add a suffix separator `{_quoted(better)}` to all prompts",
        apply=_mapping("prompt", lambda text: text + better),
    )


def common_prompt_prefix(table: Table) -> Advice:
    prompts = table.column("prompt")
    prefix = common_prefix(prompts)
    if not prefix or all(prompt == prefix for prompt in prompts):
        return Advice()
    message = f"\n- All prompts start with prefix `{prefix}`"
    if len(prefix) <= _LONG_PREFIX:
        return Advice(message=message)
    message += (
        ". Fine-tuning doesn't require the instruction specifying the task, or a few-shot example scenario. Most of "
        "the time you should only add the input data into the prompt, and the desired output into the completion"
    )
    return Advice(
        message=message,
        optional=f"Remove prefix `{prefix}` from all prompts",
        apply=_mapping("prompt", lambda text: text[len(prefix) :]),
    )


def common_completion_prefix(table: Table) -> Advice:
    completions = table.column("completion")
    prefix = common_prefix(completions)
    if len(prefix) < _SHORTEST_ANSWER_PREFIX or all(text == prefix for text in completions):
        return Advice()
    space = " " if prefix[0] == " " else ""
    return Advice(
        message=f"\n- All completions start with prefix `{prefix}`. Most of the time you should only add the output "
        "data into the completion, without any prefix",
        optional=f"Remove prefix `{prefix}` from all completions",
        apply=_mapping("completion", lambda text: space + text[len(prefix) :]),
    )


def common_completion_suffix(table: Table) -> Advice:
    if is_open_ended(table) or is_classification(table):
        return Advice()
    completions = table.column("completion")
    suffix, better = common_suffix(completions), _unused_ending(completions)
    if all(text == suffix for text in completions):
        why = (
            f"All completions are identical: `{suffix}`\nEnsure completions are different, otherwise the model will "
            f"just repeat `{suffix}`"
        )
        raise Refused("common_suffix", why)
    if suffix:
        warning = "We suggest that you review your completions and add a unique ending"
        return _told_suffix("completion", suffix, better, texts=completions, warning=warning)
    return Advice(
        message="\n- Your data does not contain a common ending at the end of your completions. Having a common ending "
        "string appended to the end of the completion makes it clearer to the fine-tuned model where the completion "
        f"should end. {GUIDE} and examples.",
        optional=f"Add a suffix ending `{_quoted(better)}` to all completions",
        apply=_mapping("completion", lambda text: text + better),
    )


def completions_space_start(table: Table) -> Advice:
    if all(text.startswith(" ") for text in table.column("completion")) and table.rows:
        return Advice()
    return Advice(
        message="\n- The completion should start with a whitespace character (` `). This tends to produce better "
        f"results due to the tokenization we use. {GUIDE}s",
        optional="Add a whitespace character to the beginning of the completion",
        apply=_mapping("completion", lambda text: text if text.startswith(" ") else " " + text),
    )


CHECKS: tuple[Callable[[Table], Advice], ...] = (
    num_examples,
    lambda table: necessary_column(table, "prompt"),
    lambda table: necessary_column(table, "completion"),
    additional_column,
    non_empty_field,
    format_inferrer,
    duplicated_rows,
    long_examples,
    lambda table: lower_case(table, "prompt"),
    lambda table: lower_case(table, "completion"),
    common_prompt_suffix,
    common_prompt_prefix,
    common_completion_prefix,
    common_completion_suffix,
    completions_space_start,
)
