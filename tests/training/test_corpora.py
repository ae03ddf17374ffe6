"""Uploads become examples and findings, once, whatever happens in between."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone, translation

from training import claims, corpora, intake, wording
from training.ml import corpus as reader
from training.models import Corpus, Example, ExampleEvent

pytestmark = pytest.mark.django_db

ROWS = [
    {"prompt": f"问题{number}？", "completion": f"答案{number}。", "group": f"g{number // 2}"} for number in range(6)
]


def jsonl(*rows: object) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def upload(content: bytes, name: str = "rows.jsonl", **facts: Any) -> Corpus:
    return corpora.add_upload(io.BytesIO(content), name="", original_name=name, owner=None, **facts)


def read(content: bytes, name: str = "rows.jsonl") -> Corpus:
    corpus = upload(content, name)
    assert corpora.read_queued()
    corpus.refresh_from_db()
    return corpus


def test_an_upload_becomes_drafts_with_lines_and_groups():
    corpus = read(jsonl(*ROWS))

    assert (corpus.status, corpus.format, corpus.encoding) == ("ready", "prompt_completion", "UTF-8")
    assert (corpus.rows_read, corpus.rows_new, corpus.rows_known, corpus.rows_bad) == (6, 6, 0, 0)
    assert corpus.share_read == 1
    first = corpus.examples.get(line=1)
    assert first.body["messages"][1]["content"] == "答案0。"
    assert (first.status, first.language, first.preview) == ("draft", "zh", "问题0？ → 答案0。")
    assert first.group == corpus.examples.get(line=2).group != corpus.examples.get(line=3).group
    assert not corpora.read_queued()


def test_bad_lines_become_findings_and_good_ones_are_kept():
    corpus = read(jsonl(ROWS[0]) + b"{broken\n" + jsonl({"prompt": 1, "completion": "a"}, ROWS[1]))

    assert (corpus.status, corpus.rows_new, corpus.rows_bad) == ("ready", 2, 2)
    found = [(item.line, item.rule, item.excerpt) for item in corpus.findings.all()]
    assert found == [(2, "cut_off", "{broken"), (3, "not_text", '{"prompt": 1, "completion": "a"}')]
    with translation.override("en"):
        assert "a number" in wording.finding_text(corpus.findings.get(line=3))
    with translation.override("zh-hans"):
        assert "数字" in wording.finding_text(corpus.findings.get(line=3))


def test_only_the_first_thousand_findings_are_kept_and_the_rest_counted():
    corpus = read(jsonl(ROWS[0]) + b"{broken\n" * 1500)

    assert corpus.rows_bad == 1500
    assert corpus.findings.filter(line__isnull=False).count() == 1000
    assert corpus.findings.get(line__isnull=True).facts == {"count": 500, "shown": 1000}


@pytest.mark.parametrize(
    ("content", "rule"),
    [(b"", "empty_file"), (b"\x80\x04\x95", "pickle"), (b"\xff\xfc\xfd\xfb\n" * 9, "unknown_encoding")],
)
def test_a_file_that_is_none_of_ours_fails_in_words(content, rule):
    corpus = read(content)

    assert corpus.status == "failed"
    assert corpus.error == wording.english(rule, {})
    assert [finding.rule for finding in corpus.findings.all()] == [rule]


def test_a_file_without_a_readable_row_fails_and_lists_why():
    corpus = read(jsonl({"prompt": "", "completion": "a"}, {"prompt": "b", "completion": ""}))

    assert corpus.status == "failed"
    assert [finding.line for finding in corpus.findings.all()] == [1, 2]


def test_nasty_words_in_keys_and_groups_are_stored_harmless():
    nasty = b'{"prompt": "a", "completion": "b", "group": "\\ud800\\u0000"}\n{"\\ud800\\u0000": 1}\n'

    corpus = read(nasty)

    assert (corpus.status, corpus.rows_new, corpus.rows_bad) == ("ready", 1, 1)


def test_the_same_bytes_twice_are_not_taken_twice():
    corpus = read(jsonl(*ROWS))

    with pytest.raises(corpora.SameFile, match=corpus.name) as caught:
        upload(jsonl(*ROWS), "other name.jsonl")

    assert caught.value.facts["corpus"] == corpus.pk
    assert [path.name for path in corpora.uploads_dir().iterdir() if path.name.startswith(".")] == []


def test_of_two_uploads_at_once_one_is_taken(monkeypatch):
    content = jsonl(*ROWS)
    first = upload(content)
    monkeypatch.setattr(Corpus.objects, "filter", lambda **_wanted: Corpus.objects.none())
    monkeypatch.setattr(Corpus, "save", told_again(monkeypatch, Corpus.save))

    with pytest.raises(corpora.SameFile):
        upload(content)

    assert list(Corpus.objects.all()) == [first]
    assert corpora.file_of(first).read_bytes() == content


def told_again(monkeypatch, save):
    """The other upload's row can be seen from the moment on in which ours is written."""

    def save_late(corpus: Corpus) -> None:
        monkeypatch.undo()
        save(corpus)

    return save_late


