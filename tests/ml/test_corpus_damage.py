"""Whatever happens to a file, reading it ends in rows, in complaints with a place, or in words about the whole file."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training.ml import corpus
from training.ml.corpus import Readable
from training.ml.errors import BadFile
from training.ml.export import WRITERS, Outgoing, export
from training.ml.records import Dialogue, Document, Label, Message, Pair, Record

ASKED = (Message(role="user", content="請問“理財”產品多久能到帳？"),)
RECORDS: dict[str, Record] = {
    "dialogue": Dialogue(messages=(*ASKED, Message(role="assistant", content="一到三個工作日。"))),
    "pair": Pair(prompt=ASKED, chosen="一到三個工作日。", rejected="不知道", margin=2),
    "label": Label(prompt=ASKED, completion="不知道", desirable=False),
    "document": Document(text="一個段落。"),
}


def zipped(content: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/rows.jsonl", content)
        archive.writestr("b.txt", content)
    return held.getvalue()


def samples() -> dict[str, bytes]:
    found = {}
    for writer in WRITERS.values():
        record = RECORDS[writer.kinds[0]]
        found[f"{writer.name}{writer.suffix}"] = b"".join(export([Outgoing(record)] * 4, writer.name))
    lines = found["messages.jsonl"]
    return found | {
        "rows.jsonl.gz": gzip.compress(lines),
        "rows.zip": zipped(lines),
        "big5.txt": found["chitchat.txt"].decode().encode("big5", "replace"),
        "wide.json": found["alpaca.json"].decode().encode("utf-16"),
    }


SAMPLES = samples()
STRANGE = [
    b"\x00",
    b"\xff",
    b'"',
    b"\n",
    b"\\",
    b"{",
    b"]",
    b"\t",
    b"'",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"&a *a",
    b"",
]


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    name = draw(st.sampled_from(sorted(SAMPLES)))
    content = SAMPLES[name]
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        until = at + draw(st.sampled_from([0, 0, 1, 2, 20]))
        content = content[:at] + draw(st.sampled_from(STRANGE)) + content[until:]
    return name, content[: draw(st.sampled_from([None, None, len(content) // 2]))]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(damaged())
def test_a_damaged_file_never_breaks_the_reader(tmp_path_factory, file):
    name, content = file
    path: Path = tmp_path_factory.getbasetemp() / f"damaged-{name}"
    path.write_bytes(content)
    try:
        rows = list(corpus.read(path, corpus.detect(path)))
    except BadFile as error:
        assert error.message
        return
    for row in rows:
        assert row.line >= 1
        if isinstance(row, Readable):
            json.dumps(row.record.body(), ensure_ascii=False).encode()
        else:
            assert row.message
            (row.message + row.excerpt + row.member + json.dumps(row.facts)).encode()
    keys = [row.key for row in rows if isinstance(row, Readable)]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_each_sample_is_whole_before_it_is_damaged(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(SAMPLES[name])

    rows = list(corpus.read(path, corpus.detect(path)))

    assert len(rows) in (4, 8)
    assert all(isinstance(row, Readable) for row in rows)
