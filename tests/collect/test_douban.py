"""Douban's group collector against the documented shape of its pages; a real process, a real server."""

from __future__ import annotations

from tests.collect.child import collect
from tests.collect.site import Answer, Asked, Site, as_html, redirect

LONG = "这是一条很长很长很长很长很长很长很长很长很长很长很长很长很长很长很长的回应"


def listing(*topics: int) -> Answer:
    rows = "".join(
        f'<tr><td class="title"><a href="https://www.douban.com/group/topic/{each}/?_i=1" title="t">t</a></td></tr>'
        for each in topics
    )
    return as_html(f'<table class="olt"><tr class="th"><td>讨论</td></tr>{rows}</table>')


def reply(number: int, author: str, text: str, quote: str = "") -> str:
    quoted = f'<div class="reply-quote"><div class="reply-quote-content">{quote}</div></div>' if quote else ""
    return (
        f'<li class="clearfix comment-item reply-item" id="{number}" data-cid="{number}" data-author-id="{author}">'
        f'<div class="reply-doc"><h4><a href="/people/{author}/">x</a> <span class="pubtime">2023-04-01 10:0{number}:00'
        f'</span></h4>{quoted}<p class="reply-content">{text}</p></div></li>'
    )


def topic(title: str, body: str, replies: str, after: str = "") -> Answer:
    return as_html(
        f'<div id="content"><h1>{title}</h1><div class="topic-content clearfix"><div class="topic-doc">'
        f'<h3><span class="from">来自: <a href="https://www.douban.com/people/asker/">问</a></span>'
        f'<span class="create-time color-green">2023-04-01 09:00:00</span></h3>'
        f'<div id="link-report"><div class="rich-content topic-richtext">{body}</div></div></div></div>'
        f'<ul class="topic-reply" id="popular-comments">{replies[:0]}</ul>'
        f'<ul class="topic-reply" id="comments">{replies}</ul>{after}</div>'
    )


def group(site: Site) -> None:
    quote = f'<span class="short">这是一条…</span><span class="all">{LONG}</span><span class="pubdate"><a>b</a></span>'
    first = reply(1, "b", LONG) + reply(2, "asker", "谢谢", quote) + reply(3, "c", "同意")
    more = reply(4, "b", "不客气", '<span class="all">谢谢</span>') + reply(5, "c", "<img src=x>")
    after = '<div class="paginator"><span class="next"><a href="?start=100">后页&gt;</a></span></div>'

    def one(asked: Asked) -> Answer:
        if asked.query.get("start") == "100":
            return topic("怎么去西湖", "<p>坐地铁吗？</p>", more)
        return topic("怎么去西湖", "<p>坐地铁吗？</p>", first, after)

    site.answers |= {
        "/group/hangzhou/discussion": lambda asked: listing(1, 2) if asked.query["start"] == "0" else listing(2),
        "/group/topic/1/": one,
        "/group/topic/2/": topic("只是说说", "", ""),
    }


def test_a_topic_with_its_replies_becomes_dialogues_by_what_they_quote(site, tmp_path):
    group(site)

    done = collect(tmp_path, "douban-group", group="https://www.douban.com/group/hangzhou/", site=site.url, pages=2)

    assert done.refused == {}
    assert done.texts() == [
        ["只是说说"],
        ["怎么去西湖\n坐地铁吗？", "同意"],
        ["怎么去西湖\n坐地铁吗？", LONG, "谢谢", "不客气"],
    ]
    source = next(row["source"] for row in done.rows if len(row.get("messages", [])) == 4)
    assert (source["url"], source["title"]) == (f"{site.url}/group/topic/1/", "怎么去西湖")
    assert source["time"] == "2023-04-01T10:04:00"
    assert site.paths.count("/group/topic/2/") == 1


def test_a_login_page_instead_asks_for_a_cookie(site, tmp_path):
    site.answers |= {
        "/group/g/discussion": redirect(f"{site.url}/accounts/login?redir=x"),
        "/accounts/login": as_html("登录"),
    }

    done = collect(tmp_path, "douban-group", group="g", site=site.url)

    assert (done.end["end"], done.end["fatal"]) == ("failed", "needs_cookie")


def test_a_page_of_another_shape_is_told(site, tmp_path):
    site.answers["/group/g/discussion"] = as_html("<div>all new</div>")

    assert collect(tmp_path, "douban-group", group="g", site=site.url).refused == {"shape": 1}
