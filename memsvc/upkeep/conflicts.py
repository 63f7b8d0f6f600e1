"""Settling a conflict: somebody who knows says which of two memories holds."""

from datetime import datetime

from memsvc.errors import ConflictError, FieldError, NotFoundError
from memsvc.ids import ConflictId
from memsvc.ingest.operations import record
from memsvc.ingest.supersede import check_supersedable, supersede
from memsvc.store import conflicts, memories
from memsvc.store.access import When
from memsvc.store.conflicts import Conflict
from memsvc.store.keys import Caller
from memsvc.upkeep.model import Upkeep
from memsvc.wire.conflicts import Settlement


async def settle(upkeep: Upkeep, caller: Caller, conflict_id: ConflictId, wanted: Settlement, *, now: datetime) -> None:
    """Let one of the two take the other's place, or both stand, as one operation; undoing it opens the conflict again.

    Raises `NotFoundError`, `ForbiddenError` and `ConflictError` (settled already, or superseded meanwhile).
    """
    ingest = upkeep.ingest
    async with ingest.database.write(caller.tenant_id) as session:
        found = await conflicts.get_conflict(session, conflict_id)
        if found is None:
            raise NotFoundError(f"there is no conflict {conflict_id}")
        pair = [found.first_id, found.second_id]
        records, locked = await memories.lock_records(session, pair, caller=caller, when=When(now))
        found = await conflicts.get_conflict(session, conflict_id) or found
        _check_open(found)
        first, second = records[found.first_id], records[found.second_id]
        kept, old = (first, second) if wanted.keep == "first" else (second, first)
        if wanted.keep != "both":
            check_supersedable([old], found.space_id, field="id")
        operation = await record(
            ingest.queue, session, locked[found.space_id], "settle", caller=caller, now=now, reason=wanted.reason
        )
        if wanted.keep != "both":
            # What never held keeps an interval that contains nothing; what held until the other was said ends there.
            since = old.valid_from or old.occurred_at or old.recorded_at
            end = since if wanted.keep == "first" else max(since, kept.occurred_at or kept.recorded_at)
            await supersede(session, operation, [old], kept.id, at=end, precision="instant")
        await conflicts.settle_conflict(session, conflict_id, wanted.keep, operation)


def _check_open(found: Conflict) -> None:
    if found.state == "settled":
        problem = f"conflict {found.id} was settled by operation {found.settled_by}"
        remedy = "Undo that operation to settle it otherwise."
        raise ConflictError(problem, fields=(FieldError("id", problem, remedy),), remedy=remedy)
