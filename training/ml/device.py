"""Where a run computes and in which precision, found out once and said in words."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True, slots=True)
class Placement:
    """bf16: linear layers compute in bfloat16, weights stay float32.

    micro_tokens: tokens of one forward pass, padding included.
    """

    device: torch.device
    bf16: bool
    micro_tokens: int

    @property
    def words(self) -> str:
        precision = "bfloat16" if self.bf16 else "float32"
        return f"{self.device.type}, {precision}, {torch.get_num_threads()} threads"

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16)


def place() -> Placement:
    """CUDA, then Apple's GPU, then the CPU."""
    if torch.cuda.is_available():
        return Placement(torch.device("cuda"), torch.cuda.is_bf16_supported(), micro_tokens=65_536)
    if torch.backends.mps.is_available():
        return Placement(torch.device("mps"), bf16=False, micro_tokens=16_384)
    return Placement(torch.device("cpu"), cpu_has_bf16(), micro_tokens=1_024)


def cpu_has_bf16() -> bool:
    """True where bfloat16 is a machine instruction; elsewhere it is emulated and slower than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
