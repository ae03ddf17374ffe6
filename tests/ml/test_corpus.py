"""Files of every kind to rows and complaints: good rows are kept, bad ones are told by line."""

from __future__ import annotations

import codecs
import json
import re
import resource
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.ml import corpus
from training.ml.corpus import Detected, Readable, Unreadable
from training.ml.errors import BadFile
from training.ml.records import Dialogue


def write(tmp_path: Path, content: str | bytes, name: str = "file.jsonl", encoding: str = "utf-8") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def jsonl(*rows: Any) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read(path: Path) -> tuple[Detected, list[Readable], list[Unreadable]]:
    detected = corpus.detect(path)
    rows = list(corpus.read(path, detected))
    good = [row for row in rows if isinstance(row, Readable)]
    return detected, good, [row for row in rows if isinstance(row, Unreadable)]


def texts(row: Readable) -> list[str]:
    assert isinstance(row.record, Dialogue)
    return [message.content for message in row.record.messages]


def refused(path: Path) -> str:
    with pytest.raises(BadFile) as caught:
        read(path)
    return str(caught.value.facts["rule"])


QA = {"prompt": "怎么上传？", "completion": "点“上传文件”。"}


def test_prompt_and_completion_become_one_exchange(tmp_path):
    detected, good, bad = read(write(tmp_path, jsonl(QA)))

    assert detected == Detected(format="prompt_completion", encoding="utf-8")
    assert [(row.line, texts(row)) for row in good] == [(1, ["怎么上传？", "点“上传文件”。"])]
    assert bad == []


def test_the_form_that_prepare_data_wrote_is_taken_back(tmp_path):
    rows = [{"prompt": f"问{n} ->", "completion": f" 答{n}\n"} for n in range(3)]

    detected, good, _ = read(write(tmp_path, jsonl(*rows)))

    assert detected.prepared
    assert [texts(row) for row in good] == [[f"问{n}", f"答{n}"] for n in range(3)]


def test_an_arrow_that_not_every_row_has_is_left_alone(tmp_path):
    path = write(tmp_path, jsonl({"prompt": "a ->", "completion": " b"}, QA))

    _, good, _ = read(path)

    assert texts(good[0]) == ["a ->", " b"]


def test_messages_keep_weights_and_lose_a_question_that_nobody_answers(tmp_path):
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "weight": 0},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "d"},
        {"role": "user", "content": "e"},
    ]

    detected, good, _ = read(write(tmp_path, jsonl({"messages": messages, "group": "g"})))

    assert detected.format == "messages"
    assert good[0].record.body() == {"messages": messages[:-1]}
    assert (good[0].left_out, good[0].group) == (1, "g")


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "p", "chosen": "c", "rejected": "r", "margin": 2},
        {"prompt": [{"role": "user", "content": "p"}], "chosen": "c", "rejected": "r", "margin": 2},
        {
            "messages": [{"role": "user", "content": "p"}],
            "chosen": [{"role": "assistant", "content": "c"}],
            "rejected": {"role": "assistant", "content": "r"},
            "margin": 2,
        },
    ],
)
def test_preferences_come_in_several_shapes(tmp_path, row):
    detected, good, _ = read(write(tmp_path, jsonl(row)))

    assert detected.format == "preference"
    assert good[0].record.body() == {
        "prompt": [{"role": "user", "content": "p"}],
        "chosen": "c",
        "rejected": "r",
        "margin": 2,
    }


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_train_txt_is_read_with_either_line_break(tmp_path, newline):
    lines = ["你好", "你好呀", "", "", "在吗", "在", "干嘛", "", "孤单", ""]

    detected, good, bad = read(write(tmp_path, newline.join(lines), "train.txt"))

    assert detected.format == "chitchat"
    assert [(row.line, texts(row), row.left_out) for row in good] == [
        (1, ["你好", "你好呀"], 0),
        (5, ["在吗", "在"], 1),
    ]
    assert [(row.line, row.rule) for row in bad] == [(9, "lone_utterance")]


def test_a_bad_line_spoils_only_its_own_dialogue(tmp_path):
    good_one, bad_one = "你好\n你好呀\n\n".encode(), b"\xe4\xbd\n" + "在\n\n".encode()

    _, good, bad = read(write(tmp_path, good_one + bad_one + good_one, "train.txt"))

    assert [row.line for row in good] == [1, 7]
    assert [(row.line, row.rule) for row in bad] == [(4, "wrong_encoding")]


