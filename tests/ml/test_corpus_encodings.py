"""Which encoding a text is in, on real sentences; and files that are in more than one."""

from __future__ import annotations

import pytest

from tests.ml.reading import jsonl, read, texts, told, write

SIMPLIFIED = [
    "请问理财产品到期以后多久能到账？",
    "一般是到期后的一到三个工作日，节假日顺延。",
    "哈哈，你今天心情不错嘛",
    "医药和消费有什么基金推荐的",
    "这个手机壳还有别的颜色吗？",
    "亲，还有黑色和白色可以选择哦。",
]
TRADITIONAL = [
    "請問理財產品到期以後多久能到帳？",
    "一般是到期後的一到三個工作日，遇假日順延。",
    "哈哈，你今天心情不錯嘛",
    "老師，媽媽說想買盒月餅給你",
    "這個手機殼還有別的顏色嗎？",
    "捷運站旁邊的牛肉麵很好吃，裡面還有碁盤。",
]


@pytest.mark.parametrize("line", range(6))
@pytest.mark.parametrize(
    ("sentences", "codec", "found"),
    [(SIMPLIFIED, "gb18030", "gb18030"), (TRADITIONAL, "big5hkscs", "big5"), (TRADITIONAL, "gb18030", "gb18030")],
)
def test_a_single_sentence_is_enough_to_tell_gb18030_from_big5(tmp_path, sentences, codec, found, line):
    answer = sentences[(line + 1) % 6]

    detected, good, bad = read(write(tmp_path, f"{sentences[line]}\n{answer}\n", "a.txt", codec))

    assert (detected.encoding, bad) == (found, [])
    assert texts(good[0]) == [sentences[line], answer]


@pytest.mark.parametrize("codec", ["utf-8", "gb18030", "big5hkscs", "utf-16-le", "utf-16-be", "utf-16", "utf-8-sig"])
def test_json_and_talk_are_read_in_every_encoding(tmp_path, codec):
    rows = [
        {"prompt": asked, "completion": answer}
        for asked, answer in zip(TRADITIONAL[::2], TRADITIONAL[1::2], strict=True)
    ]
    talk = "\n".join(f"{row['prompt']}\n{row['completion']}\n" for row in rows)

    for name, content in (("rows.jsonl", jsonl(*rows)), ("rows.json", str(jsonl(rows))), ("train.txt", talk)):
        _, good, bad = read(write(tmp_path, content, name, codec))
        assert (len(good), bad) == (3, [])
        assert texts(good[2]) == TRADITIONAL[4:]


@pytest.mark.parametrize("most", ["utf-8", "gb18030", "big5hkscs"])
def test_a_row_of_another_encoding_is_told_with_its_line_and_byte(tmp_path, most):
    other = "gb18030" if most == "utf-8" else "utf-8"
    lines = [jsonl({"prompt": text, "completion": "好的，沒有問題"}).encode(most) for text in TRADITIONAL]
    lines[3] = jsonl({"prompt": "甲乙丙", "completion": "丁戊己庚"}).encode(other)

    _, good, bad = read(write(tmp_path, b"".join(lines)))

    assert ([row.line for row in good], told(bad)) == ([1, 2, 3, 5, 6], [(4, "wrong_encoding")])
    assert bad[0].facts["byte"] > 1
