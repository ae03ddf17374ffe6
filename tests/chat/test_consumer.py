"""The socket, end to end: the real application, database and engine client; only the engine's words are scripted."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from structlog.testing import capture_logs

from chat import conversations, live
from chat.consumers import ChatConsumer
from chat.conversations import text_hash
from chat.models import Conversation, Generation, Message
from tests.chat.conftest import Connect, MakeModel
from tests.chat.tab import Tab, session_cookie
from tests.scripted_engine import ScriptedEngine
from training.models import ModelVersion

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]


async def stored(generation: str) -> Generation:
    return await Generation.objects.select_related("message", "model").aget(pk=generation)


# Asking --------------------------------------------------------------------------------------------------------------


async def test_a_question_is_answered_token_by_token_and_stored(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.ahead = [2, 1]
    tab = await connect(ada)

    ack = await tab.send("今天天气怎么样？")
    done = await tab.done(ack["generation"])

    assert done == {
        "type": "done",
        "generation": ack["generation"],
        "status": "completed",
        "chars": 3,
        "hash": text_hash("你好！"),
    }
    assert tab.texts[ack["generation"]] == "你好！"
    row = await stored(ack["generation"])
    assert (row.status, row.text, row.message.text, row.seq) == ("completed", "你好！", "你好！", 3)
    assert (row.response_ids, row.response_logprobs) == ([100, 101, 102], [-0.5, -0.5, -0.5])
    assert row.started_at is not None
    assert row.first_token_at is not None
    conversation = await Conversation.objects.aget(pk=ack["conversation"])
    assert (conversation.title, str(conversation.leaf_id)) == ("今天天气怎么样？", ack["answer"])


async def test_the_engine_gets_exactly_the_recorded_prompt_and_settings(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    tab = await connect(ada)

    ack = await tab.send("Hello", params={"temperature": 0, "top_k": 5, "max_tokens": 9, "seed": 7})
    await tab.done(ack["generation"])

    row = await stored(ack["generation"])
    asked = engine.asked[0]
    assert asked["prompt"] == row.prompt_ids
    assert {name: asked[name] for name in ("model", "temperature", "top_k", "top_p", "max_tokens", "seed")} == {
        "model": "tiny-1",
        "temperature": 0,
        "top_k": 5,
        "top_p": 0.9,
        "max_tokens": 9,
        "seed": 7,
    }
    assert row.params_requested == {"temperature": 0, "top_k": 5, "max_tokens": 9, "seed": 7}
    assert row.prompt_messages == [{"role": "user", "content": "Hello"}]
    assert engine.request_ids == [ack["generation"]]


async def test_a_second_turn_carries_the_first(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    tab = await connect(ada)
    first = await tab.send("Hello")
    await tab.done(first["generation"])

    second = await tab.send("And?", conversation=first["conversation"], parent=first["answer"])
    await tab.done(second["generation"])

    assert (await stored(second["generation"])).prompt_messages == [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "你好！"},
        {"role": "user", "content": "And?"},
    ]


async def test_places_in_the_queue_are_told(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.ahead = [3, 2, 1]
    tab = await connect(ada)

    ack = await tab.send("Hello")
    await tab.done(ack["generation"])

    ahead = [frame["ahead"] for frame in tab.frames if frame["type"] == "queued"]
    assert ahead == sorted(ahead, reverse=True)
    assert {3, 2, 1} & set(ahead)


async def test_a_question_to_an_engine_that_still_loads_waits_and_is_then_answered(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.is_loading = True
    tab = await connect(ada)

    ack = await tab.send("Hello")
    first = await tab.until("snapshot")
    waiting = await stored(ack["generation"])
    engine.release()
    done = await tab.done(ack["generation"])

    assert (waiting.status, first["text"], done["status"]) == ("queued", "", "completed")
    assert [frame["type"] for frame in tab.frames].index("started") > tab.frames.index(first)
    assert tab.texts[ack["generation"]] == "你好！"


async def test_started_names_the_version_and_the_room_in_its_window(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    tab = await connect(ada)

    ack = await tab.send("Hello")
    started = await tab.until("started")

    row = await stored(ack["generation"])
    assert (started["model"], started["limit"], started["dropped"]) == ("model tiny-1", 256, 0)
    assert started["prompt_tokens"] == len(row.prompt_ids)


async def test_the_same_command_twice_gets_the_same_answer_and_one_generation(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    frame: dict[str, Any] = {
        "conversation": None,
        "parent": None,
        "text": "Hello",
        "params": {},
        "generation": str(uuid.uuid4()),
    }
    tab = await connect(ada)
    first = await tab.ask("send", cmd_id="one", **frame)

    again = await tab.ask("send", cmd_id="one", **frame)
    from_another_tab = await (await connect(ada)).ask("send", cmd_id="two", **frame)

    assert again == first
    assert from_another_tab | {"cmd_id": "one"} == first
    assert (await Generation.objects.acount(), await Message.objects.acount()) == (1, 2)


async def test_without_a_model_a_question_is_refused_in_words(
    connect: Connect, ada: User, engine: ScriptedEngine
) -> None:
    tab = await connect(ada)

    refused = await tab.send("Hello")

    assert (refused["type"], refused["code"]) == ("nack", "no_model")
    assert await Message.objects.acount() == 0


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"text": "   "}, "empty"),
        ({"text": "长" * 2000}, "too_long"),
        ({"text": "Hello", "params": {"temperature": 9}}, "bad_setting"),
    ],
)
@pytest.mark.usefixtures("model", "engine")
async def test_what_cannot_be_asked_leaves_nothing_behind(
    connect: Connect, ada: User, fields: dict[str, Any], code: str
) -> None:
    tab = await connect(ada)

    refused = await tab.send(**fields)

    assert (refused["type"], refused["code"]) == ("nack", code)
    assert (await Message.objects.acount(), await Conversation.objects.acount()) == (0, 0)


async def test_a_fourth_answer_at_once_is_refused(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.hold_after = 0
    tab = await connect(ada)
    for _ in range(3):
        assert (await tab.send("Hello"))["type"] == "ack"

    refused = await tab.send("Hello")

    assert (refused["type"], refused["code"]) == ("nack", "busy")


async def test_refusals_are_in_the_persons_language(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    english, chinese = await connect(ada, language="en"), await connect(ada, language="zh-CN")

    said = [(await tab.send(" "))["text"] for tab in (english, chinese)]

    assert said[0] == "Write something first."


# Branches ------------------------------------------------------------------------------------------------------------


async def test_a_question_below_an_unfinished_answer_is_refused_and_nothing_is_stored(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.hold_after = 1
    tab = await connect(ada)
    first = await tab.send("Hello")
    place = {"conversation": first["conversation"], "parent": first["answer"]}

    refused = await tab.send("And?", **place)
    count = await Message.objects.acount()
    engine.release()
    await tab.done(first["generation"])
    taken = await tab.send("And?", **place)

    assert (refused["type"], refused["code"], count) == ("nack", "unfinished", 2)
    assert taken["type"] == "ack"


async def test_regenerate_makes_a_sibling_and_keeps_the_first(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    tab = await connect(ada)
    first = await tab.send("Hello")
    await tab.done(first["generation"])

    second = await tab.ask("regenerate", message=first["answer"], params={}, generation=str(uuid.uuid4()))
    await tab.done(second["generation"])

    answers = Message.objects.filter(parent=first["message"]).order_by("created_at")
    assert [str(row.pk) async for row in answers] == [first["answer"], second["answer"]]
    conversation = await Conversation.objects.aget(pk=first["conversation"])
    assert str(conversation.leaf_id) == second["answer"]


async def test_an_edit_is_a_sibling_of_the_question(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    tab = await connect(ada)
    first = await tab.send("Hello")
    await tab.done(first["generation"])

    edited = await tab.ask("edit", message=first["message"], text="Hi", params={}, generation=str(uuid.uuid4()))
    await tab.done(edited["generation"])

    old, new = await Message.objects.aget(pk=first["message"]), await Message.objects.aget(pk=edited["message"])
    assert (old.text, new.text, new.parent_id, new.edited_from_id) == ("Hello", "Hi", old.parent_id, old.pk)


async def test_a_stopped_answer_goes_on_where_it_was_cut(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.hold_after = 2
    tab = await connect(ada)
    first = await tab.send("Hello")
    await tab.until_text(first["generation"], "你好")
    await tab.ask("stop", generation=first["generation"], seen_chars=1)
    engine.hold_after = None

    more = await tab.ask("continue", message=first["answer"], params={}, generation=str(uuid.uuid4()))
    await tab.done(more["generation"])

    row = await stored(more["generation"])
    assert row.text == "你" + "你好！"
    assert (str(row.continues_id), row.message.parent_id) == (first["generation"], uuid.UUID(first["message"]))
    begun = await stored(first["generation"])
    assert row.prompt_ids[: len(begun.prompt_ids)] == begun.prompt_ids
    assert len(row.prompt_ids) > len(begun.prompt_ids)


async def test_a_complete_answer_cannot_be_continued(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    tab = await connect(ada)
    first = await tab.send("Hello")
    await tab.done(first["generation"])

    refused = await tab.ask("continue", message=first["answer"], params={}, generation=str(uuid.uuid4()))

    assert (refused["type"], refused["code"]) == ("nack", "cannot_continue")


# Coming back ---------------------------------------------------------------------------------------------------------


async def test_a_reload_in_mid_answer_loses_no_character(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.pieces, engine.hold_after = list("一二三四五六七八"), 4
    before = await connect(ada)
    ack = await before.send("Hello")
    await before.until_text(ack["generation"], "一二三四")
    await before.close()

    after = await connect(ada)
    await after.ask("resume", generation=ack["generation"], after_seq=0)
    await after.until_text(ack["generation"], "一二三四")
    engine.release()
    done = await after.done(ack["generation"])

    row = await stored(ack["generation"])
    assert after.texts[ack["generation"]] == row.text == row.message.text == "一二三四五六七八"
    assert (done["chars"], done["hash"]) == (8, text_hash(row.text))


async def test_a_broken_line_resumes_from_where_the_page_is(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.pieces, engine.hold_after = list("一二三四五六"), 4
    before = await connect(ada)
    ack = await before.send("Hello")
    await before.until_text(ack["generation"], "一二三四")

    after = await connect(ada)
    after.texts[ack["generation"]] = "一二"
    await after.ask("resume", generation=ack["generation"], after_seq=2)
    engine.release()
    await after.done(ack["generation"])

    assert after.texts[ack["generation"]] == "一二三四五六"
    assert not [frame for frame in after.frames if frame["type"] == "snapshot"]


async def test_a_follower_that_fails_closes_the_socket_and_the_page_resumes_on_the_next(
    connect: Connect,
    ada: User,
    model: ModelVersion,
    engine: ScriptedEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @sync_to_async
    def fails(*_: Any) -> None:
        raise RuntimeError("something nobody thought of")

    before, after = await connect(ada), await connect(ada)
    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(ChatConsumer, "_follow", fails)
        ack = await before.send("Hello")
        assert await before.closed_with() == 1011
    await after.ask("resume", generation=ack["generation"], after_seq=0)
    await after.done(ack["generation"])

    assert "socket task failed" in [line["event"] for line in logs]
    assert after.texts[ack["generation"]] == "你好！"


async def test_nobody_needs_to_look_for_an_answer_to_be_finished(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.hold_after = 1
    tab = await connect(ada)
    ack = await tab.send("Hello")
    await tab.until_text(ack["generation"], "你")

    await tab.close()
    engine.release()
    while live.manager.running:
        await asyncio.sleep(0.01)

    assert (await stored(ack["generation"])).status == "completed"


async def test_two_tabs_see_the_same_answer(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.hold_after = 1
    one, two = await connect(ada), await connect(ada)
    ack = await one.send("Hello")

    changed = await two.until("conversation_changed")
    await two.ask("resume", generation=ack["generation"], after_seq=0)
    engine.release()
    ends = [await tab.done(ack["generation"]) for tab in (one, two)]

    assert changed["conversation"] == ack["conversation"]
    assert ends[0] == ends[1]
    assert one.texts == two.texts == {ack["generation"]: "你好！"}


async def test_an_answer_of_another_process_is_followed_by_its_row(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.hold_after = 1
    tab = await connect(ada)
    ack = await tab.send("Hello")
    await tab.until_text(ack["generation"], "你")
    # Another process: its manager knows nothing of this answer.
    mine = live.manager._answers.pop(uuid.UUID(ack["generation"]))
    other = await connect(ada)
    await other.ask("resume", generation=ack["generation"], after_seq=0)

    engine.release()
    done = await other.done(ack["generation"])

    assert mine.ended
    assert (done["status"], other.texts[ack["generation"]]) == ("completed", "你好！")


# Stopping ------------------------------------------------------------------------------------------------------------


async def test_stop_cuts_the_text_to_what_was_seen_and_keeps_the_ids(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.pieces, engine.hold_after = list("一二三四五六"), 4
    tab = await connect(ada)
    ack = await tab.send("Hello")
    await tab.until_text(ack["generation"], "一二三四")

    stopped = await tab.ask("stop", generation=ack["generation"], seen_chars=2)

    assert stopped["type"] == "ack"
    row = await stored(ack["generation"])
    assert (row.status, row.text, row.message.text, row.seen_chars_at_stop) == ("stopped", "一二", "一二", 2)
    assert row.response_ids == [100, 101, 102, 103]
    assert await asyncio.to_thread(engine.wait_until_cancelled)


async def test_stop_works_from_another_tab_and_while_waiting(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.hold_after = 0
    one, two = await connect(ada), await connect(ada)
    ack = await one.send("Hello")

    await two.ask("stop", generation=ack["generation"], seen_chars=0)
    done = await one.done(ack["generation"])

    assert (done["status"], done["chars"]) == ("stopped", 0)


async def test_an_answer_stopped_through_another_process_ends_here(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.pieces, engine.hold_after = list("一二三四"), 3
    tab = await connect(ada)
    ack = await tab.send("Hello")
    await tab.until_text(ack["generation"], "一二三")
    row = await stored(ack["generation"])

    await sync_to_async(conversations.finish_generation)(row.pk, "stopped", text="一", seen_chars_at_stop=1)
    done = await tab.done(ack["generation"])

    assert (done["status"], done["chars"]) == ("stopped", 1)
    row = await stored(ack["generation"])
    assert (row.text, row.response_ids) == ("一", [100, 101, 102])


async def test_a_stop_through_another_process_keeps_what_the_row_had_not_got_yet(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.pieces, engine.hold_after = list("一二三四"), 3
    tab = await connect(ada)
    ack = await tab.send("Hello")
    await tab.until_text(ack["generation"], "一二三")

    await sync_to_async(conversations.finish_generation)(ack["generation"], "stopped", text="一", seen_chars_at_stop=2)
    done = await tab.done(ack["generation"])

    row = await stored(ack["generation"])
    assert (done["chars"], row.text, row.message.text, row.seq) == (2, "一二", "一二", 2)


async def test_a_stop_that_comes_too_late_changes_nothing(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    tab = await connect(ada)
    ack = await tab.send("Hello")
    await tab.done(ack["generation"])

    late = await tab.ask("stop", generation=ack["generation"], seen_chars=1)

    assert late["type"] == "ack"
    assert ((await stored(ack["generation"])).status, (await stored(ack["generation"])).text) == ("completed", "你好！")


# When something breaks -----------------------------------------------------------------------------------------------


async def test_an_engine_that_dies_in_mid_answer_leaves_the_text_so_far(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.pieces, engine.break_after = list("一二三四"), 2
    tab = await connect(ada)

    ack = await tab.send("Hello")
    done = await tab.done(ack["generation"])

    row = await stored(ack["generation"])
    assert (row.status, row.text, row.error_code) == ("interrupted", "一二", "engine_lost")
    assert done["error"].startswith("The connection to the model server broke.")


async def test_a_busy_engine_is_told_and_the_question_stays(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.busy = True
    tab = await connect(ada)

    ack = await tab.send("Hello")
    done = await tab.done(ack["generation"])

    assert (done["status"], done["error"]) == (
        "failed",
        "Too many people are asking right now. Try again in a moment.",
    )
    assert await Message.objects.filter(text="Hello").aexists()


async def test_an_engine_that_is_not_there_is_told(
    connect: Connect, ada: User, model: ModelVersion, settings: Any
) -> None:
    settings.ENGINE_URL, settings.ENGINE_SECRET = "http://127.0.0.1:9", "x"
    tab = await connect(ada)

    ack = await tab.send("Hello")
    await tab.done(ack["generation"])

    assert ((await stored(ack["generation"])).status, (await stored(ack["generation"])).error_code) == (
        "failed",
        "engine_down",
    )


async def test_a_process_that_ends_saves_its_answers(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.hold_after = 2
    tab = await connect(ada)
    ack = await tab.send("Hello")
    await tab.until_text(ack["generation"], "你好")

    await live.manager.shutdown()

    row = await stored(ack["generation"])
    assert (row.status, row.text, row.message.text) == ("interrupted", "你好", "你好")


async def test_a_switch_of_the_model_in_mid_answer_changes_only_the_next_one(
    connect: Connect, ada: User, make_model: MakeModel, model: ModelVersion, engine: ScriptedEngine
) -> None:
    engine.hold_after = 1
    tab = await connect(ada)
    first = await tab.send("Hello")
    await tab.until_text(first["generation"], "你")

    await ModelVersion.objects.filter(pk=model.pk).aupdate(is_active=False)
    await sync_to_async(make_model)("tiny-2")
    news = await tab.until("model_activated")
    engine.release()
    await tab.done(first["generation"])
    second = await tab.send("Hello")
    await tab.done(second["generation"])

    assert news == {"type": "model_activated", "name": "model tiny-2"}
    assert [request["model"] for request in engine.asked] == ["tiny-1", "tiny-2"]
    versions = [(await stored(ack["generation"])).model.uid for ack in (first, second)]
    assert versions == ["tiny-1", "tiny-2"]
    assert (await stored(first["generation"])).status == "completed"


# Who may -------------------------------------------------------------------------------------------------------------


async def test_nobody_gets_no_socket() -> None:
    assert not await Tab().open()


async def test_another_site_gets_no_socket(ada: User) -> None:
    assert not await Tab(await session_cookie(ada), origin="http://evil.example").open()


FOREIGN: list[tuple[str, dict[str, Any]]] = [
    ("send", {"conversation": "{conversation}", "parent": None, "text": "x", "generation": "{new}"}),
    ("send", {"conversation": "{own}", "parent": "{answer}", "text": "x", "generation": "{new}"}),
    ("send", {"conversation": None, "parent": None, "text": "x", "generation": "{generation}"}),
    ("regenerate", {"message": "{answer}", "generation": "{new}"}),
    ("edit", {"message": "{message}", "text": "x", "generation": "{new}"}),
    ("continue", {"message": "{answer}", "generation": "{new}"}),
    ("resume", {"generation": "{generation}", "after_seq": 0}),
    ("stop", {"generation": "{generation}", "seen_chars": 0}),
    ("rate", {"message": "{answer}", "value": 1}),
    ("withdraw", {"message": "{answer}"}),
    ("rewrite", {"message": "{answer}", "text": "x"}),
    ("flag", {"message": "{answer}", "kind": "spam"}),
]


@pytest.mark.parametrize(("type", "fields"), FOREIGN)
@pytest.mark.usefixtures("model", "engine")
async def test_another_persons_ids_are_not_there(
    connect: Connect, ada: User, ben: User, type: str, fields: dict[str, Any]
) -> None:
    theirs = await connect(ada)
    ids = await theirs.send("Hello")
    await theirs.done(ids["generation"])
    own = await Conversation.objects.acreate(owner=ben)
    rows = (await Message.objects.acount(), await Generation.objects.acount())
    known = ids | {"own": str(own.pk), "new": str(uuid.uuid4())}

    tab = await connect(ben)
    refused = await tab.ask(type, **{k: v.format(**known) if isinstance(v, str) else v for k, v in fields.items()})

    assert (refused["type"], refused["code"]) == ("nack", "not_found")
    assert (await Message.objects.acount(), await Generation.objects.acount()) == rows
    assert not tab.texts


async def test_a_closed_account_is_sent_away(connect: Connect, ada: User) -> None:
    tab = await connect(ada)

    await User.objects.filter(pk=ada.pk).aupdate(is_active=False)

    assert (await tab.until("kick"))["reason"] == "account"
    assert await tab.closed_with() == 4401


async def test_an_ended_session_is_sent_away(connect: Connect, ada: User) -> None:
    from django.contrib.sessions.models import Session

    tab = await connect(ada)

    await Session.objects.filter(session_key=tab.cookie).adelete()

    assert (await tab.until("kick"))["reason"] == "session"
    assert await tab.closed_with() == 4401


async def test_a_command_after_the_account_closed_does_nothing(
    connect: Connect, ada: User, model: ModelVersion, engine: ScriptedEngine
) -> None:
    tab = await connect(ada)
    await User.objects.filter(pk=ada.pk).aupdate(is_active=False)

    await tab.say("send", conversation=None, parent=None, text="x", generation=str(uuid.uuid4()))
    await tab.until("kick")

    assert await Message.objects.acount() == 0


# Nonsense ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["hello", "[]", "null", '{"type": "nothing"}', '{"type": "stop"}', "{" * 5000])
async def test_nonsense_is_refused_and_the_socket_lives(connect: Connect, ada: User, text: str) -> None:
    tab = await connect(ada)

    await tab.socket.send_to(text_data=text)
    refused = await tab.until("nack")

    assert refused["code"] == "bad_frame"
    assert (await tab.ask("ping"))["type"] == "pong"


async def test_a_binary_frame_is_refused(connect: Connect, ada: User) -> None:
    tab = await connect(ada)

    await tab.socket.send_to(bytes_data=b"\x00\xff")

    assert (await tab.until("nack"))["code"] == "bad_frame"


async def test_a_huge_frame_closes_the_socket(connect: Connect, ada: User) -> None:
    tab = await connect(ada)

    await tab.socket.send_to(text_data="x" * 70_000)

    assert await tab.closed_with() == 1008


async def test_a_flood_of_frames_closes_the_socket(connect: Connect, ada: User) -> None:
    tab = await connect(ada)

    for _ in range(30):
        await tab.say("ping")

    assert await tab.closed_with() == 1008
