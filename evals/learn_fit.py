"""Learning to rank, small: a weight per stage, by a listwise loss over candidate lists. Pure functions.

The loss is the cross-entropy between the evidence of a question, each piece alike, and the softmax of the candidates'
scores (ListNet's top-one form; Cao et al., 2007), with all data sets weighing the same, and an L2 penalty. A weight is
never below 0, as recipes have none such.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from evals import metrics

Floats = NDArray[np.float64]

MEASURES = ("turn.recall@5", "turn.recall@10", "turn.recall_any@10", "turn.mrr", "turn.ndcg@10")
FOLDS = 5
_FLAT = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """The candidates of a question. `values` float64[n, s]: what each stage adds to the score at weight 1.

    `turns` are what the candidates stand for, "" for none; `gold` all evidence, also what is no candidate. `group`
    is the conversation: questions of one are never on both sides of a split.
    """

    suite: str
    group: str
    question: str
    turns: tuple[str, ...]
    gold: tuple[str, ...]
    values: Floats

    @property
    def relevance(self) -> Floats:
        """The share of each candidate in the evidence that is among them, float64[n]; all 0 when none is."""
        wanted = set(self.gold)
        is_gold = np.array([turn in wanted for turn in self.turns], dtype=np.float64)
        shares: Floats = is_gold / max(1.0, float(is_gold.sum()))
        return shares


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Lists of one set, padded: `values` [q, n, s] in units of spread, `relevance` and `mask` [q, n]."""

    values: Floats
    relevance: Floats
    mask: NDArray[np.bool_]


def fit(listings: Sequence[Listing], base: Floats, *, l2: float) -> Floats:
    """The weights, float64[s], that lose least, on the scale of `base`; a stage that never speaks keeps its own.

    `ValueError` when no list holds any evidence.
    """
    telling = [listing for listing in listings if listing.relevance.any()]
    if not telling:
        raise ValueError("no list of candidates holds any evidence to learn from")
    stacked = np.concatenate([listing.values for listing in telling])
    spread = stacked.std(axis=0)
    heard = spread > _FLAT
    unit = np.where(heard, spread, 1.0)
    batches = [_pad(of_set, unit) for of_set in by_set(telling).values()]

    def loss(weights: Floats) -> tuple[float, Floats]:
        total, slope = l2 * float(weights @ weights), 2 * l2 * weights
        for batch in batches:
            part, of_part = _listwise(batch, weights)
            total, slope = total + part / len(batches), slope + of_part / len(batches)
        return total, slope

    found = minimize(loss, base * unit * heard, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(base))
    learned = np.where(heard, found.x / unit, 0.0)
    scaled = learned * scale(listings, learned, base)
    return np.where(heard, scaled, base)


def scale(listings: Iterable[Listing], weights: Floats, base: Floats) -> float:
    """The factor with which `weights` spread scores as far as `base` does: other settings are in units of the score."""
    listings = list(listings)
    wanted = np.mean([float((listing.values @ base).std()) for listing in listings])
    given = np.mean([float((listing.values @ weights).std()) for listing in listings])
    return float(wanted / given) if given > _FLAT else 1.0


def score(listing: Listing, weights: Floats) -> dict[str, float]:
    """The metrics of the list, ranked by these weights; equal scores stay in the order given."""
    order = np.argsort(-(listing.values @ weights), kind="stable")
    found = metrics.score("turn", [listing.turns[place] for place in order], listing.gold)
    return {name: found[name] for name in MEASURES}


def by_set(listings: Iterable[Listing]) -> dict[str, list[Listing]]:
    """Lists by data set."""
    found: dict[str, list[Listing]] = {}
    for listing in listings:
        found.setdefault(listing.suite, []).append(listing)
    return found


def across_sets(listings: Sequence[Listing], base: Floats, *, l2: float) -> dict[str, Floats]:
    """For each set the weights learned on all others; empty for one set alone."""
    names = list(by_set(listings))
    if len(names) < 2:
        return {}
    return {name: fit([each for each in listings if each.suite != name], base, l2=l2) for name in names}


def across_conversations(listings: Sequence[Listing], base: Floats, *, l2: float) -> Mapping[int, Floats]:
    """For each fold the weights learned on all others."""
    folds = fold_of(listings)
    used = sorted({folds[listing.suite, listing.group] for listing in listings})
    if len(used) < 2:
        return {}
    return {
        fold: fit([each for each in listings if folds[each.suite, each.group] != fold], base, l2=l2) for fold in used
    }


def fold_of(listings: Iterable[Listing]) -> dict[tuple[str, str], int]:
    """The fold of each group of each set, in turn."""
    found: dict[tuple[str, str], int] = {}
    for name, of_set in by_set(listings).items():
        groups = dict.fromkeys(listing.group for listing in of_set)
        found |= {(name, group): place % FOLDS for place, group in enumerate(groups)}
    return found


def compare(
    listings: Sequence[Listing], weights_of: Callable[[Listing], Floats], base: Floats, *, seed: int
) -> dict[str, tuple[float, float, float, float]]:
    """Each metric: its mean, the difference to `base`, and that one's 95% interval over paired questions."""
    new = [score(listing, weights_of(listing)) for listing in listings]
    old = [score(listing, base) for listing in listings]
    changes = np.array(
        [[after[name] - before[name] for name in MEASURES] for after, before in zip(new, old, strict=True)]
    )
    ends = metrics.paired_intervals(changes, seed=seed)
    means = metrics.means(new)
    return {
        name: (means[name], float(changes[:, column].mean()), float(ends[column, 0]), float(ends[column, 1]))
        for column, name in enumerate(MEASURES)
    }


def _pad(listings: Sequence[Listing], unit: Floats) -> _Batch:
    longest, stages = max(len(listing.turns) for listing in listings), len(unit)
    values = np.zeros((len(listings), longest, stages))
    relevance = np.zeros((len(listings), longest))
    mask = np.zeros((len(listings), longest), dtype=np.bool_)
    for row, listing in enumerate(listings):
        size = len(listing.turns)
        values[row, :size], relevance[row, :size], mask[row, :size] = listing.values / unit, listing.relevance, True
    return _Batch(values, relevance, mask)


def _listwise(batch: _Batch, weights: Floats) -> tuple[float, Floats]:
    """Mean loss over the lists of a batch, and its slope."""
    scores = np.where(batch.mask, batch.values @ weights, -np.inf)
    scores -= scores.max(axis=1, keepdims=True)
    sums = np.exp(scores).sum(axis=1, keepdims=True)
    logs = np.where(batch.mask, scores - np.log(sums), 0.0)
    guessed = np.where(batch.mask, np.exp(logs), 0.0)
    questions = len(batch.values)
    slope = np.einsum("qn,qns->s", guessed - batch.relevance, batch.values) / questions
    return float(-(batch.relevance * logs).sum() / questions), slope
