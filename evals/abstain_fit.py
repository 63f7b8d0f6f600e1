"""Calibration of confidence: from the signals of questions with a known answer to `confidence.json`, and how it holds.

Signals have equal weights; what is fitted on a set are their means and deviations and the two numbers of the curve.
With some twenty unanswerable questions in two of three sets, fitted weights do not carry over from one to another.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from memsvc.retrieval.confidence import NEEDED, TOKENS, VECTORS, WORDS, relevance_of, speaker_part

Kind = Literal["answerable", "unanswerable", "foreign"]
Values = NDArray[np.float64]

# The fifth passage tells more than the first once there are no token codes; rare words speak against.
_WEIGHTS: Mapping[str, Mapping[str, float]] = {
    "tokens": dict.fromkeys(TOKENS, 1.0),
    "vectors": dict.fromkeys(VECTORS, 1.0) | {"around_fifth": 2.0},
    "words": dict.fromkeys(WORDS, 1.0) | {"rarity": -1.0},
}
# Set by hand: only one of the sets has speakers with names, so the others cannot tell.
SPEAKER: Mapping[str, float] = {"mean": 0.1, "deviation": 0.146, "weight": 1.5, "most": 0.1}
# Foreign questions together count a fifth of a set's own.
_FOREIGN_SHARE = 0.2
_FLAGGED = 0.05
_ROUNDS = 100
_RIDGE = 1e-6
_BINS = 10


@dataclass(frozen=True, slots=True)
class Asked:
    """One question as it was asked: of which set, whether it has an answer there, and its signals.

    `foreign` is a question of another conversation, on which nothing was said.
    """

    suite: str
    kind: Kind
    signals: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Judged:
    """Questions with the confidence and the relevance that a calibration gives them."""

    kinds: tuple[Kind, ...]
    confidence: Values
    relevance: Values

    def of(self, *kinds: Kind) -> Values:
        """The confidences of these kinds."""
        return self.confidence[[kind in kinds for kind in self.kinds]]

    def flagged(self, kind: Kind, least: float) -> float:
        """The share of a kind whose relevance is below `least`; NaN without any."""
        values = self.relevance[[found == kind for found in self.kinds]]
        return float((values < least).mean()) if len(values) else float("nan")


def calibrate(rows: Sequence[Asked], *, encoders: Iterable[str]) -> dict[str, Any]:
    """The content of `confidence.json`; a model whose signals no question has is left out."""
    models = {}
    for model, key in NEEDED.items():
        usable = [row for row in rows if key in row.signals]
        if usable:
            models[model] = fit(usable, model)
    return {"version": 1, "encoders": list(encoders), "speaker": dict(SPEAKER), "models": models}


def fit(rows: Sequence[Asked], model: str) -> dict[str, Any]:
    """One model: every set counts alike, and `least_relevance` flags at most 5 % of the answerable of each."""
    suites = sorted({row.suite for row in rows})
    own = {suite: [row for row in rows if row.suite == suite and row.kind != "foreign"] for suite in suites}
    weights = _WEIGHTS[model]
    norm = float(np.sqrt(sum(weight**2 for weight in weights.values())))
    scales = {name: _scale(name, own.values()) | {"weight": round(weights[name] / norm, 4)} for name in weights}
    relevance = np.array([relevance_of(row.signals, scales) for row in rows])
    answerable = np.array([row.kind == "answerable" for row in rows])
    in_suite = {suite: np.array([row.suite == suite for row in rows]) for suite in suites}
    intercept, slope = fit_curve(
        relevance + np.array([speaker_part(row.signals, SPEAKER) for row in rows]), answerable, _balance(rows)
    )
    least = min(float(np.quantile(relevance[answerable & mask], _FLAGGED)) for mask in in_suite.values())
    return {
        "signals": scales,
        "intercept": round(intercept, 4),
        "slope": round(slope, 4),
        "least_relevance": round(least, 4),
    }


def fit_curve(score: Values, answerable: NDArray[np.bool_], weight: Values) -> tuple[float, float]:
    """Intercept and slope of a logistic curve (Platt, 1999), by Newton's method."""
    design = np.stack([np.ones_like(score), score], axis=1)
    found = np.zeros(2)
    for _ in range(_ROUNDS):
        chance = 1 / (1 + np.exp(-design @ found))
        gradient = design.T @ (weight * (chance - answerable)) + _RIDGE * found
        curvature = (design * (weight * chance * (1 - chance))[:, None]).T @ design + _RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        found -= step
        if float(np.abs(step).max()) < _RIDGE:
            break
    return float(found[0]), float(found[1])


