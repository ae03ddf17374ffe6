"""Small real things for pipeline tests: a tokenizer, a base, datasets, and a run with its events."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from training.ml import dataset
from training.ml.bundle import new_base
from training.ml.config import FitConfig
from training.ml.dataset import Candidate, FrozenDataset
from training.ml.fit import FitResult, fit
from training.ml.records import Dialogue, Document, Event, Kind, Message, Pair, Record
from training.ml.tokenizer import train_tokenizer

FRUITS = ("apple", "pear", "plum", "cherry", "lemon", "melon", "mango", "grape", "peach", "fig")
COLOURS = ("red", "green", "blue", "pink", "yellow", "orange", "gold", "purple", "white", "black")


def say(*texts: str) -> tuple[Message, ...]:
    """Turns of a user and an assistant, the user first."""
    return tuple(Message(role="assistant" if number % 2 else "user", content=text) for number, text in enumerate(texts))


def facts() -> list[Dialogue]:
    return [
        Dialogue(messages=say(f"What colour has a {fruit} of kind {n}?", f"It is {colour}."))
        for fruit, colour in zip(FRUITS, COLOURS, strict=True)
        for n in range(3)
    ]


def pairs() -> list[Pair]:
    return [
        Pair(prompt=say(f"Say hello to the {fruit} number {n}"), chosen="Good morning!", rejected="Go away!")
        for fruit in FRUITS
        for n in range(3)
    ]


def documents() -> list[Document]:
    return [Document(text=f"The {fruit} is {colour}. " * 6) for fruit in FRUITS for colour in COLOURS[:3]]


def make_base(directory: Path, *, width: int = 32, context: int = 64, vocabulary: int = 320) -> Path:
    texts = [turn.content for row in facts() for turn in row.messages] + [row.text for row in documents()]
    train_tokenizer(texts, vocabulary, directory / "tokenizer")
    return new_base(
        directory / "base", directory / "tokenizer", layers=2, heads=2, width=width, context=context, dropout=0.0
    )


def make_dataset(root: Path, rows: Iterable[Record], kind: Kind) -> FrozenDataset:
    candidates = [Candidate(key=str(n), kind=kind, body=row.body(), group=str(n)) for n, row in enumerate(rows)]
    return dataset.freeze(candidates, root, kind=kind)


def never() -> bool:
    return False


def run(
    base: Path,
    frozen: FrozenDataset,
    out: Path,
    *,
    stopped: Callable[[], bool] = never,
    events: list[Event] | None = None,
    **settings: object,
) -> FitResult:
    config = FitConfig.from_json({"method": "sft", "batch_size": 4, "learning_rate": 5e-3, "max_length": 64} | settings)
    tell = (events if events is not None else []).append
    return fit(config, dataset=frozen.directory, base=base, out=out, on_event=tell, stopped=stopped)
