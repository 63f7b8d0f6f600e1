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
from memsvc.upkeep.forget import rules_of
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
    """What the policy will do and when, if nothing changes; `kept_by` names the rule that prevents it."""

    action: Action
    at: datetime | None
    kept_by: str | None
    reason: str


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
        rules = rules_of(await forgetting.read_policies(session, record.space_id))
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
        outlook=_outlook(record, rules, archive, forget, kept_by, now),
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


def _outlook(
    record: Record, rules: Rules, archive: Threshold, forget: Threshold, kept_by: str | None, now: datetime
) -> Outlook:
    if record.kind not in rules.archive_below:
        reason = "the space's policies let nothing of this kind go because of its age"
        if any(record.kind in budget.kinds for budget in rules.budgets):
            reason += "; it may go when their budget is exceeded"
        return Outlook("nothing", None, kept_by, reason)
    if kept_by is not None:
        return Outlook("nothing", None, kept_by, "a keep-rule protects it")
    if record.payload_type != "plaintext":
        return Outlook("nothing", None, None, "tensors have a policy of their own")
    if record.state == "archived":
        return Outlook("pack", max(now, forget.at), None, "it is archived, and its content is packed away next")
    if record.state not in CURRENT_STATES:
        return Outlook("nothing", None, None, f"it is {record.state}")
    return Outlook("archive", max(now, archive.at), None, "it leaves recall unless it is used before")
