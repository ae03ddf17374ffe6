"""Examples are found by Chinese words, and the filter that list, queue and bulk deeds share means the same rows."""

from __future__ import annotations

import io
import json

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from training import corpora, curation, preferences, search, tags, tasks
from training.filters import Filter
from training.models import Corpus, Example, Finding

pytestmark = pytest.mark.django_db

LINES = [
    {"prompt": "怎么申请退款？", "completion": "在订单页点退款。"},
    {"prompt": "機器學習是什麼", "completion": "让电脑从数据里学。"},
    {"prompt": "What is a refund?", "completion": "Money back."},
]


def add(question: str, answer: str = "好的。", **facts: object) -> Example:
    return curation.add_pair_of_qa(question, answer, user=None, **facts)[0]  # type: ignore[arg-type]


def upload() -> Corpus:
    file = io.BytesIO("\n".join(json.dumps(line) for line in LINES).encode())
    corpus = corpora.add_upload(file, name="x", original_name="a.jsonl", owner=None)
    corpora.read_queued()
    return corpus


def found(**asked: str) -> list[str]:
    rows = Filter(**asked).rows().order_by("pk")
    return [row.body["messages"][0]["content"] for row in rows]


def test_what_a_person_adds_is_found_at_once_and_by_its_new_words_after_an_edit():
    row = add("怎么申请退款？")
    assert found(q="退款") == ["怎么申请退款？"]

    curation.edit(
        row.pk,
        {"messages": [{"role": "user", "content": "怎么换货"}, row.body["messages"][1]]},
        row_version=1,
        user=None,
    )

    assert found(q="退款") == []
    assert found(q="换货") == ["怎么换货"]


def test_rows_that_verbs_put_in_do_not_wait():
    add("怎么申请退款？")

    assert search.waiting_count() == 0
    assert not search.index_waiting()


def test_an_imports_rows_are_found_after_the_background_has_cut_them():
    upload()
    assert found(q="退款") == []
    assert search.waiting_count() == 3

    assert search.index_waiting()

    assert not search.index_waiting()
    assert search.waiting_count() == 0
    assert found(q="退款") == ["怎么申请退款？"]
    assert found(q="机器学习") == ["機器學習是什麼"]
    assert found(q="REFUND") == ["What is a refund?"]
    assert found(q="退款 订单") == ["怎么申请退款？"]
    assert found(q="退款 天气") == []


def test_the_worker_makes_the_index_without_being_asked(django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        upload()
        tasks.ring_data()

    assert found(q="退款") == ["怎么申请退款？"]


def test_an_edit_between_cutting_and_writing_is_not_overwritten():
    row = add("旧的说法")
    rows = search._cut(Example.objects.filter(pk=row.pk))
    curation.edit(
        row.pk, {"messages": [{"role": "user", "content": "换货"}, row.body["messages"][1]]}, row_version=1, user=None
    )

    search._write_unchanged(rows)

    assert found(q="换货") == ["换货"]
    assert found(q="说法") == []


def test_a_row_that_its_author_changes_is_found_by_its_new_words():
    for wish in ("第一种回答", "第二种回答"):
        messages = [{"role": "user", "content": "问"}, {"role": "assistant", "content": wish}]
        preferences.add_dialogue(source_key="chat:1", messages=messages)
    search.index_waiting()

    assert len(found(q="第二种")) == 1
    assert found(q="第一种") == []


@pytest.mark.parametrize(
    "text", ['"', "退款 AND", "NEAR(a b)", "a*", "words:退款", "-x", "^a", "(", "'; DROP", "\x00", "\ud800", "+", "a\\"]
)
def test_no_text_is_a_command_to_the_index(text):
    add("怎么申请退款？")

    assert len(found(q=text)) in (0, 1)


def test_a_source_key_is_found_by_its_beginning():
    add("甲", source_key="hand:abc")
    add("乙", source_key="hand:xyz")

    assert found(q="hand:ab") == ["甲"]


def test_the_index_is_made_anew_by_a_command(capsys):
    upload()
    search.index_waiting()
    add("换货").delete()

    call_command("rebuild_search", "--json")

    assert json.loads(capsys.readouterr().out) == {"examples": 3}
    assert found(q="退款") == ["怎么申请退款？"]


@pytest.mark.skipif(settings.DATABASES["default"]["ENGINE"].endswith("postgresql"), reason="it keeps no mark")
def test_numbers_that_begin_anew_are_no_reason_to_miss_rows():
    with connection.cursor() as cursor:
        cursor.execute("UPDATE training_searchmark SET upto = 1000000")
    upload()
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO training_search (rowid, words) SELECT id, '旧' FROM training_example")

    assert search.index_waiting() == 3
    assert found(q="旧") == []


def test_each_part_of_a_filter_narrows_and_all_together_too():
    corpus = upload()
    by_hand = add("怎么退货", approve=True, tags=["售后", 'a"b'])
    Finding.objects.create(example=by_hand, rule="x", severity="note", message="m")
    Finding.objects.create(example=Example.objects.first(), rule="x", severity="note", message="m", state="dismissed")

    assert found(status="approved") == found(tag="售后") == found(tag='a"b') == found(findings="open") == ["怎么退货"]
    assert found(corpus=str(corpus.pk), language="en") == ["What is a refund?"]
    assert found(kind="pair") == []
    assert len(found(split="none")) == 4
    assert found(status="approved", q="退货", tag="售后", language="zh", findings="open") == ["怎么退货"]
    assert tags.in_use() == ['a"b', "by-hand", "售后"]


def test_what_an_address_says_wrongly_is_left_out():
    chosen = Filter.read({"status": "gone", "corpus": "1 OR 1", "kind": "pair", "q": " 退款 ", "page": "2"})

    assert chosen == Filter(kind="pair", q="退款")
    assert Filter.read(dict(part.split("=") for part in Filter(kind="pair", tag="a").query().split("&"))) == Filter(
        kind="pair", tag="a"
    )


def test_tags_are_bounded_and_single():
    assert tags.tidy([" a ", "a", "", "b" * 99]) == ["a", "b" * 40]
    assert len(tags.tidy(map(str, range(100)))) == 20
    assert sum(map(len, tags.tidy(f"{number:040d}" for number in range(20)))) <= 400
