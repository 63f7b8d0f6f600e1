"""Which statements belong together, and whether what is to be put together coheres: no memory of everything.

Memory systems that merge whatever is near end with a few huge memories that match every question. So a cluster is of
one subject, every member is near every other (complete linkage), and count and length are bounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Statement:
    """A member of a cluster: whom it is about (folded; empty: not known), and how long it is."""

    subject: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Cohesion:
    """Bounds of a cluster: its members' least and mean cosine in pairs, and how many and how long they are.

    The similarities are those of `distinct` vectors, for which one threshold suits every encoder and subject.
    """

    least_similarity: float = 0.15
    mean_similarity: float = 0.3
    most_members: int = 24
    most_tokens: int = 600


COHESION = Cohesion()
# Statements of a subject that make the mean of its vectors count half.
FEW = 4


def distinct(statements: Sequence[Statement], vectors: Vectors) -> Vectors:
    """The vectors without what all statements of their subject share, float32[n, d], unit.

    Every statement on Ana is near every other: they name her. The mean is taken off as far as there are enough
    statements to tell it from what they say.
    """
    centred = vectors.astype(np.float64)
    for places in _by_subject(statements).values():
        share = len(places) / (len(places) + FEW)
        centred[places] -= share * centred[places].mean(axis=0)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    unit: Vectors = (centred / np.maximum(norms, 1e-12)).astype(np.float32)
    return unit


def cohesive(statements: Sequence[Statement], vectors: Vectors, *, bounds: Cohesion = COHESION) -> tuple[str, ...]:
    """Why these may not be put together; empty when they cohere. The reasons hold no content.

    `vectors` is float32[n, d], `distinct`; `ValueError` unless there is one for each. A single statement coheres.
    """
    if len(statements) != len(vectors):
        raise ValueError(f"{len(statements)} statements and {len(vectors)} vectors")
    reasons = []
    subjects = {statement.subject for statement in statements}
    tokens = sum(statement.tokens for statement in statements)
    if len(subjects) > 1 or "" in subjects:
        reasons.append(f"{len(subjects)} subjects" if "" not in subjects else "a subject is not known")
    if len(statements) > bounds.most_members:
        reasons.append(f"{len(statements)} members, most {bounds.most_members}")
    if tokens > bounds.most_tokens:
        reasons.append(f"{tokens} tokens, most {bounds.most_tokens}")
    if len(statements) > 1:
        pairs = _similarities(vectors)[np.triu_indices(len(statements), 1)]
        if pairs.min() < bounds.least_similarity:
            reasons.append(f"least similarity {pairs.min():.2f}, needs {bounds.least_similarity:.2f}")
        if pairs.mean() < bounds.mean_similarity:
            reasons.append(f"mean similarity {pairs.mean():.2f}, needs {bounds.mean_similarity:.2f}")
    return tuple(reasons)


def cluster(statements: Sequence[Statement], vectors: Vectors, *, bounds: Cohesion = COHESION) -> list[tuple[int, ...]]:
    """Groups of at least two that cohere, by their places; one statement is in at most one group.

    The nearest pairs are joined first, ties by order; statements of an unknown subject stay alone. Takes O(n^2) space
    and about O(n^2 log n) time in the statements of one subject.
    """
    if len(statements) != len(vectors):
        raise ValueError(f"{len(statements)} statements and {len(vectors)} vectors")
    groups = [
        tuple(of_one[member] for member in group)
        for subject, of_one in _by_subject(statements).items()
        if subject
        for group in _link([statements[place] for place in of_one], vectors[of_one], bounds)
    ]
    return sorted(groups)


def nearest_group(
    vector: Vectors, groups: Sequence[Vectors], *, least_similarity: float = COHESION.least_similarity
) -> int | None:
    """The group whose farthest member is nearest to `vector` float32[d]; None when all are too far.

    `groups` are float32[n, d] each; a tie goes to the earlier.
    """
    reach = [float(np.round(members @ vector, 6).min()) if len(members) else -1.0 for members in groups]
    best = max(range(len(reach)), key=lambda place: (reach[place], -place), default=None)
    return best if best is not None and reach[best] >= least_similarity else None


def _by_subject(statements: Sequence[Statement]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, statement in enumerate(statements):
        places.setdefault(statement.subject, []).append(place)
    return places


def _similarities(vectors: Vectors) -> Floats:
    wide = vectors.astype(np.float64)
    # Sums differ in their last digits between machines; ties must not.
    rounded: Floats = np.round(wide @ wide.T, 6)
    return rounded


def _link(statements: Sequence[Statement], vectors: Vectors, bounds: Cohesion) -> list[list[int]]:
    """Complete linkage: two groups are joined when every pair across is near enough, and the bounds allow it."""
    similarity = _similarities(vectors)
    first, second = np.triu_indices(len(statements), 1)
    near = similarity[first, second] >= bounds.least_similarity
    order = np.argsort(-similarity[first, second][near], kind="stable")
    group_of = {place: [place] for place in range(len(statements))}
    for one, other in zip(first[near][order].tolist(), second[near][order].tolist(), strict=True):
        left, right = group_of[one], group_of[other]
        if left is right or len(left) + len(right) > bounds.most_members:
            continue
        joined = sorted([*left, *right])
        # `cohesive` would find it too, at a higher price: most pairs end here.
        if similarity[np.ix_(left, right)].min() < bounds.least_similarity:
            continue
        if cohesive([statements[place] for place in joined], vectors[joined], bounds=bounds):
            continue
        group_of |= dict.fromkeys(joined, joined)
    return [group for place, group in group_of.items() if group[0] == place and len(group) > 1]
