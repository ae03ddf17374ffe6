"""The pages of checks, as a curator uses them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from chatsite import roles
from training import checks, curation, versions
from training.models import Check, Corpus, Example, Finding

pytestmark = pytest.mark.django_db


@pytest.fixture
def pages() -> Client:
    roles.make_roles()
    user = User.objects.create_user("cora")
    roles.grant(user, role="curator")
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def url(name: str, *args: object) -> str:
    return reverse(f"admin:training_{name}", args=args)


def add(question: str, answer: str) -> Example:
    return curation.add_pair_of_qa(question, answer, user=None, approve=True)[0]


def checked() -> Check:
    check = checks.queue_check({}, owner=None)
    checks.check_queued()
    check.refresh_from_db()
    return check


def the(rule: str, **columns: Any) -> Finding:
    return Finding.objects.get(rule=rule, **columns)


def test_a_check_is_asked_for_done_and_shown_rule_by_rule(pages, django_capture_on_commit_callbacks):
    add("怎么联系你们", "打13912345678")
    add("多少钱一个月呢", "null")

    with django_capture_on_commit_callbacks(execute=True):
        answer = pages.post(url("check_add"), {"statuses": ["approved"]})

    check = Check.objects.get()
    assert answer.url == url("check_change", check.pk)
    assert check.selection == {"corpora": [], "tags": [], "statuses": ["approved"]}
    page = pages.get(answer.url).content.decode()
    assert "Personal data in the text" in page
    assert "No answer" in page
    assert "Number of examples: 2." in page
    told = pages.get(url("check_progress", check.pk)).json()
    assert (told["finished"], told["rows"], told["found"], told["share"]) == (True, 2, 3, 1.0)


def test_an_empty_choice_is_told_on_the_form(pages):
    page = pages.post(url("check_add"), {}).content.decode()

    assert "No example fits this choice." in page
    assert Check.objects.count() == 0


def test_a_finding_is_shown_with_its_span_and_what_would_change(pages):
    add("怎么<b>联系", "打13912345678就行")
    check = checked()

    page = pages.get(url("check_rule", check.pk, "personal")).content.decode()

    assert "打<mark>13912345678</mark>就行" in page
    assert "<del>13912345678</del><ins>&lt;手机号&gt;</ins>" in page
    assert "怎么&lt;b&gt;联系" in page


def test_one_click_mends_and_another_undoes(pages):
    row = add("怎么联系你们", "打13912345678")
    check = checked()
    finding = the("personal")
    form = {"state": "open", "page": "1"}

    answer = pages.post(url("check_finding", finding.pk), form | {"action": "apply"})

    row.refresh_from_db()
    assert (row.body["messages"][1]["content"], row.status) == ("打<手机号>", "draft")
    assert answer.url == url("check_rule", check.pk, "personal") + "?state=open&page=1#findings"
    assert "Undo" in pages.get(url("check_rule", check.pk, "personal"), {"state": "applied"}).content.decode()

    pages.post(url("check_finding", finding.pk), {"action": "undo", "state": "applied", "page": "1"})

    row.refresh_from_db()
    assert (row.body["messages"][1]["content"], row.status) == ("打13912345678", "approved")


def test_all_findings_of_a_rule_are_mended_and_undone_with_one_button_each(pages):
    for number in range(3):
        add(f"第{number}个问题怎么解决呢", "null")
    check = checked()

    told = pages.post(url("check_all", check.pk, "empty_answer"), {"action": "apply"}, follow=True).content.decode()

    assert "3 rows were mended." in told
    assert Example.objects.filter(status="rejected").count() == 3
    pages.post(url("check_all", check.pk, "empty_answer"), {"action": "undo"})
    assert Example.objects.filter(status="approved").count() == 3


def test_a_finding_is_left_as_it_is(pages):
    add("怎么联系你们", "打13912345678")
    check = checked()

    pages.post(url("check_finding", the("personal").pk), {"action": "dismiss"})

    assert the("personal").state == "dismissed"
    page = pages.get(url("check_change", check.pk)).content.decode()
    assert "Undecided 0 · mended 0 · left as they are 1" in page


def test_a_stale_click_is_told_and_changes_nothing(pages):
    add("怎么联系你们", "打13912345678")
    checked()
    finding = the("personal")
    pages.post(url("check_finding", finding.pk), {"action": "apply"})

    page = pages.post(url("check_finding", finding.pk), {"action": "apply"}, follow=True).content.decode()

    assert "This was decided before." in page


def test_a_moved_span_is_not_marked(pages):
    row = add("怎么联系你们", "打13912345678")
    check = checked()
    body = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "现在完全是另外一句话了"}]}
    curation.edit(row.pk, body, row_version=row.row_version, user=None)

    page = pages.get(url("check_rule", check.pk, "personal")).content.decode()

    assert "<mark>" not in page
    assert "现在完全是另外一句话了" in page


def test_a_running_check_is_cancelled_and_a_finished_one_asked_for_again(pages):
    add("怎么联系你们", "打13912345678")
    check = checks.queue_check({}, owner=None)

    pages.post(url("check_cancel", check.pk))
    answer = pages.post(url("check_again", check.pk))

    check.refresh_from_db()
    assert check.status == "cancelled"
    new = Check.objects.get(status="queued")
    assert answer.url == url("check_change", new.pk)


def test_changes_are_posted_and_never_follow_a_link(pages):
    add("怎么联系你们", "打13912345678")
    check = checked()

    for page in (url("check_finding", the("personal").pk), url("check_all", check.pk, "personal")):
        assert pages.get(page).status_code == 405
    assert pages.get(url("check_rule", check.pk, "no_such_rule")).status_code == 404
    assert pages.get(url("check_rule", check.pk, "personal"), {"page": "x", "state": "y"}).status_code == 200


def test_end_users_see_nothing_of_it():
    stranger = Client()
    stranger.force_login(User.objects.create_user("eve"))
    check = Check.objects.create()

    for page in (url("check_changelist"), url("check_add"), url("check_change", check.pk)):
        assert stranger.get(page).status_code in (302, 403)


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_page_opens_in_both_languages(pages, language):
    add("怎么联系你们", "打13912345678")
    add("退款要几天", "三天之内到账")
    add("请问退款要几天呢", "一个月也不一定")
    check = checked()
    own = [url("check_changelist"), url("check_add"), url("check_change", check.pk)]

    for page in [*own, *(url("check_rule", check.pk, rule) for rule in ("personal", "conflict", "few_examples"))]:
        assert pages.get(page, headers={"accept-language": language}).status_code == 200


def test_corpora_and_versions_lead_to_a_check(pages):
    add("怎么联系你们", "打13912345678")
    corpus = Corpus.objects.create(name="c", status="ready", sha256="1")
    version = versions.queue_freeze({}, name="v", kind="dialogue", owner=None)
    versions.freeze_queued()

    for page, query in (
        (url("corpus_change", corpus.pk), f"corpus={corpus.pk}"),
        (url("datasetversion_change", version.pk), f"version={version.pk}"),
    ):
        assert f"{url('check_add')}?{query}" in pages.get(page).content.decode()
    form = pages.get(url("check_add"), {"version": version.pk}).content.decode()
    assert f'<option value="{version.pk}" selected>v</option>' in form
