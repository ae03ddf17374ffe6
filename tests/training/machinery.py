"""Real small things for the job tests: a tiny model trained from nothing, a frozen dataset, and their rows."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from training import registry, storage
from training.ml import bundle, dataset
from training.ml.records import Dialogue, Message
from training.ml.tokenizer import train_tokenizer
from training.models import DatasetVersion, ModelVersion, TrainingRun

FACTS = [(f"问题{number}是什么", f"答案{number}，很好。") for number in range(60)]
_numbers = itertools.count(1)


def tiny_base(uid: str = "tiny") -> Path:
    """A published two-layer model of about 50 000 parameters; made once a data directory."""
    directory = storage.model_dir(uid)
    if not (directory / bundle.MANIFEST).is_file():
        tokenizer = Path(settings.DATA_DIR) / "tiny-tokenizer"
        train_tokenizer((text for fact in FACTS for text in fact), 300, tokenizer)
        bundle.new_base(directory, tokenizer, layers=2, heads=2, width=32, context=64)
    return directory


def tiny_dataset() -> dataset.FrozenDataset:
    rows = [
        dataset.Candidate(key=f"fact-{number}", kind="dialogue", body=_exchange(*fact).body(), group=f"g{number}")
        for number, fact in enumerate(FACTS)
    ]
    return dataset.freeze(rows, Path(settings.DATA_DIR) / "datasets", kind="dialogue")


def _exchange(question: str, answer: str) -> Dialogue:
    return Dialogue(messages=(Message(role="user", content=question), Message(role="assistant", content=answer)))


def real_model(uid: str = "tiny", **fields: Any) -> ModelVersion:
    model = registry.register(tiny_base(uid), name=uid)
    ModelVersion.objects.filter(pk=model.pk).update(**fields)
    model.refresh_from_db()
    return model


def real_version() -> DatasetVersion:
    frozen = tiny_dataset()
    return a_version(sha256=frozen.hash, counts=frozen.counts)


# --- rows alone, where no file is read ------------------------------------------------------------------------------


def a_model(**fields: Any) -> ModelVersion:
    number = next(_numbers)
    facts: dict[str, Any] = {
        "uid": f"model-{number}",
        "name": f"model {number}",
        "origin": ModelVersion.Origin.ADDED,
        "weights_sha256": "0" * 64,
        "tokenizer_sha256": "0" * 64,
        "template": "",
        "context_length": 64,
        "parameters": 50_000,
        "size_bytes": 200_000,
    }
    return ModelVersion.objects.create(**(facts | fields))


def a_version(**fields: Any) -> DatasetVersion:
    facts: dict[str, Any] = {
        "name": f"version {next(_numbers)}",
        "kind": "dialogue",
        "status": DatasetVersion.Status.FROZEN,
        "sha256": "1" * 64,
        "counts": {"train": 50, "validation": 5, "test": 5, "phrasing": 0},
        "frozen_at": timezone.now(),
    }
    return DatasetVersion.objects.create(**(facts | fields))


def a_run(**fields: Any) -> TrainingRun:
    facts: dict[str, Any] = {
        "name": f"run {next(_numbers)}",
        "method": "sft",
        "status": TrainingRun.Status.QUEUED,
        "queued_at": timezone.now(),
        "config": {"method": "sft", "epochs": 2.0, "batch_size": 8, "max_length": 64, "devices": 1},
    }
    facts |= fields
    facts.setdefault("base", ModelVersion.objects.first() or a_model())
    facts.setdefault("dataset", DatasetVersion.objects.first() or a_version())
    return TrainingRun.objects.create(**facts)
