"""Posts and the replies to them, as dialogues: each way from the post down to a last reply is one.

Pure. The person who asked and the one who answered take turns; what one person wrote in a row is one turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from training.collect.ledger import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What one person wrote. `parent` is the id of the post that it answers, empty for the first."""

    id: str
    author: str
    text: str
    parent: str = ""
    time: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a row comes from; it stays with the row for good."""

    site: str
    url: str
    time: str = ""
    licence: str = ""
    fetched: str = ""
    title: str = ""

    def of(self, key: str, **changed: str) -> dict[str, str]:
        facts = {name: getattr(self, name) for name in self.__slots__} | changed
        return {"key": key} | {name: fact for name, fact in facts.items() if fact}


def document(text: str, source: Source, key: str) -> Row:
    return {"text": text, "source": source.of(key)}


def question(asked: str, answered: str, source: Source, key: str) -> Row:
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    return {"messages": messages, "source": source.of(key)}


def _path(post: Post, posts: dict[str, Post]) -> list[Post]:
    """From the first post down to this one; a circle ends it."""
    way, seen = [post], {post.id}
    while (post := posts.get(post.parent, post)).id not in seen:
        way.append(post)
        seen.add(post.id)
    return way[::-1]


def _turns(way: list[Post]) -> list[list[Post]]:
    """One turn is what the same author wrote in a row; an even number of them, so that an answer is the last."""
    turns = [list(posts) for _, posts in groupby(way, key=lambda post: post.author)]
    return turns[: len(turns) // 2 * 2]


def dialogues(first: Post, replies: list[Post], source: Source) -> Iterator[Row]:
    """A reply whose parent is unknown answers the first post. Replies without text lead nowhere."""
    if not first.text:
        return
    known = {post.id for post in (first, *replies) if post.text}
    posts = {first.id: first}
    for post in replies:
        if post.text:
            posts.setdefault(post.id, post if post.parent in known else replace(post, parent=first.id))
    paths = (_path(post, posts) for post in posts.values())
    ways = {_ids(turns): turns for path in paths if path[0] is first and (turns := _turns(path))}
    begun = {ids[:length] for ids in ways for length in range(1, len(ids))}
    for ids, turns in ways.items():
        if ids not in begun:
            yield _dialogue(turns, source)


def _ids(turns: list[list[Post]]) -> tuple[str, ...]:
    return tuple(post.id for turn in turns for post in turn)


def _dialogue(turns: list[list[Post]], source: Source) -> Row:
    texts = ["\n".join(post.text for post in turn) for turn in turns]
    messages = [{"role": "assistant" if number % 2 else "user", "content": text} for number, text in enumerate(texts)]
    last = turns[-1][-1]
    return {"messages": messages, "source": source.of(f"{turns[0][0].id}/{last.id}", time=last.time or source.time)}
