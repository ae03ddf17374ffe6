"""How the next token is chosen: the one definition for serving, evaluation and rollouts.

Order: forbidden ids, temperature, the top k, then the top p within these k (the same set as transformers' warpers
give, without sorting the vocabulary). Each row draws with a generator of its own and only from its own logits, so a
row's neighbours never change its text. Knows nothing of models, text or requests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from training.ml.config import SamplingConfig

SEED_LIMIT = 2**63 - 1
# The best id has all the chances there; temperature 0 itself would divide by zero.
GREEDY_BELOW = 1e-4


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chosen id. Log-probabilities in nats: `logprob` the model's own, `sampling_logprob` after the settings."""

    id: int
    logprob: float
    sampling_logprob: float


class Sampler:
    """The settings and the random stream of one request.

    temperature 0 = the most likely id; top_k 0 = all ids; top_p 1 = all of the k; seed None = a fresh one.
    """

    def __init__(
        self,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int | None = None,
        forbidden: Sequence[int] = (),
    ) -> None:
        self.temperature = temperature
        self.top_k = top_k
        self.top_p = top_p
        self.forbidden = torch.tensor(sorted(set(forbidden)), dtype=torch.long)
        # On the CPU whatever the model's device is, so that a seed means the same everywhere.
        self._generator = torch.Generator(device="cpu")
        self.seed = self._generator.seed() if seed is None else seed % SEED_LIMIT
        self._generator.manual_seed(self.seed)

    @classmethod
    def of(cls, config: SamplingConfig, *, forbidden: Sequence[int] = ()) -> Self:
        return cls(
            temperature=config.temperature,
            top_k=config.top_k,
            top_p=config.top_p,
            seed=config.seed,
            forbidden=forbidden,
        )

    @property
    def is_greedy(self) -> bool:
        return self.temperature < GREEDY_BELOW

    def uniform(self) -> float:
        return float(torch.rand((), generator=self._generator, dtype=torch.float64))


def draw(logits: Tensor, samplers: Sequence[Sampler]) -> list[Drawn | None]:
    """One id a row. logits (rows, vocabulary), not changed.

    None: the row holds NaN or infinity, or all its ids are forbidden.
    """
    scores = logits.float()
    norms = torch.logsumexp(scores, dim=-1)  # (rows,)
    allowed = _without_forbidden(scores, samplers)
    sound = (torch.isfinite(norms) & torch.isfinite(allowed.amax(dim=-1))).tolist()
    drawn: list[Drawn | None] = [None] * len(samplers)
    for members in _alike([index for index, fine in enumerate(sound) if fine], samplers, scores.shape[-1]):
        chosen = _draw_alike(allowed, members, [samplers[index] for index in members])
        rows, ids = torch.tensor(members), torch.tensor([item[0] for item in chosen])
        raw = (scores[rows, ids] - norms[rows]).tolist()
        for index, (token, sampling_logprob), logprob in zip(members, chosen, raw, strict=True):
            drawn[index] = Drawn(id=token, logprob=logprob, sampling_logprob=sampling_logprob)
    return drawn


def _without_forbidden(scores: Tensor, samplers: Sequence[Sampler]) -> Tensor:
    if not any(len(sampler.forbidden) for sampler in samplers):
        return scores
    allowed = scores.clone()
    for index, sampler in enumerate(samplers):
        allowed[index, sampler.forbidden.to(scores.device)] = -math.inf
    return allowed


def _candidates(sampler: Sampler, vocabulary: int) -> int:
    """How many of the best ids this row may choose from; 0 = all, in the vocabulary's order."""
    if sampler.is_greedy:
        return 1
    if 0 < sampler.top_k < vocabulary:
        return sampler.top_k
    return vocabulary if sampler.top_p < 1 else 0


def _alike(rows: list[int], samplers: Sequence[Sampler], vocabulary: int) -> list[list[int]]:
    """Rows with the same number of candidates.

    They go through the kernels together, and rows with another number do not: how `topk` orders equal scores depends
    on k, so a common largest k would let a neighbour change a row's text.
    """
    groups: dict[int, list[int]] = {}
    for row in rows:
        groups.setdefault(_candidates(samplers[row], vocabulary), []).append(row)
    return list(groups.values())


def _draw_alike(allowed: Tensor, rows: list[int], samplers: Sequence[Sampler]) -> list[tuple[int, float]]:
    """(id, log-probability under sampling) of each row; all have the same number of candidates."""
    picked = allowed[torch.tensor(rows, device=allowed.device)]  # (n, V)
    count = _candidates(samplers[0], allowed.shape[-1])
    if count == 1:
        return [(token, 0.0) for token in picked.argmax(dim=-1).tolist()]
    if count == 0:
        scores, ids = picked, None
    else:
        scores, ids = picked.topk(count, dim=-1)  # (n, k), best first
    temperatures = torch.tensor([sampler.temperature for sampler in samplers], dtype=torch.float64)
    # float64: the running sum over a vocabulary must reach 1 closely enough for the last ids to stay reachable.
    chances = (scores.double().cpu() / temperatures[:, None]).softmax(dim=-1)
    kept = _top_p(chances, samplers) if ids is not None else chances
    places = _invert(kept, samplers)
    logs = kept.gather(1, places[:, None]).log().squeeze(1)
    chosen = places if ids is None else ids.cpu().gather(1, places[:, None]).squeeze(1)
    return list(zip(chosen.tolist(), logs.tolist(), strict=True))


def _top_p(chances: Tensor, samplers: Sequence[Sampler]) -> Tensor:
    """Keep the best candidates up to the one that reaches top_p, and let them sum to 1. chances (n, k), best first."""
    limits = torch.tensor([sampler.top_p for sampler in samplers], dtype=torch.float64)
    before = chances.cumsum(dim=-1) - chances
    kept = chances.masked_fill((before >= limits[:, None]) & (before > 0), 0.0)
    return kept / kept.sum(dim=-1, keepdim=True)


def _invert(chances: Tensor, samplers: Sequence[Sampler]) -> Tensor:
    """The place where the running sum passes each row's own random number. chances (n, k) -> (n,)"""
    sums = chances.cumsum(dim=-1)
    numbers = torch.tensor([sampler.uniform() for sampler in samplers], dtype=torch.float64)
    places = torch.searchsorted(sums, (numbers * sums[:, -1])[:, None], right=True).squeeze(1)
    # Rounding may put the last number on the total itself: then it means the last id that has a chance.
    last = chances.shape[1] - 1 - (chances > 0).flip(1).int().argmax(dim=1)
    return torch.minimum(places, last)
