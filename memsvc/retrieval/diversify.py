"""Near-duplicates: the same thing said twice should take one place, not two.

Greedy as in maximal marginal relevance (Carbonell and Goldstein, 1998), but only similarity above a threshold costs
anything: turns on one topic are wanted together, copies are not.
"""

from dataclasses import dataclass

import faiss
import numpy as np

from memsvc.retrieval.model import Floats, Numbers, Rows

# A few hundred vectors take a thread less time than waking another one, more so beside an encoder on few cores.
faiss.omp_set_num_threads(1)


@dataclass(frozen=True, slots=True)
class Diversity:
    """A memory as similar as `threshold` to one already chosen loses nothing, one equal to it loses `penalty`."""

    threshold: float
    penalty: float


def pairwise_cosines(vectors: Floats) -> Floats:
    """Cosines of unit vectors float32[n, d] among themselves, float32[n, n], in full precision (FAISS)."""
    if not len(vectors):
        return np.empty((0, 0), np.float32)
    pairs: Floats = faiss.pairwise_distances(vectors, vectors, faiss.METRIC_INNER_PRODUCT)
    return pairs


def choose(memory: Numbers, score: Floats, similarity: Floats, k: int, settings: Diversity) -> Rows:
    """Up to k rows, best first: at each step the one with the highest score less its redundancy.

    `similarity` is float32[n, n]; NaN (a memory without a vector) is similar to nothing. Ties by memory number.
    """
    order = np.lexsort((memory, -score))
    excess = (similarity[np.ix_(order, order)] - settings.threshold) / (1 - settings.threshold)
    penalty = settings.penalty * np.clip(np.nan_to_num(excess, nan=0.0), 0.0, 1.0)
    remaining = score[order].astype(np.float64)
    cost = np.zeros(len(order))
    chosen: list[int] = []
    for _ in range(min(k, len(order))):
        best = int(np.argmax(remaining - cost))
        chosen.append(best)
        remaining[best] = -np.inf
        cost = np.maximum(cost, penalty[best])
    return order[chosen]
