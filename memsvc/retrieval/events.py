"""Evidence for the events that a query names.

All of it works on scores, so that what it adds is seen among a result's reasons. "How long between A and B" is answered
by two memories, one of which the whole query often finds with ease and the other not at all.
"""

from collections.abc import Sequence

import numpy as np

from memsvc.retrieval.model import Evidence, Floats, Numbers, ScoreSheet
from memsvc.retrieval.recipes import Weights
from memsvc.retrieval.timeline import Side, Timeline

# What the best answer to the whole query is worth, over the worst, beside all of an event's words.
_PART_OF_WHOLE = 0.4
# Scores no further apart say nothing.
_ALIKE = 1e-6
# The memory of each event is among the first five, which most askers read.
_COVERED = 5


def with_events(
    sheet: ScoreSheet,
    evidence: Sequence[Evidence],
    timeline: Timeline,
    *,
    share: Floats,
    relevance: Floats,
    weights: Weights,
) -> ScoreSheet:
    """The sheet of n memories with the stages that the query's timeline asks for.

    `share` float32[e, n]: how much of the words of each event a memory holds. `relevance` float32[n], 0 to 1: how far
    it is on the query's topic.
    """
    if timeline.side is not None and len(share):
        raw = beside(timeline.side, sheet, evidence, share[0]) * relevance
        sheet = sheet.with_column("side", raw, np.float32(weights.side) * raw)
    if len(share) > 1 and weights.event:
        lift = cover(sheet.memory, sheet.total, share, weight=weights.event, places=_COVERED)
        sheet = sheet.with_column("event", share.max(axis=0), lift)
    return sheet


def cover(memory: Numbers, total: Floats, share: Floats, *, weight: float, places: int) -> Floats:
    """What to add to n scores, float32[n], so that each of e events has a memory near the top.

    The one that holds the most of an event's words, among like ones the one that answers the whole query better, gains
    `weight`, or as much more as takes it to the first `places` places. An event of whose words no memory holds any is
    left out.
    """
    lift = np.zeros(len(memory), np.float32)
    if not len(memory):
        return lift
    needed = np.sort(total)[::-1][min(places, len(total)) - 1]
    for words in share:
        best = _of_event(memory, total, words)
        if best is not None:
            lift[best] = max(weight, needed - total[best])
    return lift


def beside(side: Side, sheet: ScoreSheet, evidence: Sequence[Evidence], share: Floats) -> Floats:
    """1 for a memory from before, or from after, the event whose words `share` float32[n] counts; float32[n].

    The event's own moment belongs to both sides: what came after is often told with it. 0 for all when no memory tells
    of the event, or none with a time.
    """
    sides = np.zeros(len(evidence), np.float32)
    event = _of_event(sheet.memory, sheet.total, share)
    moment = None if event is None else evidence[event].occurred_at
    if moment is not None:
        for row, item in enumerate(evidence):
            if item.occurred_at is not None:
                sides[row] = item.occurred_at >= moment if side == "after" else item.occurred_at <= moment
    return sides


def _of_event(memory: Numbers, total: Floats, share: Floats) -> int | None:
    """The row that tells of an event, of those that hold any of its words; ties by memory number."""
    tell = np.flatnonzero(share > 0)
    if not len(tell):
        return None
    least, most = float(total.min()), float(total.max())
    whole = (total - np.float32(least)) / np.float32(max(most - least, _ALIKE))
    merit = (share + np.float32(_PART_OF_WHOLE) * whole)[tell]
    return int(tell[np.lexsort((memory[tell], -merit))[0]])
