"""Weibo: the posts of a topic with their replies, from the JSON interface of the mobile site.

    /api/container/getIndex?containerid=100103type=1&q=TOPIC&page_type=searchall&page=N   cards with `mblog`
    /statuses/extend?id=ID                                                                a long post's whole text
    /comments/hotflow?id=ID&mid=ID&max_id=…&max_id_type=…                                  replies to a post
    /comments/hotFlowChild?cid=ID&max_id=…&max_id_type=…                                   replies to a reply

`ok` is 1; 0 with a `msg` when there is nothing (more); -100 when one has to sign in. `max_id` 0 is the last page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from scrapy.http import Response

from training.collect import plain
from training.collect.ledger import Row, Task
from training.collect.spiders.base import Found, LedgerSpider, Unusable
from training.collect.threads import Post, Source, dialogues, document

Json = dict[str, Any]

_SIGN_IN = -100
_CUT = "...全文"
_TO = re.compile(r"回复\s*@([^:：]{1,60})[:：]\s*")


class WeiboTopic(LedgerSpider):
    name = "weibo-topic"
    home = "https://m.weibo.cn"
    steps = ("answers", "replies", "whole", "list")
    headers = {"Accept": "application/json, text/plain, */*", "X-Requested-With": "XMLHttpRequest"}

    def first(self) -> Iterator[Task]:
        yield self._list(1)

    def read(self, task: Task, response: Response) -> Found:
        answer = self._answer(response)
        if task.kind == "list":
            return self._posts(task, answer)
        if task.kind == "whole":
            return self._whole(task, answer)
        return self._replies(task, answer) if task.kind == "replies" else self._answers(task, answer)

    def _answer(self, response: Response) -> Json:
        if "passport.weibo" in response.url or "/signin" in response.url:
            raise Unusable("needs_cookie")
        answer = self.json(response)
        if answer.get("ok") == _SIGN_IN:
            raise Unusable("needs_cookie")
        return answer

    # --- the list of posts ---

    def _list(self, page: int) -> Task:
        topic = self.job.topic.strip("# ")
        asked = {"containerid": f"100103type=1&q=#{topic}#", "page_type": "searchall", "page": page}
        return Task(
            kind="list",
            url=f"{self.site}/api/container/getIndex?{urlencode(asked)}",
            key=f"list {page}",
            facts={"page": page},
        )

    def _posts(self, task: Task, answer: Json) -> Found:
        posts = [_facts(post) for post in _usable(list(_blogs(answer)))]
        more = [post for post in posts if _comes_with_more(post, self.job.reply_pages)]
        tasks = [self._follow(post) for post in more]
        rows = [row for post in posts if post not in more for row in self._alone(post)]
        page = task.facts["page"]
        if posts and page < self.job.pages:
            tasks.append(self._list(page + 1))
        return Found(rows, tasks)

    def _alone(self, post: Json) -> list[Row]:
        return [document(post["text"], self._source(post), post["id"])] if post["text"] else []

    def _source(self, post: Json) -> Source:
        return self.source(f"{self.site}/detail/{post['id']}", time=post["time"])

    def _follow(self, post: Json) -> Task:
        if post["long"]:
            url = f"{self.site}/statuses/extend?id={post['id']}"
            return Task(kind="whole", url=url, key=f"whole {post['id']}", facts={"post": post})
        return self._reply_page(post, 1, "")

    def _whole(self, task: Task, answer: Json) -> Found:
        post = task.facts["post"] | {"long": False}
        text = _part(answer, "data", dict).get("longTextContent")
        post["text"] = plain.of_html(text) if isinstance(text, str) else post["text"].removesuffix(_CUT)
        if post["replies"] and self.job.reply_pages:
            return Found(tasks=[self._reply_page(post, 1, "")])
        return Found(self._alone(post))

    # --- replies to a post ---

    def _reply_page(self, post: Json, page: int, cursor: str) -> Task:
        url = f"{self.site}/comments/hotflow?id={post['id']}&mid={post['id']}{cursor or '&max_id_type=0'}"
        return Task(kind="replies", url=url, key=f"replies {post['id']} {page}", facts={"post": post, "page": page})

    def _replies(self, task: Task, answer: Json) -> Found:
        post, page = task.facts["post"], task.facts["page"]
        if answer.get("ok") != 1:  # the replies are shut or gone
            return Found(self._alone(post) if page == 1 else [])
        data = _part(answer, "data", dict)
        found = Found()
        for comment in _usable(_part(data, "data", list)):
            self._one_reply(post, comment, found)
        if page == 1 and not found.rows and not found.tasks:
            found.rows.extend(self._alone(post))
        if (cursor := _cursor(data)) and page < self.job.reply_pages:
            found.tasks.append(self._reply_page(post, page + 1, cursor))
        return found

    def _one_reply(self, post: Json, comment: Json, found: Found) -> None:
        root = _reply(comment, parent=post["id"])
        inner = _usable(comment.get("comments") or [])  # `false` when there are none
        if int(comment.get("total_number") or 0) > len(inner):
            found.tasks.append(self._answer_page(post, root, [], 1, ""))
        else:
            found.rows.extend(self._rows(post, [root, *_children(inner, root["id"])]))

    def _rows(self, post: Json, replies: list[Json]) -> Iterator[Row]:
        first = Post(id=post["id"], author=post["author"], text=post["text"], time=post["time"])
        return dialogues(first, [Post(**reply) for reply in replies], self._source(post))

    # --- replies to a reply ---

    def _answer_page(self, post: Json, root: Json, before: list[Json], page: int, cursor: str) -> Task:
        url = f"{self.site}/comments/hotFlowChild?cid={root['id']}{cursor or '&max_id=0&max_id_type=0'}"
        facts = {"post": post, "root": root, "before": before, "page": page}
        return Task(kind="answers", url=url, key=f"answers {root['id']} {page}", facts=facts)

    def _answers(self, task: Task, answer: Json) -> Found:
        facts = task.facts
        children = _usable(_part(answer, "data", list)) if answer.get("ok") == 1 else []
        replies = facts["before"] + _children(children, facts["root"]["id"])
        if (cursor := _cursor(answer)) and children and facts["page"] < self.job.reply_pages:
            return Found(tasks=[self._answer_page(facts["post"], facts["root"], replies, facts["page"] + 1, cursor)])
        return Found(list(self._rows(facts["post"], [facts["root"], *replies])))


def _part(value: Json, name: str, kind: type[Any]) -> Any:
    part = value.get(name)
    if part is None:
        return kind()
    if not isinstance(part, kind):
        raise Unusable("shape")
    return part


def _blogs(answer: Json) -> Iterator[Json]:
    """The posts of a list, inside groups of cards too."""
    if answer.get("ok") != 1:
        if isinstance(answer.get("msg"), str):
            return  # nothing (more)
        raise Unusable("shape")
    if "cards" not in _part(answer, "data", dict):
        raise Unusable("shape")
    for card in _part(answer["data"], "cards", list):
        if not isinstance(card, dict):
            raise Unusable("shape")
        for each in (card, *(card.get("card_group") or [])):
            if isinstance(each, dict) and isinstance(each.get("mblog"), dict):
                yield each["mblog"]


def _usable(items: list[Any]) -> list[Json]:
    """Posts or replies that have a number and words; an advertisement between them has not. None at all is a change."""
    kept = [item for item in items if isinstance(item, dict) and item.get("id") and isinstance(item.get("text"), str)]
    if items and not kept:
        raise Unusable("shape")
    return kept


def _facts(post: Json) -> Json:
    """What is needed of a post later."""
    text = plain.of_html(post["text"])
    return {
        "id": str(post["id"]),
        "author": _author(post),
        "text": text,
        "time": plain.iso_time(str(post.get("created_at", ""))),
        "long": bool(post.get("isLongText")) and text.endswith(_CUT),
        "replies": int(post.get("comments_count") or 0),
    }


def _author(post: Json) -> str:
    """Who wrote it; somebody else than everybody else where that is not said."""
    return str((post.get("user") or {}).get("id") or f"of {post['id']}")


def _comes_with_more(post: Json, reply_pages: int) -> bool:
    return post["long"] or bool(post["replies"] and reply_pages and post["text"])


def _reply(comment: Json, *, parent: str) -> Json:
    return {
        "id": str(comment["id"]),
        "author": _author(comment),
        "text": plain.of_html(comment["text"]),
        "time": plain.iso_time(str(comment.get("created_at", ""))),
        "parent": parent,
    }


def _children(comments: list[Json], root: str) -> list[Json]:
    """Replies to a reply: `reply_id` says to which, or the “回复@NAME:” that they begin with, or it is the first."""
    latest: dict[str, str] = {}
    children = []
    for comment in comments:
        child = _reply(comment, parent=root)
        if named := _TO.match(child["text"]):
            child["parent"] = latest.get(named[1], root)
            child["text"] = child["text"][named.end() :]
        child["parent"] = str(comment.get("reply_id") or child["parent"])
        latest[str((comment.get("user") or {}).get("screen_name", ""))] = child["id"]
        children.append(child)
    return children


def _cursor(data: Json) -> str:
    """The rest of the next page's address; empty on the last one."""
    most = data.get("max_id")
    return f"&max_id={most}&max_id_type={data.get('max_id_type') or 0}" if most else ""
