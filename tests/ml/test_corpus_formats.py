"""Every text format, as its makers write it, is recognised and read; odd rows are told and their neighbours kept."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from tests.ml.reading import jsonl, read, refused, texts, told, write
from training.ml import corpus
from training.ml.corpus import FORMATS, Readable

HUMAN = {"from": "human", "value": "q"}
GPT = {"from": "gpt", "value": "a"}
QA = {"prompt": "怎么上传？", "completion": "点“上传文件”。"}
DIALOGUE = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
PAIR = {"prompt": [{"role": "user", "content": "q"}], "chosen": "c", "rejected": "r"}
LABEL = {"prompt": [{"role": "user", "content": "q"}], "completion": "a", "label": False}


@pytest.mark.parametrize(
    ("row", "found", "body"),
    [
        ({"conversations": [HUMAN, GPT]}, "sharegpt", DIALOGUE),
        (
            {"id": 1, "system": "s", "conversations": [HUMAN, GPT, HUMAN]},
            "sharegpt",
            {"messages": [{"role": "system", "content": "s"}, *DIALOGUE["messages"]]},
        ),
        ({"instruction": "q", "input": "", "output": "a"}, "alpaca", DIALOGUE),
        (
            {"instruction": "q", "input": "i", "output": "a", "history": [["x", "y"]], "system": "s"},
            "alpaca",
            {
                "messages": [
                    {"role": "system", "content": "s"},
                    {"role": "user", "content": "x"},
                    {"role": "assistant", "content": "y"},
                    {"role": "user", "content": "q\ni"},
                    {"role": "assistant", "content": "a"},
                ]
            },
        ),
        (
            {
                "input": {"messages": PAIR["prompt"], "tools": [], "parallel_tool_calls": True},
                "preferred_output": [{"role": "assistant", "content": "c"}],
                "non_preferred_output": [{"role": "assistant", "content": "r"}],
            },
            "openai_preference",
            PAIR,
        ),
        ({"conversations": [HUMAN], "chosen": {"from": "gpt", "value": "c"}, "rejected": "r"}, "preference", PAIR),
        ({"instruction": "q", "input": "", "chosen": "c", "rejected": "r"}, "preference", PAIR),
        ({"chosen": "\n\nHuman: q\n\nAssistant: c", "rejected": "\n\nHuman: q\n\nAssistant: r"}, "preference", PAIR),
        (
            {
                "prompt": "q",
                "chosen": [*PAIR["prompt"], {"role": "assistant", "content": "c"}],
                "rejected": [*PAIR["prompt"], {"role": "assistant", "content": "r"}],
            },
            "preference",
            PAIR,
        ),
        ({"prompt": "q", "completion": "a", "label": False}, "label", LABEL),
        ({"prompt": "q", "completion": [{"role": "assistant", "content": "a"}], "label": 0}, "label", LABEL),
        ({"messages": DIALOGUE["messages"], "label": False}, "label", LABEL),
        ({"prompt": "q", "completion": "a", "label": "False"}, "label", LABEL),
        ({"conversations": [HUMAN, GPT], "kto_tag": False}, "label", LABEL),
        (["q", "a", "nobody answers"], "utterances", DIALOGUE),
        ([{"role": "client", "content": "q"}, {"role": "counselor", "content": "a"}], "messages", DIALOGUE),
        ({"messages": [{"message": "q"}, {"message": "a", "attrs": []}], "name": "x"}, "messages", DIALOGUE),
        ({"messages": [{"role": "usr", "content": "q"}, {"role": "sys", "content": "a"}]}, "messages", DIALOGUE),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]}, DIALOGUE["messages"][1]]},
            "messages",
            DIALOGUE,
        ),
        ({"text": "a text"}, "documents", {"text": "a text"}),
    ],
)
@pytest.mark.parametrize("layout", ["lines", "list", "spread"])
def test_json_rows_of_every_shape_in_every_layout(tmp_path, row, found, body, layout):
    content = {
        "lines": jsonl(row, row),
        "list": json.dumps([row, row], ensure_ascii=False),
        "spread": json.dumps(row, indent=2) + "\n" + json.dumps(row, indent=2),
    }[layout]

    detected, good, bad = read(write(tmp_path, content))

    assert (detected.format, bad) == (found, [])
    assert [row.record.body() for row in good] == [body, body]
    assert len({row.key for row in good}) == 2


def test_a_list_whose_rows_stand_on_one_line_gives_each_an_address_of_its_own(tmp_path):
    _, good, _ = read(write(tmp_path, f"[{json.dumps(QA)}, {json.dumps(QA)},\n{json.dumps(QA)}]"))

    assert [row.key for row in good] == ["1", "1.1", "2"]


def test_an_object_of_rows_and_rows_under_a_key_are_found(tmp_path):
    named = {"11": {"goal": [1], **DIALOGUE}, "12": {"goal": [], **DIALOGUE}}
    beneath = {"version": "1", "data": [QA, QA]}

    for content in (json.dumps(named, indent=1), json.dumps(named), json.dumps(beneath, indent=1), json.dumps(beneath)):
        detected, good, bad = read(write(tmp_path, content, "rows.json"))
        assert (detected.layout, len(good), bad) == ("items", 2, [])


def test_a_bad_row_in_a_list_is_told_with_its_line_and_its_neighbours_are_kept(tmp_path):
    rows = [json.dumps(QA), '{"prompt": "a", "completion": }', '{"prompt": "a" "completion": "b"}', json.dumps(QA)]
    rows += ['{"prompt": ' + "[" * 20_000 + "]" * 20_000 + ', "completion": "b"}', '{"prompt": 1, "completion": "b"}']

    _, good, bad = read(write(tmp_path, "[\n" + ",\n".join([*rows, json.dumps(QA)]) + "\n]"))

    assert [row.line for row in good] == [2, 5, 8]
    assert told(bad) == [(3, "not_json"), (4, "not_json"), (6, "too_deep"), (7, "not_text")]


@pytest.mark.parametrize("start", ['{"prompt": "a", "completion": "b}', "{“prompt”: “a”, “completion”: “b”}", "{]"])
def test_a_list_whose_first_row_is_bad_is_still_a_list(tmp_path, start):
    _, good, bad = read(write(tmp_path, f"[{start},\n{json.dumps(QA)},\n{json.dumps(QA)}]"))

    assert ([row.line for row in good], [row.line for row in bad]) == ([2, 3], [1])


def test_rows_without_anything_between_them_and_files_put_together_are_read(tmp_path):
    mark = "\ufeff"

    assert len(read(write(tmp_path, json.dumps(QA) + json.dumps(QA)))[1]) == 2
    assert len(read(write(tmp_path, f"{mark}{json.dumps(QA)}\n{mark}{json.dumps(QA)}\n"))[1]) == 2


def test_a_bad_list_of_utterances_spoils_no_other(tmp_path):
    _, good, bad = read(write(tmp_path, '["a", "b"]\n["c", "d"\n["e", "f"]\n["g", 1]\n[]\n["x", "y"]\n'))

    assert ([row.line for row in good], told(bad)) == (
        [1, 3, 6],
        [(2, "not_json"), (4, "not_utterances"), (5, "not_utterances")],
    )


def test_talk_that_begins_with_a_bracket_is_talk(tmp_path):
    for start in ("[doge] 哈哈", "{smile} 好的", "[1] one"):
        assert read(write(tmp_path, f"{start}\n好\n\n在吗\n在\n", "a.txt"))[0].format == "chitchat"


def test_a_list_that_was_cut_off_gives_the_rows_before(tmp_path):
    whole = json.dumps([QA] * 50, indent=1, ensure_ascii=False)

    _, good, bad = read(write(tmp_path, whole[:-40]))

    assert (len(good), [row.rule for row in bad]) == (49, ["cut_off"])


def test_a_byte_of_another_encoding_in_a_list_spoils_one_row(tmp_path):
    rows = [json.dumps({"prompt": f"第{n}个", "completion": "好"}, ensure_ascii=False).encode() for n in range(9)]
    rows[4] = rows[4].replace("好".encode(), "好".encode("gb18030"))

    _, good, bad = read(write(tmp_path, b"[" + b",\n".join(rows) + b"]"))

    assert (len(good), told(bad)) == (8, [(5, "not_decoded")])


def test_a_huge_value_in_a_list_is_passed_over_in_flat_memory(tmp_path):
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.write(b"[" + jsonl(QA).encode() + b',{"prompt": "')
        for _ in range(20):
            file.write(b"x" * (1 << 20))
        file.write(b'", "completion": "b"},\n' + jsonl(QA).encode() + b"]")
    detected = corpus.detect(path)

    tracemalloc.start()
    rows = list(corpus.read(path, detected))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [row.line for row in rows if isinstance(row, Readable)] == [1, 3]
    assert [row.rule for row in rows if not isinstance(row, Readable)] == ["value_too_long"]
    assert peak < 16 << 20


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ('{"prompt": "a", "prompt": "b", "completion": "c"}', "duplicate_keys"),
        ('{"conversations": "a"}', "not_turns"),
        ('{"conversations": []}', "not_turns"),
        ('{"conversations": [{"from": "tool", "value": "a"}]}', "unknown_role"),
        ('{"instruction": "a", "output": "b", "history": "x"}', "not_history"),
        ('{"instruction": "a", "output": 5}', "not_text"),
        ('{"chosen": "no transcript", "rejected": "\\n\\nHuman: a\\n\\nAssistant: b"}', "not_a_transcript"),
        (
            '{"chosen": "\\n\\nHuman: a\\n\\nAssistant: b", "rejected": "\\n\\nHuman: x\\n\\nAssistant: c"}',
            "other_prompts",
        ),
        ('{"prompt": "a", "chosen": {"role": "user", "content": "c"}, "rejected": "b"}', "not_one_answer"),
        ('{"input": "a", "preferred_output": [], "non_preferred_output": []}', "not_messages"),
        ('{"prompt": "a", "completion": "b", "kto_tag": true, "prompt": "x"}', "duplicate_keys"),
        ('{"text": " "}', "empty_text"),
    ],
)
def test_a_row_that_is_not_as_its_shape_wants_it_is_told(tmp_path, line, rule):
    _, good, bad = read(write(tmp_path, jsonl(QA) + line + "\n" + jsonl(QA, QA)))

    assert ([row.line for row in good], told(bad)) == ([1, 3, 4], [(2, rule)])


def test_an_unclear_thumb_is_never_read_as_a_dialogue(tmp_path):
    row = {"prompt": "a", "completion": "b"}

    _, good, bad = read(write(tmp_path, jsonl(row | {"label": True}, row | {"label": "bad"}, row | {"label": False})))

    assert ([row.line for row in good], told(bad)) == ([1, 3], [(2, "bad_label")])


def test_a_class_that_a_dialogue_was_sorted_into_is_no_thumb(tmp_path):
    detected, good, _ = read(write(tmp_path, jsonl(QA | {"label": "finance"}, DIALOGUE | {"label": "x"})))

    assert (detected.format, [set(row.record.body()) for row in good]) == (
        "prompt_completion",
        [{"messages"}, {"messages"}],
    )


def test_subtitles_are_dialogues_between_their_marks(tmp_path):
    content = "E\nM 爸爸  你喝了多少\nM 一杯\nM 真的？\nE\nM 孤单\nE\nM 甲\nstray\nM 乙\nE\nM 你好\nM 好\n"

    detected, good, bad = read(write(tmp_path, content, "a.conv"))

    assert detected.format == "conv"
    assert [(row.line, texts(row), row.left_out) for row in good] == [
        (2, ["爸爸  你喝了多少", "一杯"], 1),
        (12, ["你好", "好"], 0),
    ]
    assert told(bad) == [(6, "lone_utterance"), (9, "not_conv")]


def test_pairs_with_a_tab_between_them_are_exchanges(tmp_path):
    detected, good, bad = read(write(tmp_path, "在吗？\t在的\n好\t嗯\none\ntwo\tthree\n" + "问\t答\n" * 20, "a.txt"))

    assert (detected.format, detected.spaced) == ("tab_pairs", False)
    assert [texts(row) for row in good[:3]] == [["在吗？", "在的"], ["好", "嗯"], ["two", "three"]]
    assert told(bad) == [(3, "not_two_columns")]


@pytest.mark.parametrize(
    "line",
    [
        "现 在 这 广 告 也 太 智 能 了 吧\t是 啊 ， hello world 都 不 知 道",
        "这个 质量 怎么样 ？\t质量 不错 的 hello world 呢",
    ],
)
def test_words_that_stand_apart_are_joined_and_latin_ones_are_not(tmp_path, line):
    detected, good, _ = read(write(tmp_path, f"{line}\n" * 5, "a.txt"))

    assert detected.spaced
    assert [text.count(" ") for text in texts(good[0])] in ([0, 3], [0, 3])
    assert "hello world" in texts(good[0])[1]


def test_lists_of_utterances_are_joined_too(tmp_path):
    path = write(tmp_path, json.dumps([["火 锅 我 在 重 庆", "那 就 去 吃 hello world 吧"]] * 5, ensure_ascii=False))

    detected, good, _ = read(path)

    assert (detected.format, detected.spaced) == ("utterances", True)
    assert texts(good[0]) == ["火锅我在重庆", "那就去吃 hello world 吧"]


YAML = """categories:
- 问候
conversations:
- - 你好
  - 你好呀
