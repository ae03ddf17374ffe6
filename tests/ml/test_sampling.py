"""One definition of sampling: it matches transformers' sets, its own numbers, and ignores its neighbours."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from training.ml.config import SamplingConfig
from training.ml.sampling import Sampler, draw


def ids_of(logits: torch.Tensor, **settings_: Any) -> Counter[int]:
    sampler = Sampler(seed=7, **settings_)
    return Counter(item.id for _ in range(400) for item in draw(logits, [sampler]) if item)


def test_temperature_zero_takes_the_most_likely_id():
    logits = torch.tensor([[0.0, 3.0, 1.0]])

    [drawn] = draw(logits, [Sampler(temperature=0)])

    assert drawn is not None
    assert (drawn.id, drawn.sampling_logprob) == (1, 0.0)
    assert drawn.logprob == pytest.approx(float(logits.log_softmax(-1)[0, 1]))


@pytest.mark.parametrize(("top_k", "top_p"), [(5, 1.0), (0, 0.7), (20, 0.5), (3, 0.05), (50, 0.95), (1, 1.0)])
def test_the_kept_set_and_its_chances_are_those_of_transformers(top_k: int, top_p: float):
    torch.manual_seed(0)
    logits = torch.randn(1, 50) * 2
    warped = TemperatureLogitsWarper(0.8)(None, logits)
    warped = TopKLogitsWarper(top_k)(None, warped) if top_k else warped
    expected = TopPLogitsWarper(top_p)(None, warped).log_softmax(-1)[0] if top_p < 1 else warped.log_softmax(-1)[0]
    sampler = Sampler(temperature=0.8, top_k=top_k, top_p=top_p, seed=3)

    drawn = [item for _ in range(600) for item in draw(logits, [sampler]) if item]

    kept = {index for index, value in enumerate(expected.tolist()) if value > -math.inf}
    assert {item.id for item in drawn} <= kept
    likely = {index for index in kept if expected[index] > math.log(0.02)}
    assert likely <= {item.id for item in drawn}
    for item in drawn:
        assert item.sampling_logprob == pytest.approx(float(expected[item.id]), abs=1e-4)
        assert item.logprob == pytest.approx(float(logits.log_softmax(-1)[0, item.id]), abs=1e-4)


def test_frequencies_follow_the_chances():
    counts = ids_of(torch.log(torch.tensor([[0.6, 0.3, 0.1]])))

    assert counts[0] == pytest.approx(240, abs=40)
    assert counts[1] == pytest.approx(120, abs=35)
    assert counts[2] == pytest.approx(40, abs=25)


def test_the_same_seed_gives_the_same_ids_and_another_seed_others():
    logits = torch.zeros(1, 1000)

    def run(seed: int | None) -> list[int]:
        sampler = Sampler(seed=seed)
        return [item.id for _ in range(8) for item in draw(logits, [sampler]) if item]

    assert run(5) == run(5)
    assert run(5) != run(6)
    assert run(None) != run(None)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.7, 1.5]), st.sampled_from([0, 1, 4, 60]), st.sampled_from([0.3, 1.0])),
        min_size=1,
        max_size=6,
    )
)
def test_a_row_draws_the_same_alone_and_among_any_others(neighbours: list[tuple[float, int, float]]):
    torch.manual_seed(4)
    # Rounded, so that there are ties: the order of equal scores must not depend on the others either.
    logits = (torch.randn(len(neighbours) + 1, 64) * 2).round()
    mine: dict[str, Any] = {"temperature": 0.9, "top_k": 12, "top_p": 0.8, "seed": 11}
    others = [Sampler(temperature=t, top_k=k, top_p=p, seed=1) for t, k, p in neighbours]

    [alone] = draw(logits[-1:], [Sampler(**mine)])
    among = draw(logits, [*others, Sampler(**mine)])[-1]

    assert among == alone


def test_forbidden_ids_are_never_drawn_and_leave_the_models_own_chances_alone():
    logits = torch.tensor([[9.0, 1.0, 0.0]])

    [greedy] = draw(logits, [Sampler(temperature=0, forbidden=[0])])
    counts = ids_of(logits, forbidden=[0])

    assert greedy is not None
    assert (greedy.id, greedy.sampling_logprob) == (1, 0.0)
    assert greedy.logprob == pytest.approx(float(logits.log_softmax(-1)[0, 1]))
    assert set(counts) == {1, 2}
    assert logits.tolist() == [[9.0, 1.0, 0.0]]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_row_without_numbers_is_told_and_the_others_go_on(bad: float):
    logits = torch.tensor([[0.0, bad, 1.0], [0.0, 5.0, 1.0], [-math.inf] * 3, [-math.inf, 0.0, -math.inf]])

    drawn = draw(logits, [Sampler(temperature=0) for _ in range(3)] + [Sampler(temperature=1)])

    assert [item and item.id for item in drawn] == [None, 1, None, 1]


def test_everything_forbidden_is_told():
    assert draw(torch.zeros(1, 2), [Sampler(forbidden=[0, 1])]) == [None]


def test_a_tiny_temperature_is_greedy_and_a_huge_top_k_is_all():
    logits = torch.tensor([[1.0, 1.1, 0.0]])

    assert set(ids_of(logits, temperature=1e-6)) == {1}
    assert set(ids_of(logits, top_k=10_000)) == {0, 1, 2}


def test_a_sampler_is_made_from_the_settings_people_see():
    sampler = Sampler.of(SamplingConfig(temperature=0.5, top_k=3, top_p=0.4, seed=9))

    assert (sampler.temperature, sampler.top_k, sampler.top_p, sampler.seed) == (0.5, 3, 0.4, 9)
