"""Rules that need all rows: copies, near-copies, conflicts, leaks between splits, common answers, lengths.

Of each row a short trace is kept, so memory grows by well under a kilobyte a row; texts beyond a limit are cut.
"""

from __future__ import annotations

import hashlib
import re
import statistics
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

from training.ml.cluster import SIMILAR, UnionFind, cluster, normalise, text_of
from training.ml.findings.base import Found, Key, Place, Row, exchange_of, places
from training.ml.records import body_hash

FEW = 100
_QUESTION_CHARS, _ANSWER_CHARS = 1000, 400
_MOST_COMPARED = 30
_SHORTEST_QUESTION = 6
# An answer that so many rows and such a share of them have is told.
_COMMON_ROWS, _COMMON_SHARE = 20, 0.01
_OUTLIER_TIMES, _OUTLIER_CHARS = 20, 3000
_SKEW_SHARE, _SKEW_ROWS = 0.5, 0.01
_FEWEST_FOR_LENGTHS = 100

# Polite and empty words: a question with or without them is the same question.
_FILLERS = re.compile(
    r"请问|您好|你好|一下|的|^\s*(?:请|麻烦)|[呢吗啊呀吧嘛哦喔]+(?=\W|$)|\b(?:please|hi|hello|hey|the|an?)\b"
)
_SAME_WORD = re.compile(r"(?P<怎么>如何|怎样|咋)|(?P<什么>甚么|啥)|(?P<你>您)|(?P<哪里>哪儿)")
# Where two texts differ in one of these they say something else, however alike they look.
_TURNING = re.compile(
    r"[不没无非别勿开关上下左右大小前后多少男女增减加买卖进出高低内外早晚快慢新旧]"
    r"|n't|\b(?:no|not|never|cannot|on|off|up|down|left|right|in|out|before|after|first|last|true|false"
    r"|min|max|more|less)\b"
)
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class _Trace:
    """What is remembered of a row. asked: the key of what it answers; alone: it is one question and its answer."""

    key: Key
    digest: bytes
    text: str
    asked: bytes
    where: str
    answer: str
    chars: int
    group: str
    split: str
    alone: bool


def _short_hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=12).digest()


def question_key(question: str) -> str:
    """What a question says, without polite words and with one word for those that mean one."""
    text = unicodedata.normalize("NFKC", question).lower()
    plain = _SAME_WORD.sub(lambda match: str(match.lastgroup), text)
    return normalise(_FILLERS.sub(" ", plain)) or normalise(question)


def _trace(row: Row) -> _Trace:
    texts = list(places(row.body))
    answer = next((place for place in reversed(texts) if place.role == "assistant" and place.where != "rejected"), None)
    return _Trace(
        key=row.key,
        digest=bytes.fromhex(body_hash(row.kind, row.body))[:16],
        text=text_of(row.kind, row.body)[:_QUESTION_CHARS],
        asked=_asked(row, texts, answer),
        where=answer.where if answer else "",
        answer=answer.text[:_ANSWER_CHARS] if answer else "",
        chars=sum(len(place.text) for place in texts),
        group=f"{row.kind}:{row.group}" if row.group else "",
        split=row.split,
        alone=exchange_of(row.body) is not None,
    )


def _asked(row: Row, texts: Sequence[Place], answer: Place | None) -> bytes:
    """The same for rows that answer the same thing after the same words; empty where nothing is asked."""
    if answer is None or (row.kind == "label" and not row.body["label"]):
        return b""
    before = [place for place in texts if place is not answer and place.where != "rejected"]
    if not before or before[-1].role != "user":
        return b""
    context = "\n".join(f"{place.role} {normalise(place.text)}" for place in before[:-1])
    return _short_hash(f"{row.kind}\n{context}\n{question_key(before[-1].text)}")


def _pairs(text: str) -> set[str]:
    return {text[number : number + 2] for number in range(len(text) - 1)} or {text}


def alike(one: str, other: str) -> bool:
    """Do two texts say nearly the same? Never when a number, a "not" or an opposite is another."""
    first, second = normalise(one), normalise(other)
    if first == second:
        return True
    if _turns(one) != _turns(other):
        return False
    mine, theirs = _pairs(first), _pairs(second)
    return len(mine & theirs) >= SIMILAR * len(mine | theirs)


def _says_more(one: str, other: str) -> bool:
    """Does one text say all that the other says, in its order, and hardly more?"""
    longer, shorter = sorted((normalise(one), normalise(other)), key=len, reverse=True)
    rest = iter(longer)
    return len(shorter) >= _SHORTEST_QUESTION and all(letter in rest for letter in shorter) and alike(one, other)


def _turns(text: str) -> Counter[str]:
    lower = text.lower()
    return Counter(_DIGITS.findall(lower)) + Counter(_TURNING.findall(lower))


