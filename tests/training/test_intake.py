"""Reading a file: what people say of it, stopping and going on, reading anew, and what a killed reader leaves."""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone, translation

from training import claims, corpora, curation, intake
from training.ml import corpus as reader
from training.ml.corpus import TO_FINISH
from training.models import Corpus, Example

ROOT = Path(__file__).resolve().parents[2]
database = pytest.mark.django_db


def upload(content: str | bytes, name: str, **said: Any) -> Corpus:
    encoded = content.encode() if isinstance(content, str) else content
    options = corpora.options_of(**said)
    return corpora.add_upload(io.BytesIO(encoded), name="", original_name=name, owner=None, options=options)


def read(content: str | bytes, name: str, **said: Any) -> Corpus:
    corpus = upload(content, name, **said)
    assert corpora.read_queued()
    corpus.refresh_from_db()
    return corpus


def texts(corpus: Corpus) -> list[tuple[str, ...]]:
    rows = corpus.examples.order_by("pk")
    return [tuple(message["content"] for message in row.body["messages"]) for row in rows]


def lines(count: int, start: int = 0) -> str:
    rows = ({"prompt": f"q{number}", "completion": f"a{number}"} for number in range(start, start + count))
    return "".join(json.dumps(row) + "\n" for row in rows)


# --- columns --------------------------------------------------------------------------------------------------------


@database
def test_a_table_whose_columns_cannot_be_guessed_waits_for_a_person():
    corpus = read("alpha,beta\nq,a\n", "table.csv")

    assert (corpus.status, corpus.format, corpus.examples.count()) == ("asking", "csv", 0)
    assert not corpora.read_queued()

    corpora.read_as(corpus, corpora.options_of(columns=[["question", "alpha"], ["answer", "beta"]]))
    assert corpora.read_queued()
    corpus.refresh_from_db()
    assert (corpus.status, texts(corpus)) == ("ready", [("q", "a")])


@database
def test_columns_said_at_once_are_not_asked_for():
    said = {"columns": [["question", "2"], ["answer", "1"]], "header": False}

    corpus = read("a,q\nb,r\n", "table.csv", **said)

    assert texts(corpus) == [("q", "a"), ("r", "b")]


@database
def test_a_column_that_is_not_there_fails_in_words():
    corpus = read("question,answer\nq,a\n", "table.csv", columns=[["question", "ask"], ["answer", "answer"]])

    assert corpus.status == "failed"
    assert corpus.error == "The table has no column “ask”. Its columns are: question, answer."


# --- documents ------------------------------------------------------------------------------------------------------


@database
def test_drafts_of_a_document_know_their_place_and_what_is_to_be_finished():
    corpus = read("# Shop\n\n## Opens when?\n\nAt nine.\n\n## Returns\n\nWithin a week.\n", "manual.md")

    asked, guessed = corpus.examples.order_by("line")
    assert (asked.tags, guessed.tags) == ([], [TO_FINISH])
    assert asked.provenance == {
        "file": "manual.md",
        "licence": "",
        "heading": "Shop › Opens when?",
        "lines": [3, 5],
    }
    assert [finding.rule for finding in corpus.findings.all()] == ["to_finish"]


# --- stopping and reading anew --------------------------------------------------------------------------------------


@database
def test_a_stopped_reader_writes_nothing_more_and_going_on_doubles_nothing(monkeypatch):
    monkeypatch.setattr(intake, "_BATCH_ROWS", 2)
    corpus = upload(lines(6), "rows.jsonl")
    taken = claims.take(Corpus, working="reading", waiting="queued")
    assert taken is not None
    path = corpora.file_of(corpus)
    batches = intake.batches(taken, reader.read(path, intake.detect(path, {})))
    taking = intake.Intake(taken)
    taking.take(next(batches))

    corpora.cancel(corpus)

    with pytest.raises(claims.ClaimLost):
        taking.take(next(batches))
    corpus.refresh_from_db()
    assert (corpus.status, corpus.examples.count()) == ("cancelled", 2)
    corpora.queue(corpus)
    assert corpora.read_queued()
    corpus.refresh_from_db()
    assert (corpus.status, corpus.rows_new, corpus.rows_known) == ("ready", 4, 2)
    assert [row[0] for row in texts(corpus)] == [f"q{number}" for number in range(6)]


@database
def test_what_is_not_being_read_cannot_be_stopped():
    corpus = read(lines(1), "rows.jsonl")

    with pytest.raises(corpora.NotAllowed):
        corpora.cancel(corpus)


