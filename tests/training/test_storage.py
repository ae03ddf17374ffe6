"""What lies in the data directory, and what is left of processes that were killed."""

from __future__ import annotations

from pathlib import Path

from training import storage


def test_the_sweep_takes_what_killed_processes_left_and_nothing_else(settings, tmp_path: Path):
    settings.DATA_DIR, settings.MODELS_DIR = tmp_path, tmp_path / "models"
    debris = ["models/.run-1.77.draft", "runs/.3.gone.77", "datasets/.0a1b-22", "uploads/.4c", "uploads/x.upload"]
    kept = ["models/run-1", "runs/3", "datasets/0a1b", "uploads/4c.jsonl", ".secret", "logs/.x"]
    for name in (*debris, *kept):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch() if "uploads" in name else path.mkdir()

    assert storage.sweep() == len(debris)

    assert [name for name in debris if (tmp_path / name).exists()] == []
    assert [name for name in kept if not (tmp_path / name).exists()] == []


def test_a_directory_of_data_that_is_not_there_yet_has_nothing_to_sweep(settings, tmp_path: Path):
    settings.DATA_DIR, settings.MODELS_DIR = tmp_path, tmp_path / "models"

    assert storage.sweep() == 0
