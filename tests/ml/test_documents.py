"""Documents become drafts: each with the place it was found in, and marked where a curator has to finish it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import docx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training.ml import corpus
from training.ml.corpus import TO_FINISH, Readable, Unreadable
from training.ml.errors import BadFile
from training.ml.records import Dialogue


def read(directory: Path, content: str | bytes, name: str, **asked: Any) -> list[Readable | Unreadable]:
    path = directory / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(corpus.read(path, corpus.detect(path, **asked)))


def asked(rows: list[Readable | Unreadable]) -> list[tuple[str, str, list[int], bool]]:
    """Question, answer, span, and whether it is to be finished."""
    found = []
    for row in rows:
        assert isinstance(row, Readable) and isinstance(row.record, Dialogue) and row.provenance
        question, answer = (message.content for message in row.record.messages)
        span = row.provenance.get("lines") or row.provenance["paragraphs"]
        found.append((question, answer, span, TO_FINISH in row.tags))
    return found


MARKDOWN = """# 手册

## 怎么退款？

进入订单页，点 **退款**。

- 一
- 二

## 安装

先下载。

### 常见问题

**Q: 多久到账？**
A: 三天。
还可能更久。

Q2：可以加急吗

A2：可以。

| 问题 | 答案 |
|---|---|
| 几点开门 | 九点 |

<details><summary>如何 <b>注销</b></summary>

发邮件。

