"""States, history, operations, lineage and holds of memories."""

import base64
from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response

from memsvc.api.auth import Admin, Reader, Writer
from memsvc.api.etags import IfMatch, expected_version, set_etag
from memsvc.api.memories import to_memory
from memsvc.api.services import ServicesDep
from memsvc.errors import FieldError, InvalidRequestError
from memsvc.ids import MemoryId, OperationId
from memsvc.ingest.prepare import find_zone
from memsvc.ingest.validity import parse_bound
from memsvc.lifecycle import change
from memsvc.lifecycle.change import Target
from memsvc.lifecycle.undo import undo
from memsvc.store import access, history, lineage, memories, versions
from memsvc.store.access import When
from memsvc.store.history import PastOperation
from memsvc.store.memories import Record
from memsvc.store.versions import Version
from memsvc.wire import Memory
from memsvc.wire.lifecycle import (
    FieldChange,
    History,
    Hold,
    Lineage,
    LineageDirection,
    LineageEdge,
    OperationChange,
    OperationDetail,
    OperationOut,
    OperationPage,
    StateChange,
    Supersede,
    UndoRequest,
    UndoResponse,
    VersionOut,
)

router = APIRouter(prefix="/v1")

# What is no part of a version: identity, statistics, and what names the version itself.
UNVERSIONED = frozenset(
    {"id", "space", "access_count", "last_accessed_at", "strength", "version", "updated_at", "operation_id", "packed"}
)
LAST_PLACE = 2**62
WAYS: tuple[lineage.Direction, ...] = ("up", "down")


@router.post("/memories/{memory_id}/state", summary="Move a memory to another state")
async def set_state(
    memory_id: UUID,
    request: StateChange,
    caller: Writer,
    services: ServicesDep,
    response: Response,
    if_match: IfMatch = None,
) -> Memory:
    """One step of the table of transitions, recorded as an operation."""
    target = Target(MemoryId(memory_id), expected_version(if_match))
    record = await change.move(
        services.ingest, caller, target, request.state, reason=request.reason, now=services.clock()
    )
    set_etag(response, record.version)
    return to_memory(record)


@router.post("/memories/{memory_id}/supersede", summary="Let a later memory take its place")
async def supersede(
    memory_id: UUID,
    request: Supersede,
    caller: Writer,
    services: ServicesDep,
    response: Response,
    if_match: IfMatch = None,
) -> Memory:
    """End its validity and link it to its successor."""
    faults: list[FieldError] = []
    zone = find_zone(request.timezone, "timezone", faults)
    at = None if request.at is None else parse_bound(request.at, zone, end=False, path="at", faults=faults)
    if request.by == memory_id:
        faults.append(FieldError("by", "is the memory itself", "Name its successor."))
    if faults:
        raise InvalidRequestError(f"{len(faults)} field(s) cannot be used", fields=tuple(faults))
    record = await change.replace(
        services.ingest,
        caller,
        Target(MemoryId(memory_id), expected_version(if_match)),
        MemoryId(request.by),
        at=at,
        reason=request.reason,
        now=services.clock(),
    )
    set_etag(response, record.version)
    return to_memory(record)


@router.put("/memories/{memory_id}/hold", summary="Place or lift a legal hold")
async def set_hold(
    memory_id: UUID, request: Hold, caller: Admin, services: ServicesDep, response: Response, if_match: IfMatch = None
) -> Memory:
    """While a hold stands, nothing erases the memory or what it derives from."""
    target = Target(MemoryId(memory_id), expected_version(if_match))
    record = await change.hold(
        services.ingest, caller, target, on=request.on, reason=request.reason, now=services.clock()
    )
    set_etag(response, record.version)
    return to_memory(record)


@router.get("/memories/{memory_id}/history", summary="Every version of a memory")
async def get_history(memory_id: UUID, caller: Reader, services: ServicesDep) -> History:
    """Who made each version, when, why, and what it changed."""
    when = When(services.clock())
    async with services.database.read(caller.tenant_id) as session:
        await memories.get_record(session, MemoryId(memory_id), caller=caller, when=when)
        found = await versions.list_versions(session, MemoryId(memory_id), caller=caller, when=when)
    return History(
        id=memory_id,
        versions=[_version(version, found[index - 1].record if index else None) for index, version in enumerate(found)],
    )


