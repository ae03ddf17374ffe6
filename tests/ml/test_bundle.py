"""Model directories: made, judged, published, adopted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import processors
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from tests.ml.tiny import say
from training.ml import bundle
from training.ml.adopt import CHATML_TEMPLATE, adopt_base
from training.ml.errors import BadModel
from training.ml.parity import check_parity
from training.ml.records import Dialogue
from training.ml.render import Renderer, read_tokenizer
from training.ml.tokenizer import empty_tokenizer, special_token


def test_a_new_base_loads_unchanged_in_transformers(base: Path) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    messages = [{"role": "user", "content": "apple"}, {"role": "assistant", "content": "red"}]

    theirs: Any = tokenizer.apply_chat_template(messages, return_assistant_tokens_mask=True, return_dict=True)
    ours = Renderer.load(base).render(say("apple", "red"))

    assert (theirs["input_ids"], theirs["assistant_masks"]) == (ours.ids, ours.mask)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id != tokenizer.pad_token_id
    assert tokenizer("apple")["input_ids"] == Renderer.load(base).text_ids("apple")


def test_a_base_in_bfloat16_is_half_as_large(base: Path, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(base)

    bundle.save_model(model, base, tmp_path / "half", precision="bfloat16")

    sizes = [(directory / "model.safetensors").stat().st_size for directory in (base, tmp_path / "half")]
    assert sizes[1] < 0.6 * sizes[0]
    assert model.dtype == torch.float32


def test_publishing_adds_facts_and_keeps_the_hashes(base: Path, tmp_path: Path) -> None:
    manifest = bundle.publish(base, tmp_path / "v1", {"lineage": {"run": 1}})

    assert bundle.verify(tmp_path / "v1") == manifest
    assert (manifest["name"], manifest["lineage"]) == ("v1", {"run": 1})
    assert manifest["hashes"] == bundle.load_manifest(base)["hashes"]


def test_a_version_is_never_written_over(base: Path, tmp_path: Path) -> None:
    bundle.publish(base, tmp_path / "v1")

    with pytest.raises(BadModel, match="exists already"):
        bundle.publish(base, tmp_path / "v1")

    assert [path.name for path in tmp_path.iterdir()] == ["v1"]


def test_a_changed_weight_is_found(base: Path, tmp_path: Path) -> None:
    bundle.publish(base, tmp_path / "v1")
    path = tmp_path / "v1" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")

    with pytest.raises(BadModel, match="weights of v1 changed"):
        bundle.verify(tmp_path / "v1")


def test_a_manifest_of_the_future_is_refused(base: Path, tmp_path: Path) -> None:
    bundle.publish(base, tmp_path / "v1")
    path = tmp_path / "v1" / bundle.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))

    with pytest.raises(BadModel, match="format 99"):
        bundle.load_manifest(tmp_path / "v1")


def remove(name: str):
    return lambda directory: (directory / name).unlink()


def pickled(directory: Path) -> None:
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")


def encoder(directory: Path) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"architectures": ["BertModel"]}))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (remove("config.json"), "no config.json"),
        (remove("model.safetensors"), "no weights"),
        (remove("tokenizer.json"), "no tokenizer.json"),
        (pickled, "pytorch_model.bin, a pickle file"),
        (encoder, "not a causal language model"),
        (shutil.rmtree, "is not a directory"),
    ],
)
def test_what_is_wrong_with_a_base_is_said(damage, words: str, base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "base")
    damage(tmp_path / "base")

    with pytest.raises(BadModel, match=words):
        bundle.inspect_base(tmp_path / "base")


def foreign(directory: Path, *, template: str | None = None, special: tuple[str, ...] = ()) -> Path:
    """A GPT-2 as others publish it: end = padding, a post-processor that adds ids, maybe a template."""
    tokenizer = empty_tokenizer()
    from tokenizers import pre_tokenizers, trainers

    trainer = trainers.BpeTrainer(
        vocab_size=270,
        special_tokens=[special_token(text) for text in ("<|endoftext|>", *special)],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["hello"], trainer=trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    config = GPT2Config(vocab_size=tokenizer.get_vocab_size(), n_positions=128, n_embd=16, n_layer=1, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(directory)
    tokenizer.save(str(directory / "tokenizer.json"))
    settings = {"eos_token": "<|endoftext|>", "tokenizer_class": "PreTrainedTokenizerFast"}
    if template:
        settings["chat_template"] = template
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    return directory


def test_a_base_without_a_template_gets_ours_with_rows_at_the_mean(tmp_path: Path) -> None:
    source = foreign(tmp_path / "source")
    known = read_tokenizer(source).get_vocab_size()

    manifest = adopt_base(source, tmp_path / "base")

    rows: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "base").get_input_embeddings().weight
    assert manifest["template"] == "chatsite"
    assert torch.allclose(rows[known:], rows[:known].mean(dim=0).expand(5, -1))
    renderer = Renderer.load(tmp_path / "base")
    assert check_parity(renderer, [Dialogue(messages=say("a", "b"))]).answers == 1
    assert len(renderer.text_ids("hello")) == len(
        AutoTokenizer.from_pretrained(tmp_path / "base")("hello")["input_ids"]
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "source"]


def test_a_base_with_a_good_template_keeps_it(tmp_path: Path) -> None:
    template = "{% for m in messages %}{{ m['role'] + ':' + m['content'] + eos_token }}{% endfor %}" \
        "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"  # fmt: skip
    source = foreign(tmp_path / "source", template=template)

    adopt_base(source, tmp_path / "base")

    assert (tmp_path / "base" / "chat_template.jinja").read_text() == template
    renderer = Renderer.load(tmp_path / "base")
    assert renderer.pad_id not in renderer.stop_ids


def test_a_template_that_treats_earlier_turns_differently_is_replaced_by_chatml(tmp_path: Path) -> None:
    thinking = CHATML_TEMPLATE.replace(
        "{% generation %}", "{% if loop.last %}{{ '<think></think>' }}{% endif %}{% generation %}"
    )
    source = foreign(tmp_path / "source", template=thinking, special=("<|im_start|>", "<|im_end|>"))

    adopt_base(source, tmp_path / "base")

    assert (tmp_path / "base" / "chat_template.jinja").read_text() == CHATML_TEMPLATE
