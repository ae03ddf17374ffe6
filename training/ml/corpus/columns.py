"""Which column of a table is what, guessed from the words of its header. Knows no rows."""

from __future__ import annotations

import re
from typing import Literal

from training.ml.corpus.turns import is_thumb

Role = Literal["system", "question", "details", "answer", "chosen", "rejected", "label", "margin", "group", "text"]
Columns = tuple[tuple[str, str], ...]
_FEWEST_THUMBS = 0.8  # of the cells under “label”

# In order of trust: the first word of the list that a header has is taken.
WORDS: dict[Role, tuple[str, ...]] = {
    "system": ("system", "system prompt", "系统", "系統", "系统提示", "系统提示词"),
    "question": (
        "prompt", "question", "instruction", "query", "ask", "user", "human", "q", "src", "input",
        "问题", "問題", "提问", "提問", "問", "用戶", "问句", "问", "用户", "用户问题", "指令", "标准问题", "咨询",
    ),
    "answer": (
        "completion", "answer", "response", "output", "reply", "assistant", "bot", "a", "tgt",
        "回答", "答案", "答复", "答覆", "回复", "回覆", "答", "助手", "标准答案", "解答", "输出",
    ),
    "chosen": ("chosen", "preferred", "better", "accepted", "更好的回答", "较好的回答", "优选", "选中"),
    "rejected": ("rejected", "non preferred", "worse", "dispreferred", "更差的回答", "较差的回答", "拒绝", "落选"),
    "label": ("label", "desirable", "thumb", "thumbs", "评价", "点赞"),
    "margin": ("margin", "分差"),
    "group": ("group", "paraphrase group", "分组", "分組", "组"),
    "text": ("text", "content", "document", "文本", "正文", "内容"),
}  # fmt: skip
# A headline stands for the question, and what the person asked at length is its details.
_TITLES = ("title", "subject", "标题", "標題", "主题", "主題")
_DETAILS = ("details", "context", "description", "补充", "描述", "详情", "背景", "上下文", "问题描述")


def _plain(word: str) -> str:
    return re.sub(r"[\s_\-]+", " ", word).strip().casefold()


def role_of(word: str) -> Role | None:
    """What a header's word says by itself."""
    plain = _plain(word)
    if plain in _TITLES:
        return "question"
    if plain in _DETAILS:
        return "details"
    return next((role for role, words in WORDS.items() if plain in words), None)


def guess(header: list[str], rows: list[list[str]] | None = None) -> Columns:
    """A complete mapping, or nothing. rows: some of the table's, to tell a thumb from any other label."""
    found = {role: at for role, words in WORDS.items() if (at := _first(header, words)) is not None}
    whole = [row for row in rows or [] if len(row) == len(header)]
    if "label" in found and not _are_thumbs(whole, found["label"]):
        del found["label"]
    columns: list[tuple[Role, str]] = [(role, header[at].strip()) for role, at in found.items()]
    kept = _fitting(_with_title(header, columns, found.get("question")))
    return kept if is_complete(kept) else ()


def _are_thumbs(rows: list[list[str]], at: int) -> bool:
    texts = [row[at] for row in rows if at < len(row)]
    # Not all: an unclear thumb is told at its row; were the column left out, bad answers would be learnt.
    return bool(texts) and sum(map(is_thumb, texts)) >= _FEWEST_THUMBS * len(texts)


def _fitting(columns: list[tuple[Role, str]]) -> Columns:
    """Without the columns that another reading of the table would need."""
    if {"chosen", "rejected"} <= {role for role, _ in columns}:
        unwanted: tuple[Role, ...] = ("answer", "label", "text")
    elif is_complete([column for column in columns if column[0] != "text"]):
        unwanted = ("margin", "chosen", "rejected", "text")
    else:
        unwanted = tuple(role for role in WORDS if role not in ("text", "group"))
    return tuple(column for column in columns if column[0] not in unwanted)


def _first(header: list[str], words: tuple[str, ...]) -> int | None:
    plain = [_plain(word) for word in header]
    return next((plain.index(word) for word in words if word in plain), None)


def _with_title(header: list[str], columns: list[tuple[Role, str]], question: int | None) -> list[tuple[Role, str]]:
    """A title is the question, with what was asked at length below it; so are an instruction and its input."""
    title, more = _first(header, _TITLES), _first(header, _DETAILS)
    if title is not None and question is not None:
        swapped: list[tuple[Role, str]] = [("question", header[title].strip()), ("details", header[question].strip())]
        return [*swapped, *(column for column in columns if column[0] != "question")]
    if title is not None:
        columns = [*columns, ("question", header[title].strip())]
        question = title
    if more is None and question is not None and _plain(header[question]) == "instruction":
        more = _first(header, ("input",))
    return columns if more is None or more == question else [*columns, ("details", header[more].strip())]


def is_complete(columns: Columns | list[tuple[Role, str]]) -> bool:
    """Can records be made of this?"""
    roles = {role for role, _ in columns}
    return "text" in roles or {"question", "answer"} <= roles or {"question", "chosen", "rejected"} <= roles
