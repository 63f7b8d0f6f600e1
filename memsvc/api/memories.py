"""`/v1/memories`, `/v1/receipts`, `/v1/spaces`: remembering, and looking after what is remembered."""

import base64
import binascii
import dataclasses
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Header, Query, Response

from memsvc.api.auth import Admin, Reader, Writer
from memsvc.api.etags import IfMatch, expected_version, set_etag
from memsvc.api.services import Services, ServicesDep
from memsvc.errors import FieldError, InvalidRequestError, NotFoundError
from memsvc.ids import MemoryId, ReceiptId
from memsvc.ingest.prepare import UTC_ZONE, Limits, check_metadata, check_text, find_zone, prepare, request_hash, to_utc
from memsvc.ingest.validity import parse_interval
from memsvc.ingest.write import WriteOrder, write
from memsvc.lifecycle import change as changes
from memsvc.lifecycle.change import Target
from memsvc.lifecycle.erase import EraseOrder, erase
from memsvc.lifecycle.policies import set_policies
from memsvc.store import access, maintenance, memories, receipts, spaces, writes
from memsvc.store.access import When
from memsvc.store.database import ReadSession
from memsvc.store.memories import ListFilter, Record
from memsvc.store.receipts import StoredReceipt
from memsvc.wire import (
    DeleteMode,
    Kind,
    Memory,
    MemoryPage,
    MemoryPatch,
    Policies,
    Receipt,
    Role,
    SpaceList,
    SpaceOut,
    SpacePolicies,
    State,
    Storage,
    WriteRequest,
    WriteResponse,
    WrittenItem,
)

router = APIRouter(prefix="/v1")
AsOfValid = Annotated[datetime | None, Query(description="What was true then.")]
AsOfKnown = Annotated[datetime | None, Query(description="What was known then.")]
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
        receipt = await receipts.find_receipt(session, ReceiptId(receipt_id), caller.principal_id)
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
    as_of_valid: AsOfValid = None,
    as_of_known: AsOfKnown = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: str | None = None,
) -> MemoryPage:
    """Memories in the order of recording, a page at a time; a page is never shifted by writes in between."""
    conditions = ListFilter(space=space, kind=kind, role=role, name=name, session=session, state=state)
    async with services.database.read(caller.tenant_id) as read:
        records = await memories.list_records(
            read,
            conditions,
            caller=caller,
            when=_when(services, as_of_valid, as_of_known),
            after=None if cursor is None else _decode_cursor(cursor),
            limit=limit + 1,
        )
    page = records[:limit]
    more = len(records) > limit
    return MemoryPage(
        items=[to_memory(record) for record in page], next_cursor=_encode_cursor(page[-1]) if more else None
    )


@router.get("/memories/{memory_id}", summary="Get one memory")
async def get_memory(
    memory_id: UUID,
    caller: Reader,
    services: ServicesDep,
    response: Response,
    as_of_valid: AsOfValid = None,
    as_of_known: AsOfKnown = None,
) -> Memory:
    """The memory in its current version, or as of another time. The ETag is its version."""
    async with services.database.read(caller.tenant_id) as session:
        record = await memories.get_record(
            session, MemoryId(memory_id), caller=caller, when=_when(services, as_of_valid, as_of_known)
        )
    set_etag(response, record.version)
    return to_memory(record)


@router.patch("/memories/{memory_id}", summary="Change one memory")
async def patch_memory(
    memory_id: UUID,
    patch: MemoryPatch,
    caller: Writer,
    services: ServicesDep,
    response: Response,
    if_match: IfMatch = None,
) -> Memory:
    """Apply the fields that are given; the result is a new version. With If-Match, only to the version it names."""
    now = services.clock()
    change = _to_change(patch, max_bytes=services.settings.max_content_bytes, now=now)
    target = Target(MemoryId(memory_id), expected_version(if_match))
    record = await changes.edit(services.ingest, caller, target, change, now=now)
    set_etag(response, record.version)
    return to_memory(record)


@router.delete("/memories/{memory_id}", status_code=204, summary="Archive, expire or erase one memory")
async def delete_memory(
    memory_id: UUID,
    caller: Writer,
    services: ServicesDep,
    mode: Annotated[DeleteMode, Query(description="archive: reversible; expire: at `at`; erase: for good.")] = "erase",
    at: Annotated[datetime | None, Query(description="With `expire`: when; by default now.")] = None,
    if_match: IfMatch = None,
) -> None:
    """Take a memory out of recall. `erase` removes it, its versions and what derives from it, and cannot be undone."""
    now, target = services.clock(), Target(MemoryId(memory_id), expected_version(if_match))
    if at is not None and mode != "expire":
        fault = FieldError("at", f"says when to expire, but the mode is {mode}", "Leave it out, or use mode=expire.")
        raise InvalidRequestError("at cannot be used", fields=(fault,))
    if mode == "archive":
        await changes.move(services.ingest, caller, target, "archived", reason=None, now=now)
    elif mode == "expire":
        moment = now if at is None else to_utc(at, UTC_ZONE)
        await changes.expire(services.ingest, caller, target, moment, now=now)
    else:
        order = EraseOrder(caller=caller, memories=(target.id,), versions={target.id: target.version}, now=now)
        await erase(services.ingest, services.signer, order)


