"""Trains the tokenizer of our own bases and holds the two templates we ship.

Byte-level BPE with GPT-2's splitting pattern: every text has ids and every id list has a text.
Knows nothing of models; torch-free.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from training.ml.errors import BadConfig
from training.ml.texts import gettext_noop

PAD = "<|pad|>"
END = "<|end|>"
ROLE_MARKS = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"}
SPECIAL_TOKENS = (PAD, END, *ROLE_MARKS.values())
SMALLEST_VOCABULARY = 256 + len(SPECIAL_TOKENS)

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|end|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

# For models made from prompt/completion files: the prompt carries its own separator (" ->").
PLAIN_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}"
    "{% else %}{{ message['content'] }}{% endif %}"
    "{% endfor %}"
)


def special_token(text: str) -> AddedToken:
    return AddedToken(text, special=True, normalized=False)


def train_tokenizer(texts: Iterable[str], vocab_size: int, out_dir: Path) -> Tokenizer:
    """Learn merges from `texts` and write the tokenizer's files to `out_dir`.

    vocab_size counts the 256 bytes and the special tokens too. Raises BadConfig when it is too small for them.
    """
    if vocab_size < SMALLEST_VOCABULARY:
        raise BadConfig(
            gettext_noop("The vocabulary of %(size)d is too small: it must have at least %(least)d entries."),
            size=vocab_size,
            least=SMALLEST_VOCABULARY,
            field="vocab_size",
        )
    tokenizer = empty_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=[special_token(text) for text in SPECIAL_TOKENS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    write_tokenizer(tokenizer, out_dir)
    return tokenizer


def empty_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def write_tokenizer(
    tokenizer: Tokenizer,
    out_dir: Path,
    *,
    template: str = CHAT_TEMPLATE,
    eos: str = END,
    pad: str = PAD,
    bos: str | None = None,
) -> None:
    """Write the five files that transformers, TRL and vLLM read. No post-processor: it would add ids of its own."""
    out_dir.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(out_dir / "tokenizer.json"))
    special = {"eos_token": eos, "pad_token": pad} | ({} if bos is None else {"bos_token": bos})
    config = {
        **special,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "add_bos_token": False,
        "add_eos_token": False,
        "padding_side": "right",
        "model_input_names": ["input_ids", "attention_mask"],
    }
    _write_json(out_dir / "tokenizer_config.json", config)
    _write_json(out_dir / "special_tokens_map.json", special)
    (out_dir / "chat_template.jinja").write_text(template, encoding="utf-8")


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
