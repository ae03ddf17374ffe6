"""The starter's model card: what it is, what it was made of, and honest figures. Writes words, trains nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from training.ml.records import Metric

SPLIT_WORDS = {"test": "unseen facts", "phrasing": "unseen phrasings of trained facts"}
EXAMPLES = ("你好", "你是谁", "怎么上传数据？", "什么是困惑度？", "今天天气怎么样？", "How do I start the site?")

SOURCE = "| {source} | {licence} | {rows:,} | {characters:,} |"
CARD = """\
# The starter model

A GPT-2 of {millions:.1f} M parameters with its own byte-level BPE of 8 192 entries, trained from nothing by
`manage.py train_starter` so that a fresh site can talk at once. It knows the starter Q&A of this project and some
small talk; it knows little else, makes things up, and must not be asked for advice that matters.

Pre-training: {tokens[pretrain]:.1f} M tokens from {characters:.1f} M characters in {minutes[pretrain]:.0f} minutes on
one CPU core. Tuning: {tokens[tune]:.2f} M tokens in {minutes[tune]:.0f} minutes. Weights in bfloat16.

## Figures

Greedy answers and teacher-forced figures on rows that were not trained on, 95 % intervals in brackets.

| figure | on | value | rows |
|---|---|---|---|
{figures}

## What it says (greedy)

{answers}

## Data

SmileChat is {smile:.0%} of the characters. Attribution: NOTICE. The weights come under this project's licence.

| source | licence | rows | characters |
|---|---|---|---|
{sources}
"""


def write_card(
    *,
    parameters: int,
    contents: list[dict[str, Any]],
    runs: dict[str, dict[str, Any]],
    metrics: Iterable[Metric],
    answers: list[tuple[str, str]],
) -> str:
    """Markdown. contents: the rows of `starter.contents`; runs: what each step's `done` file says."""
    characters = sum(line["characters"] for line in contents)
    smile = sum(line["characters"] for line in contents if "SmileChat" in line["source"])
    tokens = {name: run["tokens"] / 1e6 for name, run in runs.items()}
    minutes = {name: run["seconds"] / 60 for name, run in runs.items()}
    return CARD.format(
        millions=parameters / 1e6,
        tokens=tokens,
        minutes=minutes,
        characters=characters / 1e6,
        smile=smile / characters,
        figures="\n".join(_line(metric) for metric in metrics),
        answers="\n".join(f"- {question} → {answer}" for question, answer in answers),
        sources="\n".join(SOURCE.format(**line) for line in contents),
    )


def _line(metric: Metric) -> str:
    interval = "" if metric.low is None else f" [{metric.low:.3g}, {metric.high:.3g}]"
    where = SPLIT_WORDS.get(metric.split, metric.split)
    return f"| {metric.name} | {where} | {metric.value:.3g}{interval} | {metric.n} |"
