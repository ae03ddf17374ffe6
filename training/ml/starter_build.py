"""Makes the starter model, step by step: mix, tokenizer, base, pre-training, tuning on the starter Q&A.

Every step leaves its result in the work directory and is skipped when that is there, so a stopped build goes on.
Seeds are fixed: the same text, thread count and machine give the same weights. Knows nothing of Django.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from training.ml import bundle, dataset, evaluate, fit, starter, starter_card, starter_faq
from training.ml.config import FitConfig
from training.ml.dataset import Candidate
from training.ml.records import SPLITS, Dialogue, Event, Message
from training.ml.splits import DEFAULT_SHARES
from training.ml.starter import SourceRow
from training.ml.tokenizer import train_tokenizer

BUDGET_CHARS = 14_000_000
VOCABULARY = 8_192
SHAPE: dict[str, int] = {"layers": 4, "heads": 4, "width": 256, "context": 512}  # 5.4 M parameters
PRETRAINING = FitConfig(
    method="pretrain",
    epochs=2.2,
    learning_rate=1.5e-3,
    batch_size=32,
    max_length=512,
    dropout=0.0,
    patience=0,
    evaluations=25,
)
TUNING = FitConfig(
    method="sft",
    epochs=7,
    learning_rate=1e-3,
    batch_size=32,
    max_length=256,
    dropout=0.05,
    patience=0,  # the last weights: the loss on unseen facts only rises while the trained ones are learnt by heart
    evaluations=1,
)
LATER_TURNS = (1, 2, 3)  # how many exchanges come before
CHINESE_OPENINGS = ("请问", "请问一下，", "那", "对了，", "我想知道", "你好，")
ENGLISH_OPENINGS = ("Please, ", "So, ", "By the way, ", "Can you tell me: ", "Hello. ")
# General talk mixed into the tuning rows, a row of it for every four of the FAQ: without it a small model forgets how
# to talk about anything else.
GENERAL_SOURCES = ("LCCC", "KdConv", "CrossWOZ", "chatterbot", "BELLE", "EmoLLM")

Tell = Callable[[str], None]


def build(corpus: Path, faq: Path, work: Path, tell: Tell) -> Path:
    """Build or go on building; returns the tuned model's directory.

    corpus: directory of `*.jsonl.gz`; faq: directory of the starter Q&A files.
    """
    work.mkdir(parents=True, exist_ok=True)
    rows = starter.mix(starter.read_sources(corpus), budget_chars=BUDGET_CHARS)
    (work / "contents.json").write_text(json.dumps(starter.contents(rows), ensure_ascii=False, indent=1) + "\n")
    base = _pretrained(rows, work, tell)
    return _tuned(rows, faq, base, work, tell)


def as_dialogue(row: SourceRow) -> Dialogue:
    """Plain text becomes an answer without a question, so that one run can learn from both."""
    if isinstance(row.record, Dialogue):
        return row.record
    return Dialogue(messages=(Message(role="assistant", content=row.record.text),))


def _candidates(rows: Iterable[SourceRow]) -> Iterator[Candidate]:
    for number, row in enumerate(rows):
        yield Candidate(key=f"general-{number:06d}", kind="dialogue", body=as_dialogue(row).body())


def _pretrained(rows: list[SourceRow], work: Path, tell: Tell) -> Path:
    done = work / "pretrain" / "done"
    if done.is_file():
        return work / "pretrain" / "model"
    tokenizer = work / "tokenizer"
    if not (tokenizer / "chat_template.jinja").is_file():
        tell(f"tokenizer of {VOCABULARY} entries")
        train_tokenizer((turn.content for row in rows for turn in as_dialogue(row).messages), VOCABULARY, tokenizer)
    if not (work / "base" / bundle.MANIFEST).is_file():
        bundle.new_base(work / "base", tokenizer, **SHAPE, dropout=0.0, seed=PRETRAINING.seed)
    shares: dict[Any, float] = {"train": 0.99, "validation": 0.005, "test": 0.005, "phrasing": 0.0}
    frozen = _freeze_once(lambda: _candidates(rows), work, "general", shares, tell)
    return _fit(PRETRAINING, frozen, work / "base", work / "pretrain", tell)


def _tuned(rows: list[SourceRow], faq: Path, base: Path, work: Path, tell: Tell) -> Path:
    if (work / "tune" / "done").is_file():
        return work / "tune" / "model"
    place_faq(faq, work)
    frozen = _freeze_once(lambda: _tuning_rows(rows, faq), work, "tuning", dict(DEFAULT_SHARES), tell)
    return _fit(TUNING, frozen, base, work / "tune", tell)


def faq_candidates(faq: Path) -> list[Candidate]:
    return [
        Candidate(key=row.key, kind="dialogue", body=row.body, group=row.group, split=row.split)
        for row in starter_faq.read(faq)
    ]


def place_faq(faq: Path, work: Path) -> None:
    """Decide once which rows of the FAQ are held out, and write that down beside them."""
    if starter_faq.read_splits(faq):
        return
    essential = tuple(f"{starter_faq.TAG}:{group}" for group in starter_faq.NEVER_HELD_OUT)
    rows = [replace(row, split="train" if row.group in essential else "") for row in faq_candidates(faq)]
    frozen = dataset.freeze(rows, work / "datasets", kind="dialogue")
    starter_faq.write_splits(faq, {row.key: split for split in SPLITS for row in frozen.iterate(split)})


def _tuning_rows(rows: list[SourceRow], faq: Path) -> Iterator[Candidate]:
    facts = faq_candidates(faq)
    yield from facts
    yield from _later_turns(facts)
    general = [row for row in rows if any(name in row.source for name in GENERAL_SOURCES)]
    yield from _candidates(general[: len(facts) // 4])


def _later_turns(facts: list[Candidate]) -> Iterator[Candidate]:
    """Every trained fact once more as the second, third and fourth question, asked a little differently.

    People ask on: what came before, or a polite word in front, must not throw the model.
    """
    trained = [fact for fact in facts if fact.split == "train"]
    rng = random.Random(TUNING.seed)  # noqa: S311  (the same rows every time)
    for fact in trained:
        for before in LATER_TURNS:
            chain = [*rng.sample(trained, before), fact]
            messages = [message for part in chain for message in _asked_differently(part.body["messages"], rng)]
            yield replace(fact, key=f"{fact.key}:after-{before}", body={"messages": messages})


def _asked_differently(messages: list[dict[str, Any]], rng: random.Random) -> list[dict[str, Any]]:
    question, *rest = messages
    text = question["content"].rstrip("？?。.！!")
    ending = rng.choice(("", question["content"][len(text) :]))
    opening = rng.choice(("", "", *(ENGLISH_OPENINGS if text.isascii() else CHINESE_OPENINGS)))
    return [{**question, "content": f"{opening}{text}{ending}"}, *rest]


def _freeze_once(
    candidates: Callable[[], Iterable[Candidate]], work: Path, name: str, shares: dict[Any, float], tell: Tell
) -> Path:
    pointer = work / f"{name}.dataset"
    if not pointer.is_file():
        tell(f"freezing the {name} rows")
        frozen = dataset.freeze(candidates(), work / "datasets", kind="dialogue", shares=shares)
        tell(f"{name}: {frozen.counts}")
        pointer.write_text(frozen.directory.name)
    return work / "datasets" / pointer.read_text()


def _fit(config: FitConfig, frozen: Path, base: Path, out: Path, tell: Tell) -> Path:
    result = fit.fit(config, dataset=frozen, base=base, out=out, on_event=_teller(tell), stopped=lambda: False)
    (out / "done").write_text(
        json.dumps({"tokens": result.tokens, "seconds": result.seconds, "loss": result.best_loss})
    )
    return result.model


def _teller(tell: Tell) -> Callable[[Event], None]:
    def on_event(event: Event) -> None:
        if event.kind != "step" or event.data["step"] % 100 == 0:
            tell(f"{event.kind} {event.step} {event.data}")

    return on_event


def publish(model: Path, work: Path, out: Path, tell: Tell) -> None:
    """Write the tuned model in bfloat16 with its figures and card to `out`, whole or not at all."""
    import torch
    from transformers import AutoModelForCausalLM

    weights = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, local_files_only=True)
    shutil.rmtree(work / "draft", ignore_errors=True)
    bundle.save_model(weights, model, work / "draft", precision="bfloat16")
    tell("evaluating")
    tuning = work / "datasets" / (work / "tuning.dataset").read_text()
    metrics = evaluate.evaluate(work / "draft", tuning, splits=("test", "phrasing"))
    runs = {name: json.loads((work / name / "done").read_text()) for name in ("pretrain", "tune")}
    contents = json.loads((work / "contents.json").read_text())
    card = starter_card.write_card(
        parameters=weights.num_parameters(),
        contents=contents,
        runs=runs,
        metrics=metrics,
        answers=_answers(work / "draft"),
    )
    shutil.rmtree(out, ignore_errors=True)
    facts = {"lineage": runs, "metrics": [metric.to_json() for metric in metrics], "licence": "MIT"}
    bundle.publish(work / "draft", out, {"name": "starter", **facts})
    (out / "README.md").write_text(card, encoding="utf-8")
    tell(card)


def _answers(model: Path) -> list[tuple[str, str]]:
    prompts = [(Message(role="user", content=question),) for question in starter_card.EXAMPLES]
    return list(zip(starter_card.EXAMPLES, evaluate.answer(model, prompts), strict=True))
