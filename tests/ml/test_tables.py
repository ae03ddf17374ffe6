"""CSV, TSV and XLSX: every good row becomes a record, every bad one is told with its line, whatever the cells hold."""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from training.ml import corpus
from training.ml.corpus import Readable, Unreadable
from training.ml.corpus.base import Table
from training.ml.corpus.cells import Reader, Row, unmarked
from training.ml.corpus.lines import Line
from training.ml.errors import BadFile
from training.ml.records import Dialogue, Document, Label, Pair


def write(directory: Path, content: str | bytes, name: str = "table.csv", encoding: str = "utf-8") -> Path:
    path = directory / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def read(path: Path, **asked: Any) -> list[Readable | Unreadable]:
    return list(corpus.read(path, corpus.detect(path, **asked)))


def said(rows: list[Readable | Unreadable]) -> list[tuple[str, ...]]:
    return [
        tuple(message.content for message in row.record.messages)
        for row in rows
        if isinstance(row, Readable) and isinstance(row.record, Dialogue)
    ]


def complaints(rows: list[Readable | Unreadable]) -> list[tuple[int, str]]:
    return [(row.line, row.rule) for row in rows if isinstance(row, Unreadable)]


def workbook(directory: Path, *sheets: tuple[str, list[list[Any]]]) -> Path:
    book = Workbook()
    assert book.active is not None
    book.remove(book.active)
    for title, rows in sheets:
        page = book.create_sheet(title)
        for row in rows:
            page.append(row)
    path = directory / "table.xlsx"
    book.save(path)
    return path


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("prompt,completion", {"question": "prompt", "answer": "completion"}),
        ("问题,答案", {"question": "问题", "answer": "答案"}),
        ("id,Question,Answer", {"question": "Question", "answer": "Answer"}),
        ("提问,回答,分组", {"question": "提问", "answer": "回答", "group": "分组"}),
        ("instruction,input,output", {"question": "instruction", "details": "input", "answer": "output"}),
        ("input,output", {"question": "input", "answer": "output"}),
        ("department,title,ask,answer", {"question": "title", "details": "ask", "answer": "answer"}),
        ("system_prompt,user,assistant", {"system": "system_prompt", "question": "user", "answer": "assistant"}),
        ("prompt,chosen,rejected", {"question": "prompt", "chosen": "chosen", "rejected": "rejected"}),
        ("id,text", {"text": "text"}),
    ],
)  # fmt: skip
def test_the_columns_are_guessed_from_the_words_of_the_header(tmp_path, header, columns):
    rows = "\n".join(",".join("甲乙丙丁戊"[: header.count(",") + 1]) for _ in range(3))

    detected = corpus.detect(write(tmp_path, f"{header}\n{rows}\n"))

    assert detected.table is not None
    assert dict(detected.table.columns) == columns


@pytest.mark.parametrize("header", ["alpha,beta", "问题描述,部门", "user,content2"])
def test_columns_that_cannot_be_guessed_are_asked_for(tmp_path, header):
    detected = corpus.detect(write(tmp_path, f"{header}\n1,2\n3,4\n"))

    assert (detected.format, detected.table and detected.table.columns) == ("csv", ())
    with pytest.raises(BadFile, match="Name them"):
        list(corpus.read(tmp_path / "table.csv", detected))


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_the_delimiter_is_found_even_where_texts_are_full_of_others(tmp_path, delimiter):
    texts = ["a, b, c; d | e", "one; two, three", "f | g, h"]
    rows = io.StringIO()
    writer = csv.writer(rows, delimiter=delimiter)
    writer.writerows([["question", "answer"], *([f"q {text}", f"a {text}"] for text in texts)])

    assert said(read(write(tmp_path, rows.getvalue()))) == [(f"q {text}", f"a {text}") for text in texts]


def test_a_quoted_cell_may_hold_line_breaks_delimiters_and_quotes(tmp_path):
    table = 'question,answer\r\n"a\r\nb","c, ""d"" e"\r\nf,"g\n\nh"\r\n'

    rows = read(write(tmp_path, table))

    assert said(rows) == [("a\nb", 'c, "d" e'), ("f", "g\n\nh")]
    assert [row.line for row in rows] == [2, 4]


@pytest.mark.parametrize(
    ("broken", "rule"),
    [('"never closed,b', "unclosed_quote"), ('a,"never closed', "unclosed_quote"), ('"a "b" c",d', "stray_quote")],
)
def test_an_unclosed_quote_costs_its_row_and_no_other(tmp_path, broken, rule):
    good = "".join(f'"q{number}",a{number}\n' for number in range(50))

    rows = read(write(tmp_path, f"question,answer\nfirst,1\n{broken}\n{good}"))

    assert complaints(rows) == [(3, rule)]
    assert said(rows) == [("first", "1"), *((f"q{number}", f"a{number}") for number in range(50))]


