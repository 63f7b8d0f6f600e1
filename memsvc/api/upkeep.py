"""Consolidation on demand, and what it was not certain of."""

import base64
from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Query

from memsvc.api.auth import Reader, Writer
from memsvc.api.memories import to_memory
from memsvc.api.services import ServicesDep
from memsvc.errors import FieldError, InvalidRequestError, NotFoundError
from memsvc.ids import ConflictId
from memsvc.store import access, conflicts, memories
from memsvc.store.access import When
from memsvc.store.conflicts import Conflict
from memsvc.store.database import ReadSession
from memsvc.store.keys import Caller
from memsvc.upkeep.conflicts import settle
from memsvc.upkeep.consolidate import consolidate
from memsvc.upkeep.model import Order, Run
from memsvc.wire.conflicts import ConflictOut, ConflictPage, Settlement
from memsvc.wire.upkeep import UpkeepChange, UpkeepRequest, UpkeepResponse

router = APIRouter(prefix="/v1")


@router.post("/consolidate", summary="Learn from what was written, now")
async def post_consolidate(request: UpkeepRequest, caller: Writer, services: ServicesDep) -> UpkeepResponse:
    """What a worker does when the space is idle. The run is an operation that can be undone."""
    order = Order(
        caller=caller,
        space=request.space,
        now=services.clock(),
        dry_run=request.dry_run,
        limit=request.limit,
        reason=request.reason,
    )
    return to_response(await consolidate(services.upkeep, order), order)


def to_response(run: Run, order: Order) -> UpkeepResponse:
    """A run in the words of the wire."""
    return UpkeepResponse(
        space=order.space,
        dry_run=order.dry_run,
        operation_id=run.operation_id,
        further=list(run.further),
        changes=[
            UpkeepChange(
                action=change.action,
                memory_id=change.memory_id,
                sources=list(change.sources),
                content=change.content,
                reason=change.reason,
            )
            for change in run.changes
        ],
        more=run.more,
    )


@router.get("/conflicts", summary="List what is not certain")
async def list_conflicts(
    caller: Reader,
    services: ServicesDep,
    space: str = "default",
    state: Literal["open", "settled"] | None = None,
    limit: int = Query(100, ge=1, le=1000),
    cursor: str | None = None,
) -> ConflictPage:
    """Pairs of memories that contradict each other, where no rule could tell which holds."""
    after = None if cursor is None else _decode(cursor)
    async with services.database.read(caller.tenant_id) as session:
        space_id = await access.require(session, caller, space, "read")
        found = await conflicts.list_conflicts(session, space_id, state=state, after=after, limit=limit)
        items = await _readable(session, found, caller, services.clock())
    last = found[-1] if len(found) == limit else None
    return ConflictPage(items=items, next_cursor=None if last is None else _encode(last))


@router.post("/conflicts/{conflict_id}/settle", summary="Say which of two memories holds")
async def settle_conflict(conflict_id: UUID, request: Settlement, caller: Writer, services: ServicesDep) -> ConflictOut:
    """The other is superseded, as an operation that can be undone."""
    now = services.clock()
    await settle(services.upkeep, caller, ConflictId(conflict_id), request, now=now)
    async with services.database.read(caller.tenant_id) as session:
        found = await conflicts.get_conflict(session, ConflictId(conflict_id))
        items = [] if found is None else await _readable(session, [found], caller, now)
    if not items:
        raise NotFoundError(f"there is no conflict {conflict_id}")
    return items[0]


async def _readable(session: ReadSession, found: list[Conflict], caller: Caller, now: datetime) -> list[ConflictOut]:
    ids = list({memory for one in found for memory in (one.first_id, one.second_id)})
    records = await memories.get_records(session, ids, caller=caller, when=When(now))
    return [
        ConflictOut(
            id=one.id,
            space=records[one.first_id].space,
            first=to_memory(records[one.first_id]),
            second=to_memory(records[one.second_id]),
            reason=one.reason,
            state="open" if one.state == "open" else "settled",
            resolution=one.resolution,
            operation_id=one.operation_id,
            found_at=one.found_at,
            settled_by=one.settled_by,
            settled_at=one.settled_at,
        )
        for one in found
        if one.first_id in records and one.second_id in records
    ]


def _encode(conflict: Conflict) -> str:
    place = f"{conflict.found_at.isoformat()} {conflict.id}"
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _decode(cursor: str) -> tuple[datetime, ConflictId]:
    try:
        moment, _, conflict = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(" ")
        return datetime.fromisoformat(moment), ConflictId(UUID(conflict))
    except ValueError:
        fault = FieldError("cursor", "is not a cursor of this service", "Pass `next_cursor` of the page before.")
        raise InvalidRequestError("the cursor cannot be used", fields=(fault,)) from None
