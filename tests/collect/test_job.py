"""What a collector may be asked for."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from chatsite.env import BASE_DIR
from training.collect import reasons, settings
from training.collect.job import Job, read
from training.collect.spiders.base import _REASONS
from training.collect.threads import Post, Source, dialogues
from training.ml.errors import PipelineError

PAGES = {"urls": ["https://example.org/"], "text": "p"}


@pytest.mark.parametrize(
    ("source", "given", "field"),
    [
        ("twitter", {}, "source"),
        ("weibo-topic", {}, "topic"),
        ("weibo-topic", {"topic": "##"}, "topic"),
        ("weibo-topic", {"topic": "x" * 101}, "topic"),
        ("weibo-topic", {"topic": 3}, "topic"),
        ("weibo-topic", {"topic": "x", "urls": []}, "urls"),
        ("weibo-topic", {"topic": "x", "pages": 0}, "pages"),
        ("weibo-topic", {"topic": "x", "pages": "many"}, "pages"),
        ("weibo-topic", {"topic": "x", "reply_pages": 21}, "reply_pages"),
        ("weibo-topic", {"topic": "x", "delay_seconds": 0.1}, "delay_seconds"),
        ("weibo-topic", {"topic": "x", "delay_seconds": "nan"}, "delay_seconds"),
        ("weibo-topic", {"topic": "x", "concurrency": 50}, "concurrency"),
        ("weibo-topic", {"topic": "x", "robots": "maybe"}, "robots"),
        ("weibo-topic", {"topic": "x", "allow": ["here"]}, "allow"),
        ("douban-group", {"group": "a/../b"}, "group"),
        ("douban-group", {"group": "https://evil.example/group/x/"}, "group"),
        ("feed", {"urls": []}, "urls"),
        ("feed", {"urls": ["ftp://example.org/x"]}, "urls"),
        ("feed", {"urls": ["https://user:word@example.org/"]}, "urls"),
        ("feed", {"urls": 7}, "urls"),
        ("pages", {"text": "p"}, "urls"),
        ("pages", PAGES | {"sitemap": "https://example.org/s.xml"}, "urls"),
        ("pages", PAGES | {"text": ""}, "text"),
        ("pages", PAGES | {"question": "dt"}, "answer"),
        ("pages", PAGES | {"text": "p >"}, "text"),
        ("pages", PAGES | {"title": "h1::::"}, "title"),
    ],
)
def test_a_wrong_parameter_is_named(source, given, field):
    with pytest.raises(PipelineError) as caught:
        read(source, given)

    assert caught.value.facts["field"] == field
    assert caught.value.message


def test_words_from_a_form_and_from_a_command_mean_the_same():
    job = read("feed", {"urls": " https://a.example/ \n\nhttps://b.example/\n", "pages": "3", "robots": "false"})

    assert job == Job(source="feed", urls=("https://a.example/", "https://b.example/"), pages=3, robots=False)


def test_the_pause_may_only_be_left_out_on_a_server_of_ones_own():
    assert read("feed", {"urls": ["http://10.1.2.3/"], "allow": ["10.1.2.3"], "delay_seconds": 0}).delay_seconds == 0


def test_no_door_is_open_and_certificates_are_checked():
    found = settings.scrapy_settings(read("feed", {"urls": ["https://example.org/"]}))

    shut = ("TELNETCONSOLE_ENABLED", "REMOTE_CONTROL_ENABLED", "COOKIES_ENABLED", "HTTPPROXY_ENABLED")
    assert [found[name] for name in shut] == [False] * 4
    assert found["DOWNLOAD_VERIFY_CERTIFICATES"] is True
    assert found["ROBOTSTXT_OBEY"] is True


def test_every_reason_has_a_sentence():
    codes = {code for _, code in _REASONS} | reasons.FATAL | {reasons.of_status(status) for status in range(400, 600)}

    assert all(reasons.sentence(code) for code in codes)


def test_the_web_process_loads_no_scrapy():
    code = "import training.collect.job, training.collect.ledger, sys; print('scrapy' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], cwd=BASE_DIR, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


# --- threads --------------------------------------------------------------------------------------------------------

SOURCE = Source(site="s", url="u")


def said(*replies: tuple[str, str, str]) -> list[list[str]]:
    """(id, parent, author) to the texts of the dialogues; an id is also the text."""
    first = Post(id="post", author="A", text="post")
    posts = [Post(id=name, parent=parent, author=author, text=name) for name, parent, author in replies]
    rows: list[Any] = list(dialogues(first, posts, SOURCE))
    return [[turn["content"] for turn in row["messages"]] for row in rows]


@pytest.mark.parametrize(
    ("replies", "found"),
    [
        ([], []),
        ([("b", "post", "B")], [["post", "b"]]),
        ([("b", "post", "B"), ("a", "b", "A")], [["post", "b"]]),
        ([("b", "post", "B"), ("a", "b", "A"), ("c", "a", "B")], [["post", "b", "a", "c"]]),
        ([("b", "post", "B"), ("c", "post", "C")], [["post", "b"], ["post", "c"]]),
        ([("a", "post", "A"), ("b", "a", "B")], [["post\na", "b"]]),
        ([("b", "post", "B"), ("more", "b", "B")], [["post", "b\nmore"]]),
        ([("lost", "gone", "C")], [["post", "lost"]]),
        ([("x", "y", "B"), ("y", "x", "A")], []),
        ([("x", "x", "B")], []),
    ],
    ids=["none", "one", "no last answer", "to and fro", "two", "own reply", "goes on", "lost", "circle", "itself"],
)
def test_each_way_down_is_one_dialogue_of_turns(replies, found):
    assert said(*replies) == found


def test_a_dialogue_alternates_and_ends_with_an_answer():
    first = Post(id="p", author="A", text="ask", time="t0")
    rows = list(dialogues(first, [Post(id="r", parent="p", author="B", text="answer", time="t1")], SOURCE))

    assert rows == [
        {
            "messages": [{"role": "user", "content": "ask"}, {"role": "assistant", "content": "answer"}],
            "source": {"key": "p/r", "site": "s", "url": "u", "time": "t1"},
        }
    ]
