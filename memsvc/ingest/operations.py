"""Recording what is done: every change is an operation. Who follows the space is told, and its upkeep comes to it."""

from collections.abc import Mapping
from datetime import datetime

from memsvc.ids import OperationId, new_uuid
from memsvc.queue import Later, Queue, enqueue
from memsvc.store import spaces, versions
from memsvc.store.database import WriteSession
from memsvc.store.jobs import UPKEEP
from memsvc.store.keys import Caller
from memsvc.store.spaces import Space
from memsvc.store.versions import Operation


async def record(
    queue: Queue,
    session: WriteSession,
    space: Space,
    kind: str,
    *,
    caller: Caller,
    now: datetime,
    reason: str | None = None,
    details: Mapping[str, object] | None = None,
    operation_id: OperationId | None = None,
    undoes: OperationId | None = None,
) -> Operation:
    """Record an operation of a locked space. Its webhooks and subscribers are served by a job, once this commits.

    The first one after consolidation has read the space enqueues its next run; those that follow pay nothing. An
    operation of upkeep itself leaves a space that was tended as it was.
    `operation_id`: for rows that name their operation before it can be recorded.
    """
    operation = await versions.insert_operation(
        session,
        space.id,
        kind,
        principal_id=caller.principal_id,
        now=now,
        reason=reason,
        details=details,
        operation_id=operation_id or OperationId(new_uuid()),
        undoes=undoes,
    )
    if space.followers:
        await enqueue(queue, session, "deliver", space.id)
    if space.tended:
        if kind in UPKEEP:
            await spaces.set_tended(session, space.id, operation.number)
        elif queue.consolidate_after_s is not None and space.policies.get("consolidate") != "off":
            later = Later(None, queue.consolidate_after_s) if queue.consolidate_after_s else None
            await enqueue(queue, session, "consolidate", space.id, later=later)
    return operation
