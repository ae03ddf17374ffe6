"""Which devices of this machine a run may take, without loading torch. Knows no rows."""

from __future__ import annotations

import os
from functools import cache
from importlib import metadata
from pathlib import Path

CPU = "cpu"
GPUS = Path("/proc/driver/nvidia/gpus")
SMALL_MACHINE_CORES = 4


def _torch_has_cuda() -> bool:
    # The CPU build says so in its version; asking torch itself would cost the worker a second and 200 MB.
    return not metadata.version("torch").endswith("+cpu")


def _visible_gpus() -> list[str]:
    told = os.environ.get("CUDA_VISIBLE_DEVICES")
    if told is not None:
        return [index.strip() for index in told.split(",") if index.strip() not in ("", "-1")]
    return [str(index) for index, _ in enumerate(sorted(GPUS.iterdir()))] if GPUS.is_dir() else []


@cache
def slots() -> tuple[str, ...]:
    """One name a device: `cuda:0`, `cuda:1` ..., else `cpu`. As many runs may train at once."""
    gpus = _visible_gpus() if _torch_has_cuda() else []
    return tuple(f"cuda:{index}" for index in gpus) or (CPU,)


def pick(busy: set[str]) -> str | None:
    """The first free device; None while all are busy."""
    return next((slot for slot in slots() if slot not in busy), None)


def cores() -> int:
    return len(os.sched_getaffinity(0))


def trainer_threads(device: str) -> int:
    """CPU threads of the trainer: one on a small machine, where the engine keeps the others; half of a large one."""
    return 1 if cores() <= SMALL_MACHINE_CORES else cores() // 2


def environment(device: str) -> dict[str, str]:
    """What the trainer's process must see: its one device, and no more threads than its share.

    With several GPUs in sight, transformers' Trainer would spread one model over them by itself.
    """
    threads = str(trainer_threads(device))
    return {
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "" if device == CPU else device.removeprefix("cuda:"),
    }
