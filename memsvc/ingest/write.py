"""The write path: prepare, encode, then one transaction for rows, receipt and job; the caller answers after COMMIT."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import procrastinate
import structlog
from numpy.typing import NDArray

from memsvc.errors import ConflictError, EncoderUnavailableError, FieldError
from memsvc.ids import MemoryId, ReceiptId, SessionId, new_uuid
from memsvc.inference.batcher import EncoderBatcher
from memsvc.ingest.plan import Placement, place
from memsvc.ingest.prepare import Item
from memsvc.ingest.units import Units, cut_all
from memsvc.queue import enqueue
from memsvc.store import receipts, spaces, writes
from memsvc.store.database import Database, ReadSession, WriteSession
from memsvc.store.keys import Caller
from memsvc.store.receipts import StoredItem, StoredReceipt
from memsvc.store.spaces import Session, Space
from memsvc.store.writes import Existing, NewMemory

log = structlog.get_logger(__name__)

Vectors = NDArray[np.float32]


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
    queue: procrastinate.App
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
    vectors = await _encode(ingest, units, fresh) if order.wait else {}
    async with ingest.database.write(order.caller.tenant_id) as session:
        space = await spaces.lock_space(session, order.space)
        replay = await _find_replay(session, order)
        if replay is not None:
            return Written(replay, replayed=True)
        names = {item.session for item in order.items if item.session is not None}
        sessions = await spaces.ensure_sessions(session, space.id, names)
        placements = place(order.items, await _find_existing(session, space, order.items, sessions), sessions)
        created = [placement for placement in placements if placement.duplicate_of is None]
        memories = [
            _new_memory(placement, sessions, space.next_memory + offset, units, vectors)
            for offset, placement in enumerate(created)
        ]
        await _store(ingest, session, space, order, memories)
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
        found = await spaces.find_spaces(session, [order.space])
        if replay is not None or not found:
            return {item.id for item in order.items}, replay
        names = {item.session for item in order.items if item.session is not None}
        sessions = await spaces.find_sessions(session, found[0].id, names)
        existing = await _find_existing(session, found[0], order.items, sessions)
    placements = place(order.items, existing, sessions)
    return {placement.item.id for placement in placements if placement.duplicate_of is None}, None


async def _find_replay(session: ReadSession, order: WriteOrder) -> StoredReceipt | None:
    if order.idempotency_key is None:
        return None
    receipt = await receipts.find_by_key(session, order.caller.principal_id, order.idempotency_key)
    if receipt is not None and receipt.request_hash != order.request_hash:
        raise ConflictError(
            "this Idempotency-Key was used for another request",
            fields=(FieldError("Idempotency-Key", "was used before", "Send a new key with a new request."),),
        )
    return receipt


async def _find_existing(
    session: ReadSession, space: Space | spaces.SpaceSummary, items: Sequence[Item], sessions: Mapping[str, Session]
) -> Existing:
    return await writes.find_existing(
        session,
        space.id,
        ids=[item.id for item in items if item.id_given],
        fingerprints=[item.fingerprint for item in items],
        positions=[
            (sessions[item.session].id, item.position)
            for item in items
            if item.position is not None and item.session is not None and item.session in sessions
        ],
    )


def _cut_all(ingest: Ingest, items: Sequence[Item]) -> dict[MemoryId, Units]:
    encoder = ingest.batcher.encoder
    units = cut_all(
        [(item.content, item.name) for item in items],
        count_tokens=encoder.count_tokens,
        max_tokens=encoder.spec.max_tokens,
    )
    return {item.id: unit for item, unit in zip(items, units, strict=True)}


async def _encode(ingest: Ingest, units: Mapping[MemoryId, Units], wanted: set[MemoryId]) -> dict[MemoryId, Vectors]:
    texts = [text for memory_id, unit in units.items() if memory_id in wanted for text in unit.texts]
    try:
        encoded = await ingest.batcher.encode_documents(texts, within_s=ingest.write_wait_s)
    except EncoderUnavailableError:
        log.warning("encoder_unavailable", pending=len(wanted))
        return {}
    vectors: dict[MemoryId, Vectors] = {}
    start = 0
    for memory_id, unit in units.items():
        if memory_id in wanted:
            found = encoded[start : start + len(unit.texts)]
            start += len(unit.texts)
            if not np.isnan(found).any():
                vectors[memory_id] = found
    return vectors


def _new_memory(
    placement: Placement,
    sessions: Mapping[str, Session],
    number: int,
    units: Mapping[MemoryId, Units],
    vectors: Mapping[MemoryId, Vectors],
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
        vectors=vectors.get(item.id),
    )


async def _store(
    ingest: Ingest, session: WriteSession, space: Space, order: WriteOrder, memories: Sequence[NewMemory]
) -> None:
    if not memories:
        return
    await writes.insert_memories(
        session,
        space,
        memories,
        principal_id=order.caller.principal_id,
        encoder_id=ingest.encoder_id,
        now=order.now,
    )
    chunks = sum(len(memory.chunks) for memory in memories)
    await spaces.advance_space(
        session,
        space.id,
        memories=len(memories),
        chunks=chunks,
        terms=sum(chunk.length for memory in memories for chunk in memory.chunks),
    )
    if any(memory.vectors is None for memory in memories):
        await enqueue(ingest.queue, session, "embed", space.id)
    if not space.ann and space.next_chunk + chunks > ingest.exact_scan_limit:
        await enqueue(ingest.queue, session, "index", space.id)


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