@pytest.mark.parametrize(
    ("mark", "codec", "found"),
    [
        (b"", "utf-8", "utf-8"),
        (codecs.BOM_UTF8, "utf-8", "utf-8-sig"),
        (b"", "gb18030", "gb18030"),
        (codecs.BOM_UTF16_LE, "utf-16-le", "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be", "utf-16-be"),
        (b"", "utf-16-le", "utf-16-le"),
    ],
)
def test_encodings_are_recognised(tmp_path, mark, codec, found):
    path = write(tmp_path, mark + jsonl(QA, QA).encode(codec))

    detected, good, bad = read(path)

    assert detected.encoding == found
    assert [texts(row) for row in good] == [[QA["prompt"], QA["completion"]]] * 2
    assert bad == []


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ('{"prompt": "a", "completion": "b"', "cut_off"),
        ('{"prompt": "a", "completion" "b"}', "not_json"),
        ("{“prompt”: “a”, “completion”: “b”}", "curly_quotes"),
        ("{'prompt': 'a', 'completion': 'b'}", "single_quotes"),
        ('["a", "b"]', "not_an_object"),
        ('{"question": "a", "answer": "b"}', "wrong_keys"),
        ('{"prompt": 3, "completion": "b"}', "not_text"),
        ('{"prompt": null, "completion": "b"}', "not_text"),
        ('{"prompt": " ", "completion": "b"}', "empty_text"),
        ('{"prompt": "a\\u0000", "completion": "b"}', "nul"),
        ('{"prompt": "a\x00", "completion": "b"}', "nul"),
        ('{"prompt": "\\ud83d", "completion": "b"}', "surrogate"),
        ("[" * 100_000, "too_deep"),
        ('{"messages": "a"}', "not_messages"),
        ('{"messages": [{"role": "user"}]}', "not_messages"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "no_answer"),
        ('{"messages": [{"role": "bot", "content": "a"}]}', "unknown_role"),
        ('{"messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]}', "late_system"),
        ('{"messages": [{"role": "assistant", "content": "a", "weight": 2}]}', "bad_weight"),
        ('{"prompt": "a", "chosen": "b", "rejected": "b"}', "same_answers"),
        ('{"prompt": "a", "chosen": "b", "rejected": "c", "margin": "x"}', "bad_margin"),
        ('{"prompt": "a", "chosen": "b", "rejected": "c", "margin": NaN}', "bad_margin"),
        ('{"prompt": "a", "completion": ' + "9" * 5000 + "}", "not_json"),
        ('{"\\ud800\\u0000": "a"}', "wrong_keys"),
    ],
)
def test_a_bad_line_is_told_and_its_neighbours_are_kept(tmp_path, line, rule):
    path = write(tmp_path, jsonl(QA) + line + "\n" + jsonl(QA, QA))

    _, good, bad = read(path)

    assert [row.line for row in good] == [1, 3, 4]
    assert [(row.line, row.rule) for row in bad] == [(2, rule)]
    assert len(bad[0].message) > 20
    (bad[0].message + str(bad[0].facts)).encode()
    assert len(bad[0].excerpt) <= 81


def test_a_line_of_fifty_megabytes_is_passed_over_in_flat_memory(tmp_path):
    path = tmp_path / "huge.jsonl"
    with path.open("wb") as file:
        file.write(jsonl(QA).encode() + b'{"prompt": "')
        for _ in range(50):
            file.write(b"x" * (1 << 20))
        file.write(b'"}\n' + jsonl(QA).encode())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    _, good, bad = read(path)

    assert [row.line for row in good] == [1, 3]
    assert [(row.line, row.rule) for row in bad] == [(2, "line_too_long")]
    assert bad[0].facts["bytes"] > 50 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 << 10


def test_a_single_endless_line_is_no_crash(tmp_path):
    _, good, bad = read(write(tmp_path, b"x" * (3 << 20), "file.txt"))

    assert (good, [row.rule for row in bad]) == ([], ["line_too_long"])


@pytest.mark.parametrize(
    ("content", "name", "rule"),
    [
        (b"", "a.jsonl", "empty_file"),
        (b"\n \n\r\n", "a.jsonl", "no_rows"),
        (b"PK\x03\x04 and more", "a.jsonl", "archive_damaged"),
        (b"\x1f\x8b\x08", "a.jsonl", "archive_damaged"),
        (b"7z\xbc\xaf\x27\x1c", "a.7z", "binary_file"),
        (b"%PDF-1.7", "a.pdf", "binary_file"),
        (b"not a pickle", "model.pt", "pickle"),
        (b"\x80\x04\x95\x00", "a.pkl", "pickle"),
        (bytes(range(256)) * 40, "a.txt", "binary_file"),
        (b"\xff\xfc\xfd\xfb\n" * 50, "a.txt", "unknown_encoding"),
        (b'{"q": "a", "a": "b"}\n', "a.jsonl", "unknown_keys"),
        (b'{"prompt": "a\n{"prompt": "b\n', "a.jsonl", "no_json"),
        (b"<a/>\n", "a.xml", "unsupported"),
        (b"a: 1\n", "a.yml", "yaml_not_chatterbot"),
    ],
)
def test_a_file_that_is_none_of_ours_is_refused_in_words(tmp_path, content, name, rule):
    assert refused(write(tmp_path, content, name)) == rule


def test_every_rule_has_a_sentence_that_its_facts_fill():
    for rule, sentence in [*corpus.ROW_RULES.items(), *corpus.FILE_RULES.items()]:
        facts = {name: 1 if kind == "d" else "x" for name, kind in re.findall(r"%\((\w+)\)(\w)", sentence)}
        assert "%(" not in corpus.text(rule, facts)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "prompt": st.one_of(st.text(min_size=1), st.none(), st.integers()),
                "completion": st.one_of(st.text(min_size=1), st.booleans()),
            }
        ),
        min_size=1,
        max_size=5,
    )
)
def test_every_line_is_either_read_or_told(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("any") / "any.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")

    _, good, bad = read(path)

    assert sorted([row.line for row in good] + [row.line for row in bad]) == list(range(1, len(rows) + 1))
    for row in good:
        row.record.body()