@database
def test_reading_as_another_format_replaces_only_drafts_that_nobody_touched():
    corpus = read("q0\ta0\n\n\nq1\ta1\n\n\nq2\ta2\n\n\nq3\ta3\n", "pairs.txt")
    approved, edited, judged, untouched = corpus.examples.order_by("line")
    curation.approve(Example.objects.filter(pk=approved.pk), user=None)
    Example.objects.filter(pk=edited.pk).update(row_version=2)
    judged.scores.create(answer="messages[1]", content_hash=judged.content_hash, value=4)
    assert intake.untouched_of(corpus).get() == untouched

    corpora.read_as(corpus, corpora.options_of(format="text"))
    assert corpora.read_queued()

    corpus.refresh_from_db()
    kinds = dict(corpus.examples.order_by("line").values_list("line", "kind"))
    assert (corpus.status, corpus.format) == ("ready", "text")
    assert kinds == {1: "dialogue", 4: "dialogue", 7: "dialogue", 10: "document"}
    assert "replace" not in corpus.options
    with pytest.raises(Example.DoesNotExist):
        untouched.refresh_from_db()


@database
def test_a_row_that_somebody_has_open_is_not_taken_away():
    corpus = read(lines(2), "rows.jsonl")
    corpus.examples.filter(line=1).update(leased_until=timezone.now() + timedelta(minutes=1))
    corpus.examples.filter(line=2).update(leased_until=timezone.now() - timedelta(minutes=1))

    assert intake.untouched_of(corpus).get().line == 2


@database
def test_another_encoding_is_taken_when_it_fits_and_refused_in_words_when_not():
    good = read("问,答\n你好,再见\n".encode("gb18030"), "table.csv", encoding="gb18030")
    bad = read("问,答\n你好啊,再见吧\n".encode("gb18030"), "other.csv", encoding="utf-8")

    assert (good.encoding, texts(good)) == ("GB18030", [("你好", "再见")])
    assert (bad.status, bad.findings.get().rule) == ("failed", "other_encoding")


# --- the command ----------------------------------------------------------------------------------------------------


@database
def test_the_command_takes_format_encoding_and_columns(tmp_path, capsys):
    path = tmp_path / "table.csv"
    path.write_bytes("标题,ask,answer\n头疼,无,多睡\n".encode("gb18030"))

    call_command(
        "import_corpus", str(path), "--json", "--encoding", "gb18030", "--columns", "question=标题,answer=answer"
    )

    told = json.loads(capsys.readouterr().out)
    assert (told["status"], told["format"], told["encoding"], told["rows_new"]) == ("ready", "csv", "GB18030", 1)
    assert texts(Corpus.objects.get()) == [("头疼", "多睡")]


@database
def test_the_command_asks_for_columns_and_takes_them_the_second_time(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text("1\tone\tuno\n2\ttwo\tdue\n")

    with translation.override("en"), pytest.raises(CommandError, match="They are: 1, 2, 3"):
        call_command("import_corpus", str(path))
    call_command("import_corpus", str(path), "--columns", "question=2,answer=3")

    assert texts(Corpus.objects.get()) == [("one", "uno"), ("two", "due")]
    with pytest.raises(CommandError, match="no role=column"):
        call_command("import_corpus", str(path), "--columns", "riddle=2")


# --- killed ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_reader_killed_half_way_is_resumed_and_every_row_is_there_once(tmp_path):
    rows = 40_000
    (tmp_path / "rows.jsonl").write_text(lines(rows))
    environment = os.environ | {
        "CHATSITE_DATA_DIR": str(tmp_path / "data"),
        "DJANGO_SETTINGS_MODULE": "tests.training.process_settings",
    }
    (tmp_path / "data").mkdir()
    command = [sys.executable, "manage.py", "import_corpus", str(tmp_path / "rows.jsonl"), "--json"]
    subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=ROOT, env=environment, check=True)
    reader = subprocess.Popen(command, cwd=ROOT, env=environment)

    until = time.monotonic() + 60
    while not 0 < _count(tmp_path) < rows and reader.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    reader.send_signal(signal.SIGKILL)
    reader.wait(10)
    left = _count(tmp_path)
    with sqlite3.connect(tmp_path / "data/test.sqlite3") as connection:
        connection.execute("UPDATE training_corpus SET beat = '2000-01-01'")
    connection.close()
    told = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)

    result = json.loads(told.stdout)
    assert (result["status"], result["rows_read"], _count(tmp_path)) == ("ready", rows, rows)
    assert result["rows_known"] == left
    assert result["rows_new"] == rows - left


def _count(directory: Path) -> int:
    if not (directory / "data/test.sqlite3").exists():
        return 0
    connection = sqlite3.connect(f"file:{directory}/data/test.sqlite3?mode=ro", uri=True, timeout=5)
    try:
        return int(connection.execute("SELECT count(*) FROM training_example").fetchone()[0])
    finally:
        connection.close()
