"""Near-duplicates: the same thing said twice should take one place, not two.

What developed over many conversations should be told from many of them.

Greedy as in maximal marginal relevance (Carbonell and Goldstein, 1998), but only similarity above a threshold costs
anything: turns on one topic are wanted together, copies are not.
"""

from dataclasses import dataclass

import numpy as np

from memsvc.retrieval.model import Floats, Numbers, Rows


@dataclass(frozen=True, slots=True)
class Diversity:
    """A memory as similar as `threshold` to one already chosen loses nothing, one equal to it loses `penalty`.

    When sessions count, each one already chosen of its session costs it `spread`.
    """

    threshold: float
    penalty: float
    spread: float = 0.0


def choose(
    memory: Numbers, score: Floats, vectors: Floats, k: int, settings: Diversity, sessions: Numbers | None = None
) -> Rows:
    """Up to k rows, best first: at each step the one with the highest score less its redundancy.

    `vectors` float32[n, d] are unit vectors; a row of NaN (a memory without one) is similar to nothing. `sessions`
    int64[n] are given when they count; -1 stands in none. Ties by memory number.
    """
    order = np.lexsort((memory, -score))
    vectors = vectors[order]
    remaining = score[order].astype(np.float64)
    cost, crowding = np.zeros(len(order)), np.zeros(len(order))
    ordered = None if sessions is None else sessions[order]
    chosen: list[int] = []
    for _ in range(min(k, len(order))):
        best = int(np.argmax(remaining - cost - crowding))
        chosen.append(best)
        remaining[best] = -np.inf
        excess = (vectors @ vectors[best] - settings.threshold) / (1 - settings.threshold)
        cost = np.fmax(cost, settings.penalty * np.clip(excess, 0.0, 1.0))
        if ordered is not None and ordered[best] >= 0:
            crowding += settings.spread * (ordered == ordered[best])
    return order[chosen]
