"""A curator makes an example of somebody's conversation, if they agreed, and as long as they do."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from chat import conversations, feedback
from chat.models import Generation, Message
from chat.protocol import GiveConsent
from chatsite import roles
from tests.chat.test_feedback import make_answer
from training import curation
from training.models import Example, ModelVersion

pytestmark = pytest.mark.django_db


@pytest.fixture
def answer(ada: User, model: ModelVersion) -> Message:
    question = conversations.add_question(conversations.start(ada, "天空"), None, "天空是什么颜色？")
    return make_answer(question, model, "绿色。")


@pytest.fixture
def curator() -> Client:
    roles.make_roles()
    user = User.objects.create_user("cora")
    roles.grant(user, role="curator")
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def consent(user: User, *, granted: bool) -> None:
    feedback.consent(user, GiveConsent(type="consent", cmd_id="c", granted=granted))


def teach(client: Client, answer: Message) -> str:
    """Where the button leads."""
    address = reverse("admin:chat_generation_teach", args=(Generation.objects.get(message=answer).pk,))
    return str(client.get(address).headers["Location"])


def save(client: Client, address: str, **changes: str) -> None:
    form = {"source_key": "forged", "question": "天空是什么颜色？", "answer": "蓝色。", "tags": "", "approve": "on"}
    assert client.post(address, form | changes).status_code == 302


def test_the_form_is_filled_with_the_exchange_and_the_row_says_where_it_is_from(curator, ada, answer):
    consent(ada, granted=True)

    address = teach(curator, answer)
    page = curator.get(address).content.decode()
    save(curator, address)

    assert "绿色。" in page
    assert "author agreed" in page
    row = Example.objects.get()
    assert row.body["messages"][1]["content"] == "蓝色。"
    assert row.source_key.startswith(f"taught:{ada.pk}:{answer.pk.hex}:")
    assert (row.provenance["messages"], row.provenance["models"]) == ([str(answer.pk)], ["tiny-1"])
    assert (row.status, str(row.created_by)) == ("approved", "cora")


def test_a_second_click_on_save_adds_nothing(curator, ada, answer):
    consent(ada, granted=True)
    address = teach(curator, answer)

    for _ in range(2):
        save(curator, address)

    assert Example.objects.count() == 1


@pytest.mark.parametrize("asked", [False, True])
def test_nothing_is_taught_from_who_did_not_agree(curator, ada, answer, asked):
    if asked:
        consent(ada, granted=False)

    address = teach(curator, answer)

    assert "/generation/" in address
    assert "ada has not agreed" in curator.get(address).content.decode()


def test_who_takes_the_consent_back_takes_the_example_back(curator, ada, answer):
    consent(ada, granted=True)
    save(curator, teach(curator, answer))

    consent(ada, granted=False)

    assert Example.objects.get().status == "rejected"
    assert curation.approve(Example.objects.all(), user=None) == 0


def test_a_form_that_was_open_for_too_long_is_no_way_round(curator, ada, answer):
    address = reverse("admin:training_example_add") + "?offer=gone"
    save(curator, address)

    page = curator.get(address, follow=True).content.decode()

    assert "open for too long" in page
    assert not Example.objects.exists()


def test_nothing_is_saved_when_the_consent_goes_while_the_form_is_open(curator, ada, answer):
    consent(ada, granted=True)
    address = teach(curator, answer)
    consent(ada, granted=False)

    save(curator, address)

    assert not Example.objects.exists()


def test_only_curators_have_the_button(curator, client, ada, answer):
    generation = Generation.objects.get(message=answer)
    client.force_login(ada)

    assert client.get("/api/state/").json()["teach"] == ""
    assert curator.get("/api/state/").json()["teach"].endswith("/ID/teach/")
    assert client.get(reverse("admin:chat_generation_teach", args=(generation.pk,))).status_code == 302
    assert "Teach" in curator.get(reverse("admin:chat_generation_change", args=(generation.pk,))).content.decode()
