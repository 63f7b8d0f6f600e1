"""The retention of one memory: how it went, how it will go on, and what its space's policy makes of that."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from memsvc.ids import MemoryId
from memsvc.store import curve, forgetting, memories
from memsvc.store.access import When
from memsvc.store.curve import FORGETTING, Reinforcement
from memsvc.store.forgetting import Look
from memsvc.store.keys import Caller
from memsvc.store.memories import Record
from memsvc.store.scope import CURRENT_STATES
from memsvc.upkeep.forget import pack_after_of, rules_of
from memsvc.upkeep.model import Upkeep
from memsvc.upkeep.retention import elapsed_days, falls_to, retention, stability
from memsvc.upkeep.selection import Rules

AHEAD_DAYS = (0, 1, 7, 30, 90, 365)
# Points of the curve between two reinforcements, both ends included.
POINTS = 5

Action = Literal["archive", "pack", "nothing"]


@dataclass(frozen=True, slots=True)
class Point:
    """R at a moment."""

    at: datetime
    retention: float


@dataclass(frozen=True, slots=True)
class Threshold:
    """A bound of R, and when it falls below that if nobody uses the memory."""

    below: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the policy will do and when, if nothing changes; `kept_by` names the rule that prevents it.

    `pack_at`: when the content would be packed away, now or after it was archived; None: the policy does not.
    """

    action: Action
    at: datetime | None
    kept_by: str | None
    reason: str
    pack_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Retention:
    """A memory's curve: t counts from `since`, `stability_days` is S now, `forecast` goes with `AHEAD_DAYS`."""

    record: Record
    since: datetime
    stability_days: float
    now: float
    reinforcements: tuple[Reinforcement, ...]
    past: tuple[Point, ...]
    forecast: tuple[Point, ...]
    archive: Threshold
    forget: Threshold
    outlook: Outlook


async def find_retention(upkeep: Upkeep, caller: Caller, memory_id: MemoryId, *, now: datetime) -> Retention:
    """The curve of one memory that the caller may read; `NotFoundError` when there is none."""
    async with upkeep.ingest.database.read(caller.tenant_id) as session:
        record = await memories.get_record(session, memory_id, caller=caller, when=When(now))
        policies = await forgetting.read_policies(session, record.space_id)
        rules, pack_after = rules_of(policies), pack_after_of(policies)
        moved = await curve.list_reinforcements(session, memory_id)
        look = Look(record.space_id, caller, now, rules.protection, rules.archive_below)
        kept_by = await forgetting.kept_by(session, look, memory_id)
        if kept_by is None and rules.keep_facts:
            evidence = await forgetting.evidence(session, record.space_id, now=now, touching=[memory_id])
            kept_by = "evidence" if {memory_id} in evidence.values() else None
    since = since_of(record)
    lasts = stability(record.kind, record.importance, record.strength)
    archive_below = rules.archive_below.get(record.kind, FORGETTING.archive_below)
    forget_below = rules.forget_below.get(record.kind, FORGETTING.forget_below)
    archive = Threshold(archive_below, falls_to(archive_below, since, lasts))
    forget = Threshold(forget_below, falls_to(forget_below, since, lasts))
    return Retention(
        record=record,
        since=since,
        stability_days=lasts,
        now=retention(elapsed_days(since, now), lasts),
        reinforcements=tuple(moved),
        past=tuple(trace(record, moved, now)),
        forecast=tuple(_at(since, lasts, now + timedelta(days=days)) for days in AHEAD_DAYS),
        archive=archive,
        forget=forget,
        outlook=_Judge(record, rules, pack_after, archive, forget, kept_by, now).outlook(),
    )


def since_of(record: Record) -> datetime:
    """Where t counts from: the latest of when it happened, was recorded and was last in use."""
    return max(one for one in (record.recorded_at, record.occurred_at, record.last_accessed_at) if one is not None)


def trace(record: Record, moved: Sequence[Reinforcement], now: datetime) -> list[Point]:
    """R from the recording of a memory until now, with a point before and after each reinforcement. Pure.

    With today's importance. Of a memory with more reinforcements than are kept, from the first that is.
    """
    born = max(one for one in (record.recorded_at, record.occurred_at) if one is not None)
    since, strength = born, 1.0 if moved else record.strength
    points: list[Point] = []
    start = min(born, now)
    if len(moved) >= curve.MOST_REINFORCEMENTS:
        start = moved[0].at
    for one in moved:
        lasts = stability(record.kind, record.importance, strength)
        points += _between(since, lasts, start, one.at)
        strength, start = one.strength, one.at
        if one.cause in FORGETTING.gains:
            since = max(since, one.at)
    lasts = stability(record.kind, record.importance, strength)
    latest = since_of(record)
    if start < latest <= now:  # returned again within a day: t begins anew, S stays
        points += _between(since, lasts, start, latest)
        since, start = latest, latest
    return points + _between(max(since, latest), lasts, start, now)


def _between(since: datetime, lasts: float, start: datetime, end: datetime) -> list[Point]:
    steps = [start + (end - start) * step / (POINTS - 1) for step in range(POINTS)] if start < end else []
    return [_at(since, lasts, moment) for moment in steps]


def _at(since: datetime, lasts: float, moment: datetime) -> Point:
    return Point(moment, retention(elapsed_days(since, moment), lasts))


@dataclass(frozen=True, slots=True)
class _Judge:
    """A memory, and what its space's policy says of such ones."""

    record: Record
    rules: Rules
    pack_after: timedelta | None
    archive: Threshold
    forget: Threshold
    kept_by: str | None
    now: datetime

    def outlook(self) -> Outlook:
        """What will be done with it."""
        record, kept_by = self.record, self.kept_by
        if record.packed:
            return Outlook("nothing", None, kept_by, "its content is packed away already")
        if record.state == "archived" and (pack_at := self._pack_at(record.updated_at)) is not None:
            return Outlook("pack", pack_at, None, "it is archived, and its content is packed away next", pack_at)
        if record.kind not in self.rules.archive_below:
            reason = "the space's policies let nothing of this kind go because of its age"
            if any(record.kind in budget.kinds for budget in self.rules.budgets):
                reason += "; it may go when their budget is exceeded"
            return Outlook("nothing", None, kept_by, reason)
        if kept_by is not None:
            return Outlook("nothing", None, kept_by, "a keep-rule protects it")
        if record.payload_type != "plaintext":
            return Outlook("nothing", None, None, "tensors have a policy of their own")
        if record.state not in CURRENT_STATES:
            return Outlook("nothing", None, None, f"it is {record.state}")
        at = max(self.now, self.archive.at)
        return Outlook("archive", at, None, "it leaves recall unless it is used before", self._pack_at(at))

    def _pack_at(self, archived_at: datetime) -> datetime | None:
        """When it is packed if it is archived then: faded under `forget_below`, or out of use for `pack_after_days`."""
        record = self.record
        moments = []
        if record.kind in self.rules.forget_below and self.kept_by is None:
            moments.append(max(archived_at, self.forget.at))
        if self.pack_after is not None and not record.legal_hold:
            moments.append(max(archived_at, record.last_accessed_at or archived_at) + self.pack_after)
        if not moments or record.payload_type != "plaintext":
            return None
        return max(self.now, min(moments))