@router.get("/spaces", summary="List spaces")
async def list_spaces(caller: Reader, services: ServicesDep) -> SpaceList:
    """The spaces that the caller may read, and what they hold."""
    async with services.database.read(caller.tenant_id) as session:
        found = await spaces.list_spaces(session, caller)
    return SpaceList(items=[_space(space) for space in found])


@router.get("/spaces/{name}", summary="Get one space")
async def get_space(name: str, caller: Reader, services: ServicesDep) -> SpaceOut:
    """What a space holds, whose it is, and its policies."""
    async with services.database.read(caller.tenant_id) as session:
        await access.require(session, caller, name, "read")
        return _space((await spaces.list_spaces(session, caller, [name]))[0])


@router.put("/spaces/{name}", summary="Set a space's policies")
async def set_space(name: str, request: SpacePolicies, caller: Writer, services: ServicesDep) -> SpaceOut:
    """Make the space when it is new; retention applies at once, to what is stored already too."""
    await set_policies(services.ingest, caller, name, request)
    async with services.database.read(caller.tenant_id) as session:
        return _space((await spaces.list_spaces(session, caller, [name]))[0])


@router.get("/admin/storage", summary="Bytes on disk")
async def storage(caller: Admin, services: ServicesDep) -> Storage:
    """Bytes of the memory tables with their indexes, and the tenant's memories."""
    async with services.database.read(caller.tenant_id) as session:
        size, count = await maintenance.storage(session)
    return Storage(bytes=size, memories=count)


def _space(space: spaces.SpaceSummary) -> SpaceOut:
    values: dict[str, Any] = {name: getattr(space, name) for name in SpaceOut.model_fields}
    return SpaceOut.model_construct(**values | {"policies": Policies.model_validate(space.policies)})


def _when(services: Services, valid_at: datetime | None, known_at: datetime | None) -> When:
    valid_at, known_at = (None if moment is None else to_utc(moment, UTC_ZONE) for moment in (valid_at, known_at))
    return When(services.clock(), valid_at, known_at)


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


# Fields that have a value always.
_NEVER_NULL = ("content", "importance", "metadata", "visibility", "sensitivity", "trust")
_ABOUT_THE_REQUEST = {"reason", "timezone"}


def _to_change(patch: MemoryPatch, *, max_bytes: int, now: datetime) -> changes.Change:
    faults: list[FieldError] = []
    given = patch.model_fields_set - _ABOUT_THE_REQUEST
    if not given:
        faults.append(FieldError("body", "changes nothing", "Send at least one field to change."))
    faults.extend(
        FieldError(name, "is null", "Leave the field out to keep it; it cannot be removed.")
        for name in sorted(given.intersection(_NEVER_NULL))
        if getattr(patch, name) is None
    )
    if patch.content is not None:
        check_text("content", patch.content, faults, max_bytes=max_bytes)
    if patch.metadata is not None:
        check_metadata("metadata", patch.metadata, faults)
    zone = find_zone(patch.timezone, "timezone", faults)
    header: dict[str, object] = {name: getattr(patch, name) for name in given.intersection(_NEVER_NULL) - {"content"}}
    for name, column in (("timestamp", "occurred_at"), ("expires_at", "expires_at")):
        if name in given:
            moment: datetime | None = getattr(patch, name)
            header[column] = None if moment is None else to_utc(moment, zone)
    bounds = parse_interval(patch.valid_from, patch.valid_to, zone, path="", faults=faults)
    for name, bound in zip(("valid_from", "valid_to"), bounds, strict=True):
        if name in given:
            header[name], header[f"{name}_precision"] = bound or (None, None)
    expires_at = header.get("expires_at")
    if isinstance(expires_at, datetime) and expires_at <= now:
        faults.append(FieldError("expires_at", "has passed", "Send a moment in the future; DELETE removes it now."))
    if faults:
        raise InvalidRequestError(f"{len(faults)} field(s) cannot be used", fields=tuple(faults))
    return changes.Change(patch.content, header, patch.reason)


def _encode_cursor(record: Record) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([record.space, record.number])).decode().rstrip("=")


def _decode_cursor(cursor: str) -> tuple[str, int]:
    try:
        space, number = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return str(space), int(number)
    except (binascii.Error, orjson.JSONDecodeError, TypeError, ValueError):
        fault = FieldError("cursor", "is not a cursor of this service", "Pass `next_cursor` of the page before.")
        raise InvalidRequestError("the cursor cannot be used", fields=(fault,)) from None