def apply(rows: Sequence[Asked], fitted: Mapping[str, Any]) -> Judged:
    """What one model says of the questions."""
    relevance = np.array([relevance_of(row.signals, fitted["signals"]) for row in rows])
    said = np.array([speaker_part(row.signals, SPEAKER) for row in rows])
    said = np.where(relevance < fitted["least_relevance"], np.minimum(said, 0), said)
    confidence = 1 / (1 + np.exp(-(fitted["intercept"] + fitted["slope"] * (relevance + said))))
    return Judged(tuple(row.kind for row in rows), confidence, relevance)


def leave_one_out(rows: Sequence[Asked], model: str) -> dict[str, tuple[Judged, float]]:
    """Each set, judged by a model of the others, with its `least_relevance`."""
    usable = [row for row in rows if NEEDED[model] in row.signals]
    suites = sorted({row.suite for row in usable})
    if len(suites) < 2:
        return {}
    found = {}
    for suite in suites:
        fitted = fit([row for row in usable if row.suite != suite], model)
        found[suite] = apply([row for row in usable if row.suite == suite], fitted), fitted["least_relevance"]
    return found


def auroc(positive: Values, negative: Values) -> float:
    """The chance that one of the first is above one of the second, ties counting half; NaN where one is empty."""
    if not len(positive) or not len(negative):
        return float("nan")
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    up_to = np.searchsorted(ordered, positive, side="right")
    return float((below + up_to).mean() / (2 * len(negative)))


def auroc_interval(positive: Values, negative: Values, *, seed: int, rounds: int = 2000) -> tuple[float, float]:
    """95% bootstrap interval, the answerable and the others resampled by themselves; NaN where one is empty."""
    if not len(positive) or not len(negative):
        return float("nan"), float("nan")
    generator = np.random.default_rng(seed)
    drawn = [
        auroc(generator.choice(positive, len(positive)), generator.choice(negative, len(negative)))
        for _ in range(rounds)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def calibration_error(confidence: Values, answerable: NDArray[np.bool_]) -> float:
    """Expected calibration error over ten bins of equal width (Guo et al., 2017); NaN without questions."""
    if not len(confidence):
        return float("nan")
    place = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = [
        (place == number).mean() * abs(confidence[place == number].mean() - answerable[place == number].mean())
        for number in np.unique(place)
    ]
    return float(sum(gaps))


def _scale(name: str, suites: Iterable[Sequence[Asked]]) -> dict[str, float]:
    """Mean and deviation within a set, over the sets: a set that lies higher altogether is not wider for it."""
    values = [np.array([row.signals[name] for row in rows if name in row.signals]) for rows in suites]
    known = [found for found in values if len(found)]
    deviation = float(np.sqrt(np.mean([found.var() for found in known]))) if known else 0.0
    mean = float(np.mean([found.mean() for found in known])) if known else 0.0
    return {"mean": round(mean, 5), "deviation": round(deviation, 5) or 1.0}


def _balance(rows: Sequence[Asked]) -> Values:
    counts: dict[tuple[str, bool], int] = {}
    for row in rows:
        group = row.suite, row.kind == "foreign"
        counts[group] = counts.get(group, 0) + 1
    return np.array(
        [(_FOREIGN_SHARE if row.kind == "foreign" else 1.0) / counts[row.suite, row.kind == "foreign"] for row in rows]
    )
