"""Packing results into a token budget."""

from collections.abc import Sequence


def pack(tokens: Sequence[int], budget: int | None) -> list[int]:
    """Indexes of the results that fit, in rank order; `tokens` are their costs, best first.

    Greedy by rank: a result that no longer fits is passed over and cheaper ones after it still get their turn, which
    keeps the best result whenever it fits at all.
    """
    if budget is None:
        return list(range(len(tokens)))
    kept: list[int] = []
    left = budget
    for index, cost in enumerate(tokens):
        if cost <= left:
            kept.append(index)
            left -= cost
    return kept
