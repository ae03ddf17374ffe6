"""The site that collectors are let loose on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from tests.collect.site import Site


@pytest.fixture
def site() -> Iterator[Site]:
    with Site().open() as site:
        yield site


@pytest.fixture(autouse=True)
def no_collection_of_an_earlier_test() -> None:
    """Row numbers begin anew with each test, and a ledger's directory is named by its row's number."""
    shutil.rmtree(Path(settings.DATA_DIR) / "collections", ignore_errors=True)
