"""Figures by hand-worked numbers, and of real small models."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from tests.ml import tiny
from training.ml import metrics
from training.ml.dataset import FrozenDataset
from training.ml.evaluate import Scored, answer, evaluate, teacher_forced
from training.ml.records import Event, Metric


def test_openais_golden_example() -> None:
    """Answers [1, 2], [0, 5], [4, 2], of which [1, 1], [0, 5], [4, 2] were predicted."""
    rows = [Scored(bytes=1, targets=2, hits=hits) for hits in (1, 2, 2)]

    found = {metric.name: round(metric.value, 2) for metric in teacher_forced("test", rows)}

    assert (found["sequence_accuracy"], found["token_accuracy"]) == (0.67, 0.83)


def test_openais_golden_example_from_logits() -> None:
    from training.ml.head import count_right

    labels = torch.tensor([[-100, 1, 2], [-100, 0, 5], [-100, 4, 2]])
    predicted = torch.tensor([1, 1, 0, 5, 4, 2])

    assert count_right(torch.nn.functional.one_hot(predicted, 6).float(), labels) == (5, 2)


def test_perplexity_weighs_tokens_and_not_rows() -> None:
    """One row of 1 token at 4 nats, one of 9 tokens at 1 nat each: exp(13 / 10), not exp(2.5)."""
    found = metrics.ratio("perplexity", "test", [4.0, 9.0], [1, 9], scale=metrics.perplexity)

    assert found.value == pytest.approx(math.exp(1.3))


def test_two_models_are_compared_on_the_same_draws_of_rows() -> None:
    """Rows differ by up to 9, the models by 0.1 on each: paired, nothing of the first is left."""
    hard = [(float(row), 1.0) for row in range(10)]

    assert metrics.difference(hard, [(above - 0.1, below) for above, below in hard]) == pytest.approx((0.1, 0.1))
    with pytest.raises(ValueError, match="10 rows cannot be paired with 9"):
        metrics.difference(hard, hard[1:])


def test_an_interval_is_repeatable_and_holds_the_value() -> None:
    right = [1.0] * 70 + [0.0] * 30

    first = metrics.ratio("exact_match", "test", right, [1] * 100)

    assert first == metrics.ratio("exact_match", "test", right, [1] * 100)
    assert first.low is not None
    assert first.high is not None
    assert 0.58 < first.low < 0.65
    assert 0.75 < first.high < 0.82


def test_one_row_has_no_interval() -> None:
    found = metrics.ratio("loss", "test", [1.0], [2])

    assert (found.value, found.low, found.high) == (0.5, None, None)


def test_bleu_counts_chinese_characters_and_signs_itself() -> None:
    found = metrics.bleu("test", ["今天天气很好"] * 4, ["今天天气很好"] * 4)

    assert found.value == pytest.approx(100)
    assert "tok:zh" in found.signature


def by_name(found: list[Metric], split: str) -> dict[str, Metric]:
    return {metric.name: metric for metric in found if metric.split == split}


def test_a_dialogue_model_is_measured_on_unseen_facts_and_unseen_phrasings_apart(
    base: Path, dialogues: FrozenDataset
) -> None:
    events: list[Event] = []

    found = evaluate(base, dialogues.directory, on_event=events.append, stopped=tiny.never)

    test = by_name(found, "test")
    assert set(test) == {
        "loss", "perplexity", "bits_per_byte", "token_accuracy", "sequence_accuracy", "bleu", "exact_match",
    }  # fmt: skip
    assert test["perplexity"].value == pytest.approx(math.exp(test["loss"].value))
    assert 0.8 * 320 < test["perplexity"].value < 1.5 * 320  # an untrained model guesses among 320 ids
    assert test["loss"].n == dialogues.counts["test"]
    assert {metric.split for metric in found} == {s for s in ("test", "phrasing") if dialogues.counts[s]}
    assert {event.kind for event in events} == {"step", "sample"}


def test_bits_per_byte_do_not_depend_on_the_tokenizer(base: Path, dialogues: FrozenDataset) -> None:
    """An untrained model spends log2(320) bits an id: bits per byte = that x ids / bytes."""
    found = evaluate(base, dialogues.directory, splits=("test",), on_event=print, stopped=tiny.never, generate_limit=0)

    test = by_name(found, "test")
    from training.ml.render import Renderer

    renderer = Renderer.load(base)
    answers = [row.body["messages"][1]["content"] for row in dialogues.iterate("test")]
    ids = sum(len(renderer.text_ids(text)) + 1 for text in answers)
    size = sum(len(text.encode()) for text in answers)
    assert test["bits_per_byte"].value == pytest.approx(test["loss"].value / math.log(2) * ids / size)


def test_pairs_are_measured_by_which_answer_the_model_prefers(
    base: Path, preferences: FrozenDataset, tmp_path: Path
) -> None:
    tuned = tiny.run(
        base, preferences, tmp_path, method="dpo", epochs=12, evaluations=1, learning_rate=5e-3, patience=0
    )

    before, after = (
        by_name(evaluate(m, preferences.directory, splits=("test",), on_event=print, stopped=tiny.never), "test")
        for m in (base, tuned.model)
    )

    # The chosen answer is longer, so a model that knows nothing finds it less likely.
    assert (before["preference_accuracy"].value, after["preference_accuracy"].value) == (0, 1)
    assert "bits_per_byte" in after


def test_documents_longer_than_the_model_are_measured_whole(base: Path, tmp_path: Path) -> None:
    frozen = tiny.make_dataset(tmp_path, tiny.documents(), "document")

    found = evaluate(base, frozen.directory, splits=("train",), on_event=print, stopped=tiny.never)

    assert by_name(found, "train")["loss"].n == frozen.counts["train"]


def test_stopping_ends_an_evaluation(base: Path, dialogues: FrozenDataset) -> None:
    assert evaluate(base, dialogues.directory, on_event=print, stopped=lambda: True) == []


def test_it_answers_conversations(base: Path) -> None:
    found = answer(base, [tiny.say("apple?"), tiny.say("x" * 10, "y" * 10, "z")])

    assert len(found) == 2