@router.get("/memories/{memory_id}/lineage", summary="Where a memory comes from, and what was made of it")
async def get_lineage(
    memory_id: UUID,
    caller: Reader,
    services: ServicesDep,
    direction: LineageDirection = "both",
    depth: Annotated[int, Query(ge=1, le=100)] = 10,
) -> Lineage:
    """The `derived_from` edges up to `depth` steps away, and the chain of supersession."""
    memory, when = MemoryId(memory_id), When(services.clock())
    async with services.database.read(caller.tenant_id) as session:
        await memories.get_record(session, memory, caller=caller, when=when)
        edges: dict[str, list[LineageEdge]] = {way: [] for way in WAYS}
        for way in WAYS:
            if direction in {way, "both"}:
                walked = await lineage.walk(session, memory, way, depth=depth, caller=caller, when=when)
                edges[way] = [LineageEdge.model_validate(edge, from_attributes=True) for edge in walked]
        after, before = await lineage.chain(session, memory, caller=caller, when=when)
    return Lineage(id=memory_id, **edges, superseded_by=list(after), supersedes=list(before))


@router.get("/operations", summary="List the operations of a space")
async def list_operations(
    caller: Reader,
    services: ServicesDep,
    space: str = "default",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
) -> OperationPage:
    """Newest first, a page at a time."""
    async with services.database.read(caller.tenant_id) as session:
        space_id = await access.require(session, caller, space, "read")
        before = LAST_PLACE if cursor is None else _decode(cursor)
        found = await history.list_operations(
            session, space_id, caller=caller, after=before, limit=limit + 1, newest_first=True
        )
    page = found[:limit]
    more = len(found) > limit
    return OperationPage(
        items=[to_operation(operation) for operation in page],
        next_cursor=_encode(page[-1].number) if more else None,
    )


@router.get("/operations/{operation_id}", summary="Get one operation")
async def get_operation(operation_id: UUID, caller: Reader, services: ServicesDep) -> OperationDetail:
    """The operation with what it did to each memory, before and after."""
    operation, when = OperationId(operation_id), When(services.clock())
    async with services.database.read(caller.tenant_id) as session:
        found = await history.get_operation(session, operation, caller=caller)
        changes = []
        for change_made in await versions.affected_by(session, [operation]):
            all_versions = await versions.list_versions(session, change_made.memory_id, caller=caller, when=when)
            by_number = {version.record.version: version.record for version in all_versions}
            if change_made.after in by_number:
                before = by_number.get(change_made.before or 0)
                changes.append(
                    OperationChange(
                        memory_id=change_made.memory_id,
                        version_before=change_made.before,
                        version_after=change_made.after,
                        changed={} if before is None else _differences(before, by_number[change_made.after]),
                    )
                )
        changes += [
            OperationChange(memory_id=memory_id, version_before=None, version_after=None)
            for _, memory_id in await history.list_tombstones(session, [operation], caller=caller)
        ]
    return OperationDetail(**to_operation(found).model_dump(), changes=changes)


@router.post("/operations/{operation_id}/undo", summary="Undo an operation")
async def undo_operation(
    operation_id: UUID, caller: Writer, services: ServicesDep, request: UndoRequest | None = None
) -> UndoResponse:
    """Give what it changed its earlier version back, and archive what it made; refused when later changes need it."""
    reason = None if request is None else request.reason
    done = await undo(services.ingest, caller, OperationId(operation_id), reason=reason, now=services.clock())
    return UndoResponse(operation_id=done.operation_id, restored=list(done.restored), archived=list(done.archived))


def to_operation(operation: PastOperation) -> OperationOut:
    """An operation as it travels."""
    values: dict[str, Any] = {name: getattr(operation, name) for name in OperationOut.model_fields}
    return OperationOut.model_construct(**values)


def _version(version: Version, before: Record | None) -> VersionOut:
    return VersionOut(
        version=version.record.version,
        known_from=version.record.updated_at,
        known_to=version.known_to,
        operation_id=version.record.operation_id,
        operation=version.operation,
        actor=version.operation_actor,
        reason=version.reason,
        changed={} if before is None else _differences(before, version.record),
        memory=to_memory(version.record),
    )


def _differences(before: Record, after: Record) -> dict[str, FieldChange]:
    first, second = _plain(before), _plain(after)
    return {name: FieldChange(before=first[name], after=second[name]) for name in first if first[name] != second[name]}


def _plain(record: Record) -> Mapping[str, Any]:
    return to_memory(record).model_dump(mode="json", exclude=set(UNVERSIONED))


def _encode(number: int) -> str:
    return base64.urlsafe_b64encode(str(number).encode()).decode().rstrip("=")


def _decode(cursor: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        fault = FieldError("cursor", "is not a cursor of this service", "Pass `next_cursor` of the page before.")
        raise InvalidRequestError("the cursor cannot be used", fields=(fault,)) from None
