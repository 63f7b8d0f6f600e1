"""What a delivery does in the subscriber's space: which copies are made, changed and moved, and doing so."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import numpy as np

from memsvc.ids import MemoryId, SessionId, SpaceId
from memsvc.inference.types import Embeddings
from memsvc.ingest.prepare import content_hash
from memsvc.ingest.retention import retained_until
from memsvc.ingest.units import MAX_LENGTH
from memsvc.ingest.write import Ingest, store_memories
from memsvc.lifecycle import packing
from memsvc.lifecycle.change import cut_content
from memsvc.queue import enqueue
from memsvc.store import lineage, memories, spaces, subscriptions, versions
from memsvc.store.database import WriteSession
from memsvc.store.keys import Caller
from memsvc.store.memories import Record
from memsvc.store.scope import CURRENT_STATES
from memsvc.store.spaces import Session, Space
from memsvc.store.subscriptions import COPY, Copy, StoredChunk, Subscription
from memsvc.store.versions import Operation
from memsvc.store.writes import ChunkedContent, NewChunk, NewMemory
from memsvc.text.analysis import analyze, document_text

DELIVER = "deliver"
# What a copy takes over from its source with each delivery; the rest never changes, or is the space's own.
MIRRORED = (
    "occurred_at",
    "occurred_zone",
    "valid_from",
    "valid_from_precision",
    "valid_to",
    "valid_to_precision",
    "state",
    "importance",
    "trust",
    "sensitivity",
    "visibility",
    "expires_at",
    "metadata",
)
# A copy that its own space brought into one of these is left as it is.
SETTLED = frozenset({"archived", "expired", "frozen", "quarantined"})


@dataclass(frozen=True, slots=True)
class Mirror:
    """What a delivery does: new copies of these sources, copies that change to be like theirs, and states alone."""

    new: Sequence[Record]
    changed: Sequence[tuple[Record, Record]]
    moved: Mapping[str, Sequence[MemoryId]]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.new or self.changed or self.moved)

    def counts(self) -> dict[str, int]:
        """How many of each, for the operation's details."""
        moved = sum(len(ids) for ids in self.moved.values())
        return {"added": len(self.new), "updated": len(self.changed), "moved": moved}


def plan_mirror(
    ids: Sequence[MemoryId],
    sources: Mapping[MemoryId, Record],
    matching: Collection[MemoryId],
    copies: Mapping[MemoryId, Copy],
    copied: Mapping[MemoryId, MemoryId],
) -> Mirror:
    """What must be done for the copies of `ids` to be like their sources. Pure.

    `sources` are those that the subscriber may read; `copied` says which copy stands for which source.
    """
    new: list[Record] = []
    changed: list[tuple[Record, Record]] = []
    moved: dict[str, list[MemoryId]] = {}
    for each in sorted(ids, key=lambda each: (sources[each].number if each in sources else 0, each)):
        source, copy = sources.get(each), copies.get(each)
        current = source is not None and each in matching and source.state in CURRENT_STATES
        if copy is None:
            if current and source is not None and each in copied:  # else its copy was erased by the space itself
                new.append(source)
        elif copy.operation != DELIVER and copy.record.state in SETTLED:
            continue
        elif current and source is not None:
            if header_of(source, copied) != header_of(copy.record) or source.content_hash != copy.record.content_hash:
                changed.append((copy.record, source))
        else:
            left = source is not None and each in matching and source.state in SETTLED
            state = source.state if left and source is not None else "archived"
            if copy.record.state != state:
                moved.setdefault(state, []).append(copy.record.id)
    return Mirror(new, changed, moved)


def header_of(of: Record, copied: Mapping[MemoryId, MemoryId] | None = None) -> dict[str, object]:
    """The mirrored columns; `copied` translates a source's successor into that of its copy."""
    by = of.superseded_by if copied is None or of.superseded_by is None else copied.get(of.superseded_by)
    return {**{name: getattr(of, name) for name in MIRRORED}, "superseded_by": by}


def copy_id(space_id: SpaceId, source: Record) -> MemoryId:
    """The id of a source's copy in a space: always the same, so that an erased copy is known and does not come back.

    It keeps the source's first 48 bits, the time in a UUIDv7. The source's time of recording is part of it, because an
    id that was erased can be given to another memory.
    """
    named = space_id.bytes + source.id.bytes + source.recorded_at.isoformat().encode()
    digest = int.from_bytes(hashlib.sha256(b"memsvc copy" + named).digest()[:10], "big")
    value = (source.id.int >> 80 << 80) | digest
    value = value & ~(0xF << 76) | 0x7 << 76
    return MemoryId(UUID(int=value & ~(0x3 << 62) | 0x2 << 62))


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a delivery works with; `copied` says which copy stands for which source."""

    ingest: Ingest
    session: WriteSession
    subscription: Subscription
    caller: Caller
    operation: Operation
    copied: Mapping[MemoryId, MemoryId]


@dataclass(frozen=True, slots=True)
class _Searchable:
    """A content's chunks, and their embeddings unless some are still to be computed."""

    chunks: tuple[NewChunk, ...]
    embeddings: Embeddings | None


async def apply(delivery: Delivery, space: Space, mirror: Mirror) -> None:
    """Do it, in the transaction of `delivery`; the space is locked."""
    sources = [*mirror.new, *(source for _, source in mirror.changed)]
    searchable = await _searchable(delivery, sources)
    if mirror.new:
        await _add(delivery, space, mirror.new, searchable)
    for copy, source in mirror.changed:
        await _change(delivery, copy, source, searchable[source.id])
    changed = [copy.id for copy, _ in mirror.changed]
    await packing.bring_back(delivery.ingest, delivery.session, delivery.operation, changed)
    await subscriptions.note_versions(delivery.session, delivery.operation, changed)
    for state, moved in mirror.moved.items():
        await versions.revise(delivery.session, delivery.operation, moved, {"state": state})


