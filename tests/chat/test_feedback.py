"""What people think of answers, and the training rows that follow from it and go with it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User

from chat import conversations, feedback
from chat.errors import NotYours, Refused
from chat.models import Consent, Flag, Generation, Message, Rating, Rewrite
from chat.protocol import Flag as FlagCommand
from chat.protocol import GiveConsent, Rate, Withdraw
from chat.protocol import Rewrite as RewriteCommand
from training.models import Example, ModelVersion

pytestmark = pytest.mark.django_db

PROMPT = [{"role": "user", "content": "天空是什么颜色？"}]


@pytest.fixture
def question(ada: User) -> Message:
    return conversations.add_question(conversations.start(ada, "天空"), None, "天空是什么颜色？")


def make_answer(question: Message, model: ModelVersion, text: str, **changes: Any) -> Message:
    """A finished answer with its record."""
    answer = conversations.add_answer(question)
    facts: dict[str, Any] = {
        "message": answer,
        "model": model,
        "text": text,
        "prompt_messages": PROMPT,
        "prompt_sha256": "p",
        "template_sha256": "t",
        "seed": 1,
        "status": "running",
    }
    generation = Generation.objects.create(**(facts | {k: v for k, v in changes.items() if k != "status"}))
    conversations.finish_generation(generation.pk, changes.get("status", "completed"), text=text)
    return Message.objects.get(pk=answer.pk)


@pytest.fixture
def answer(question: Message, model: ModelVersion) -> Message:
    return make_answer(question, model, "绿色。")


def rate(user: User, message: Message, value: int, **more: Any) -> dict[str, Any]:
    return feedback.rate(user, Rate(type="rate", cmd_id="c", message=message.pk, value=value, **more))


def withdraw(user: User, message: Message) -> None:
    feedback.withdraw(user, Withdraw(type="withdraw", cmd_id="c", message=message.pk))


def rewrite(user: User, message: Message, text: str) -> dict[str, Any]:
    return feedback.rewrite(user, RewriteCommand(type="rewrite", cmd_id="c", message=message.pk, text=text))


def consent(user: User, *, granted: bool) -> dict[str, Any]:
    return feedback.consent(user, GiveConsent(type="consent", cmd_id="c", granted=granted))


def live_rows() -> list[tuple[str, dict[str, Any]]]:
    """Kind and content of every training row that is not withdrawn."""
    rows = Example.objects.exclude(status="rejected").order_by("id")
    return [(row.kind, row.body) for row in rows]


# Thumbs --------------------------------------------------------------------------------------------------------------


def test_a_thumb_counts_at_once_and_asks_for_consent(ada: User, answer: Message) -> None:
    facts = rate(ada, answer, -1)

    assert facts == {"consent": "unknown"}
    assert Rating.objects.get().value == -1


def test_a_change_of_mind_supersedes_and_leaves_one_current_thumb(ada: User, answer: Message) -> None:
    rate(ada, answer, -1)
    rate(ada, answer, 1, reasons=["clear"], comment=" 好 ")

    old, new = Rating.objects.order_by("id")
    assert old.superseded_at is not None
    assert (new.value, new.reasons, new.comment, new.superseded_at) == (1, ["clear"], "好", None)


def test_the_same_thumb_twice_is_one(ada: User, answer: Message) -> None:
    rate(ada, answer, 1)
    rate(ada, answer, 1)

    assert Rating.objects.count() == 1


def test_a_withdrawn_thumb_is_marked_and_a_second_withdrawal_does_nothing(ada: User, answer: Message) -> None:
    rate(ada, answer, 1)
    withdraw(ada, answer)
    withdraw(ada, answer)

    assert Rating.objects.get().withdrawn_at is not None


def test_a_reason_that_is_not_on_the_list_is_refused(ada: User, answer: Message) -> None:
    with pytest.raises(Refused) as caught:
        rate(ada, answer, 1, reasons=["wrong"])

    assert caught.value.code == "bad_reason"


def test_only_a_complete_answer_can_be_rated(ada: User, question: Message, model: ModelVersion) -> None:
    running = conversations.add_answer(question)
    Generation.objects.create(message=running, model=model, seed=1)

    codes = []
    for message in (question, running):
        with pytest.raises(Refused) as caught:
            rate(ada, message, 1)
        codes.append(caught.value.code)

    assert codes == ["not_an_answer", "unfinished"]


def test_another_persons_answer_is_not_there(ben: User, answer: Message) -> None:
    for act in (
        lambda: rate(ben, answer, 1),
        lambda: withdraw(ben, answer),
        lambda: rewrite(ben, answer, "x"),
        lambda: feedback.flag(ben, FlagCommand(type="flag", cmd_id="c", message=answer.pk, kind="spam")),
    ):
        with pytest.raises(NotYours):
            act()


# Consent -------------------------------------------------------------------------------------------------------------


def test_without_consent_nothing_is_learnt(ada: User, answer: Message) -> None:
    rate(ada, answer, -1)
    rewrite(ada, answer, "蓝色。")
    consent(ada, granted=False)
    rate(ada, answer, 1)

    assert Example.objects.count() == 0


def test_consent_given_later_reaches_back(ada: User, answer: Message) -> None:
    rate(ada, answer, -1)

    facts = consent(ada, granted=True)

    assert facts == {"consent": "granted"}
    assert live_rows() == [("label", {"prompt": PROMPT, "completion": "绿色。", "label": False})]


def test_consent_is_asked_once_and_kept(ada: User, answer: Message) -> None:
    consent(ada, granted=True)
    consent(ada, granted=True)

    assert rate(ada, answer, 1) == {"consent": "granted"}
    assert Consent.objects.count() == 1


def test_a_withdrawn_consent_takes_everything_back_and_a_new_one_brings_it_again(ada: User, answer: Message) -> None:
    consent(ada, granted=True)
    rate(ada, answer, -1)
    rewrite(ada, answer, "蓝色。")
    before = live_rows()

    consent(ada, granted=False)
    without = live_rows()
    consent(ada, granted=True)

    assert len(before) == 3
    assert without == []
    assert sorted(live_rows(), key=str) == sorted(before, key=str)
    assert Example.objects.count() == 3


# What is learnt ------------------------------------------------------------------------------------------------------


def test_a_thumb_becomes_a_label_with_its_provenance(ada: User, answer: Message, model: ModelVersion) -> None:
    consent(ada, granted=True)

    rate(ada, answer, 1, reasons=["clear"])

    row = Example.objects.get()
    assert (row.kind, row.status, row.body["label"]) == ("label", "draft", True)
    assert row.provenance["messages"] == [str(answer.pk)]
    assert row.provenance["models"] == [model.uid]
    assert row.provenance["consent"] == Consent.objects.get().pk
    assert row.provenance["link"] == f"/admin/chat/rating/?message__id__exact={answer.pk}"


def test_a_changed_thumb_changes_its_row(ada: User, answer: Message) -> None:
    consent(ada, granted=True)
    rate(ada, answer, 1)
    rate(ada, answer, -1)

    assert [body["label"] for _, body in live_rows()] == [False]


def test_a_withdrawn_thumb_withdraws_its_row(ada: User, answer: Message) -> None:
    consent(ada, granted=True)
    rate(ada, answer, 1)
    withdraw(ada, answer)

    assert live_rows() == []


def test_a_better_and_a_worse_sibling_become_a_pair(
    ada: User, question: Message, answer: Message, model: ModelVersion
) -> None:
    better = make_answer(question, model, "蓝色。")
    consent(ada, granted=True)

    rate(ada, answer, -1)
    rate(ada, better, 1)

    pairs = [body for kind, body in live_rows() if kind == "pair"]
    assert pairs == [{"prompt": PROMPT, "chosen": "蓝色。", "rejected": "绿色。"}]


def test_a_pair_goes_with_either_thumb(ada: User, question: Message, answer: Message, model: ModelVersion) -> None:
    better = make_answer(question, model, "蓝色。")
    consent(ada, granted=True)
    rate(ada, answer, -1)
    rate(ada, better, 1)

    withdraw(ada, better)

    assert [kind for kind, _ in live_rows()] == ["label"]


def test_answers_to_different_contexts_make_no_pair(
    ada: User, question: Message, answer: Message, model: ModelVersion
) -> None:
    other = make_answer(question, model, "蓝色。", prompt_messages=[{"role": "user", "content": "别的"}])
    consent(ada, granted=True)
    rate(ada, answer, -1)
    rate(ada, other, 1)

    assert [kind for kind, _ in live_rows()] == ["label", "label"]


@pytest.mark.parametrize("status", ["stopped", "length", "interrupted", "failed"])
def test_a_cut_answer_is_no_target(ada: User, question: Message, model: ModelVersion, status: str) -> None:
    cut = make_answer(question, model, "绿", status=status)
    consent(ada, granted=True)

    rate(ada, cut, -1)
    rewrite(ada, cut, "蓝色。")

    assert [kind for kind, _ in live_rows()] == ["dialogue"]


# Rewrites ------------------------------------------------------------------------------------------------------------


def test_a_rewrite_is_a_sibling_by_a_person_and_leaves_the_original(ada: User, answer: Message) -> None:
    facts = rewrite(ada, answer, " 蓝色。 ")

    wish = Message.objects.get(pk=facts["answer"])
    assert (wish.author, wish.text, wish.parent_id) == ("human_editor", "蓝色。", answer.parent_id)
    assert Message.objects.get(pk=answer.pk).text == "绿色。"
    assert wish.conversation.leaf_id == wish.pk


def test_a_rewrite_becomes_one_dialogue_and_one_pair(ada: User, answer: Message) -> None:
    consent(ada, granted=True)

    rewrite(ada, answer, "蓝色。")

    assert live_rows() == [
        ("dialogue", {"messages": [*PROMPT, {"role": "assistant", "content": "蓝色。"}]}),
        ("pair", {"prompt": PROMPT, "chosen": "蓝色。", "rejected": "绿色。"}),
    ]


def test_turns_before_a_rewrite_are_context_and_not_learnt(ada: User, question: Message, model: ModelVersion) -> None:
    turns = [*PROMPT, {"role": "assistant", "content": "绿"}, {"role": "user", "content": "真的？"}]
    later = make_answer(question, model, "真的。", prompt_messages=turns)
    consent(ada, granted=True)

    rewrite(ada, later, "不，是蓝色。")

    dialogue = next(body for kind, body in live_rows() if kind == "dialogue")
    assert [turn.get("weight", 1.0) for turn in dialogue["messages"]] == [1.0, 0.0, 1.0, 1.0]


def test_writing_again_supersedes_and_replaces_what_is_learnt(ada: User, answer: Message) -> None:
    consent(ada, granted=True)
    first = rewrite(ada, answer, "蓝色")

    rewrite(ada, Message.objects.get(pk=first["answer"]), "天是蓝色的。")

    assert [row.superseded_at is None for row in Rewrite.objects.order_by("id")] == [False, True]
    assert {body.get("chosen") for kind, body in live_rows() if kind == "pair"} == {"天是蓝色的。"}
    assert Example.objects.count() == 2


def test_the_same_rewrite_twice_is_one(ada: User, answer: Message) -> None:
    assert rewrite(ada, answer, "蓝色。") == rewrite(ada, answer, "蓝色。")
    assert Rewrite.objects.count() == 1


@pytest.mark.parametrize(("text", "code"), [("绿色。", "unchanged"), ("  绿色。\n", "unchanged"), ("  \n", "empty")])
def test_an_unchanged_or_blank_rewrite_is_refused(ada: User, answer: Message, text: str, code: str) -> None:
    with pytest.raises(Refused) as caught:
        rewrite(ada, answer, text)

    assert caught.value.code == code
    assert Message.objects.count() == 2


# Reports -------------------------------------------------------------------------------------------------------------


def test_a_report_is_kept_once(ada: User, answer: Message) -> None:
    for text in ("bad", "very bad"):
        feedback.flag(ada, FlagCommand(type="flag", cmd_id="c", message=answer.pk, kind="unsafe", text=text))

    assert Flag.objects.get().text == "very bad"


def test_an_id_that_does_not_exist_is_not_there(ada: User) -> None:
    with pytest.raises(NotYours):
        feedback.rate(ada, Rate(type="rate", cmd_id="c", message=uuid.uuid4(), value=1))
