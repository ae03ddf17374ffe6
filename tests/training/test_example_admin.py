"""The pages of examples: review, many at once, history with changes, marks, pairs, similar ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from chatsite import roles
from training import curation, scores
from training.admin import examples as pages_of_examples
from training.models import Example, ExampleEvent, Finding

pytestmark = pytest.mark.django_db


@pytest.fixture
def curator() -> User:
    roles.make_roles()
    user = User.objects.create_user("cora")
    roles.grant(user, role="curator")
    return user


@pytest.fixture
def pages(curator: User) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(curator)
    return client


def url(name: str, *args: object) -> str:
    return reverse(f"admin:training_example_{name}", args=args)


def add(question: str = "怎么退款", answer: str = "在订单页点退款。", **facts: Any) -> Example:
    return curation.add_pair_of_qa(question, answer, user=None, **facts)[0]


def post(client: Client, address: str, **sent: Any) -> Any:
    return client.post(address, json.dumps(sent), content_type="application/json")


# --- review ---------------------------------------------------------------------------------------------------------


def test_the_queue_tells_an_example_with_findings_marks_and_what_was_searched(pages, curator):
    row = add(tags=["售后"])
    Finding.objects.create(example=row, rule="x", severity="warning", message="too short", where="messages[1].content")
    scores.score(row.pk, "messages[1]", 4, user=curator)

    told = pages.get(url("review_next"), {"status": "draft", "q": "退款", "count": "1"}).json()

    [item] = told["items"]
    assert (told["left"], told["more"], item["pk"], item["source"]) == (1, False, row.pk, ["by-hand", "售后"])
    assert [(text["place"], text["answer"], text["score"]) for text in item["texts"]] == [
        ("messages[0]", False, None),
        ("messages[1]", True, 4),
    ]
    assert item["texts"][0]["parts"] == [[False, "怎么"], [True, "退款"]]
    assert item["findings"] == [{"severity": "warning", "text": "too short", "place": "messages[1]"}]


def test_the_page_opens_with_drafts_and_shows_hostile_filters_as_text(pages):
    plain = pages.get(url("review"))
    hostile = pages.get(url("review"), {"q": "</script><script>x", "tag": '"><b>'}).content.decode()

    assert plain.context["list_query"] == "status=draft"
    assert "<script>x" not in hostile
    assert '"><b>' not in hostile


def test_a_decision_is_told_and_a_stale_one_says_who_was_first(pages):
    row = add()
    curation.reject(Example.objects.all(), user=User.objects.create_user("ben"))

    stale = post(pages, url("review_decide", row.pk), decision="approve", row_version=1)
    right = post(pages, url("review_decide", row.pk), decision="approve", row_version=2)
    undone = post(pages, url("review_undo", row.pk), since=right.json()["since"], status="rejected", row_version=3)

    assert stale.status_code == 409
    assert "Changed by ben at" in stale.json()["error"]
    assert (stale.json()["item"]["status"], right.json()["item"]["status"]) == ("rejected", "approved")
    assert undone.json()["item"]["status"] == "rejected"


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"decision": "shred", "row_version": 1},
        {"decision": "approve", "row_version": "x"},
        {"decision": "approve", "row_version": 1, "texts": []},
    ],
)
def test_a_decision_that_makes_no_sense_is_refused(pages, sent):
    row = add()

    assert post(pages, url("review_decide", row.pk), **sent).status_code == 400
    assert pages.post(url("review_decide", row.pk), "no json", content_type="application/json").status_code == 400
    assert not ExampleEvent.objects.filter(action="approved").exists()


def test_only_who_may_change_examples_reviews(client):
    row = add()
    client.force_login(User.objects.create_user("eve"))

    for name in ("review", "review_next", "bulk"):
        assert client.get(url(name)).status_code in (302, 403)
    for name in ("review_decide", "score", "pair"):
        assert client.post(url(name, row.pk)).status_code in (302, 403)
    viewer = User.objects.create_user("vic", is_staff=True)
    viewer.groups.clear()
    client.force_login(viewer)
    assert client.get(url("review_next")).status_code == 403


# --- many at once ---------------------------------------------------------------------------------------------------


def test_a_whole_selection_is_changed_after_a_page_that_tells_its_number(pages):
    for number in range(3):
        add(f"怎么退款{number}")
    add("天气", "晴")

    address = url("bulk") + "?deed=reject&q=退款"
    page = pages.get(address).content.decode()
    done = post(pages, address, deed="reject", after=0, until=10**9, text="重复").json()

    assert "This is about 3 examples." in page
    assert done["finished"]
    assert (done["seen"], done["changed"]) == (3, 3)
    assert Example.objects.filter(status="rejected").count() == 3
    assert set(ExampleEvent.objects.filter(action="rejected").values_list("note", flat=True)) == {"重复"}
    assert post(pages, address, deed="burn", after=0, until=1).status_code == 400


def test_the_list_counts_no_further_than_people_do(pages, monkeypatch):
    monkeypatch.setattr(pages_of_examples, "MOST_LISTED", 2)
    rows = [add(f"问{number}") for number in range(4)]

    answer = pages.get(url("changelist"))

    assert [row.pk for row in answer.context["cl"].result_list] == [rows[3].pk, rows[2].pk]
    assert "There are more" in answer.content.decode()


# --- one example ----------------------------------------------------------------------------------------------------


def test_the_history_says_word_by_word_who_changed_what_and_why(pages, curator):
    row = add()
    turns = [row.body["messages"][0], {"role": "assistant", "content": "在设置页点退款。"}]
    curation.edit(row.pk, {"messages": turns}, row_version=1, user=curator, note="moved")

    page = pages.get(url("change", row.pk)).content.decode()

    assert "在<del>订单</del><ins>设置</ins>页点退款。" in "".join(page.split("\n")).replace("  ", "")
    assert "moved" in page
    assert "cora" in page


def test_two_marked_answers_to_one_question_become_a_pair_by_a_button(pages):
    good, bad = add(), add(answer="不知道。")
    for row, value in ((good, "5"), (bad, "1")):
        pages.post(url("score", row.pk), {"answer": "messages[1]", "value": value})
    assert "Make a preference pair" in pages.get(url("change", good.pk)).content.decode()

    page = pages.post(url("pair", good.pk), {"other": bad.pk}, follow=True).content.decode()

    pair = Example.objects.get(kind="pair")
    assert (pair.body["chosen"], pair.body["margin"]) == ("在订单页点退款。", 4.0)
    assert f"#{pair.pk}" in page


def test_a_mark_that_is_none_is_refused_in_words(pages):
    row = add()

    page = pages.post(url("score", row.pk), {"answer": "messages[0]", "value": "5"}, follow=True).content.decode()

    assert "Only answers have marks" in page


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_page_opens_in_both_languages(pages, language):
    row = add()
    for address in (url("review"), url("bulk") + "?deed=tag", url("changelist") + "?q=退款", url("change", row.pk)):
        assert pages.get(address, headers={"accept-language": language}).status_code == 200
