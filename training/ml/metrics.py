"""Figures of a model and how sure they are: accuracies, bits per byte, BLEU, bootstrap intervals. Torch-free.

Every figure carries a signature, so that two figures are compared only when they were computed alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from training.ml.records import Metric

# What each row of a set adds above and below the line of a ratio.
Rows = Sequence[Sequence[float]]

DRAWS = 1000
SEED = 20240229
LOW, HIGH = 2.5, 97.5

SIGNATURES = {
    "loss": "nats a token|mean over all answer tokens, end mark included|chatsite@1",
    "perplexity": "exp of the mean loss over all answer tokens, end mark included|chatsite@1",
    "bits_per_byte": "bits of the answers, end mark included, by their UTF-8 bytes|chatsite@1",
    "token_accuracy": "teacher-forced argmax, answer tokens|openai-fine-tunes",
    "sequence_accuracy": "teacher-forced argmax, all answer tokens of a row right|openai-fine-tunes",
    "exact_match": "greedy answer equals the reference but for outer white space|chatsite@1",
    "preference_accuracy": "summed log-probability of chosen above rejected|chatsite@1",
    "preference_accuracy_per_token": "mean log-probability of chosen above rejected|chatsite@1",
}


def exact(answer: str, reference: str) -> bool:
    return answer.strip() == reference.strip()


def ratio(
    name: str,
    split: str,
    above: Sequence[float],
    below: Sequence[float],
    *,
    scale: Callable[[float], float] = float,
) -> Metric:
    """scale(sum of `above` / sum of `below`) over rows, with the 95 % interval of resampling whole rows.

    Rows, not tokens, are resampled: the tokens of one row depend on each other.
    """
    tops, bottoms = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    value = scale(float(tops.sum() / max(bottoms.sum(), 1e-12)))
    low, high = _interval(tops, bottoms, scale)
    return Metric(
        name=name,
        split=split,
        value=value,
        n=len(tops),
        low=low,
        high=high,
        signature=SIGNATURES.get(name, "chatsite@1"),
        rows=tuple(zip(tops.tolist(), bottoms.tolist(), strict=True)),
    )


def difference(one: Rows, other: Rows) -> tuple[float, float]:
    """The 95 % interval of ratio(one) - ratio(other), figures of two models on the same rows in the same order.

    The same draw of rows for both: what makes a row hard for each of them cancels out (paired bootstrap, Koehn 2004,
    "Statistical significance tests for machine translation evaluation"). Raises ValueError for different lengths.
    """
    ours, theirs = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if ours.shape != theirs.shape:
        raise ValueError(f"{len(ours)} rows cannot be paired with {len(theirs)}")
    draw = np.random.default_rng(SEED)
    found = np.empty(DRAWS)
    for index in range(DRAWS):
        rows = draw.integers(0, len(ours), len(ours))
        (top, bottom), (other_top, other_bottom) = ours[rows].sum(axis=0), theirs[rows].sum(axis=0)
        found[index] = top / max(bottom, 1e-12) - other_top / max(other_bottom, 1e-12)
    low, high = np.percentile(found, [LOW, HIGH])
    return float(low), float(high)


def _interval(
    tops: np.ndarray, bottoms: np.ndarray, scale: Callable[[float], float]
) -> tuple[float | None, float | None]:
    if len(tops) <= 1:
        return None, None
    draw = np.random.default_rng(SEED)
    found = np.empty(DRAWS)
    for index in range(DRAWS):
        rows = draw.integers(0, len(tops), len(tops))
        found[index] = scale(float(tops[rows].sum() / max(bottoms[rows].sum(), 1e-12)))
    low, high = np.percentile(found, [LOW, HIGH])
    return float(low), float(high)


def perplexity(mean_nats: float) -> float:
    return math.exp(min(mean_nats, 700.0))


def bits(mean_nats: float) -> float:
    return mean_nats / math.log(2)


def bleu(split: str, answers: Sequence[str], references: Sequence[str]) -> Metric:
    """sacrebleu's corpus BLEU, 0 to 100, characters as tokens for Chinese; its own signature and bootstrap."""
    from sacrebleu.metrics.bleu import BLEU

    scorer = BLEU(tokenize="zh")
    draws = DRAWS if len(answers) > 1 else 1
    found = scorer.corpus_score(list(answers), [list(references)], n_bootstrap=draws)
    low, high = (max(0.0, found._mean - found._ci), found._mean + found._ci) if draws > 1 else (None, None)
    signature = str(scorer.get_signature())
    return Metric(name="bleu", split=split, value=found.score, n=len(answers), low=low, high=high, signature=signature)
