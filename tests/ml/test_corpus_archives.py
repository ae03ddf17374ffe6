"""What is packed is read without being unpacked to disk, and traps are refused in words."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from tests.ml.reading import jsonl, read, refused, texts, told, write
from training.ml import corpus
from training.ml.corpus import Readable
from training.ml.errors import BadFile
from training.ml.export import Outgoing, export

QA = {"prompt": "怎么上传？", "completion": "点“上传文件”。"}
ROWS = jsonl(QA, QA).encode()
TALK = "你好\n你好呀\n\n在吗\n在\n".encode("gb18030")


def pack(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_members_are_read_one_after_the_other_each_in_its_own_format(tmp_path):
    path = pack(tmp_path / "data.zip", {"a/": b"", "a/rows.jsonl": ROWS, "talk.txt": TALK, "__MACOSX/._x": b"\x00"})

    detected, good, bad = read(path)

    assert (detected.format, detected.encoding, detected.packing) == ("prompt_completion", "utf-8", "zip")
    assert [(row.member, row.line, row.key) for row in good] == [
        ("a/rows.jsonl", 1, "1/1"),
        ("a/rows.jsonl", 2, "1/2"),
        ("talk.txt", 1, "2/1"),
        ("talk.txt", 4, "2/4"),
    ]
    assert bad == []
    ends = [row.end_byte for row in good]
    assert ends == sorted(ends)
    assert ends[-1] <= path.stat().st_size


def test_tables_in_an_archive_are_read_too(tmp_path):
    pieces = export([Outgoing(corpus.exchange("问", "=答"))], "xlsx")
    members = {"a.csv": "prompt,completion\n问,'=答\n".encode("gb18030"), "b.xlsx": b"".join(pieces)}

    _, good, bad = read(pack(tmp_path / "data.zip", members))

    assert ([row.member for row in good], bad) == (["a.csv", "b.xlsx"], [])
    assert [texts(row) for row in good] == [["问", "=答"]] * 2


def test_gzip_is_read_like_the_file_in_it(tmp_path):
    path = write(tmp_path, gzip.compress(ROWS), "rows.jsonl.gz")

    detected, good, bad = read(path)

    assert (detected.format, detected.packing) == ("prompt_completion", "gzip")
    assert ([(row.key, row.member) for row in good], bad) == ([("1", ""), ("2", "")], [])
    assert good[-1].end_byte == path.stat().st_size


def test_what_cannot_be_read_in_an_archive_is_told_and_the_rest_is_kept(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("x.jsonl", ROWS)
    members = {
        "model.pkl": b"\x80\x04.",
        "inner.zip": inner.getvalue(),
        "empty.txt": b"",
        "picture.png": b"\x89PNG\r\n",
        "weights.pt": b"text",
        "rows.jsonl": ROWS + b"{broken\n",
    }

    _, good, bad = read(pack(tmp_path / "data.zip", members))

    assert [row.member for row in good] == ["rows.jsonl"] * 2
    told(bad)
    assert [(row.member, row.rule) for row in bad] == [
        ("model.pkl", "pickle"),
        ("inner.zip", "archive_nested"),
        ("empty.txt", "empty_file"),
        ("picture.png", "binary_file"),
        ("weights.pt", "pickle"),
        ("rows.jsonl", "cut_off"),
    ]


def test_a_model_of_torch_is_refused_as_the_pickle_that_it_holds(tmp_path):
    assert refused(pack(tmp_path / "model.bin", {"archive/data.pkl": b"\x80\x02", "archive/data/0": b"\x00" * 99})) == (
        "pickle"
    )


@pytest.mark.parametrize(
    "name", ["../evil.jsonl", "a/../../evil.jsonl", "/etc/evil.jsonl", "..\\evil.jsonl", "C:\\evil.jsonl"]
)
def test_names_that_lead_out_of_the_archive_are_refused(tmp_path, name):
    assert refused(pack(tmp_path / "data.zip", {"good.jsonl": ROWS, name: ROWS})) == "archive_path"


def test_links_are_refused(tmp_path):
    link = zipfile.ZipInfo("link.jsonl")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")

    assert refused(tmp_path / "data.zip") == "archive_link"


def test_a_password_is_told(tmp_path):
    path = pack(tmp_path / "data.zip", {"rows.jsonl": ROWS})
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.index(signature) + offset
        content[at : at + 2] = struct.pack("<H", 1)
    path.write_bytes(content)

    assert refused(path) == "archive_encrypted"


def test_traps_that_unpack_to_much_are_refused_before_they_do(tmp_path):
    assert refused(pack(tmp_path / "bomb.zip", {"a.jsonl": b" " * (40 << 20)})) == "archive_bomb"
    many = pack(tmp_path / "many.zip", {f"{n}.txt": b"" for n in range(10_001)})
    assert refused(many) == "archive_too_many"


def test_a_gzip_trap_ends_the_reading_in_flat_memory(tmp_path):
    path = tmp_path / "bomb.jsonl.gz"
    with gzip.open(path, "wb") as file:
        file.write(ROWS)
        for _ in range(64):
            file.write((b" " * 65535 + b"\n") * 16)

    tracemalloc.start()
    with pytest.raises(BadFile) as caught:
        list(corpus.read(path, corpus.detect(path)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert caught.value.facts["rule"] == "archive_bomb"
    assert peak < 16 << 20


def test_an_archive_that_was_cut_off_gives_what_it_still_has(tmp_path):
    packed = gzip.compress("".join(jsonl({"prompt": f"{n}", "completion": f"{n * n}"}) for n in range(9000)).encode())
    path = write(tmp_path, packed[:-9000], "rows.jsonl.gz")

    _, good, bad = read(path)

    assert len(good) > 1000
    assert [row.rule for row in bad][-1] == "archive_damaged"
    assert refused(write(tmp_path, pack(tmp_path / "x.zip", {"a": ROWS}).read_bytes()[:-30], "y.zip")) == (
        "archive_damaged"
    )


def test_an_archive_of_nothing_is_told(tmp_path):
    assert refused(pack(tmp_path / "data.zip", {})) == "archive_empty"


def test_a_damaged_member_is_told_and_the_next_one_read(tmp_path):
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jsonl", ROWS)
        archive.writestr("b.jsonl", ROWS)
    content = bytearray(path.read_bytes())
    at = content.index("怎么".encode())
    content[at : at + 3] = "那".encode()
    path.write_bytes(content)

    rows = list(corpus.read(path, corpus.detect(path)))

    assert [row.member for row in rows if isinstance(row, Readable)][-2:] == ["b.jsonl"] * 2
    assert [(row.member, row.rule) for row in rows if not isinstance(row, Readable)] == [("a.jsonl", "archive_damaged")]


def test_what_a_person_named_holds_for_every_member(tmp_path):
    path = pack(tmp_path / "data.zip", {"a.txt": TALK, "b.txt": TALK})

    detected, good, _ = read(path, format="text", encoding="gb18030")

    assert (detected.format, [set(row.record.body()) for row in good]) == ("text", [{"text"}, {"text"}])


def test_names_in_chinese_are_shown_as_they_were_given(tmp_path):
    path = pack(tmp_path / "data.zip", {"对话.jsonl": ROWS})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("xxxxxxxxxx.jsonl", ROWS)
    raw = path.read_bytes().replace(b"xxxxxxxxxx", "对话二..".encode("gb18030").ljust(10, b"_")[:10])
    path.write_bytes(raw)

    assert {row.member for row in read(path)[1]} >= {"对话.jsonl", "对话二..__.jsonl"}