</details>
"""


def test_markdown_gives_what_it_marks_as_questions_and_drafts_of_its_sections(tmp_path):
    rows = read(tmp_path, MARKDOWN, "manual.md")

    assert asked(rows) == [
        ("怎么退款？", "进入订单页，点 **退款**。\n\n- 一\n- 二", [3, 8], False),
        ("安装", "先下载。", [10, 12], True),
        ("多久到账？", "三天。\n还可能更久。", [16, 18], False),
        ("可以加急吗", "可以。", [20, 22], False),
        ("几点开门", "九点", [26, 26], False),
        ("如何 注销", "发邮件。", [28, 32], False),
    ]
    assert [row.provenance["heading"] for row in rows if isinstance(row, Readable) and row.provenance][:3] == [
        "手册 › 怎么退款？",
        "手册 › 安装",
        "手册 › 安装 › 常见问题",
    ]


HTML = """<!doctype html><html><head><title>x</title><script>alert(1)</script></head><body>
<nav>menu</nav><h1>FAQ</h1><p>Intro</p>
<dl><dt>Was?</dt><dd>Das.</dd><dd>Und dies.</dd></dl>
<h2>How?</h2><div>So <a href="x">it</a> is.<ul><li>one</li><li>two</li></ul><style>p {}</style></div>
<details><summary>More</summary>loose <p>para</p></details>
<table><tr><th>Q</th><th>A</th></tr><tr><td>opening</td><td>nine</td></tr></table>
<h2>Prices</h2><p>Ten &amp; more&hellip;</p></body></html>"""


def test_html_gives_its_terms_folded_answers_tables_and_sections(tmp_path):
    rows = read(tmp_path, HTML, "page.html")

    assert asked(rows) == [
        ("Was?", "Das.\nUnd dies.", [3, 3], False),
        ("How?", "So it is.\n\n- one\n- two", [4, 4], False),
        ("How? More", "loose\npara", [5, 5], True),
        ("How? opening", "nine", [6, 6], True),
        ("Prices", "Ten & more…", [7, 7], True),
    ]


def test_a_word_document_is_read_by_its_headings_paragraphs_and_tables(tmp_path):
    document = docx.Document()
    document.add_heading("如何退款？", 1)
    document.add_paragraph("点退款。")
    document.add_paragraph("第一步", style="List Bullet")
    document.add_heading("安装", 2)
    document.add_paragraph("先下载。")
    document.add_heading("其他", 1)
    table = document.add_table(2, 2)
    for cell, text in zip(table._cells, ("问题", "答案", "几点开门", "九点"), strict=True):
        cell.text = text
    document.add_paragraph("问：在吗\n答：在的")
    document.save(tmp_path / "manual.docx")

    rows = read(tmp_path, (tmp_path / "manual.docx").read_bytes(), "manual.docx")

    assert asked(rows) == [
        ("如何退款？", "点退款。\n\n- 第一步", [1, 3], False),
        ("安装", "先下载。", [4, 5], True),
        ("几点开门", "九点", [7, 7], False),
        ("在吗", "在的", [8, 8], False),
    ]


def test_text_without_any_heading_is_a_draft_named_after_the_file(tmp_path):
    assert asked(read(tmp_path, "Only text.\n", "opening hours.md")) == [("opening hours", "Only text.", [1, 1], True)]


def test_a_section_that_is_too_long_is_told_and_the_others_are_kept(tmp_path):
    rows = read(tmp_path, f"# Long\n\n{'word ' * 9000}\n\n# Short\n\ntext\n", "long.md")

    assert [row.rule for row in rows if isinstance(row, Unreadable)] == ["section_too_long"]
    assert [row.line for row in rows if isinstance(row, Readable)] == [5]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("deep.html", "<div>" * 50_000 + "x"),
        ("deep.md", "> " * 20_000 + "x"),
        ("lists.md", "".join("  " * depth + "- x\n" for depth in range(500))),
        ("brackets.md", "[" * 20_000),
        ("entity.html", '<!DOCTYPE html [<!ENTITY e SYSTEM "file:///etc/passwd">]><h1>a?</h1><p>&e;</p>'),
        ("open.html", "<details><summary>a" * 2000),
    ],
)
def test_a_trap_is_read_or_refused_in_words(tmp_path, name, content):
    try:
        rows = read(tmp_path, content, name)
    except BadFile:
        return

    assert "root:" not in repr(rows)


def test_a_document_that_is_too_large_or_no_document_is_refused(tmp_path):
    with pytest.raises(BadFile, match="larger than 4 MB"):
        read(tmp_path, "# a\n\n" + "text\n" * 1_000_000, "large.md")
    with pytest.raises(BadFile, match="holds no question"):
        read(tmp_path, "<html><body><script>1</script></body></html>", "empty.html")
    with zipfile.ZipFile(tmp_path / "fake.docx", "w") as packed:
        packed.writestr("word/document.xml", "<w:document/>")
    with pytest.raises(BadFile, match="cannot be opened"):
        read(tmp_path, (tmp_path / "fake.docx").read_bytes(), "fake.docx")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.text(st.sampled_from("#>-*|`<dl/ >summary\nQA:：？问答 \t[]()"), max_size=200),
    name=st.sampled_from(["a.md", "a.html"]),
)
def test_no_text_makes_a_document_stumble(tmp_path, content, name):
    try:
        rows = read(tmp_path, content or "x", name)
    except BadFile:
        return

    addresses = [row.key for row in rows if isinstance(row, Readable)]
    assert len(addresses) == len(set(addresses))


def test_a_table_under_a_question_gives_its_cases_and_text_before_marked_questions_is_kept(tmp_path):
    table = "| 校区 | 地点 |\n|---|---|\n| 东区 | 一号楼 |"
    page = "\n\n".join(["## 网费在哪里交？", table, "### 网上缴费", "可以。", "问：几点关门？", "答：十一点。"])
    path = tmp_path / "faq.md"
    path.write_text(page, encoding="utf-8")

    rows = [row for row in corpus.read(path, corpus.detect(path)) if isinstance(row, Readable)]

    asked = [row.record.messages[0].content for row in rows if isinstance(row.record, Dialogue)]
    assert asked == ["网费在哪里交？ 校区", "网费在哪里交？ 东区", "网上缴费", "几点关门？"]
    assert [TO_FINISH in row.tags for row in rows] == [True, True, True, False]
