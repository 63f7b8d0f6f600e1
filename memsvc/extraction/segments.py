"""Where the topic of a session changes: its turns cut into segments, each small enough for one look.

After LightMem (2025), which cuts where the similarity of adjacent turns has a local minimum below a threshold. Single
pairs of turns are noisy (a question and its answer share few words), so similarity is measured between the means of two
to four turns on both sides, and a minimum counts by its depth below the peaks around it, as in TextTiling (Hearst,
1997). Among all cuts that keep the bounds of size, those of the greatest depth in sum are taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Floats = NDArray[np.float64]

# Turns on each side whose means are compared; the similarities of all widths are averaged.
WIDTHS = (2, 3, 4)
# A minimum is a boundary when it is deeper than the mean depth by this many standard deviations, and than the floor: a
# session of one topic has minima too.
DEVIATIONS = 1.0
SHALLOWEST = 0.3
# Costs of a cut that is no minimum and of a segment that is too short. Greater than any sum of depths that they could
# buy, so that they occur only where the bounds leave no other way.
_FORCED, _SHORT = 8.0, 64.0


@dataclass(frozen=True, slots=True)
class Segment:
    """Turns [start, end) of a session."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large a segment is. `most_tokens` is what a model is given at a time; a longer turn stands alone.

    A silence of `gap` or more ends a segment, however short it is.
    """

    least_turns: int = 4
    most_turns: int = 40
    most_tokens: int = 1500
    gap: timedelta = timedelta(hours=6)


BOUNDS = Bounds()


def segment(
    vectors: Vectors, tokens: Sequence[int], times: Sequence[datetime | None], *, bounds: Bounds = BOUNDS
) -> list[Segment]:
    """Cut a session: the segments cover all its turns, in order.

    `vectors` is float32[n, d], one unit vector a turn; a row of NaN (not encoded yet) shows no change of topic.
    `tokens` and `times` (None: not known) have n entries. Takes O(n * most_turns) time. `ValueError` when the lengths
    differ or a bound is below 1.
    """
    if not len(vectors) == len(tokens) == len(times):
        raise ValueError(f"{len(vectors)} vectors, {len(tokens)} token counts and {len(times)} times")
    if not 1 <= bounds.least_turns <= bounds.most_turns or bounds.most_tokens < 1:
        raise ValueError(f"not a bound of size: {bounds}")
    gains = _gains(np.asarray(vectors, np.float64))
    edges = [0, *_silences(times, bounds.gap), len(tokens)]
    return [
        Segment(start + left, start + right)
        for start, end in pairwise(edges)
        for left, right in _best_cuts(gains[start:end], tokens[start:end], bounds)
    ]


def buffers(segments: Sequence[Segment], tokens: Sequence[int], *, most_tokens: int = 1500) -> list[list[Segment]]:
    """Neighbouring segments put together while they stay within `most_tokens`: what one call of a model is given.

    Short topics would otherwise cost a call each. `tokens` are those of each turn; a longer segment stands alone.
    """
    filled: list[list[Segment]] = []
    total = 0
    for one in segments:
        size = sum(tokens[one.start : one.end])
        if filled and total + size <= most_tokens:
            filled[-1].append(one)
            total += size
        else:
            filled.append([one])
            total = size
    return filled


def _silences(times: Sequence[datetime | None], gap: timedelta) -> list[int]:
    """Places of the turns that follow a long silence; a turn without a time belongs to the one before it."""
    places: list[int] = []
    last: datetime | None = None
    for place, at in enumerate(times):
        if at is None:
            continue
        if last is not None and at - last >= gap:
            places.append(place)
        last = at
    return places


def _gains(vectors: Floats) -> Floats:
    """float64[n]: what a cut before each turn is worth; below 0 where there is no reason for one."""
    gains = np.full(len(vectors), -_FORCED)
    known = ~np.isnan(vectors).any(axis=1)
    if len(vectors) < 2 or not known.any():
        return gains
    # A turn that is not encoded yet is taken to go on with what was said before it.
    rows = np.maximum.accumulate(np.where(known, np.arange(len(vectors)), int(np.argmax(known))))
    similarity = np.mean([_similarities(vectors[rows], width) for width in WIDTHS], axis=0)
    depth = _depths(similarity)
    threshold = max(SHALLOWEST, float(depth.mean() + DEVIATIONS * depth.std()))
    padded = np.concatenate([[np.inf], similarity, [np.inf]])
    is_minimum = (similarity <= padded[:-2]) & (similarity <= padded[2:])
    gains[1:] = depth - threshold - np.where(is_minimum, 0.0, _FORCED)
    return gains


def _similarities(vectors: Floats, width: int) -> Floats:
    """float64[n - 1]: cosines between the means of up to `width` turns before and after each place."""
    sums = np.vstack([np.zeros(vectors.shape[1]), np.cumsum(vectors, axis=0)])
    places = np.arange(1, len(vectors))
    before = sums[places] - sums[np.maximum(places - width, 0)]
    after = sums[np.minimum(places + width, len(vectors))] - sums[places]
    norms = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    cosines: Floats = np.einsum("ij,ij->i", before, after) / np.maximum(norms, 1e-12)
    return cosines


def _depths(similarity: Floats) -> Floats:
    """How far each place lies below the peaks to its left and right, added."""
    left, right = similarity.copy(), similarity.copy()
    for place in range(1, len(similarity)):
        if similarity[place - 1] >= similarity[place]:
            left[place] = left[place - 1]
    for place in range(len(similarity) - 2, -1, -1):
        if similarity[place + 1] >= similarity[place]:
            right[place] = right[place + 1]
    return left + right - 2 * similarity


def _best_cuts(gains: Floats, tokens: Sequence[int], bounds: Bounds) -> list[tuple[int, int]]:
    """The cuts within the bounds with the greatest sum of gains; of several, those with the longest last segments."""
    count = len(tokens)
    sums = np.concatenate([[0], np.cumsum(tokens)]).tolist()
    best = [0.0] + [-np.inf] * count
    starts = [0] * (count + 1)
    for end in range(1, count + 1):
        for start in range(max(0, end - bounds.most_turns), end):
            size = end - start
            if size > 1 and sums[end] - sums[start] > bounds.most_tokens:
                continue
            value = best[start] + (float(gains[start]) if start else 0.0)
            value -= _SHORT if size < bounds.least_turns and size < count else 0.0
            if value > best[end]:
                best[end], starts[end] = value, start
    cuts: list[tuple[int, int]] = []
    end = count
    while end:
        cuts.append((starts[end], end))
        end = starts[end]
    return cuts[::-1]
