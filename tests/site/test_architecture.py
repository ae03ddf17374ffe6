"""Rules about the code itself: layers, sizes, and what a start may import."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chatsite.env import BASE_DIR

PACKAGES = ("chatsite", "chat", "training")
HEAVY = ("torch", "transformers", "trl", "datasets", "pandas")
MAX_FUNCTION_LINES = 60
MAX_FILE_LINES = 400


def source_files() -> list[Path]:
    found = [path for package in PACKAGES for path in (BASE_DIR / package).rglob("*.py")]
    return [path for path in found if "migrations" not in path.parts and "static" not in path.parts]


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "chatsite.settings", "PYTHONPATH": str(BASE_DIR)}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=BASE_DIR, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "start",
    [
        "from django.core.management import execute_from_command_line as go; go(['manage.py', 'check'])",
        "import django; django.setup(); from django.urls import get_resolver; get_resolver().url_patterns",
        "import chatsite.asgi",
        "import django; django.setup(); import chatsite.tasks, training.tasks",
    ],
    ids=["check", "urls", "web", "worker"],
)
def test_nothing_starts_with_torch(start: str):
    done = run_python(f"{start}\nimport sys; print([name for name in {HEAVY} if name in sys.modules])")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_the_import_contracts_are_kept():
    script = Path(sys.executable).with_name("lint-imports")

    done = subprocess.run([script], cwd=BASE_DIR, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_no_file_and_no_function_is_too_long():
    too_long = []
    for path in source_files():
        text = path.read_text(encoding="utf-8")
        lines = text.count("\n")
        if lines > MAX_FILE_LINES:
            too_long.append(f"{path.relative_to(BASE_DIR)}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    too_long.append(f"{path.relative_to(BASE_DIR)}: {node.name} has {length} lines")

    assert too_long == []


def test_every_module_says_its_job():
    silent = [
        str(path.relative_to(BASE_DIR))
        for path in source_files()
        if path.name != "__init__.py" and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]

    assert silent == []
