"""Whole small runs: they learn, repeat, stop, resume and fail as told."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.ml import tiny
from training.ml import bundle, checkpoints, head
from training.ml.answers import greedy
from training.ml.batches import Collator, RowsBuilder
from training.ml.dataset import FrozenDataset
from training.ml.errors import BadConfig, BadModel, DiskFull, Diverged
from training.ml.fit import load_model
from training.ml.records import Dialogue, Event
from training.ml.render import Renderer


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weights(directory: Path) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = load_file(directory / "model.safetensors")
    return loaded


def same(left: Path, right: Path) -> bool:
    a, b = weights(left), weights(right)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def stop_after(steps: int):
    asked = iter(range(1, 10_000))
    return lambda: next(asked) >= steps


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


def test_it_learns_and_answers_in_the_words_it_was_taught(base: Path, tmp_path: Path) -> None:
    two = [Dialogue(messages=tiny.say("hi?", "Hello there!")), Dialogue(messages=tiny.say("bye", "See you."))]
    frozen = tiny.make_dataset(tmp_path / "data", two, "dialogue")
    events: list[Event] = []

    result = tiny.run(base, frozen, tmp_path / "out", epochs=120, evaluations=2, events=events)

    model, renderer = load_model(result.model, 0.0).eval(), Renderer.load(result.model)
    prompts = [renderer.prompt_ids(tiny.say(text)) for text in ("hi?", "bye")]
    assert greedy(model, renderer, prompts) == ["Hello there!", "See you."]
    assert [event.data["code"] for event in events if event.kind == "note"] == ["no_validation"]


def test_events_carry_what_the_page_shows(base: Path, dialogues: FrozenDataset, tmp_path: Path) -> None:
    events: list[Event] = []

    tiny.run(base, dialogues, tmp_path, epochs=1, evaluations=1, events=events)

    last = [event for event in events if event.kind == "step"][-1]
    assert set(last.data) >= {
        "step", "total", "loss", "learning_rate", "grad_norm", "tokens_per_second", "eta_seconds",
        "token_accuracy", "sequence_accuracy",
    }  # fmt: skip
    assert last.data["eta_seconds"] == 0
    evaluated = next(event for event in events if event.kind == "evaluated")
    assert set(evaluated.data) == {"loss", "token_accuracy", "sequence_accuracy"}
    sample = next(event for event in events if event.kind == "sample")
    assert set(sample.data) == {"prompt", "answer", "reference"}
    started = events[0]
    assert set(started.data) >= {"total_steps", "parameters", "tokens"}
    assert kinds(events).count("checkpoint") == 1


def test_the_same_seed_gives_the_same_weights(base: Path, dialogues: FrozenDataset, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"epochs": 2, "evaluations": 1, "dropout": 0.1}

    first = tiny.run(base, dialogues, tmp_path / "a", **settings)
    second = tiny.run(base, dialogues, tmp_path / "b", **settings)
    third = tiny.run(base, dialogues, tmp_path / "c", **settings, seed=7)

    assert same(first.model, second.model)
    assert not same(first.model, third.model)


def test_a_resumed_run_ends_with_the_weights_of_an_undisturbed_one(
    base: Path, dialogues: FrozenDataset, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"epochs": 3, "evaluations": 2, "dropout": 0.1, "patience": 0}
    whole = tiny.run(base, dialogues, tmp_path / "whole", **settings)
    events: list[Event] = []

    first = tiny.run(base, dialogues, tmp_path / "cut", **settings, stopped=stop_after(5))
    assert not first.model.exists(), "half trained weights are in the checkpoint only"
    debris = tmp_path / "cut" / "checkpoint-6"
    debris.mkdir()
    second = tiny.run(base, dialogues, tmp_path / "cut", **settings, events=events)

    assert (first.stopped, first.steps) == (True, 5)
    assert (second.stopped, second.steps, second.tokens) == (False, whole.steps, whole.tokens)
    assert next(event.step for event in events if event.data.get("code") == "resumed") == 5
    assert same(whole.model, second.model)
    assert second.best_loss == whole.best_loss
    assert not debris.exists()


def test_a_finished_run_started_again_only_hands_out_its_model(
    base: Path, dialogues: FrozenDataset, tmp_path: Path
) -> None:
    first = tiny.run(base, dialogues, tmp_path, epochs=1, evaluations=1)
    before = weights(first.model)
    shutil.rmtree(first.model)

    again = tiny.run(base, dialogues, tmp_path, epochs=1, evaluations=1)

    assert again.steps == first.steps
    assert all(torch.equal(value, before[name]) for name, value in weights(again.model).items())


def test_it_stops_when_it_gets_worse_and_restores_the_best(
    base: Path, dialogues: FrozenDataset, tmp_path: Path
) -> None:
    events: list[Event] = []

    result = tiny.run(
        base, dialogues, tmp_path, epochs=200, evaluations=60, patience=2, learning_rate=0.02, events=events
    )

    losses = {event.step: event.data["loss"] for event in events if event.kind == "evaluated"}
    assert result.early
    assert result.steps < result.total_steps
    assert result.best_loss == min(losses.values()) == losses[result.best_step]
    assert same(result.model, checkpoints.path_of(tmp_path, result.best_step))
    assert any(event.data.get("code") == "early_stop" for event in events)


def test_without_patience_the_last_weights_are_kept(base: Path, dialogues: FrozenDataset, tmp_path: Path) -> None:
    result = tiny.run(base, dialogues, tmp_path, epochs=20, evaluations=4, patience=0, learning_rate=0.05)

    assert not result.early and result.best_step == result.steps == result.total_steps


def test_only_the_newest_two_checkpoints_and_the_best_are_kept(
    base: Path, dialogues: FrozenDataset, tmp_path: Path
) -> None:
    result = tiny.run(base, dialogues, tmp_path, epochs=6, evaluations=6, patience=0)

    steps = checkpoints.complete_steps(tmp_path)
    assert len(steps) <= 3
    assert {result.steps, result.best_step} <= set(steps)


def test_a_loss_that_is_no_number_is_told_as_diverged(base: Path, tmp_path: Path, dialogues: FrozenDataset) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(base, broken)
    from safetensors.torch import save_file

    tensors = weights(base)
    tensors["transformer.wpe.weight"][20] = math.nan  # no short look at the model meets this position
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(Diverged) as caught:
        tiny.run(broken, dialogues, tmp_path / "out", epochs=1)

    assert caught.value.facts == {"step": 1, "value": "nan"}


def test_a_full_disk_is_told_before_a_checkpoint_is_begun(
    base: Path, dialogues: FrozenDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1000))

    with pytest.raises(DiskFull) as caught:
        tiny.run(base, dialogues, tmp_path, epochs=1)

    assert caught.value.facts["free_bytes"] == 1000
    assert not list(tmp_path.glob("checkpoint-*"))


def test_a_method_refuses_rows_that_it_cannot_learn_from(
    base: Path, preferences: FrozenDataset, tmp_path: Path
) -> None:
    with pytest.raises(BadConfig, match="pair rows"):
        tiny.run(base, preferences, tmp_path)


def test_pretraining_learns_from_documents(base: Path, tmp_path: Path) -> None:
    frozen = tiny.make_dataset(tmp_path / "data", tiny.documents(), "document")
    events: list[Event] = []

    tiny.run(base, frozen, tmp_path / "out", method="pretrain", epochs=5, evaluations=2, events=events)

    losses = [event.data["loss"] for event in events if event.kind == "evaluated"]
    assert losses[-1] < 0.7 * math.log(320)


def test_preferences_move_the_model_from_ln_2(base: Path, preferences: FrozenDataset, tmp_path: Path) -> None:
    events: list[Event] = []

    result = tiny.run(
        base, preferences, tmp_path, method="dpo", epochs=4, evaluations=2, learning_rate=1e-3, events=events
    )

    steps = [event.data for event in events if event.kind == "step"]
    assert steps[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert steps[0]["margin"] == pytest.approx(0, abs=1e-5)
    assert steps[-1]["loss"] < 0.5
    assert steps[-1]["preference_accuracy"] > 0.9
    assert not same(result.model, base)


def test_the_manifest_tells_where_a_model_came_from(base: Path, dialogues: FrozenDataset, tmp_path: Path) -> None:
    result = tiny.run(base, dialogues, tmp_path, epochs=1, evaluations=1)

    manifest = bundle.verify(result.model)
    assert manifest["parent"] == "base"
    assert manifest["lineage"]["dataset"] == dialogues.hash
    assert manifest["lineage"]["config"]["epochs"] == 1
    assert (manifest["context_length"], manifest["template"]) == (64, "chatsite")


# --- the loss ---


def micro(*rows: list[int]) -> dict[str, torch.Tensor]:
    builder = RowsBuilder()
    for ids in rows:
        builder.add(ids, [0, 0] + [1] * (len(ids) - 2))
    return Collator(builder.build(), budget=10_000, pad_id=0).pad(range(len(rows)))


@pytest.fixture
def model(base: Path):
    return load_model(base, 0.0).eval()


def test_the_loss_equals_the_librarys_and_so_does_its_gradient(model) -> None:
    batch = micro([5, 6, 7, 8, 9], [10, 11, 12])

    ours = head.target_loss(model(input_ids=batch["input_ids"], targets=batch["labels"]), batch["labels"])
    ours.backward()
    gradient = model.transformer.wte.weight.grad.clone()
    model.zero_grad()
    theirs = model(input_ids=batch["input_ids"], labels=batch["labels"]).loss * 4
    theirs.backward()

    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    assert torch.allclose(gradient, model.transformer.wte.weight.grad, rtol=1e-4, atol=1e-6)


def test_padding_changes_nothing(model) -> None:
    short, long = micro([5, 6, 7, 8]), micro([5, 6, 7, 8], [9] * 40)
    long["labels"][1] = -100

    losses = [
        head.target_loss(model(input_ids=each["input_ids"], targets=each["labels"]), each["labels"]).item()
        for each in (short, long)
    ]

    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_the_fast_gelu_is_the_same_function(base: Path) -> None:
    from transformers import AutoModelForCausalLM

    ids = torch.arange(5, 30)[None]

    plain = AutoModelForCausalLM.from_pretrained(base).eval()(ids).logits
    ours = load_model(base, 0.0).eval()(ids).logits

    assert torch.allclose(plain, ours, atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "qwen2", "cohere"])
def test_any_causal_model_trains(family: str, base: Path, dialogues: FrozenDataset, tmp_path: Path) -> None:
    make_family(family, base, tmp_path / "base")
    events: list[Event] = []

    tiny.run(tmp_path / "base", dialogues, tmp_path / "out", epochs=4, evaluations=2, events=events)

    losses = [event.data["loss"] for event in events if event.kind == "step"]
    assert losses[-1] < losses[0]


def test_a_model_that_cannot_be_served_is_refused_before_training(
    base: Path, dialogues: FrozenDataset, tmp_path: Path
) -> None:
    make_family("gemma2", base, tmp_path / "base")

    with pytest.raises(BadModel, match="softcap"):
        tiny.run(tmp_path / "base", dialogues, tmp_path / "out")


def make_family(family: str, base: Path, dest: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    settings = AutoConfig.for_model(
        family, vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=64, pad_token_id=0, eos_token_id=1, bos_token_id=1,
    )  # fmt: skip
    bundle.save_model(AutoModelForCausalLM.from_config(settings), base, dest)
