"""Rules about one row: its answers, and who speaks when."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from training.ml.cluster import normalise
from training.ml.findings.base import Found, Place, Row, exchange_of, places, turns, word_set
from training.ml.findings.words import ORDER_PROBLEMS
from training.ml.texts import words

# What an empty cell, a lazy form or a program leaves where an answer should be.
PLACEHOLDERS = word_set(
    "暂无 没有填写 未填写 暂无回答 暂无答案 暂无数据 无内容 无答案 无回答 待补充 待填 "
    "null nan n/a nil undefined todo tbd placeholder noanswer nodata"
)
# What may be an answer, where somebody asked for it.
DOUBTFUL = word_set("无 空 空白 略 同上 见上 待定 none na empty nothing")
_MARKS_OF_NONE = re.compile(r"^[\s\[(（【<「]*|[\s\])）】>」。.]*$")
_LONGEST_PLACEHOLDER, _LONGEST_WORDLESS = 24, 12
_PUNCTUATION = ("P", "Z", "C", "Sm", "Sk", "Sc")

# Short, repeated or ceremonial words are rightly given back.
_SHORTEST_COPY, _FEWEST_WORDS = 6, 4
_WORDS = re.compile("[\u3400-\u9fff]|[^\\W\u3400-\u9fff]+")
_COPY_EXTRA = 2
_CEREMONY = re.compile(
    r"快乐|恭喜|祝|早上好|上午好|中午好|下午好|晚上好|晚安|再见|拜拜|加油|万岁|干杯|新年好|过年好|你好|您好"
    r"|happy|merry|good ?(?:morning|evening|afternoon|night|bye|luck)|see you|nice to meet|cheers|congrat|hello",
    re.IGNORECASE,
)

_INTRODUCTION = re.compile(
    r"(?P<cut>(?:我?(?:对不起|非常抱歉|很?抱歉)[，,]\s*)?(?:作为|身为)(?:一[个名款位]|由OpenAI\w{0,6}的)?\s?"
    r"(?:AI|人工智能|大型|语言|对话|聊天)+\s?(?:大?模型|助手|机器人|程序|AI)\s?(?:[，,]\s*))"
    r"|(?P<cut_en>\b(?:I(?:'m| am) sorry,? but )?[Aa]s an? (?:AI|artificial intelligence|large)(?: language)?"
    r"(?: model| assistant| chatbot)?(?: (?:trained|developed|created) by \w+)?, ?)"
)
_IDENTITY = re.compile(
    r"我是(?:一[个名款]\s?)?(?:由\s?)?(?:OpenAI|ChatGPT|GPT-?[34]|Claude|Bard|Gemini|文心一言|通义千问|讯飞星火|豆包|Kimi)"
    r"|\bI(?:'m| am) (?:ChatGPT|Claude|Bard|Gemini|GPT-?[34]|an? (?:AI )?(?:language )?(?:model|assistant) "
    r"(?:trained|developed|created|made) by (?:OpenAI|Anthropic|Google))",
)


def _bare(text: str) -> str:
    return _MARKS_OF_NONE.sub("", text[:_LONGEST_PLACEHOLDER]).lower().replace(" ", "")


def _is_wordless(text: str) -> bool:
    return len(text) <= _LONGEST_WORDLESS and all(
        unicodedata.category(character).startswith(_PUNCTUATION) for character in text
    )


def _whole(rule: str, place: Place, *, remedy: str = "") -> Found:
    facts = {"found": place.text.strip()[:40]}
    return Found(rule=rule, where=place.where, start=0, end=len(place.text), facts=facts, remedy=remedy)


def empty_texts(row: Row) -> Iterator[Found]:
    if row.kind == "document":
        return
    alone = exchange_of(row.body) is not None
    for place in places(row.body):
        rule, remedy = _emptiness(place)
        if rule:
            yield _whole(rule, place, remedy=remedy if alone else "")


def _emptiness(place: Place) -> tuple[str, str]:
    """The rule that a text without content breaks, and its remedy; empty for other texts."""
    bare = _bare(place.text) if len(place.text) <= _LONGEST_PLACEHOLDER else ""
    empty, doubtful = bare in PLACEHOLDERS, bare in DOUBTFUL
    if place.role == "user":
        return ("empty_question", "remove_row") if empty or doubtful else ("", "")
    if not place.learnt:
        return "", ""
    if empty or doubtful:
        return "empty_answer", "remove_empty" if empty else "remove_row"
    return ("wordless_answer", "remove_row") if _is_wordless(place.text) else ("", "")


def _asked_and_answered(row: Row) -> Iterator[tuple[str, Place]]:
    before = ""
    for place in places(row.body):
        if place.role == "assistant" and place.learnt and before:
            yield before, place
        before = place.text if place.role == "user" else before


def copied_question(row: Row) -> Iterator[Found]:
    for question, place in _asked_and_answered(row):
        if _is_copy(question, place.text):
            remedy = "remove_row" if exchange_of(row.body) else ""
            yield Found(rule="copied_question", where=place.where, start=0, end=len(place.text), remedy=remedy)


def _is_copy(question: str, answer: str) -> bool:
    if abs(len(question) - len(answer)) > max(len(question), 8) or _CEREMONY.search(question):
        return False
    asked, said = normalise(question), normalise(answer)
    if len(asked) < _SHORTEST_COPY or len(set(_WORDS.findall(question.lower()))) < _FEWEST_WORDS:
        return False
    return asked in said and len(said) - len(asked) <= _COPY_EXTRA


def boilerplate(row: Row) -> Iterator[Found]:
    for place in places(row.body):
        if not place.learnt or place.role != "assistant":
            continue
        for match in _INTRODUCTION.finditer(place.text):
            facts = {"found": match[0].strip(" ,，")}
            yield Found(
                rule="boilerplate",
                where=place.where,
                start=match.start(),
                end=match.end(),
                facts=facts,
                remedy="cut_phrase",
            )
        for match in _IDENTITY.finditer(place.text):
            start, end = match.span()
            yield Found(rule="boilerplate", where=place.where, start=start, end=end, facts={"found": match[0]})


def without_phrases(text: str) -> str:
    """The text without what assistants say of themselves before they come to the matter."""
    parts, place = [], 0
    for match in _INTRODUCTION.finditer(text):
        parts.append(text[place : match.start()])
        place = match.end()
    shorter = "".join([*parts, text[place:]])
    # A sentence that lost its beginning begins with a capital again.
    return shorter[:1].upper() + shorter[1:] if shorter != text else text


def speaker_order(row: Row) -> Iterator[Found]:
    name = "messages" if "messages" in row.body else "prompt"
    before = ""
    for number, turn in enumerate(turns(row.body)):
        if problem := _order_problem(turn["role"], before):
            remedy = "merge_turns" if problem == "same" else ""
            yield _turn(name, number, problem, remedy=remedy)
        before = turn["role"]
    if name == "prompt" and before == "assistant":
        yield _turn(name, len(turns(row.body)) - 1, "open")


def _order_problem(role: str, before: str) -> str:
    if role == "system":
        return "system" if before else ""
    if role == before:
        return "same"
    return "first" if role == "assistant" and before in ("", "system") else ""


def _turn(name: str, number: int, problem: str, *, remedy: str = "") -> Found:
    facts = {"turn": number + 1, "problem": words(ORDER_PROBLEMS[problem])}
    return Found(rule="speaker_order", where=f"{name}[{number}].content", facts=facts, remedy=remedy)


def no_final_answer(row: Row) -> Iterator[Found]:
    said = row.body.get("messages") or []
    if said and said[-1]["role"] != "assistant":
        answered = any(turn["role"] == "assistant" for turn in said)
        where = f"messages[{len(said) - 1}].content"
        yield Found(rule="no_final_answer", where=where, remedy="drop_unanswered" if answered else "remove_row")


ROW_RULES = (empty_texts, copied_question, boilerplate, speaker_order, no_final_answer)
