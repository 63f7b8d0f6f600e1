"""The write path: prepare, encode, then one transaction for rows, receipt and job; the caller answers after COMMIT."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

import structlog

from memsvc.errors import ConflictError, EncoderUnavailableError, FieldError, InvalidRequestError
from memsvc.ids import MemoryId, ReceiptId, SessionId, SpaceId, new_uuid
from memsvc.inference.batcher import EncoderBatcher
from memsvc.inference.types import Embeddings
from memsvc.ingest.operations import record
from memsvc.ingest.plan import Placement, place
from memsvc.ingest.prepare import Item
from memsvc.ingest.retention import retained_until
from memsvc.ingest.supersede import check_supersedable, supersede
from memsvc.ingest.units import Units, cut_all
from memsvc.queue import Queue, enqueue
from memsvc.store import lineage, receipts, spaces, writes
from memsvc.store.access import Right, When
from memsvc.store.database import Database, ReadSession, WriteSession
from memsvc.store.keys import Caller
from memsvc.store.memories import Record, get_records
from memsvc.store.receipts import StoredItem, StoredReceipt
from memsvc.store.spaces import Session, Space
from memsvc.store.versions import Operation
from memsvc.store.writes import Existing, NewMemory

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WriteOrder:
    """A valid request to remember `items`."""

    caller: Caller
    space: str
    items: Sequence[Item]
    wait: bool
    idempotency_key: str | None
    request_hash: bytes
    now: datetime


@dataclass(frozen=True, slots=True)
class Written:
    """What was committed. `replayed`: an earlier request with the same Idempotency-Key had done it."""

    receipt: StoredReceipt
    replayed: bool


@dataclass(frozen=True, slots=True)
class Ingest:
    """What the write path works with."""

    database: Database
    batcher: EncoderBatcher
    queue: Queue
    encoder_id: int
    exact_scan_limit: int
    write_wait_s: float


async def write(ingest: Ingest, order: WriteOrder) -> Written:
    """Store the items of one request, each exactly once, in one transaction.

    Raises `ConflictError` (id, position or Idempotency-Key taken by something else) and, when `wait` is asked and the
    encoder's queue is full, `BusyError`; in both cases nothing is stored. An encoder that fails, or takes longer than
    a write waits, loses nothing: the items are stored and a job embeds what is missing.
    """
    fresh, replay = await _look_up(ingest, order)
    if replay is not None:
        return Written(replay, replayed=True)
    units = await asyncio.to_thread(_cut_all, ingest, order.items)
    embeddings = await _encode(ingest, units, fresh) if order.wait else {}
    async with ingest.database.write(order.caller.tenant_id) as session:
        space = await spaces.lock_space(session, order.caller, order.space)
        replay = await _find_replay(session, order)
        if replay is not None:
            return Written(replay, replayed=True)
        names = {item.session for item in order.items if item.session is not None}
        sessions = await spaces.ensure_sessions(session, space.id, names)
        placements = place(order.items, await _find_existing(session, space.id, order, sessions), sessions)
        created = [placement for placement in placements if placement.duplicate_of is None]
        memories = [
            _new_memory(placement, sessions, space, space.next_memory + offset, units, embeddings, order.now)
            for offset, placement in enumerate(created)
        ]
        if memories:
            operation = await record(ingest.queue, session, space, "add", caller=order.caller, now=order.now)
            await store_memories(ingest, session, space, memories, operation=operation, caller=order.caller)
            await _relate(session, space, order, operation, [placement.item for placement in created])
        receipt = _make_receipt(order, placements)
        await receipts.insert_receipt(
            session,
            receipt,
            space_id=space.id,
            principal_id=order.caller.principal_id,
            idempotency_key=order.idempotency_key,
        )
        await spaces.advance_sessions(session, _next_positions(placements, sessions))
    return Written(receipt, replayed=False)


async def _look_up(ingest: Ingest, order: WriteOrder) -> tuple[set[MemoryId], StoredReceipt | None]:
    """Ids of the items that look new: nothing known is encoded again. The write transaction decides for good."""
    async with ingest.database.read(order.caller.tenant_id) as session:
        replay = await _find_replay(session, order)
        space_id = await spaces.find_space(session, order.space)
        if replay is not None or space_id is None:
            return {item.id for item in order.items}, replay
        names = {item.session for item in order.items if item.session is not None}
        sessions = await spaces.find_sessions(session, space_id, names)
        existing = await _find_existing(session, space_id, order, sessions)
    placements = place(order.items, existing, sessions)
    return {placement.item.id for placement in placements if placement.duplicate_of is None}, None


async def _find_replay(session: ReadSession, order: WriteOrder) -> StoredReceipt | None:
    if order.idempotency_key is None:
        return None
    receipt = await receipts.find_by_key(session, order.caller.principal_id, order.idempotency_key)
    if receipt is not None and not receipt.request_hash:
        problem, remedy = "belongs to a write whose memories were erased", "To store it again, send a new key."
        raise ConflictError(f"this Idempotency-Key {problem}", fields=(FieldError("Idempotency-Key", problem, remedy),))
    if receipt is not None and receipt.request_hash != order.request_hash:
        raise ConflictError(
            "this Idempotency-Key was used for another request",
            fields=(FieldError("Idempotency-Key", "was used before", "Send a new key with a new request."),),
        )
    return receipt


async def _find_existing(
    session: ReadSession, space_id: SpaceId, order: WriteOrder, sessions: Mapping[str, Session]
) -> Existing:
    items = order.items
    return await writes.find_existing(
        session,
        space_id,
        ids=[item.id for item in items if item.id_given],
        fingerprints=[item.fingerprint for item in items],
        positions=[
            (sessions[item.session].id, item.position)
            for item in items
            if item.position is not None and item.session is not None and item.session in sessions
        ],
        writer=order.caller.principal_id,
    )


def _cut_all(ingest: Ingest, items: Sequence[Item]) -> dict[MemoryId, Units]:
    encoder = ingest.batcher.encoder
    units = cut_all(
        [(item.content, item.name) for item in items],
        count_tokens=encoder.count_tokens,
        max_tokens=encoder.spec.max_tokens,
    )
    return {item.id: unit for item, unit in zip(items, units, strict=True)}


async def _encode(ingest: Ingest, units: Mapping[MemoryId, Units], wanted: set[MemoryId]) -> dict[MemoryId, Embeddings]:
    texts = [text for memory_id, unit in units.items() if memory_id in wanted for text in unit.texts]
    try:
        encoded = await ingest.batcher.encode_documents(texts, within_s=ingest.write_wait_s)
    except EncoderUnavailableError:
        log.warning("encoder_unavailable", pending=len(wanted))
        return {}
    embeddings: dict[MemoryId, Embeddings] = {}
    start = 0
    for memory_id, unit in units.items():
        if memory_id in wanted:
            found = encoded.part(start, start + len(unit.texts))
            start += len(unit.texts)
            if found is not None:
                embeddings[memory_id] = found
    return embeddings


def _new_memory(
    placement: Placement,
    sessions: Mapping[str, Session],
    space: Space,
    number: int,
    units: Mapping[MemoryId, Units],
    embeddings: Mapping[MemoryId, Embeddings],
    now: datetime,
) -> NewMemory:
    item = placement.item
    session = None if item.session is None else sessions[item.session]
    return NewMemory(
        id=item.id,
        number=number,
        kind=item.kind,
        role=item.role,
        name=item.name,
        session_id=None if session is None else session.id,
        session_number=None if session is None else session.number,
        position=placement.position,
        content=item.content,
        content_hash=item.content_hash,
        fingerprint=item.fingerprint,
        occurred_at=item.occurred_at,
        occurred_zone=item.occurred_zone,
        importance=item.importance,
        sensitivity=item.sensitivity,
        expires_at=item.expires_at,
        metadata=item.metadata,
        chunks=units[item.id].chunks,
        embeddings=embeddings.get(item.id),
        valid_from=None if item.valid_from is None else item.valid_from[0],
        valid_from_precision=None if item.valid_from is None else item.valid_from[1],
        valid_to=None if item.valid_to is None else item.valid_to[0],
        valid_to_precision=None if item.valid_to is None else item.valid_to[1],
        visibility=item.visibility,
        retained_until=retained_until(space.policies, item.kind, now),
    )


async def store_memories(
    ingest: Ingest,
    session: WriteSession,
    space: Space,
    memories: Sequence[NewMemory],
    *,
    operation: Operation,
    caller: Caller,
) -> None:
    """Insert records of a locked space, numbered from its `next_memory`, and enqueue what is left to do for them."""
    await writes.insert_memories(
        session,
        space,
        memories,
        operation_id=operation.id,
        principal_id=caller.principal_id,
        encoder_id=ingest.encoder_id,
        now=operation.recorded_at,
    )
    chunks = sum(len(memory.chunks) for memory in memories)
    await spaces.advance_space(
        session,
        space.id,
        memories=len(memories),
        chunks=chunks,
        terms=sum(chunk.length for memory in memories for chunk in memory.chunks),
    )
    if any(memory.embeddings is None for memory in memories):
        await enqueue(ingest.queue, session, "embed", space.id)
    if not space.ann and space.next_chunk + chunks > ingest.exact_scan_limit:
        await enqueue(ingest.queue, session, "index", space.id)


async def _relate(
    session: WriteSession, space: Space, order: WriteOrder, operation: Operation, items: Sequence[Item]
) -> None:
    """Lineage and supersession of new items; what they name must be there, and be the caller's to use."""
    named = [(item, "derived_from", item.derived_from) for item in items if item.derived_from]
    await _named(session, order, named, right="read")
    edges = [(item.id, source) for item, _, ids in named for source in ids]
    await lineage.insert_edges(session, operation, edges, new=True)
    named = [(item, "supersedes", item.supersedes) for item in items if item.supersedes]
    old = await _named(session, order, named, right="write")
    for item, field, ids in named:
        records = [old.pop(memory_id) for memory_id in ids if memory_id in old]
        if len(records) < len(ids):
            _refuse_named(f"{item.path}.{field}", "names what another item supersedes", "Supersede it once.")
        check_supersedable(records, space.id, field=f"{item.path}.{field}")
        since = item.valid_from or (item.occurred_at or order.now, "instant")
        await supersede(session, operation, records, item.id, at=since[0], precision=since[1])


