"""The old tool's decisions, words and bytes.

`legacy_prepare.json` holds inputs of ours with what openai 0.28.1 (pandas 1.5.3) made of them; it was recorded, not
written.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from training.ml import legacy_prepare
from training.ml.legacy_prepare import Refused

CASES = json.loads(Path(__file__).with_suffix(".json").with_stem("legacy_prepare").read_text("utf-8"))


def run(file: str, answers: list[str] | None = None) -> tuple[str, str, int]:
    """Standard output, standard error and exit status, as the command makes them."""
    said: list[str] = []
    left = list(answers or [])

    def ask(text: str) -> bool:
        said.append(text)
        if answers is None:
            said.append("Y\n")
            return True
        return left.pop(0).lower() != "n"

    try:
        legacy_prepare.prepare(file, say=said.append, ask=ask)
    except Refused as refused:
        return "".join(said), str(refused), 1
    return "".join(said), "", 0


def written(directory: Path) -> dict[str, str]:
    return {path.name: path.read_bytes().decode() for path in directory.iterdir() if "_prepared" in path.name}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_words_and_files_are_those_of_the_old_tool(tmp_path: Path, case: dict[str, Any]):
    if case["text"] is not None:
        (tmp_path / case["file"]).write_bytes(case["text"].encode())

    out, error, status = run(case["file"], case["answers"])

    assert out == case["stdout"]
    assert (error, status) == (case["stderr"], case["rc"])
    assert written(tmp_path) == case["files"]


def test_the_golden_rows_are_prepared_to_the_byte(tmp_path: Path):
    rows = [
        ("医药和消费有甚么基金推荐的", "医药可以看看…"),
        ("定投要多久", "一年以上"),
        ("现在买什么", "分批买宽基指数"),
    ]
    lines = (json.dumps({"prompt": asked, "completion": said}, ensure_ascii=False) for asked, said in rows)
    (tmp_path / "qa.jsonl").write_text("\n".join(lines) + "\n", "utf-8")

    out, _, status = run("qa.jsonl")

    assert status == 0
    first = (tmp_path / "qa_prepared.jsonl").read_text("utf-8").splitlines()[0]
    assert first == r'{"prompt":"医药和消费有甚么基金推荐的 ->","completion":" 医药可以看看…\n"}'
    assert 'stop=["\\n"]' in out
    assert "take 2.49 minutes" in out


def test_nothing_is_overwritten(tmp_path: Path):
    (tmp_path / "a.txt").write_text("一二三\n四五六\n", "utf-8")

    for _ in range(3):
        run("a.txt")

    assert sorted(written(tmp_path)) == ["a_prepared (1).jsonl", "a_prepared (2).jsonl", "a_prepared.jsonl"]


def test_a_spreadsheet_is_read_from_its_first_sheet(tmp_path: Path):
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (("prompt", "completion"), ("hello there", "good"), ("who are you", None), (3, 4)):
        sheet.append(row)
    book.create_sheet("more")
    book.save(tmp_path / "two.xlsx")

    out, _, _ = run("two.xlsx")

    assert "- Your Excel file contains more than one sheet." in out
    assert written(tmp_path)["two_prepared.jsonl"] == (
        '{"prompt":"hello there ->","completion":" good\\n"}\n{"prompt":"3 ->","completion":" 4\\n"}\n'
    )


def test_a_file_that_is_no_spreadsheet_is_refused_in_the_old_words(tmp_path: Path):
    (tmp_path / "a.xlsx").write_bytes(b"no zip")

    _, error, status = run("a.xlsx")

    assert status == 1
    assert "Your file `a.xlsx` does not appear to be in valid XLSX format." in error
    assert error.endswith("\n\nAborting...")


def test_the_split_of_many_rows_is_the_old_draw(tmp_path: Path):
    """6500 rows: all but 1000 are for training; the first one drawn with seed 42 is fixed by numpy's old generator."""
    rows = ({"prompt": f"row {number}x", "completion": "ab"[number % 2]} for number in range(6500))
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    out, _, _ = run("c.jsonl")

    train, valid = (written(tmp_path)[f"c_prepared_{name}.jsonl"].splitlines() for name in ("train", "valid"))
    assert (len(train), len(valid)) == (5500, 1000)
    numbers = [int(json.loads(line)["prompt"].split()[1].removesuffix("x")) for line in valid]
    assert numbers == sorted(numbers)
    assert "take 2.64 hours" in out


def test_rows_that_it_would_have_broken_off_at_are_removed(tmp_path: Path):
    """The old tool ended with a KeyError when no row had the number of a long one any more."""
    rows = [("a", "x"), ("b", "y"), ("b", "y"), ("c", "z" * 11_000), ("d", "v")]
    lines = (json.dumps({"prompt": asked, "completion": said}) for asked, said in rows)
    (tmp_path / "k.jsonl").write_text("\n".join(lines))

    out, _, status = run("k.jsonl")

    assert status == 0
    assert "The 1 long examples to be dropped are now at the following indices: [2]" in out
    kept = written(tmp_path)["k_prepared.jsonl"].splitlines()
    assert [json.loads(line)["prompt"] for line in kept] == ["a ->", "b ->", "d ->"]
