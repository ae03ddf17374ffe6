"""One tiny base and its datasets for the whole run of tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ml import tiny
from training.ml.dataset import FrozenDataset


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def dialogues(tmp_path_factory: pytest.TempPathFactory) -> FrozenDataset:
    return tiny.make_dataset(tmp_path_factory.mktemp("dialogues"), tiny.facts(), "dialogue")


@pytest.fixture(scope="session")
def preferences(tmp_path_factory: pytest.TempPathFactory) -> FrozenDataset:
    return tiny.make_dataset(tmp_path_factory.mktemp("pairs"), tiny.pairs(), "pair")
