"""Reads a model directory into memory, makes it ready for batched decoding, and proves that it computes.

Runs in the loader's thread. Imports torch and transformers, which is why others import this module late.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoModelForCausalLM
from transformers.modeling_utils import PreTrainedModel
from transformers.utils import logging as transformers_logging

from chat.engine.text import Vocabulary
from training.ml import bundle
from training.ml.decode import Decoder, context_of, probe
from training.ml.device import place
from training.ml.errors import BadModel, PipelineError
from training.ml.head import fast_gelu
from training.ml.render import Renderer
from training.ml.slots import SLOTS
from training.ml.texts import gettext_noop

Precision = Literal["auto", "float32", "bfloat16"]
ITEM_BYTES = {"float32": 4, "bfloat16": 2}


@dataclass(eq=False, slots=True, kw_only=True)
class Version:
    """A loaded model. `uses` counts requests that hold it in memory; times are `time.monotonic()` seconds."""

    uid: str
    decoder: Decoder
    renderer: Renderer
    vocabulary: Vocabulary
    weight_bytes: int
    precision: str
    uses: int = 0
    last_used: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def context(self) -> int:
        return self.decoder.context

    @property
    def bytes(self) -> int:
        return self.weight_bytes + self.decoder.cache.bytes


def precision_of(wanted: Precision) -> str:
    """float32 on CPUs, where small models gain little from less and answers stay exactly repeatable."""
    if wanted != "auto":
        return wanted
    return "bfloat16" if place().bf16 and place().device.type == "cuda" else "float32"


def estimate_bytes(directory: Path, wanted: Precision) -> int:
    """Bytes that the weights will take, from the headers of the files. Raises BadModel for a damaged header."""
    bundle.inspect_base(directory)
    return bundle.count_parameters(directory) * ITEM_BYTES[precision_of(wanted)]


def load(directory: Path, *, wanted: Precision, max_rows: int, cache_bytes: int) -> Version:
    """Load, warm up and probe. cache_bytes bounds the keys and values of all rows. Raises BadModel."""
    renderer = Renderer.load(directory)
    precision = precision_of(wanted)
    try:
        model = _read(directory, getattr(torch, precision))
        fast_gelu(model)
        probe(model)
    except PipelineError:
        raise
    except Exception as error:  # whatever a foreign directory makes transformers raise is a fact about the directory
        text = gettext_noop("%(name)s cannot be loaded: %(cause)s")
        raise BadModel(text, name=directory.name, cause=f"{type(error).__name__}: {error}") from error
    model.set_attn_implementation(SLOTS)
    rows = max(1, min(max_rows, cache_bytes // max(1, _row_bytes(model))))
    return Version(
        uid=directory.name,
        decoder=Decoder(model, max_rows=rows),
        renderer=renderer,
        vocabulary=Vocabulary.of(renderer),
        weight_bytes=_weight_bytes(model),
        precision=precision,
        facts={"rows": rows, "device": model.device.type, "context_length": context_of(model)},
    )


def _read(directory: Path, dtype: torch.dtype) -> PreTrainedModel:
    transformers_logging.disable_progress_bar()
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        directory, dtype=dtype, local_files_only=True, trust_remote_code=False, use_safetensors=True
    )
    model.to(place().device)  # type: ignore[arg-type]  # torch.device is not among the types of transformers' wrapper
    model.eval()
    return model


def _weight_bytes(model: PreTrainedModel) -> int:
    return sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()])


def _row_bytes(model: PreTrainedModel) -> int:
    """Keys and values of one full sequence."""
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    shared = getattr(config, "num_key_value_heads", None) or heads
    item = 4 if model.device.type == "cpu" else model.dtype.itemsize
    return int(2 * config.num_hidden_layers * shared * dim * context_of(model) * item)


def forget() -> None:
    """Give the memory of dropped versions back."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
