"""Causal models with random weights that fit into a test: one of each attention family we serve."""

from __future__ import annotations

from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM
from transformers.modeling_utils import PreTrainedModel

VOCABULARY = 300
CONTEXT = 320


def tiny_gpt2(*, vocabulary: int = VOCABULARY, context: int = CONTEXT) -> PreTrainedModel:
    torch.manual_seed(1)
    config = GPT2Config(
        vocab_size=vocabulary, n_positions=context, n_embd=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=1
    )
    # Random weights of GPT-2's own size give nearly flat scores; larger ones make every choice clear.
    return _loud(GPT2LMHeadModel(config))


def tiny_llama() -> PreTrainedModel:
    torch.manual_seed(2)
    config = LlamaConfig(**_grouped(), bos_token_id=1, eos_token_id=1)
    return _loud(LlamaForCausalLM(config))


def tiny_qwen2() -> PreTrainedModel:
    torch.manual_seed(3)
    config = Qwen2Config(**_grouped(), bos_token_id=1, eos_token_id=1)
    return _loud(Qwen2ForCausalLM(config))


def _grouped() -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
    }


def _loud(model: PreTrainedModel) -> PreTrainedModel:
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
    model.eval()
    return model


FAMILIES = {"gpt2": tiny_gpt2, "llama": tiny_llama, "qwen2": tiny_qwen2}
