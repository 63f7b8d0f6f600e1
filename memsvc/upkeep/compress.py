"""Compressing: what is out of recall is packed away, whole, and comes back byte for byte (after R3Mem).

R3Mem keeps a document at levels, each a compression of the one below, and can go back down. Here the levels are what
consolidation made: a session's summary, those of its topics, the sentences that were said. Packing takes the sentences
out of the hot tier; facts and summaries stay there and name them, and `restore` goes back down from any of them.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from memsvc.ids import MemoryId, OperationId, SpaceId
from memsvc.ingest.operations import record
from memsvc.lifecycle import packing
from memsvc.store import access, forgetting, memories, packs, principals, versions
from memsvc.store.access import When
from memsvc.store.database import ReadSession
from memsvc.store.keys import Caller
from memsvc.store.packs import Level, NewPack, Wanted
from memsvc.store.retention import Due
from memsvc.upkeep.forget import forgotten_candidates, pack_after_of, rules_of
from memsvc.upkeep.model import Change, Order, Run, Upkeep

# Memories that a periodic run packs in one transaction, which holds the space's lock.
PACKED_AT_ONCE = 2000
# Of texts, that any run packs: they are all held in memory at once.
PACKED_BYTES = 64 << 20
# Memories that one restore brings back; the next one brings what is left.
RESTORED_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Choice:
    """What to pack: archived, and neither changed nor used for so many days; None: what the space's policy says.

    `superseded`: also what has a successor and no longer holds, though it is not archived.
    """

    archived_days: float | None = None
    superseded: bool = False


BY_POLICY = Choice()


@dataclass(frozen=True, slots=True)
class RestoreOrder:
    """What to bring back: a memory, all that a summary on its topic tells of, or its whole session."""

    caller: Caller
    memory: MemoryId
    level: Level
    now: datetime
    dry_run: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore brought back, or would; `operation_id` None when nothing was packed, or in a dry run."""

    ids: tuple[MemoryId, ...]
    operation_id: OperationId | None
    more: bool


async def compress(upkeep: Upkeep, order: Order, choice: Choice = BY_POLICY) -> Run:
    """Pack away what is out of recall, at most `order.limit` memories or 64 MiB of texts, as one operation.

    Where the policy says nothing of packing, that is everything archived. The operation's details name the packs, and
    count memories, contents, chunks and bytes before and after. What came back between reading and applying stays.
    Raises `NotFoundError`, `ForbiddenError`, and `PackCorruptError` when a pack would not give back what it holds;
    nothing is changed then.
    """
    database, tenant = upkeep.ingest.database, order.caller.tenant_id
    async with database.read(tenant) as session:
        space_id = await access.require(session, order.caller, order.space, "write")
        found = await _choose(session, space_id, order, choice)
        ids = await packs.first_within(session, found[: order.limit], PACKED_BYTES)
        loose = [] if order.dry_run else await packs.read_loose(session, ids)
    more = len(ids) < len(found)
    if order.dry_run or not ids:
        return Run(space_id, _changes(ids), None, more)
    made = await asyncio.to_thread(packs.make_packs, loose)
    return await _apply(upkeep, order, Run(space_id, _changes(ids), None, more), made)


async def compress_due(upkeep: Upkeep, due: Due, *, now: datetime) -> Run | None:
    """Pack a batch of what a space's policy lets be packed, as the service itself; None when it says nothing of that,
    or the space is gone."""
    async with upkeep.ingest.database.write(due.tenant_id) as session:
        space = (await memories.lock_spaces(session, {due.space_id})).get(due.space_id)
        caller = await principals.service_caller(session)
    if space is None or not _says_so(space.policies):
        return None
    order = Order(caller, space.name, now, limit=PACKED_AT_ONCE, reason="by the space's policy")
    return await compress(upkeep, order)


async def restore(upkeep: Upkeep, order: RestoreOrder) -> Restored:
    """Bring packed memories back into the hot tier, as one operation; their state stays what it was.

    Contents are what they were byte for byte, and are cut and embedded again. `NotFoundError`, and `ForbiddenError`
    without the right to write the memory; of its topic or session, what the caller may not change is left out.
    """
    ingest, tenant, when = upkeep.ingest, order.caller.tenant_id, When(order.now)
    async with ingest.database.read(tenant) as session:
        await memories.get_record(session, order.memory, caller=order.caller, when=when)
        found = await packs.find_family(
            session, order.memory, order.level, caller=order.caller, when=when, limit=RESTORED_AT_ONCE + 1
        )
    ids, more = found[:RESTORED_AT_ONCE], len(found) > RESTORED_AT_ONCE
    prepared = packing.NOTHING if order.dry_run else await packing.prepare(ingest, tenant, ids=ids)
    async with ingest.database.write(tenant) as session:
        _, space = await memories.lock_record(session, order.memory, caller=order.caller, when=when)
        packed = await packs.find_packed(session, ids=ids)
        back = tuple(dict.fromkeys(one.memory_id for one in packed))
        if order.dry_run or not back:
            return Restored(back, None, more)
        operation = await record(
            ingest.queue,
            session,
            space,
            "restore",
            caller=order.caller,
            now=order.now,
            reason=order.reason,
            details={"memories": len(back), "contents": len(packed)},
        )
        await packing.unpack(ingest, session, operation, packed, prepared)
    return Restored(back, operation.id, more)


async def _choose(session: ReadSession, space_id: SpaceId, order: Order, choice: Choice) -> list[MemoryId]:
    """One more than the limit, where there are so many."""
    limit = order.limit + 1
    after = None if choice.archived_days is None else timedelta(days=choice.archived_days)
    faded: list[MemoryId] = []
    if after is None:
        policies = await forgetting.read_policies(session, space_id)
        after = pack_after_of(policies)
        if _says_so(policies):
            faded = await forgotten_candidates(
                session, space_id, policies, caller=order.caller, now=order.now, limit=limit
            )
        else:
            after = timedelta(0)
    wanted = Wanted(
        space_id,
        archived=after is not None,
        untouched_since=order.now - after if after else None,
        superseded=choice.superseded,
        limit=limit,
    )
    found = await packs.find_candidates(session, wanted, caller=order.caller, when=When(order.now))
    return list(dict.fromkeys([*faded, *found]))[:limit]


def _says_so(policies: Mapping[str, Any]) -> bool:
    return bool(rules_of(policies).forget_below) or pack_after_of(policies) is not None


async def _apply(upkeep: Upkeep, order: Order, planned: Run, made: Sequence[NewPack]) -> Run:
    async with upkeep.ingest.database.write(order.caller.tenant_id) as session:
        spaces = await memories.lock_spaces(session, {planned.space_id})
        ids = await packs.packable(session, [change.memory_id for change in planned.changes], now=order.now)
        if planned.space_id not in spaces or not ids:
            return Run(planned.space_id, (), None, planned.more)
        operation = await record(
            upkeep.ingest.queue,
            session,
            spaces[planned.space_id],
            "compress",
            caller=order.caller,
            now=order.now,
            reason=order.reason,
        )
        tally = await packing.pack(session, operation, ids, made=made)
        await versions.note_details(session, operation, asdict(tally))
    return Run(planned.space_id, _changes(ids), operation.id, planned.more)


def _changes(ids: Sequence[MemoryId]) -> tuple[Change, ...]:
    return tuple(Change("pack", memory_id, reason="it is out of recall") for memory_id in ids)