async def _named(
    session: WriteSession,
    order: WriteOrder,
    named: Sequence[tuple[Item, str, Sequence[MemoryId]]],
    *,
    right: Right,
) -> dict[MemoryId, Record]:
    ids = list(dict.fromkeys(memory_id for _, _, ids in named for memory_id in ids))
    if not ids:
        return {}
    found = await get_records(session, ids, caller=order.caller, when=When(order.now), right=right)
    for item, field, wanted in named:
        for memory_id in wanted:
            if memory_id not in found:
                _refuse_named(
                    f"{item.path}.{field}",
                    f"names {memory_id}, which is not there or not yours to {right}",
                    "Name memories that exist; what is made in one request can be named in the next.",
                )
    return found


def _refuse_named(field: str, problem: str, remedy: str) -> NoReturn:
    raise InvalidRequestError(f"{field} {problem}", fields=(FieldError(field, problem, remedy),))


def _make_receipt(order: WriteOrder, placements: Sequence[Placement]) -> StoredReceipt:
    items = tuple(
        StoredItem(placement.duplicate_of or placement.item.id, placement.duplicate_of is None)
        for placement in placements
    )
    return StoredReceipt(ReceiptId(new_uuid()), order.space, order.request_hash, items, order.now)


def _next_positions(placements: Sequence[Placement], sessions: Mapping[str, Session]) -> dict[SessionId, int]:
    next_positions: dict[SessionId, int] = {}
    for placement in placements:
        if placement.position is not None and placement.item.session is not None:
            session = sessions[placement.item.session]
            known = next_positions.get(session.id, session.next_position)
            next_positions[session.id] = max(known, placement.position + 1)
    return next_positions
