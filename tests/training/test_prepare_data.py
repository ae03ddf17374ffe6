"""`manage.py prepare_data`: what it says, what it writes, how it ends."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import translation

from training.ml.tokenizer import train_tokenizer

ROWS = [
    {"prompt": "怎么联系你们", "completion": "打13912345678"},
    {"prompt": "多少钱一个月呢", "completion": "null"},
    {"prompt": "退款要几天", "completion": "三天之内到账"},
    {"prompt": "退款要几天", "completion": "三天之内到账"},
    {"prompt": "请问退款要几天呢", "completion": "一个月也不一定"},
]


@pytest.fixture(autouse=True)
def _english():
    with translation.override("en"):
        yield


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return rows(tmp_path / "qa.jsonl", ROWS)


def rows(path: Path, values: Sequence[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values), "utf-8")
    return path


def run(*arguments: object, typed: str = "", status: int = 0) -> str:
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO(typed))
        if status:
            with pytest.raises(SystemExit) as ended:
                call_command("prepare_data", *map(str, arguments), stdout=out)
            assert ended.value.code == status
        else:
            call_command("prepare_data", *map(str, arguments), stdout=out)
    return out.getvalue()


def lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_findings_are_told_by_rule_with_rows_and_words(file):
    said = run(file, "--quiet")

    assert "5 rows read (prompt_completion, utf-8), 0 unreadable." in said
    assert "Personal data in the text: 1" in said
    assert "row 1: This looks like personal data: mobile numbers." in said
    assert "…打【13912345678】…" in said
    assert "row 4: Word for word the same as row 3." in said
    assert "The same question has 2 different answers, for example here and in row 5" in said
    assert "Number of examples: 5." in said
    assert "hardly new facts" in said


def test_quiet_does_what_is_safe_and_leaves_the_rest(file, tmp_path):
    said = run(file, "-q")

    assert lines(tmp_path / "qa_prepared.jsonl") == [ROWS[0], ROWS[2], ROWS[4]]
    assert "Wrote 3 rows" in said
    assert "No separator or stop mark was added" in said


def test_each_remedy_is_shown_and_asked_for(file, tmp_path):
    said = run(file, typed="n\nn\ny\ny\n")

    assert "Mask it (1 row):" in said
    assert "    - 打13912345678" in said
    assert "    + 打<手机号>" in said
    written = lines(tmp_path / "qa_prepared.jsonl")
    assert written == [{**ROWS[0], "completion": "打<手机号>"}, *ROWS[1:]]


def test_at_the_end_of_the_input_nobody_agrees_and_nothing_is_written(file, tmp_path):
    run(file)

    assert [path.name for path in tmp_path.iterdir()] == ["qa.jsonl"]


def test_json_is_for_programs_and_writes_only_when_told_to(file, tmp_path):
    told = json.loads(run(file, "--json"))
    done = json.loads(run(file, "--json", "-q", "--output", tmp_path / "out.jsonl"))

    assert told["findings"]["personal"]["cases"][0] | {"text": ""} == {
        "row": 1,
        "address": "1",
        "where": "messages[1].content",
        "start": 1,
        "end": 12,
        "text": "",
        "remedy": "mask",
    }
    assert (told["output"], told["written"], told["applied"]) == (None, 0, [])
    assert (done["written"], done["removed"], done["changed"]) == (3, 2, 0)
    assert len(lines(tmp_path / "out.jsonl")) == 3


def test_errors_that_are_left_end_with_1_and_mended_ones_with_0(tmp_path):
    lost = rows(tmp_path / "lost.jsonl", [{"prompt": "a?", "completion": "锟斤拷"}])
    mended = rows(tmp_path / "mended.jsonl", [{"prompt": "a?", "completion": "浣犲ソ鍚楋紵"}])
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"prompt": "a", "completion": "b"}\n{"prompt": "c", "compl\n', "utf-8")

    assert "Broken characters: 1" in run(lost, "-q", status=1)
    run(mended, "-q")
    assert lines(tmp_path / "mended_prepared.jsonl") == [{"prompt": "a?", "completion": "你好吗？"}]
    said = run(broken, "-q", status=1)
    assert "Rows that could not be read: 1" in said
    assert "line 2: " in said
    assert len(lines(tmp_path / "broken_prepared.jsonl")) == 1


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", None])
def test_what_cannot_be_read_is_refused_with_2(tmp_path, content):
    path = tmp_path / "x.jsonl"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(CommandError) as error:
        run(path, "-q")

    assert error.value.returncode == 2
    assert not list(tmp_path.glob("*prepared*"))


def test_a_result_that_cannot_be_written_leaves_nothing_behind(file, tmp_path):
    with pytest.raises(CommandError) as error:
        run(file, "-q", "--output", tmp_path / "missing" / "out.jsonl")

    assert error.value.returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["qa.jsonl"]


def test_dialogues_and_pairs_are_written_in_their_own_shape(tmp_path):
    messages = [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "你好呀"}]
    longer = {"messages": [*messages, {"role": "user", "content": "再见"}, {"role": "assistant", "content": "拜拜"}]}
    pair = {"prompt": [{"role": "user", "content": "好吗"}], "chosen": "很好", "rejected": "不好"}
    path = rows(tmp_path / "mixed.jsonl", [{"messages": messages}, longer, pair])

    run(path, "-q")

    assert lines(tmp_path / "mixed_prepared.jsonl") == [{"messages": messages}, longer, pair]


@pytest.mark.parametrize(
    "values",
    [
        [{"prompt": "只有一行", "completion": "也可以"}],
        [
            {"prompt": f"问题{number}是什么？", "completion": f"{chr(0x4E00 + number * 211)}的答案。"}
            for number in range(9)
        ],
        [
            {"prompt": f"{'你您'[number % 2]}好{chr(0x4E00 + number * 99)}", "completion": "您好"}
            for number in range(20)
        ],
        [{"messages": [{"role": "user", "content": "聊"}, {"role": "assistant", "content": "好"}]}],
    ],
    ids=["one row", "a common end", "a chatbot", "chat format"],
)
def test_what_the_old_tool_misread_stays_as_it_is(tmp_path, values):
    """It took 是什么？ for a separator, a chatbot for a classifier, refused one row and chat files, added a space."""
    path = rows(tmp_path / "a.jsonl", values)

    said = run(path, "-q", "--output", tmp_path / "out.jsonl")

    assert "classif" not in said
    kept = lines(tmp_path / "out.jsonl")
    assert all(row in values or "messages" in values[0] for row in kept)
    assert not any(str(row).endswith("->") for row in kept)


def test_text_in_gb18030_is_read_and_a_prepared_file_loses_its_marks(tmp_path):
    path = tmp_path / "old.jsonl"
    path.write_bytes('{"prompt": "你好 ->", "completion": " 你好呀\\n"}\n'.encode("gb18030"))

    run(path, "-q", "--output", tmp_path / "out.jsonl")

    assert lines(tmp_path / "out.jsonl") == [{"prompt": "你好", "completion": "你好呀"}]


def test_rows_that_are_too_long_for_a_model_are_told(tmp_path):
    train_tokenizer(["你好"], 300, tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text(json.dumps({"n_positions": 32}))
    path = rows(tmp_path / "a.jsonl", [{"prompt": "你好", "completion": "好" * 40}])

    said = run(path, "-q", "--model", tmp_path / "model")

    assert "Too long for the model: 1" in said
    assert "the model takes 32." in said


# --- the old tool ---------------------------------------------------------------------------------------------------


def test_legacy_writes_and_says_what_the_old_tool_did(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows(tmp_path / "qa.jsonl", [{"prompt": "医药和消费有甚么基金推荐的", "completion": "医药可以看看…"}, ROWS[0]])

    said = run("qa.jsonl", "--legacy", "-q")

    assert said.startswith("Analyzing...\n\n- Your file contains 2 prompt-completion pairs.")
    assert "- [Recommended] Add a suffix separator ` ->` to all prompts [Y/n]: Y\n" in said
    first = (tmp_path / "qa_prepared.jsonl").read_text("utf-8").splitlines()[0]
    assert first == r'{"prompt":"医药和消费有甚么基金推荐的 ->","completion":" 医药可以看看…\n"}'


def test_legacy_asks_and_takes_n_for_no(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows(tmp_path / "qa.jsonl", [{"prompt": "a", "completion": "b"}, {"prompt": "c", "completion": "d"}])

    said = run("qa.jsonl", "--legacy", typed="n\nn\nn\n")

    assert "You can use your file for fine-tuning:" in said
    assert not list(tmp_path.glob("*prepared*"))


def test_legacy_refuses_with_1_in_the_old_words(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit) as ended:
        call_command("prepare_data", "a.jsonl", "--legacy")

    assert ended.value.code == 1
    assert capsys.readouterr().err == (
        "\n\nERROR in read_any_format validator: File a.jsonl does not exist.\n\nAborting..."
    )


def test_legacy_has_no_options_of_ours(file):
    with pytest.raises(CommandError, match="--legacy takes no"):
        run(file, "--legacy", "--json")
