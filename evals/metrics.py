"""Retrieval metrics of one ranking, and their means. Pure functions over ids."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

KS = (1, 3, 5, 10, 30, 50)
NDCG_K = 10
_ROUNDS_AT_ONCE = 1000  # keeps the drawn counts of a thousand questions below 10 MB


def recall(ranked: Sequence[str], gold: Iterable[str], k: int) -> float:
    """The share of the gold among the first k, 0 to 1; `ValueError` without gold."""
    wanted = set(gold)
    if not wanted:
        raise ValueError("a question without gold has no recall")
    return len(wanted.intersection(ranked[:k])) / len(wanted)


def ndcg(ranked: Sequence[str], gold: Iterable[str], k: int) -> float:
    """nDCG@k with binary relevance and the standard discount, `sum rel_i / log2(rank + 1)`, ranks from 1."""
    wanted = set(gold)
    if not wanted:
        raise ValueError("a question without gold has no nDCG")
    gained = sum(1.0 / math.log2(rank + 1) for rank, name in enumerate(ranked[:k], start=1) if name in wanted)
    ideal = sum(1.0 / math.log2(rank + 1) for rank in range(1, min(k, len(wanted)) + 1))
    return gained / ideal


def reciprocal_rank(ranked: Sequence[str], gold: Iterable[str]) -> float:
    """1 / rank of the first gold in the ranking, 0 when there is none in it; `ValueError` without gold."""
    wanted = set(gold)
    if not wanted:
        raise ValueError("a question without gold has no reciprocal rank")
    return next((1.0 / rank for rank, name in enumerate(ranked, start=1) if name in wanted), 0.0)


def score(level: str, ranked: Sequence[str], gold: Sequence[str]) -> dict[str, float]:
    """All metrics of one question at one level ("turn" or "session"), as `<level>.<metric>@<k>`; empty without gold.

    `recall` is the evidence fraction, `recall_any` 1 when any of the evidence is found, `recall_all` 1 when all is.
    """
    if not gold:
        return {}
    found: dict[str, float] = {}
    for k in KS:
        fraction = recall(ranked, gold, k)
        found[f"{level}.recall@{k}"] = fraction
        found[f"{level}.recall_any@{k}"] = float(fraction > 0)
        found[f"{level}.recall_all@{k}"] = float(fraction == 1)
    found[f"{level}.ndcg@{NDCG_K}"] = ndcg(ranked, gold, NDCG_K)
    found[f"{level}.mrr"] = reciprocal_rank(ranked, gold)
    return found


def first_hits(sessions: Iterable[str]) -> list[str]:
    """Sessions in the order of their first turn: the session ranking that a turn ranking implies."""
    return list(dict.fromkeys(sessions))


def means(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each key over the rows that have it."""
    values: dict[str, list[float]] = {}
    for row in rows:
        for key, value in row.items():
            values.setdefault(key, []).append(value)
    return {key: math.fsum(found) / len(found) for key, found in values.items()}


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of them lie, interpolated; NaN without values."""
    return float(np.quantile(values, share)) if values else math.nan


def interval(values: Sequence[float], *, seed: int, rounds: int = 2000) -> tuple[float, float]:
    """95% bootstrap interval of the mean, resampling questions; NaN without values."""
    if not values:
        return math.nan, math.nan
    sample = np.asarray(values, dtype=np.float64)
    generator = np.random.default_rng(seed)
    drawn = [float(generator.choice(sample, len(sample)).mean()) for _ in range(rounds)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def paired_intervals(changes: Values, *, seed: int, rounds: int = 10_000) -> Values:
    """95% bootstrap intervals of column means, float64[c, 2]; NaN without questions.

    `changes` float64[n, c] holds a row per question and a column per comparison: what one ranking scores minus what
    the other scores. Questions are drawn with replacement, the same ones for all columns, and the 2.5% and 97.5%
    quantiles of the means are taken (percentile bootstrap; Efron and Tibshirani, 1993).
    """
    questions, columns = changes.shape
    if not questions:
        return np.full((columns, 2), math.nan)
    generator = np.random.default_rng(seed)
    shares = np.full(questions, 1.0 / questions)
    means = np.empty((rounds, columns))
    for first in range(0, rounds, _ROUNDS_AT_ONCE):
        size = min(_ROUNDS_AT_ONCE, rounds - first)
        drawn = generator.multinomial(questions, shares, size=size)
        means[first : first + size] = drawn @ changes / questions
    return np.ascontiguousarray(np.quantile(means, (0.025, 0.975), axis=0).T)
