"""`/v1/memories`, `/v1/receipts`, `/v1/spaces`: remembering, and looking after what is remembered."""

import base64
import binascii
import dataclasses
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from fastapi import APIRouter, Header, Query, Response

from memsvc.api.auth import Admin, Reader, Writer
from memsvc.api.services import ServicesDep
from memsvc.errors import FieldError, InvalidRequestError, NotFoundError
from memsvc.ids import MemoryId, ReceiptId
from memsvc.ingest import change as changes
from memsvc.ingest.prepare import Limits, check_text, prepare, request_hash, to_utc
from memsvc.ingest.write import WriteOrder, write
from memsvc.store import maintenance, memories, receipts, spaces, writes
from memsvc.store.database import ReadSession
from memsvc.store.memories import ListFilter, Record
from memsvc.store.receipts import StoredReceipt
from memsvc.wire import (
    Kind,
    Memory,
    MemoryPage,
    MemoryPatch,
    Receipt,
    Role,
    SpaceList,
    SpaceOut,
    State,
    Storage,
    WriteRequest,
    WriteResponse,
    WrittenItem,
)

router = APIRouter(prefix="/v1")
UTC_ZONE = ZoneInfo("UTC")
NO_SUCH_RECEIPT = "there is no such receipt"


@router.post("/memories", status_code=201, summary="Remember messages and texts")
async def add(
    request: WriteRequest,
    caller: Writer,
    services: ServicesDep,
    response: Response,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
) -> WriteResponse:
    """Store 1 to 1,000 items in one transaction. The answer comes after COMMIT."""
    settings, now = services.settings, services.clock()
    limits = Limits(settings.max_items, settings.max_content_bytes, timedelta(seconds=settings.max_future_s))
    order = WriteOrder(
        caller=caller,
        space=request.space,
        items=prepare(request, limits=limits, now=now),
        wait=request.wait,
        idempotency_key=idempotency_key,
        request_hash=request_hash(request),
        now=now,
    )
    written = await write(services.ingest, order)
    if written.replayed:
        response.headers["Idempotent-Replay"] = "true"
    async with services.database.read(caller.tenant_id) as session:
        return await _write_response(session, written.receipt)


@router.get("/receipts/{receipt_id}", summary="Follow a write until it is searchable")
async def get_receipt(receipt_id: UUID, caller: Reader, services: ServicesDep) -> WriteResponse:
    """The receipt of a write, as it stands now."""
    async with services.database.read(caller.tenant_id) as session:
        receipt = await receipts.find_receipt(session, ReceiptId(receipt_id))
        if receipt is None:
            raise NotFoundError(NO_SUCH_RECEIPT)
        return await _write_response(session, receipt)


@router.get("/memories", summary="List memories")
async def list_memories(
    caller: Reader,
    services: ServicesDep,
    space: str | None = None,
    kind: Kind | None = None,
    role: Role | None = None,
    name: str | None = None,
    session: str | None = None,
    state: State | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: str | None = None,
) -> MemoryPage:
    """Memories in the order of recording, a page at a time; a page is never shifted by writes in between."""
    conditions = ListFilter(space=space, kind=kind, role=role, name=name, session=session, state=state)
    async with services.database.read(caller.tenant_id) as read:
        records = await memories.list_records(
            read,
            conditions,
            principal_id=caller.principal_id,
            now=services.clock(),
            after=None if cursor is None else _decode_cursor(cursor),
            limit=limit + 1,
        )
    page = records[:limit]
    more = len(records) > limit
    return MemoryPage(
        items=[to_memory(record) for record in page], next_cursor=_encode_cursor(page[-1]) if more else None
    )


@router.get("/memories/{memory_id}", summary="Get one memory")
async def get_memory(memory_id: UUID, caller: Reader, services: ServicesDep) -> Memory:
    """The memory in its current version."""
    async with services.database.read(caller.tenant_id) as session:
        record = await memories.get_record(
            session, MemoryId(memory_id), principal_id=caller.principal_id, now=services.clock()
        )
    return to_memory(record)