- - "=1+1"
  - 'yes'
  - no
- - alone
- - 12
  - 3.5
"""


def test_chatterbot_files_are_read_as_texts_only(tmp_path):
    detected, good, bad = read(write(tmp_path, YAML, "a.yml"))

    assert detected.format == "chatterbot"
    assert [(row.line, texts(row), row.left_out) for row in good] == [
        (4, ["你好", "你好呀"], 0),
        (6, ["=1+1", "yes"], 1),
        (10, ["12", "3.5"], 0),
    ]
    assert told(bad) == [(9, "lone_utterance")]


@pytest.mark.parametrize(
    ("rows", "rule", "kept"),
    [
        ("- - &a x\n  - y\n- - *a\n  - *a\n- - q\n  - a\n", "yaml_alias", 2),
        ("- - !!python/object/apply:os.system ['true']\n  - y\n- - q\n  - a\n", "yaml_tag", 1),
        ("- - a: b\n  - y\n- - q\n  - a\n", "not_utterances", 1),
        ("- - q\n  - a\n- - 'open\n  - a\n", "bad_yaml", 1),
        ("- - q\n  - a\n- - [b\n", "bad_yaml", 1),
        ("- just text\n- - q\n  - a\n", "not_utterances", 1),
    ],
)
def test_yaml_that_would_do_more_than_hold_texts_is_refused(tmp_path, rows, rule, kept):
    _, good, bad = read(write(tmp_path, "conversations:\n" + rows, "a.yml"))

    assert (len(good), [row.rule for row in bad]) == (kept, [rule])
    told(bad)


def test_a_yaml_that_would_unfold_to_billions_of_texts_costs_nothing(tmp_path):
    levels = ["l0: &l0 [x, x]"] + [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12)]

    _, good, bad = read(write(tmp_path, "\n".join([*levels, "conversations:", "- *l11", "- - q", "  - a"]), "a.yml"))

    assert (len(good), [row.rule for row in bad][-1]) in ((1, "yaml_alias"), (0, "yaml_alias"))


@pytest.mark.parametrize(
    ("found", "start", "line", "rule"),
    [
        ("chatterbot", b"conversations:\n- - q\n  - a\n- - ", b"x" * 999 + b" ", "value_too_long"),
        ("chitchat", b"q\na\n\n", b"x" * 9999 + b"\n", "dialogue_too_long"),
    ],
)
def test_texts_without_an_end_are_told_in_flat_memory(tmp_path, found, start, line, rule):
    path = write(tmp_path, start + line * (20_000_000 // len(line)), "a.txt")
    detected = corpus.detect(path, format=found)

    tracemalloc.start()
    rows = list(corpus.read(path, detected))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [row.rule if not isinstance(row, Readable) else "" for row in rows] == ["", rule]
    assert peak < 16 << 20


def test_plain_text_becomes_documents_of_a_readable_size(tmp_path):
    chapter = "\n\n".join(["一个段落。" * 60] * 10)

    detected, good, _ = read(write(tmp_path, f"{chapter}\n\n\n第二章\n短。\n", "book.txt"))

    assert detected.format == "text"
    sizes = [len(row.record.body()["text"]) for row in good]
    assert all(2000 < size < 8000 for size in sizes[:1])
    assert good[-1].record.body() == {"text": "第二章\n短。"}
    assert "".join(row.record.body()["text"] for row in good).count("一个段落。") == 600


def test_a_person_may_name_format_and_encoding(tmp_path):
    path = write(tmp_path, "问\n答\n\n问\n答\n".encode("gb18030"), "a.txt")

    assert len(read(path, format="text")[1]) == 1
    assert read(path, format="chitchat", encoding="gb18030")[0].format == "chitchat"
    assert refused(path, encoding="utf-8") == "other_encoding"
    assert refused(path, encoding="koi8-r") == "other_encoding"
    assert refused(path, format="messages") == "no_json"
    assert refused(path, format="xlsx") == "other_format"


def test_every_format_has_a_title():
    assert all(entry.title for entry in FORMATS.values())
