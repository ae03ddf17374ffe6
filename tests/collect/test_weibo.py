"""Weibo's topic collector against the documented shapes of its mobile interface; a real process, a real server."""

from __future__ import annotations

from typing import Any

from scrapy import Request

from tests.collect.child import collect
from tests.collect.site import Answer, Asked, Site, as_json
from training.collect.cookie import CookieMiddleware

COOKIE = "SUB=secret-of-the-operator; XSRF-TOKEN=1"


def user(number: int) -> dict[str, Any]:
    return {"id": number, "screen_name": f"name{number}"}


def blog(number: int, text: str, *, replies: int = 0, **more: Any) -> dict[str, Any]:
    at = "Tue Feb 23 12:28:47 +0800 2021"
    return {"id": str(number), "text": text, "user": user(number), "created_at": at, "comments_count": replies} | more


def comment(number: int, text: str, *, by: int, inner: Any = False, total: int = 0, **more: Any) -> dict[str, Any]:
    at = "Tue Feb 23 13:00:00 +0800 2021"
    return {
        "id": str(number),
        "text": text,
        "user": user(by),
        "created_at": at,
        "comments": inner,
        "total_number": total,
    } | more


def cards(*blogs: dict[str, Any]) -> dict[str, Any]:
    plain = [{"card_type": 9, "mblog": each} for each in blogs[:1]]
    group = {"card_type": 11, "card_group": [{"card_type": 9, "mblog": each} for each in blogs[1:]]}
    return {"ok": 1, "data": {"cardlistInfo": {"page": 2}, "cards": [*plain, {"card_type": 4}, group]}}


NOTHING = {"ok": 0, "msg": "这里还没有内容", "data": {"cards": []}}


def topic(site: Site) -> None:
    lists = {
        "1": cards(
            blog(1, '今天<a href="/n/x">#重阳#</a>登高<span class="url-icon"><img alt=[太阳]></span>', replies=3)
        ),
        "2": cards(blog(2, "没有人回复"), blog(3, "长文…<a>...全文</a>", isLongText=True)),
        "3": NOTHING,
    }
    replies = {
        "": {
            "ok": 1,
            "data": {
                "data": [
                    comment(11, "玩得开心", by=7, inner=[comment(12, "谢谢", by=1)], total=1),
                    comment(13, "我也想去", by=8, total=3),
                ],
                "max_id": 99,
                "max_id_type": 1,
            },
        },
        "99": {"ok": 1, "data": {"data": [comment(14, "羡慕", by=9)], "max_id": 0}},
    }
    children = {
        "0": {
            "ok": 1,
            "data": [
                comment(21, "回复<a href='/n/name8'>@name8</a>:一起来", by=1),
                comment(22, "回复<a>@name1</a>:几点", by=8),
            ],
            "max_id": 5,
            "max_id_type": 0,
        },
        "5": {"ok": 1, "data": [comment(23, "八点", by=1, reply_id=22)], "max_id": 0},
    }
    site.answers |= {
        "/api/container/getIndex": lambda asked: as_json(lists[asked.query["page"]]),
        "/comments/hotflow": lambda asked: as_json(replies[asked.query.get("max_id", "")]),
        "/comments/hotFlowChild": lambda asked: as_json(children[asked.query["max_id"]]),
        "/statuses/extend": as_json({"ok": 1, "data": {"longTextContent": "长文全部<br />第二行"}}),
    }


def test_posts_with_replies_become_dialogues_and_others_documents(site, tmp_path):
    topic(site)

    done = collect(tmp_path, "weibo-topic", COOKIE, topic="重阳", site=site.url, licence="own research")

    assert done.end["end"] == "done"
    assert done.refused == {}
    assert done.texts() == [
        ["今天#重阳#登高[太阳]", "我也想去", "一起来", "几点"],
        ["今天#重阳#登高[太阳]", "玩得开心"],
        ["今天#重阳#登高[太阳]", "羡慕"],
        ["没有人回复"],
        ["长文全部\n第二行"],
    ]
    source = next(row["source"] for row in done.rows if row.get("text") == "没有人回复")
    assert source.pop("fetched")
    assert source == {
        "key": "2",
        "site": "weibo-topic",
        "url": f"{site.url}/detail/2",
        "time": "2021-02-23T12:28:47+08:00",
        "licence": "own research",
    }


