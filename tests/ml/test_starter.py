"""The starter's text: what may go in, how much of it, and the Q&A that this project wrote."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from training.ml import bundle, starter, starter_build, starter_faq
from training.ml.records import Dialogue
from training.ml.render import Renderer

STARTER = Path(__file__).resolve().parents[2] / "training" / "starter"
MOST_BYTES = 12_000_000


def a_row(number: int, source: str = "someone", licence: str = "MIT", **changes: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"问题{number}？"}, {"role": "assistant", "content": f"回答{number}。" * 5}]
    return {"source": source, "licence": licence, "use": "redistributable", "messages": messages} | changes


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    rows = [a_row(n) for n in range(60)] + [a_row(n, "SmileChat", "CC0-1.0") for n in range(100, 400)]
    rows += [a_row(500, licence="GPL-2+"), a_row(501, use="test use only"), a_row(502, "EmoLLM datasets/tiangou.json")]
    with gzip.open(tmp_path / "text.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return tmp_path


def test_one_source_is_at_most_a_quarter_and_others_are_left_out(directory):
    rows = starter.mix(starter.read_sources(directory), budget_chars=1_000_000)

    chars = Counter[str]()
    for row in rows:
        chars[row.source] += row.chars
    assert set(chars) == {"someone", "SmileChat"}
    assert 0.2 < chars["SmileChat"] / chars.total() <= 0.25


def test_the_mix_is_the_same_whatever_order_the_rows_come_in(directory):
    rows = list(starter.read_sources(directory))

    assert starter.mix(rows, budget_chars=3000) == starter.mix(rows[::-1], budget_chars=3000)


def test_a_system_prompt_and_an_unanswered_question_are_left_out(directory):
    value = a_row(1)
    value["messages"] = [{"role": "system", "content": "x"}, *value["messages"], {"role": "user", "content": "还有吗"}]
    with gzip.open(directory / "text.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps(value))

    (row,) = starter.read_sources(directory)

    assert isinstance(row.record, Dialogue) and [turn.role for turn in row.record.messages] == ["user", "assistant"]


def qa(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (STARTER / name).read_text(encoding="utf-8").splitlines()]


def test_the_starter_faq_has_the_promised_facts_phrasings_and_dialogues():
    chinese, english, dialogues = (
        qa("faq_product.jsonl") + qa("faq_smalltalk.jsonl"),
        qa("faq_en.jsonl"),
        qa("dialogues.jsonl"),
    )

    assert (len(chinese) >= 200, len(english) >= 60, len(dialogues) >= 60) == (True, True, True)
    assert all(len(set(fact["questions"])) >= 3 for fact in chinese + english)
    assert all(len(dialogue["messages"]) >= 4 for dialogue in dialogues)


def test_no_question_of_the_starter_faq_has_two_answers():
    answers: dict[str, set[str]] = {}
    for fact in qa("faq_product.jsonl") + qa("faq_smalltalk.jsonl") + qa("faq_en.jsonl"):
        for question in fact["questions"]:
            answers.setdefault(question, set()).add(fact["answer"])

    assert [question for question, found in answers.items() if len(found) > 1] == []


def test_phrasings_of_one_fact_share_a_group():
    candidates = starter_build.faq_candidates(STARTER)

    assert len({row.key for row in candidates}) == len(candidates)
    assert Counter(row.group for row in candidates)["starter:zh-p001"] == 3


def test_the_held_out_rows_of_the_starter_are_written_down_for_every_row():
    rows = list(starter_faq.read(STARTER))

    splits = Counter(row.split for row in rows)
    by_group: dict[str, set[str]] = {}
    for row in rows:
        by_group.setdefault(row.group, set()).add(row.split)
    assert set(splits) == {"train", "validation", "test", "phrasing"} and min(splits.values()) >= 20
    # Whole facts are held out; of a trained fact at most a phrasing is.
    assert all(len(found) == 1 or found == {"train", "phrasing"} for found in by_group.values())


def test_the_starter_model_is_whole_small_and_ends_its_turns():
    manifest = bundle.verify(STARTER / "model")
    renderer = Renderer.load(STARTER / "model")

    assert manifest["template"] == "chatsite" and manifest["metrics"]
    assert sum(path.stat().st_size for path in (STARTER / "model").iterdir()) < MOST_BYTES
    assert renderer.decode(renderer.text_ids("你好，Chatsite！")) == "你好，Chatsite！" and len(renderer.stop_ids) == 1
