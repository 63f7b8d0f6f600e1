"""The jobs `consolidate`, a slice of a space at a time, and `tend`, which finds the spaces that have none.

A space is consolidated when nothing was written to it for a while, or, while it is written without a pause, some
minutes after the first of what was not read. A job that leaves something enqueues the next, behind those that wait.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from memsvc.consolidation.observed import CHANGES, CONSOLIDATED
from memsvc.ids import SpaceId, TenantId
from memsvc.queue import Later, enqueue
from memsvc.store import jobs, memories, principals
from memsvc.store.jobs import Untended
from memsvc.upkeep.consolidate import consolidate
from memsvc.upkeep.model import Order, Upkeep

log = structlog.get_logger(__name__)

Clock = Callable[[], datetime]
# Memories that one job reads.
SLICE = 256
# A space that is never idle is consolidated so long after the first write that was not read.
LONGEST_WAIT_S = 600.0
# A run that read nothing is not repeated at once.
STUCK_S = 60.0


async def consolidate_space(upkeep: Upkeep, tenant_id: TenantId, space_id: SpaceId, *, clock: Clock) -> None:
    """Consolidate one slice of a space that is due; one that is not gets a job for when it will be."""
    database, queue = upkeep.ingest.database, upkeep.ingest.queue
    idle_s = queue.consolidate_after_s
    async with database.write(tenant_id) as session:
        space = await jobs.find_untended(session, space_id)
        if space is None or idle_s is None or space.policies.get("consolidate") == "off":
            return
        wait_s = seconds_left(space, now=clock(), idle_s=idle_s)
        if wait_s > 0:
            await enqueue(queue, session, "consolidate", space_id, later=Later(None, wait_s))
            return
        caller = await principals.service_caller(session)
    run = await consolidate(upkeep, Order(caller, space.name, clock(), limit=SLICE))
    for change in run.changes:
        CHANGES.labels(change.action).inc()
    await _go_on(upkeep, tenant_id, space_id, space, more=run.more)


def seconds_left(space: Untended, *, now: datetime, idle_s: float) -> float:
    """Until the space is due: idle, with its vectors there, or kept waiting for long enough; 0 or less when it is."""
    if space.latest_at is None:  # what is left to read is upkeep's own
        return 0.0
    idle = timedelta(seconds=idle_s)
    due = (now if space.pending_vectors else space.latest_at) + idle
    if space.first_at is not None:
        due = min(due, space.first_at + max(idle, timedelta(seconds=LONGEST_WAIT_S)))
    return (due - now).total_seconds()


async def _go_on(upkeep: Upkeep, tenant_id: TenantId, space_id: SpaceId, before: Untended, *, more: bool) -> None:
    """A job for what is left; none when a writer is to enqueue it, which the space's lock decides."""
    start = (before.tended_operation, before.tended_memory)
    async with upkeep.ingest.database.write(tenant_id) as session:
        spaces = await memories.lock_spaces(session, {space_id})
        if space_id not in spaces:
            return
        space, queue = spaces[space_id], upkeep.ingest.queue
        end = (space.tended_operation, space.tended_memory)
        if not space.tended:
            wait_s = STUCK_S if end == start else 0.0 if more else queue.consolidate_after_s or 0.0
            later = Later(None, wait_s) if wait_s else None
            await enqueue(queue, session, "consolidate", space_id, later=later)
        read = await jobs.count_read(session, space_id, start=start, end=end)
    CONSOLIDATED.inc(read)
    log.info("consolidated", memories=read, more=not space.tended)


async def tend_all(upkeep: Upkeep) -> int:
    """Give a job to every space that consolidation has to read and that has none; how many there were.

    A job is enqueued with the write that makes it necessary; this finds what was written while consolidation was off.
    A space whose job is dead waits for somebody to requeue it.
    """
    database, queue = upkeep.ingest.database, upkeep.ingest.queue
    if queue.consolidate_after_s is None:
        return 0
    found = 0
    for tenant_id, space_ids in (await jobs.find_all_untended(database)).items():
        async with database.write(tenant_id) as session:
            lost = await jobs.without_job(session, space_ids)
            for space_id in lost:
                await enqueue(queue, session, "consolidate", space_id)
            found += len(lost)
    if found:
        log.info("tended", spaces=found)
    return found