def test_an_unclosed_quote_before_plain_rows_costs_its_row_and_no_other(tmp_path):
    good = "".join(f"q{number},a{number}\n" for number in range(3000))

    rows = read(write(tmp_path, f'question,answer\nx,"open\n{good}'))

    assert complaints(rows) == [(2, "unclosed_quote")]
    assert len(said(rows)) == 3000


def test_a_row_with_other_cells_than_the_header_is_told(tmp_path):
    rows = read(write(tmp_path, "question,answer,note\na,b,c\na,b\na,b,c,d\na\n,,\n"))

    assert said(rows) == [("a", "b"), ("a", "b")]
    assert complaints(rows) == [(4, "wrong_width"), (5, "wrong_width")]


def test_a_known_header_is_believed_when_most_rows_are_broken(tmp_path):
    rows = read(write(tmp_path, "question,answer\na,b\n" + "x,y,z\n" * 9))

    assert said(rows) == [("a", "b")]
    assert len(complaints(rows)) == 9


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "big5", "utf-16"])
def test_tables_are_read_in_every_encoding(tmp_path, encoding):
    text = "問題,答案\n" + "".join(f"第{number}個問題是甚麼？,這是第{number}個答案。\n" for number in range(30))

    rows = read(write(tmp_path, text, encoding=encoding))

    assert said(rows)[0] == ("第0個問題是甚麼？", "這是第0個答案。")
    assert len(said(rows)) == 30


def test_details_are_added_to_the_question_where_they_say_something(tmp_path):
    table = "title,ask,answer\n头疼,无,多睡\n头疼,,多睡\n头疼,头疼,多睡\n头疼,已经三天,多睡\n"

    assert said(read(write(tmp_path, table))) == [("头疼", "多睡")] * 3 + [("头疼\n已经三天", "多睡")]


def test_preferences_thumbs_and_texts_come_from_tables_too(tmp_path):
    pairs = read(write(tmp_path, "prompt,chosen,rejected,margin\nq,good,bad,2\nq,same,same,\n", "pairs.csv"))
    thumbs = read(write(tmp_path, "question,answer,label\nq,a,good\nq,b,0\n", "thumbs.csv"))
    texts = read(write(tmp_path, "id,text\n1,one\n", "texts.csv"))

    assert isinstance(pairs[0], Readable) and isinstance(pairs[0].record, Pair)
    assert (pairs[0].record.chosen, pairs[0].record.margin) == ("good", 2.0)
    assert complaints(pairs) == [(3, "same_answers")]
    labels = [row.record for row in thumbs if isinstance(row, Readable)]
    assert [label.desirable for label in labels if isinstance(label, Label)] == [True, False]
    assert isinstance(texts[0], Readable) and texts[0].record == Document(text="one")


def test_a_label_that_is_no_thumb_is_left_alone(tmp_path):
    rows = read(write(tmp_path, "question,answer,label\nq,a,shipping\nr,b,refund\n"))

    assert said(rows) == [("q", "a"), ("r", "b")]


def test_named_columns_are_taken_by_name_or_number_and_may_take_turns(tmp_path):
    path = write(tmp_path, "1,hi,hello,how are you,fine\n2,q,a,,\n3,q,a,left out,\n", "turns.csv")
    columns = (("question", "2"), ("answer", "3"), ("question", "4"), ("answer", "5"))
    detected = corpus.detect(path)
    table = Table(columns=columns, delimiter=",", header=False)

    rows = list(corpus.read(path, replace(detected, table=table)))

    assert said(rows) == [("hi", "hello", "how are you", "fine"), ("q", "a"), ("q", "a")]
    assert [row.left_out for row in rows if isinstance(row, Readable)] == [0, 0, 1]


def test_a_column_that_is_not_there_is_told_with_those_that_are(tmp_path):
    path = write(tmp_path, "question,answer\na,b\n")
    table = Table(columns=(("question", "ask"), ("answer", "answer")))

    with pytest.raises(BadFile, match=r"no column “ask”.*question, answer"):
        list(corpus.read(path, replace(corpus.detect(path), table=table)))


def test_formula_marks_of_an_export_are_taken_off(tmp_path):
    rows = read(write(tmp_path, "question,answer\n'=1+1,'-\n''=a,it's\n"))

    assert said(rows) == [("=1+1", "-"), ("'=a", "it's")]
    assert [unmarked(cell) for cell in ("=1", "'", "'a", "'@x")] == ["=1", "'", "'a", "@x"]