def test_the_cookie_goes_to_the_site_and_is_written_nowhere(site, tmp_path):
    topic(site)

    done = collect(tmp_path, "weibo-topic", COOKIE, topic="重阳", site=site.url)

    assert {asked.headers.get("Cookie") for asked in site.asked} == {COOKIE}
    kept = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*") if path.is_file()]
    assert not [text for text in [*kept, done.output, done.log] if "secret-of-the-operator" in text]


def test_the_cookie_does_not_follow_a_redirect_to_another_host(site, tmp_path):
    with Site().open() as other:
        other.answers["/elsewhere"] = as_json(NOTHING)
        site.answers["/api/container/getIndex"] = Answer(status=302, headers={"Location": f"{other.url}/elsewhere"})

        collect(tmp_path, "weibo-topic", COOKIE, topic="重阳", site=site.url)

    assert [asked.headers.get("Cookie") for asked in other.asked if asked.path == "/elsewhere"] == [None]


def test_the_cookie_is_for_the_same_scheme_and_host_only():
    cookies = CookieMiddleware(COOKIE, "https://m.weibo.cn")
    urls = ["https://m.weibo.cn/x", "http://m.weibo.cn/x", "https://weibo.cn/x", "https://m.weibo.cn.evil.example/x"]
    requests = [Request(url, headers={"Cookie": "left over from a redirect"}) for url in urls]

    for request in requests:
        cookies.process_request(request)

    sent = [request.headers.get("Cookie") for request in requests]
    assert sent == [COOKIE.encode(), None, None, None]


def test_only_as_many_pages_are_read_as_were_asked_for(site, tmp_path):
    topic(site)

    done = collect(tmp_path, "weibo-topic", topic="重阳", site=site.url, pages=1, reply_pages=0)

    assert done.texts() == [["今天#重阳#登高[太阳]"]]
    assert site.paths == ["/api/container/getIndex"]


def test_a_cookie_that_is_missing_or_over_ends_it_and_keeps_what_there_is(site, tmp_path):
    def list_page(asked: Asked) -> Answer:
        first = cards(blog(1, "第一页"))
        return as_json(first if asked.query["page"] == "1" else {"ok": -100, "url": "https://passport.weibo.com/sso"})

    site.answers["/api/container/getIndex"] = list_page

    ended = collect(tmp_path, "weibo-topic", topic="重阳", site=site.url)

    assert (ended.end["end"], ended.end["fatal"]) == ("failed", "needs_cookie")
    assert ended.texts() == [["第一页"]]


def test_what_stands_between_the_posts_is_passed_over(site, tmp_path):
    between = {"id": "9", "promotion": True}
    site.answers |= {
        "/api/container/getIndex": [
            as_json(cards(blog(1, "问", replies=1), between, blog(2, "长…<a>...全文</a>", isLongText=True))),
            as_json(NOTHING),
        ],
        "/comments/hotflow": as_json(
            {"ok": 1, "data": {"data": [between, comment(3, "答", by=3, inner=None)], "max_id": 0}}
        ),
        "/statuses/extend": as_json({"ok": 0, "msg": "gone"}),
    }

    done = collect(tmp_path, "weibo-topic", topic="重阳", site=site.url)

    assert (done.texts(), done.refused) == ([["长…"], ["问", "答"]], {})


def test_broken_json_and_another_shape_are_told_apart(site, tmp_path):
    site.answers["/api/container/getIndex"] = Answer('{"ok": 1, "data": {"cards": [', headers={"Content-Type": "x/y"})
    broken = collect(tmp_path / "1", "weibo-topic", topic="重阳", site=site.url)
    site.answers["/api/container/getIndex"] = as_json({"ok": 1, "data": {"statuses": []}})

    changed = collect(tmp_path / "2", "weibo-topic", topic="重阳", site=site.url)

    assert (broken.refused, changed.refused) == ({"not_json": 1}, {"shape": 1})