@router.patch("/memories/{memory_id}", summary="Change one memory")
async def patch_memory(memory_id: UUID, patch: MemoryPatch, caller: Writer, services: ServicesDep) -> Memory:
    """Apply the fields that are given; the result is a new version."""
    now = services.clock()
    change = _to_change(patch, max_bytes=services.settings.max_content_bytes, now=now)
    return to_memory(await changes.change(services.ingest, caller, MemoryId(memory_id), change, now=now))


@router.delete("/memories/{memory_id}", status_code=204, summary="Delete one memory")
async def delete_memory(memory_id: UUID, caller: Writer, services: ServicesDep) -> None:
    """Delete the memory with all its versions."""
    await changes.delete(services.ingest, caller, MemoryId(memory_id), now=services.clock())


@router.get("/spaces", summary="List spaces")
async def list_spaces(caller: Reader, services: ServicesDep) -> SpaceList:
    """The tenant's spaces and what they hold."""
    async with services.database.read(caller.tenant_id) as session:
        found = await spaces.list_spaces(session)
    return SpaceList(
        items=[
            SpaceOut(
                name=space.name,
                memories=space.memories,
                chunks=space.chunks,
                pending=space.pending,
                encoder=space.encoder,
                created_at=space.created_at,
            )
            for space in found
        ]
    )


@router.get("/admin/storage", summary="Bytes on disk")
async def storage(caller: Admin, services: ServicesDep) -> Storage:
    """Bytes of the memory tables with their indexes, and the tenant's memories."""
    async with services.database.read(caller.tenant_id) as session:
        size, count = await maintenance.storage(session)
    return Storage(bytes=size, memories=count)


def to_memory(record: Record) -> Memory:
    """A record as it travels."""
    values: dict[str, Any] = {name: getattr(record, name) for name in Memory.model_fields}
    return Memory.model_construct(**values)


async def _write_response(session: ReadSession, receipt: StoredReceipt) -> WriteResponse:
    standings = await writes.find_standings(session, [item.id for item in receipt.items])
    items = [
        WrittenItem.model_construct(
            id=item.id,
            status="created" if item.created else "duplicate",
            **dataclasses.asdict(standings[item.id]),
        )
        for item in receipt.items
        if item.id in standings
    ]
    pending = sum(not item.searchable for item in items)
    created = sum(item.created for item in receipt.items)
    return WriteResponse.model_construct(
        receipt=Receipt.model_construct(
            id=receipt.id,
            space=receipt.space,
            stored=len(items),
            created=created,
            duplicates=len(receipt.items) - created,
            pending=pending,
            searchable=pending == 0,
            recorded_at=receipt.recorded_at,
        ),
        items=items,
    )


def _to_change(patch: MemoryPatch, *, max_bytes: int, now: datetime) -> changes.Change:
    faults: list[FieldError] = []
    given = patch.model_fields_set
    if not given:
        faults.append(FieldError("body", "changes nothing", "Send at least one field to change."))
    faults.extend(
        FieldError(name, "is null", "Leave the field out to keep it; it cannot be removed.")
        for name in sorted(given & {"content", "importance", "metadata"})
        if getattr(patch, name) is None
    )
    if patch.content is not None:
        check_text("content", patch.content, faults, max_bytes=max_bytes)
    header: dict[str, object] = {name: getattr(patch, name) for name in given & {"importance", "metadata"}}
    for name, column in (("timestamp", "occurred_at"), ("expires_at", "expires_at")):
        if name in given:
            moment: datetime | None = getattr(patch, name)
            header[column] = None if moment is None else to_utc(moment, UTC_ZONE)
    expires_at = header.get("expires_at")
    if isinstance(expires_at, datetime) and expires_at <= now:
        faults.append(FieldError("expires_at", "has passed", "Send a moment in the future; DELETE removes it now."))
    if faults:
        raise InvalidRequestError(f"{len(faults)} field(s) cannot be used", fields=tuple(faults))
    return changes.Change(patch.content, header)


def _encode_cursor(record: Record) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([record.space, record.number])).decode().rstrip("=")


def _decode_cursor(cursor: str) -> tuple[str, int]:
    try:
        space, number = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return str(space), int(number)
    except (binascii.Error, orjson.JSONDecodeError, TypeError, ValueError):
        fault = FieldError("cursor", "is not a cursor of this service", "Pass `next_cursor` of the page before.")
        raise InvalidRequestError("the cursor cannot be used", fields=(fault,)) from None