# --- workbooks ------------------------------------------------------------------------------------------------------


def test_a_workbook_is_read_from_its_first_sheet_or_the_chosen_one(tmp_path):
    first: list[list[Any]] = [["问题", "答案"], ["几点开门？", 9], [None, None], ["空的", None], ["多行", "一\n二"]]
    path = workbook(tmp_path, ("常见问题", first), ("more", [["question", "answer"], ["q", "a"]]))
    detected = corpus.detect(path)

    rows = list(corpus.read(path, detected))
    other = Table(columns=(("question", "1"), ("answer", "2")), sheet="more")

    assert said(rows) == [("几点开门？", "9"), ("多行", "一\n二")]
    assert complaints(rows) == [(4, "empty_text")]
    assert said(list(corpus.read(path, replace(detected, table=other)))) == [("q", "a")]
    assert corpus.preview(path, detected).sheets == ["常见问题", "more"]


def test_a_workbook_that_lies_about_its_size_is_not_filled_up(tmp_path):
    honest = workbook(tmp_path, ("s", [["question", "answer"], ["q", "a"]]))
    path = tmp_path / "lying.xlsx"
    with zipfile.ZipFile(honest) as packed, zipfile.ZipFile(path, "w") as lying:
        for name in packed.namelist():
            lying.writestr(name, packed.read(name).replace(b'ref="A1:B2"', b'ref="A1:XFD1048576"'))

    assert said(read(path)) == [("q", "a")]


def test_a_workbook_that_unpacks_to_too_much_is_refused(tmp_path):
    honest = workbook(tmp_path, ("s", [["question", "answer"], ["q", "a"]]))
    path = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(honest) as packed, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        for name in packed.namelist():
            bomb.writestr(name, packed.read(name))
        bomb.writestr("xl/sharedStrings.xml", b" " * (65 << 20))

    with pytest.raises(BadFile, match="refused"):
        read(path)


@pytest.mark.parametrize("content", [b"PK\x03\x04 and nothing of a ZIP", b""])
def test_a_damaged_workbook_is_told_in_words(tmp_path, content):
    with pytest.raises(BadFile):
        read(write(tmp_path, content, "table.xlsx"))


def test_entities_of_a_workbook_are_not_followed(tmp_path):
    honest = workbook(tmp_path, ("s", [["question", "answer"], ["q", "a"]]))
    path = tmp_path / "entities.xlsx"
    trap = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    with zipfile.ZipFile(honest) as packed, zipfile.ZipFile(path, "w") as trapped:
        for name in packed.namelist():
            content = packed.read(name)
            if name.startswith("xl/worksheets"):
                content = trap + content.replace(b"<v>0</v>", b"<v>&e;</v>")
            trapped.writestr(name, content)

    with pytest.raises(BadFile, match="cannot be opened"):
        read(path)


# --- whatever the cells hold ----------------------------------------------------------------------------------------

texts = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), include_characters="\",\t\n;|'"), min_size=1, max_size=30
).filter(lambda text: text.strip() and not text.startswith("'"))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(texts, texts), min_size=1, max_size=8), delimiter=st.sampled_from([",", "\t", ";"]))
def test_what_a_spreadsheet_writes_is_read_as_it_was(tmp_path, rows, delimiter):
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([("question", "answer"), *rows])

    read_back = said(read(write(tmp_path, written.getvalue())))

    assert read_back == [tuple(text.replace("\r\n", "\n") for text in row) for row in rows]


@settings(max_examples=150, deadline=None)
@given(content=st.lists(st.text(st.sampled_from('ab",\t '), max_size=12), max_size=30))
def test_no_line_of_a_table_is_lost_without_a_word(content):
    lines = [Line(number=number, text=text, end_byte=number) for number, text in enumerate(content, 1)]

    found = list(Reader(lines, ",", width=2))

    addresses = [row.line for row in found]
    assert addresses == sorted(set(addresses))
    told = "\n".join(",".join(row.cells) for row in found if isinstance(row, Row))
    assert all(
        letter in told or any(isinstance(row, Unreadable) for row in found)
        for letter in "".join(content)
        if letter in "ab"
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300))
def test_no_bytes_make_a_table_stumble(tmp_path, content):
    path = write(tmp_path, b"question,answer\n" + content)
    try:
        rows = read(path)
    except BadFile:
        return

    assert all(isinstance(row, Readable | Unreadable) for row in rows)
