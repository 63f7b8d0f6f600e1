"""Feedback: what proved useful is strengthened and comes back, what is wrong is trusted less and fades sooner.

A verdict needs only the right to read the memory, so it hides nothing: however many say `wrong`, the memory stays in
recall until somebody who may write archives it or puts it in quarantine.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from memsvc.errors import FieldError, InvalidRequestError
from memsvc.ids import MemoryId, OperationId, SpaceId
from memsvc.ingest.operations import record
from memsvc.lifecycle import packing
from memsvc.lifecycle.states import EDITABLE
from memsvc.store import curve, forgetting, memories, versions
from memsvc.store import feedback as reports
from memsvc.store.access import When
from memsvc.store.database import WriteSession
from memsvc.store.feedback import Report, Verdict
from memsvc.store.keys import Caller
from memsvc.store.memories import Record
from memsvc.store.spaces import Space
from memsvc.upkeep.model import Change, Run, Upkeep

# Without an episode, the same verdict of the same principal within this time is a retry.
SAME_WITHIN = timedelta(days=1)
# Each principal that says `wrong` takes off a fifth of the trust, once.
WRONG_TRUST = 0.8


@dataclass(frozen=True, slots=True)
class Feedback:
    """One report about up to 100 memories."""

    caller: Caller
    memories: Sequence[MemoryId]
    verdict: Verdict
    episode: str | None
    note: str | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Noted:
    """What a report did: `records` as they are now, `new` those for which it was not a repetition."""

    records: tuple[Record, ...]
    new: frozenset[MemoryId]
    revived: frozenset[MemoryId]
    operations: tuple[OperationId, ...]


async def give_feedback(upkeep: Upkeep, feedback: Feedback) -> Noted:
    """Note a report, and what follows from it, in one transaction; what was reported before changes nothing.

    Raises `NotFoundError` for what the caller may not read, and `InvalidRequestError` for an outcome without episode.
    """
    _check(feedback)
    ids, when = list(dict.fromkeys(feedback.memories)), When(feedback.now)
    report = Report(feedback.caller.principal_id, feedback.verdict, feedback.episode, feedback.note, at=feedback.now)
    async with upkeep.ingest.database.write(feedback.caller.tenant_id) as session:
        # The locked spaces also keep two copies of a request apart.
        found, spaces = await memories.lock_records(session, ids, caller=feedback.caller, when=when, right="read")
        known = await reports.reported(session, ids, report, since=feedback.now - SAME_WITHIN)
        new = [memory_id for memory_id in found if memory_id not in known]
        runs: list[Run] = []
        if report.verdict == "used" or report.verdict == "helpful":
            await curve.reinforce(session, dict.fromkeys(new, 0), report.verdict, now=feedback.now)
            runs = await _revive(upkeep, session, spaces, new, feedback.caller, feedback.now)
        elif report.verdict == "wrong":
            first = set(new).difference(await reports.ever_reported(session, new, report))
            await curve.reinforce(session, dict.fromkeys(first, 0), "wrong", now=feedback.now)
            runs = await _distrust(upkeep, session, spaces, [found[one] for one in new if one in first], feedback)
        await reports.insert(session, new, report)
        records = await memories.get_records(session, ids, caller=feedback.caller, when=when)
    revived = {change.memory_id for run in runs for change in run.changes if change.action == "revive"}
    return Noted(
        records=tuple(records[one] for one in ids),
        new=frozenset(new),
        revived=frozenset(revived),
        operations=tuple(run.operation_id for run in runs if run.operation_id is not None),
    )


async def revive(upkeep: Upkeep, caller: Caller, ids: Sequence[MemoryId], *, now: datetime) -> list[Run]:
    """Bring back those of these memories that were forgotten: one operation a space. The others stay as they are.

    The right to read is enough: what the service put away to save room, its readers call back by using it. Raises
    `NotFoundError`.
    """
    async with upkeep.ingest.database.write(caller.tenant_id) as session:
        _, spaces = await memories.lock_records(session, ids, caller=caller, when=When(now), right="read")
        return await _revive(upkeep, session, spaces, ids, caller, now)


def _check(feedback: Feedback) -> None:
    if feedback.verdict in {"success", "failure"} and feedback.episode is None:
        fault = FieldError("episode", "is missing", "Name the task that succeeded or failed, in your own words.")
        raise InvalidRequestError(f"{feedback.verdict} needs an episode", fields=(fault,))


async def _revive(
    upkeep: Upkeep,
    session: WriteSession,
    spaces: Mapping[SpaceId, Space],
    ids: Collection[MemoryId],
    caller: Caller,
    now: datetime,
) -> list[Run]:
    runs = []
    for space_id, back in (await forgetting.revivable(session, ids)).items():
        space, details = spaces[space_id], {"memories": len(back)}
        operation = await record(upkeep.ingest.queue, session, space, "revive", caller=caller, now=now, details=details)
        await versions.revise(session, operation, back, {"state": "activated"})
        await packing.bring_back(upkeep.ingest, session, operation, back)
        changes = tuple(Change("revive", memory_id, reason="it was in use again") for memory_id in back)
        runs.append(Run(space_id, changes, operation.id))
    return runs


async def _distrust(
    upkeep: Upkeep,
    session: WriteSession,
    spaces: Mapping[SpaceId, Space],
    doubted: Sequence[Record],
    feedback: Feedback,
) -> list[Run]:
    """Lower the trust of what may be edited: an operation a space, a statement for each trust that there was."""
    by_space: dict[SpaceId, dict[float, list[MemoryId]]] = defaultdict(lambda: defaultdict(list))
    for one in doubted:
        if one.state in EDITABLE:
            by_space[one.space_id][one.trust].append(one.id)
    runs = []
    for space_id, by_trust in by_space.items():
        operation = await record(
            upkeep.ingest.queue,
            session,
            spaces[space_id],
            "feedback",
            caller=feedback.caller,
            now=feedback.now,
            reason="reported as wrong",
        )
        for trust, ids in by_trust.items():
            await versions.revise(session, operation, ids, {"trust": trust * WRONG_TRUST})
        runs.append(Run(space_id, (), operation.id))
    return runs
