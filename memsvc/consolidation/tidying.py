"""The jobs `forget_space` and `compress_space`, a batch of one space at a time, and what finds the spaces to do.

Each space has a job of its own, so that a large one holds up nobody, and one that fails is tried again alone.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Literal

import structlog

from memsvc.ids import SpaceId, TenantId
from memsvc.queue import enqueue
from memsvc.store import forgetting
from memsvc.store.retention import Due
from memsvc.upkeep.compress import compress_due
from memsvc.upkeep.forget import forget_due
from memsvc.upkeep.model import Run, Upkeep

log = structlog.get_logger(__name__)

Tidying = Literal["forget_space", "compress_space"]
RUNS: Mapping[Tidying, Callable[..., Awaitable[Run | None]]] = {
    "forget_space": forget_due,
    "compress_space": compress_due,
}


async def enqueue_tidying(upkeep: Upkeep, job: Tidying) -> int:
    """Give this job to every space, of every tenant, whose policy asks for it; how many there are.

    One that waits already serves for both.
    """
    due = await forgetting.find_forgetting(upkeep.ingest.database)
    for one in due:
        async with upkeep.ingest.database.write(one.tenant_id) as session:
            await enqueue(upkeep.ingest.queue, session, job, one.space_id)
    return len(due)


async def tidy_space(
    upkeep: Upkeep, job: Tidying, tenant_id: TenantId, space_id: SpaceId, *, now: datetime
) -> Run | None:
    """Do a batch, and enqueue the next one if there is more; None when the space is gone or its policy says nothing."""
    run = await RUNS[job](upkeep, Due(tenant_id, space_id), now=now)
    if run is not None and run.operation_id is not None:
        log.info("tidied", job=job, memories=len(run.changes), more=run.more)
        if run.more:
            async with upkeep.ingest.database.write(tenant_id) as session:
                await enqueue(upkeep.ingest.queue, session, job, space_id)
    return run
