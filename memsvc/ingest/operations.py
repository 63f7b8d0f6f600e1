"""Recording what is done: every change of a space is an operation, and who follows the space is told."""

from collections.abc import Mapping
from datetime import datetime

import procrastinate

from memsvc.ids import OperationId, new_uuid
from memsvc.queue import enqueue
from memsvc.store import versions
from memsvc.store.database import WriteSession
from memsvc.store.keys import Caller
from memsvc.store.spaces import Space
from memsvc.store.versions import Operation


async def record(
    queue: procrastinate.App,
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
    return operation
