"""Evidence for events: for each of those a query names, and along time for a question about an order.

Both work on scores, so that what they add is seen among a result's reasons. "How long between A and B" is answered by
two memories, one of which the whole query often finds with ease and the other not at all.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import date

import numpy as np

from memsvc.retrieval.model import Evidence, Floats, Numbers

# What one point of the whole query's score is worth beside a share of an event's words.
_PART_OF_WHOLE = 0.025
# From here on, one memory more of the same day makes no difference.
_FULL_DAY = 5


def cover(memory: Numbers, total: Floats, share: Floats, *, weight: float, places: int) -> Floats:
    """What to add to n scores, float32[n], so that each of e events has a memory near the top.

    `share` float32[e, n]: how much of an event's words a memory holds. The one that holds the most, among like ones the
    one that answers the whole query better, gains `weight`, or as much more as takes it to the first `places` places.
    An event of whose words no memory holds any is left out. Ties by memory number.
    """
    lift = np.zeros(len(memory), np.float32)
    if not len(memory):
        return lift
    needed = np.sort(total)[::-1][min(places, len(total)) - 1]
    for words in share:
        if words.any():
            best = int(np.lexsort((memory, -(words + np.float32(_PART_OF_WHOLE) * total)))[0])
            lift[best] = max(weight, needed - total[best])
    return lift


def crowding(memory: Numbers, total: Floats, evidence: Sequence[Evidence]) -> Floats:
    """How many better memories are of the same day, as a share of five, float32[n] in 0 to 1.

    Taken off the scores it deals out places day by day: what was told over months is not answered by the one afternoon
    that resembles the question best. What has no time is of one day.
    """
    seen: Counter[date | None] = Counter()
    share = np.zeros(len(memory), np.float32)
    for row in np.lexsort((memory, -total)):
        moment = evidence[row].occurred_at
        day = None if moment is None else moment.date()
        share[row] = min(seen[day], _FULL_DAY) / _FULL_DAY
        seen[day] += 1
    return share
