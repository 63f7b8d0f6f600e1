"""The time of one recall: what each stage took, and what had to be cut to keep the deadline.

A deadline is looked at between stages: one that has begun is finished, and what an answer cannot do without (reading
what is in scope, scoring words, loading the results) is always done.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from prometheus_client import Counter, Histogram

STAGE_SECONDS = Histogram(
    "memsvc_recall_stage_seconds",
    "Time of each stage of recall.",
    ["stage"],
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1),
)
CUTS = Counter("memsvc_recall_cuts_total", "Stages of recall that were cut to keep a deadline.", ["stage"])

T = TypeVar("T")
Ticks = Callable[[], float]


class Watch:
    """Runs from its making. `ticks` gives seconds that only go on; no `deadline_ms`: there is always time.

    `timings_ms` holds the milliseconds of each stage, `notes` what was left out and why.
    """

    def __init__(self, ticks: Ticks, deadline_ms: int | None = None) -> None:
        self.deadline_ms = deadline_ms
        self.timings_ms: dict[str, float] = {}
        self.notes: list[str] = []
        self._ticks = ticks
        self._started = self._last = ticks()

    def lap(self, stage: str) -> None:
        """That stage has ended."""
        now = self._ticks()
        self.timings_ms[stage] = round((now - self._last) * 1000, 2)
        STAGE_SECONDS.labels(stage).observe(now - self._last)
        self._last = now

    def has_time(self, stage: str) -> bool:
        """Whether that stage may begin; that it may not is noted."""
        if self.deadline_ms is None or self._left_s(self.deadline_ms) > 0:
            return True
        self._cut(stage, self.deadline_ms)
        return False

    async def wait_for(self, task: "asyncio.Task[T]", stage: str) -> T | None:
        """The task's result, or None when it is not there by the deadline; which is noted. The task goes on."""
        if self.deadline_ms is not None and not task.done():
            await asyncio.wait({task}, timeout=max(0.0, self._left_s(self.deadline_ms)))
            if not task.done():
                self._cut(stage, self.deadline_ms)
                return None
        return await task

    def _left_s(self, deadline_ms: int) -> float:
        return self._started + deadline_ms / 1000 - self._ticks()

    def _cut(self, stage: str, deadline_ms: int) -> None:
        CUTS.labels(stage).inc()
        self.notes.append(f"{stage}: cut, the deadline of {deadline_ms} ms had passed")