class AcrossRows:
    """Remembers rows one after the other; `find` then compares them all."""

    def __init__(self) -> None:
        self._traces: list[_Trace] = []
        self._asked = UnionFind()

    def add(self, row: Row) -> None:
        self._traces.append(_trace(row))

    def find(self, on_progress: Callable[[int], None] = lambda done: None) -> Iterator[tuple[Key | None, Found]]:
        """Findings with the key of their row, None for those about all rows."""
        copies = dict(self._copies())
        yield from ((key, _copy(first)) for key, first in copies.items())
        kept = [trace for trace in self._traces if trace.key not in copies]
        yield from self._clustered(kept, on_progress)
        yield from _conflicts(kept, self._asked)
        yield from _common_answers(kept)
        yield from _lengths(self._traces)
        if 0 < len(self._traces) < FEW:
            yield None, Found(rule="few_examples", facts={"count": len(self._traces)})

    def _copies(self) -> Iterator[tuple[Key, Key]]:
        """Rows that say exactly what an earlier one says; of equal rows one that was frozen counts as the first."""
        first: dict[bytes, Key] = {}
        for trace in sorted(self._traces, key=lambda trace: not trace.split):
            if trace.digest in first:
                yield trace.key, first[trace.digest]
            first.setdefault(trace.digest, trace.key)

    def _clustered(self, traces: Sequence[_Trace], on_progress: Callable[[int], None]) -> Iterator[tuple[Key, Found]]:
        names = cluster([trace.text for trace in traces], on_progress=on_progress)
        together: dict[str, list[_Trace]] = defaultdict(list)
        for trace, name in zip(traces, names, strict=True):
            together[name].append(trace)
        for members in together.values():
            if len(members) > 1:
                yield from _near_copies(members)
                yield from _leaks(members)
                self._join_questions(members)

    def _join_questions(self, members: Sequence[_Trace]) -> None:
        """Questions that differ by a few words more or less are asked alike."""
        firsts: list[_Trace] = []
        for trace in members:
            if not trace.alone:
                continue
            same = next((one for one in firsts if one.asked == trace.asked or _says_more(one.text, trace.text)), None)
            if same:
                self._asked.union(same.asked, trace.asked)
            elif len(firsts) < _MOST_COMPARED:
                firsts.append(trace)


def _copy(first: Key) -> Found:
    return Found(rule="duplicate", facts={"first": first}, remedy="remove_copy")


def _near_copies(members: Sequence[_Trace]) -> Iterator[tuple[Key, Found]]:
    """A cluster is a chain: its ends may have little in common, so each row is compared with those before it."""
    firsts: list[_Trace] = []
    for trace in members:
        before = next((one for one in firsts if alike(one.text, trace.text) and alike(one.answer, trace.answer)), None)
        if before:
            found = Found(rule="near_duplicate", where=trace.where, facts={"first": before.key}, remedy="remove_row")
            yield trace.key, found
        elif len(firsts) < _MOST_COMPARED:
            firsts.append(trace)


def _leaks(members: Sequence[_Trace]) -> Iterator[tuple[Key, Found]]:
    """Told of the row that is trained on: it is the one that need not be there."""
    held = [trace for trace in members if trace.split not in ("", "train")][:_MOST_COMPARED]
    for trace in members:
        if trace.split != "train":
            continue
        twin = next((one for one in held if alike(one.text, trace.text)), None)
        if twin:
            yield trace.key, Found(rule="leak", facts={"other": twin.key}, remedy="remove_row")


def _conflicts(traces: Sequence[_Trace], same: UnionFind) -> Iterator[tuple[Key, Found]]:
    """One finding a question, told of its first row."""
    asked: dict[Hashable, list[_Trace]] = defaultdict(list)
    for trace in traces:
        if trace.asked:
            asked[same.find(trace.asked)].append(trace)
        if trace.asked and trace.group:
            asked[trace.group].append(trace)
    told: set[Key] = set()
    for members in asked.values():
        different = _different(members)
        if len(different) > 1 and different[0].key not in told:
            told.add(different[0].key)
            yield different[0].key, _conflict(different)


def _different(members: Sequence[_Trace]) -> list[_Trace]:
    kept: list[_Trace] = []
    for trace in members:
        if len(kept) < _MOST_COMPARED and not any(alike(one.answer, trace.answer) for one in kept):
            kept.append(trace)
    return kept


def _conflict(different: Sequence[_Trace]) -> Found:
    first, other = different[0], different[1]
    facts = {
        "count": len(different),
        "other": other.key,
        "answer": other.answer[:80],
        "rows": [trace.key for trace in different],
    }
    return Found(rule="conflict", where=first.where, start=0, end=len(first.answer), facts=facts)


def _common_answers(traces: Sequence[_Trace]) -> Iterator[tuple[Key, Found]]:
    answered = [(trace, normalise(trace.answer)) for trace in traces if trace.answer]
    counts = Counter(answer for _, answer in answered)
    told = {answer for answer, count in counts.items() if count >= max(_COMMON_ROWS, _COMMON_SHARE * len(traces))}
    for trace, answer in answered:
        if answer in told:
            told.remove(answer)
            share = f"{100 * counts[answer] / len(traces):.1f}"
            facts = {"count": counts[answer], "percent": share, "answer": trace.answer[:80]}
            yield trace.key, Found(rule="common_answer", where=trace.where, facts=facts)


def _lengths(traces: Sequence[_Trace]) -> Iterator[tuple[Key | None, Found]]:
    if len(traces) < _FEWEST_FOR_LENGTHS:
        return
    median = int(statistics.median(trace.chars for trace in traces))
    limit = max(_OUTLIER_CHARS, _OUTLIER_TIMES * median)
    for trace in traces:
        if trace.chars > limit:
            yield trace.key, Found(rule="length_outlier", facts={"chars": trace.chars, "median": median})
    longest = sorted((trace.chars for trace in traces), reverse=True)
    few, total = max(1, int(_SKEW_ROWS * len(traces))), sum(longest)
    if total and sum(longest[:few]) > _SKEW_SHARE * total:
        percent = f"{100 * sum(longest[:few]) / total:.0f}"
        yield None, Found(rule="length_skew", facts={"rows": few, "count": len(traces), "percent": percent})