def test_a_full_database_is_told_as_a_full_disk(monkeypatch):
    corpus = upload(jsonl(*ROWS))

    def full(*_args: object, **_options: object) -> None:
        raise OperationalError("database or disk is full")

    monkeypatch.setattr(reader, "detect", full)
    assert corpora.read_queued()

    corpus.refresh_from_db()
    assert corpus.error == wording.english("disk_full", {})


@pytest.mark.parametrize("weight", [0.5, 2, True, "1"])
def test_a_weight_that_the_trainer_would_not_obey_is_refused(weight):
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "weight": weight}]

    corpus = read(jsonl({"messages": turns}, ROWS[0]))

    assert [finding.rule for finding in corpus.findings.all()] == ["bad_weight"]


def test_rows_that_say_the_same_as_others_are_told():
    read(jsonl(*ROWS))

    corpus = read(jsonl(ROWS[0], ROWS[0], {"prompt": "新", "completion": "新"}))

    assert corpus.rows_new == 3
    assert [(item.rule, item.facts["count"]) for item in corpus.findings.all()] == [("same_content", 2)]


def test_an_unanswered_last_turn_is_told():
    corpus = read("你好\n你好呀\n在吗\n\n早\n早上好\n".encode(), "train.txt")

    assert (corpus.format, corpus.rows_new) == ("chitchat", 2)
    assert [(item.rule, item.facts["count"]) for item in corpus.findings.all()] == [("turns_left_out", 1)]


def test_a_reader_that_was_lost_is_taken_over_and_doubles_nothing(monkeypatch):
    monkeypatch.setattr(intake, "_BATCH_ROWS", 2)
    corpus = upload(jsonl(*ROWS))
    taken = claims.take(Corpus, working="reading", waiting="queued")
    assert taken is not None
    path = corpora.file_of(corpus)
    batches = intake.batches(taken, reader.read(path, reader.detect(path)))
    first = intake.Intake(taken)
    first.take(next(batches))
    Corpus.objects.update(beat=timezone.now() - timedelta(seconds=claims.LEASE_SECONDS + 1))

    assert corpora.read_queued()

    with pytest.raises(claims.ClaimLost):
        first.take(next(batches))
    corpus.refresh_from_db()
    assert (corpus.status, corpus.rows_read, corpus.rows_new, corpus.rows_known) == ("ready", 6, 4, 2)
    assert list(corpus.examples.order_by("line").values_list("line", flat=True)) == [1, 2, 3, 4, 5, 6]


def test_a_corpus_whose_file_is_gone_fails_and_can_be_read_again():
    corpus = upload(jsonl(*ROWS))
    path = corpora.file_of(corpus)
    content = path.read_bytes()
    path.unlink()
    corpora.read_queued()
    corpus.refresh_from_db()
    assert (corpus.status, corpus.findings.get().rule) == ("failed", "file_gone")

    path.write_bytes(content)
    corpora.queue(corpus)
    corpora.read_queued()

    corpus.refresh_from_db()
    assert (corpus.status, corpus.error, corpus.rows_new) == ("ready", "", 6)
    with pytest.raises(corpora.NotAllowed):
        corpora.queue(corpus)


def test_an_unforeseen_error_fails_the_corpus_and_not_the_worker(monkeypatch, caplog):
    corpus = upload(jsonl(*ROWS))
    monkeypatch.setattr(intake, "_BATCH_ROWS", "not a number")

    assert corpora.read_queued()

    corpus.refresh_from_db()
    assert (corpus.status, corpus.error) == ("failed", wording.english("unexpected", {}))
    assert "could not be read" in caplog.text


def test_the_starter_faq_comes_in_once_approved_and_grouped():
    new = corpora.add_starter_faq()

    assert new == Example.objects.count() > 500
    assert corpora.add_starter_faq() == 0
    phrasings = Example.objects.filter(group="starter:zh-s001")
    assert phrasings.count() >= 3
    assert {row.status for row in phrasings} == {"approved"}
    assert ExampleEvent.objects.filter(action="approved").count() == new


def test_the_command_reads_approves_and_reports(tmp_path, capsys):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(jsonl(*ROWS) + b"{broken\n")

    call_command("import_corpus", str(path), "--approve", "--json")

    told = json.loads(capsys.readouterr().out)
    assert (told["rows_new"], told["approved"], told["status"]) == (6, 6, "ready")
    assert [(item["line"], item["rule"]) for item in told["findings"]] == [(7, "cut_off")]
    assert Example.objects.filter(status="approved").count() == 6


def test_the_command_says_what_is_wrong_with_a_file(tmp_path):
    (tmp_path / "empty.jsonl").touch()

    with translation.override("en"), pytest.raises(CommandError, match="empty"):
        call_command("import_corpus", str(tmp_path / "empty.jsonl"))
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_corpus", str(tmp_path / "nowhere.jsonl"))


def test_uploads_lie_below_the_data_directory():
    corpus = upload(jsonl(*ROWS), "../../etc/passwd")

    assert corpora.file_of(corpus).parent == Path(settings.DATA_DIR) / "uploads"
