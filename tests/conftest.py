"""Resources with a lifetime that more than one part of the suite uses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from django.conf import settings


@pytest.fixture(autouse=True)
def no_run_of_an_earlier_test() -> None:
    """Row numbers begin anew with each test, and a run's directory is named by its number."""
    shutil.rmtree(Path(settings.DATA_DIR) / "runs", ignore_errors=True)