async def _add(
    delivery: Delivery, space: Space, sources: Sequence[Record], searchable: Mapping[MemoryId, _Searchable]
) -> None:
    session, copied = delivery.session, delivery.copied
    # Two spaces may both have a conversation called `monday`: each stays one of its own.
    names = {each.id: f"{delivery.subscription.source}/{each.session}" for each in sources if each.session is not None}
    sessions = await spaces.ensure_sessions(session, space.id, set(names.values()))
    taken = await subscriptions.taken_positions(session, [each.id for each in sessions.values()])
    next_positions = {each.id: each.next_position for each in sessions.values()}
    new = []
    for offset, source in enumerate(sources):
        into = sessions[names[source.id]] if source.id in names else None
        position = None if into is None else _position(into.id, source.position, taken, next_positions)
        copy = _new_copy(delivery, source, space, searchable[source.id], into, position)
        new.append(replace(copy, number=space.next_memory + offset))
    await store_memories(delivery.ingest, session, space, new, operation=delivery.operation, caller=delivery.caller)
    await spaces.advance_sessions(session, next_positions)
    await lineage.insert_edges(session, delivery.operation, [(copied[each.id], each.id) for each in sources], new=True)
    successors = {each.id: each.superseded_by for each in sources if each.superseded_by in copied}
    links = {copied[source]: copied[by] for source, by in successors.items() if by is not None}
    await subscriptions.link_successors(session, links)


def _position(
    into: SessionId,
    wanted: int | None,
    taken: set[tuple[SessionId, int]],
    next_positions: dict[SessionId, int],
) -> int:
    """The source's place in its session when it is free in the copy's, else the next one; noted as taken."""
    free = wanted is not None and (into, wanted) not in taken
    position = wanted if free and wanted is not None else next_positions[into]
    taken.add((into, position))
    next_positions[into] = max(next_positions[into], position + 1)
    return position


def _new_copy(
    delivery: Delivery,
    source: Record,
    space: Space,
    searchable: _Searchable,
    into: Session | None,
    position: int | None,
) -> NewMemory:
    memory_id = delivery.copied[source.id]
    return NewMemory(
        id=memory_id,
        number=0,
        kind=source.kind,
        role=source.role,
        name=source.name,
        session_id=None if into is None else into.id,
        session_number=None if into is None else into.number,
        position=position,
        content=source.content,
        content_hash=content_hash(source.content),
        # Its own: what somebody writes here is no duplicate of a copy, with which it would be erased.
        fingerprint=hashlib.sha256(b"memsvc copy" + memory_id.bytes).digest()[:16],
        occurred_at=source.occurred_at,
        occurred_zone=source.occurred_zone,
        importance=source.importance,
        sensitivity=source.sensitivity,
        expires_at=source.expires_at,
        metadata=source.metadata,
        chunks=searchable.chunks,
        embeddings=searchable.embeddings,
        valid_from=source.valid_from,
        valid_from_precision=source.valid_from_precision,
        valid_to=source.valid_to,
        valid_to_precision=source.valid_to_precision,
        visibility=source.visibility,
        retained_until=retained_until(space.policies, source.kind, delivery.operation.recorded_at),
        payload_type=source.payload_type,
        origin=COPY,
        state=source.state,
        trust=source.trust,
    )


async def _change(delivery: Delivery, copy: Record, source: Record, searchable: _Searchable) -> None:
    session, ingest = delivery.session, delivery.ingest
    header = header_of(source, delivery.copied)
    if source.content_hash != copy.content_hash:
        space = (await memories.lock_spaces(session, {copy.space_id}))[copy.space_id]  # its counters have moved
        content = ChunkedContent(copy.id, space.next_memory, searchable.chunks, searchable.embeddings)
        await versions.insert_content(session, space, content, source.content, encoder_id=ingest.encoder_id)
        header |= {
            "content_number": space.next_memory,
            "content_hash": content_hash(source.content),
            "searchable": searchable.embeddings is not None,
        }
        if searchable.embeddings is None:
            await enqueue(ingest.queue, session, "embed", space.id)
    await versions.revise(session, delivery.operation, [copy.id], header)


async def _searchable(delivery: Delivery, sources: Sequence[Record]) -> dict[MemoryId, _Searchable]:
    """Chunks as the sources have them, their terms counted anew, their vectors taken over where all are there."""
    stored = await subscriptions.read_chunks(delivery.session, [source.id for source in sources])
    encoder_id = delivery.ingest.encoder_id
    taken = await asyncio.to_thread(
        lambda: {source.id: _take_over(source, stored.get(source.id, []), encoder_id) for source in sources}
    )
    for source in sources:
        if source.packed:
            taken[source.id] = _Searchable(
                (await cut_content(delivery.ingest, source.content, source.name)).chunks, None
            )
    return taken


def _take_over(source: Record, stored: Sequence[StoredChunk], encoder_id: int) -> _Searchable:
    chunks = []
    for each in stored:
        terms = Counter(analyze(document_text(source.content[each.start : each.end], source.name)))
        chunks.append(NewChunk(each.start, each.end, terms, min(terms.total(), MAX_LENGTH)))
    vectors = [each.vector for each in stored if each.vector is not None and each.encoder_id == encoder_id]
    if len(vectors) < len(stored):
        return _Searchable(tuple(chunks), None)
    rows = np.stack(vectors) if vectors else np.empty((0, 0), np.float32)
    return _Searchable(tuple(chunks), Embeddings(rows, [each.codes for each in stored]))
