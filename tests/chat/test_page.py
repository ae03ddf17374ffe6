"""The page and its JSON: everything is the signed-in person's own."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from chat import conversations, feedback
from chat.models import Conversation, Generation, Message
from chat.protocol import GiveConsent, Rate
from chat.protocol import Rewrite as RewriteCommand
from training.models import ApiKey, Example, ModelVersion

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(ada: User) -> Client:
    made = Client(headers={"accept-language": "en"})
    made.force_login(ada)
    return made


@pytest.fixture
def answered(ada: User, model: ModelVersion) -> Generation:
    question = conversations.add_question(conversations.start(ada, "Hello"), None, "Hello")
    row = Generation.objects.create(
        message=conversations.add_answer(question),
        model=model,
        seed=1,
        status="running",
        prompt_ids=[1, 2, 3],
        prompt_messages=[{"role": "user", "content": "Hello"}],
        response_ids=[4],
    )
    conversations.finish_generation(row.pk, "completed", text="Hi")
    return Generation.objects.select_related("message__conversation").get(pk=row.pk)


def test_the_page_needs_a_sign_in_and_comes_back(browser: Client) -> None:
    away = Client().get("/")

    assert (away.status_code, away["Location"]) == (302, "/accounts/login/?next=/")
    assert browser.get("/").status_code == 200


def test_the_page_of_a_conversation_says_which(browser: Client, answered: Generation) -> None:
    pk = answered.message.conversation_id

    page = browser.get(f"/c/{pk}/")

    assert f'data-conversation="{pk}"' in page.text
    assert "no-store" in page["Cache-Control"]


def test_state_is_what_the_page_starts_with(browser: Client, ada: User, model: ModelVersion) -> None:
    state = browser.get("/api/state/").json()

    assert state["user"] == {"id": ada.pk, "name": "ada"}
    assert state["model"] == {"uid": "tiny-1", "name": "model tiny-1"}
    assert state["settings"]["temperature"] == {"min": 0, "max": 2, "step": 0.05, "default": 0.7}
    assert state["settings"]["seed"]["default"] is None
    assert (state["consent"], state["training"], state["language"]) == ("unknown", False, "en")
    assert {"key": "wrong", "label": "Wrong facts"} in state["reasons"]["down"]


def test_a_conversation_comes_with_all_its_branches(browser: Client, ada: User, answered: Generation) -> None:
    answer = answered.message
    feedback.rate(ada, Rate(type="rate", cmd_id="c", message=answer.pk, value=-1, reasons=["wrong"]))

    tree = browser.get(f"/api/conversations/{answer.conversation_id}/").json()

    assert (tree["title"], tree["leaf"]) == ("Hello", str(answer.pk))
    question, reply = tree["messages"]
    assert (question["role"], question["parent"], question["generation"]) == ("user", None, None)
    assert reply["generation"] == {
        "id": str(answered.pk),
        "status": "completed",
        "model": "model tiny-1",
        "seq": 2,
        "error": "",
        "dropped": 0,
        "prompt_tokens": 3,
        "limit": 256,
    }
    assert reply["rating"] == {"value": -1, "reasons": ["wrong"], "comment": ""}


def test_an_answer_under_way_comes_with_its_text_so_far(browser: Client, ada: User, model: ModelVersion) -> None:
    question = conversations.add_question(conversations.start(ada, "x"), None, "x")
    Generation.objects.create(
        message=conversations.add_answer(question), model=model, seed=1, status="running", text="so far", seq=6
    )

    listed = browser.get("/api/conversations/").json()["conversations"][0]
    tree = browser.get(f"/api/conversations/{listed['id']}/").json()

    assert listed["answering"] is True
    assert (tree["messages"][1]["text"], tree["messages"][1]["generation"]["seq"]) == ("so far", 6)


def test_the_list_pages_with_its_own_cursor(browser: Client, ada: User) -> None:
    for number in range(conversations.PAGE_SIZE + 1):
        conversations.start(ada, str(number))

    first = browser.get("/api/conversations/").json()
    second = browser.get("/api/conversations/", {"before": first["next"]}).json()

    assert len(first["conversations"]) == conversations.PAGE_SIZE
    assert ([row["title"] for row in second["conversations"]], second["next"]) == (["0"], None)


@pytest.mark.parametrize("before", ["", "yesterday", "2026-13-45", "2026-01-01"])
def test_a_cursor_that_is_none_starts_at_the_top(browser: Client, ada: User, before: str) -> None:
    conversations.start(ada, "x")

    assert len(browser.get("/api/conversations/", {"before": before}).json()["conversations"]) == 1


def test_a_conversation_is_renamed_its_branch_opened_and_deleted(browser: Client, answered: Generation) -> None:
    base, question = f"/api/conversations/{answered.message.conversation_id}", answered.message.parent

    def post(verb: str, body: Any) -> Any:
        return browser.post(f"{base}/{verb}/", body, content_type="application/json")

    assert post("rename", {"title": " New "}).json() == {"title": "New"}
    assert post("leaf", {"leaf": str(question.pk)}).status_code == 200  # type: ignore[union-attr]
    assert Conversation.objects.get().leaf_id == question.pk  # type: ignore[union-attr]
    assert post("delete", {}).status_code == 200
    assert browser.get(f"{base}/").status_code == 404


@pytest.mark.parametrize("body", ["", "[]", "{", '{"leaf": 5}', '{"leaf": "x"}'])
def test_a_branch_that_is_none_is_not_found(browser: Client, answered: Generation, body: str) -> None:
    url = f"/api/conversations/{answered.message.conversation_id}/leaf/"

    assert browser.post(url, body, content_type="application/json").status_code == 404


@pytest.mark.parametrize(("method", "rest"), [("get", ""), ("post", "rename/"), ("post", "delete/"), ("post", "leaf/")])
def test_anothers_conversation_is_not_there(ben: User, answered: Generation, method: str, rest: str) -> None:
    stranger = Client()
    stranger.force_login(ben)
    url = f"/api/conversations/{answered.message.conversation_id}/{rest}"

    assert getattr(stranger, method)(url).status_code == 404
    assert Conversation.objects.filter(deleted_at__isnull=True).count() == 1


@pytest.mark.parametrize("path", ["/api/state/", "/api/conversations/", f"/api/conversations/{uuid.uuid4()}/"])
def test_nobody_gets_401_and_no_redirect(path: str) -> None:
    assert Client().get(path).status_code == 401


def test_a_change_needs_the_csrf_token(ada: User, answered: Generation) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ada)
    url = f"/api/conversations/{answered.message.conversation_id}/delete/"

    assert strict.post(url, {}, content_type="application/json").status_code == 403


# In the admin --------------------------------------------------------------------------------------------------------


@pytest.fixture
def office(db: None) -> Client:
    made = Client(headers={"accept-language": "en"})
    made.force_login(User.objects.create_superuser("root", password="a long enough password"))
    return made


@pytest.fixture
def taught(ada: User, answered: Generation) -> Message:
    answer = answered.message
    feedback.consent(ada, GiveConsent(type="consent", cmd_id="c", granted=True))
    feedback.rate(ada, Rate(type="rate", cmd_id="c", message=answer.pk, value=-1, comment="<b>no</b>"))
    feedback.rewrite(ada, RewriteCommand(type="rewrite", cmd_id="c", message=answer.pk, text="Hello!"))
    return answer


@pytest.mark.parametrize("name", ["rating", "rewrite", "flag", "generation"])
def test_feedback_and_answers_are_listed(office: Client, taught: Message, name: str) -> None:
    assert office.get(f"/admin/chat/{name}/").status_code == 200


def test_the_first_page_of_the_admin_counts_one_of_each_in_the_singular(office: Client, taught: Message) -> None:
    assert "1 rating, 1 rewrite" in office.get("/admin/").text


def test_a_thumb_names_its_training_rows_and_they_name_it(office: Client, taught: Message) -> None:
    label = Example.objects.get(kind="label")
    rating = taught.ratings.get()

    page = office.get(f"/admin/chat/rating/{rating.pk}/change/")
    back = office.get(label.provenance["link"])

    assert f"#{label.pk}" in page.text
    assert "&lt;b&gt;no&lt;/b&gt;" in page.text
    assert f"/admin/chat/rating/{rating.pk}/change/" in back.text


def test_a_rewrite_names_its_dialogue_and_its_pair(office: Client, taught: Message) -> None:
    page = office.get(f"/admin/chat/rewrite/{taught.rewrites.get().pk}/change/")

    for row in Example.objects.filter(kind__in=("dialogue", "pair")):
        assert f"#{row.pk}" in page.text


def test_an_answers_page_shows_what_the_model_saw(office: Client, answered: Generation) -> None:
    page = office.get(f"/admin/chat/generation/{answered.pk}/change/")

    assert page.status_code == 200
    for text in ("What the model saw", "Hello", "1 2 3", "model tiny-1", "3 in the prompt, 1 in the answer"):
        assert text in page.text


def test_feedback_cannot_be_edited_in_the_admin(office: Client, taught: Message) -> None:
    rating = taught.ratings.get()

    assert office.post(f"/admin/chat/rating/{rating.pk}/change/", {"value": 1}).status_code == 403
    assert office.get("/admin/chat/rating/add/").status_code == 403


def test_an_api_key_is_shown_once(office: Client) -> None:
    made = office.post("/admin/training/apikey/add/", {"name": "laptop"})
    key = ApiKey.objects.get()

    assert made.status_code == 200
    assert "no-store" in made["Cache-Control"]
    assert key.prefix in made.text
    secret = next(word for word in made.text.replace("<", " ").replace(">", " ").split() if word.startswith(key.prefix))
    assert len(secret) > len(key.prefix)
    later = office.get(f"/admin/training/apikey/{key.pk}/change/")
    assert secret not in later.text


def test_a_key_is_revoked_in_the_list(office: Client) -> None:
    office.post("/admin/training/apikey/add/", {"name": "laptop"})
    key = ApiKey.objects.get()

    office.post("/admin/training/apikey/", {"action": "revoke", "_selected_action": [key.pk]})

    key.refresh_from_db()
    assert key.revoked_at is not None
