"""Changing and deleting one memory: each is one transaction and one recorded operation."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from memsvc.errors import EncoderUnavailableError
from memsvc.ids import MemoryId
from memsvc.ingest.prepare import content_hash
from memsvc.ingest.units import Units, cut
from memsvc.ingest.write import Ingest, Vectors
from memsvc.queue import enqueue
from memsvc.store import memories
from memsvc.store.keys import Caller
from memsvc.store.memories import Record
from memsvc.store.writes import ChunkedContent


@dataclass(frozen=True, slots=True)
class Change:
    """What to change: header columns, and new content if it is not None."""

    content: str | None
    header: Mapping[str, object]


async def change(ingest: Ingest, caller: Caller, memory_id: MemoryId, change: Change, *, now: datetime) -> Record:
    """Apply a change as a new version; raises `NotFoundError`."""
    async with ingest.database.read(caller.tenant_id) as session:
        record = await memories.get_record(session, memory_id, principal_id=caller.principal_id, now=now)
    content = None if change.content == record.content else change.content
    units = None if content is None else await _cut(ingest, content, record.name)
    vectors = None if units is None else await _encode(ingest, units)
    async with ingest.database.write(caller.tenant_id) as session:
        record, space = await memories.lock_record(session, memory_id, principal_id=caller.principal_id, now=now)
        header = dict(change.header)
        await memories.insert_version(
            session,
            record,
            record.content if content is None else content,
            bytes.fromhex(record.content_hash) if content is None else content_hash(content),
            principal_id=caller.principal_id,
            now=now,
        )
        if units is not None and content is not None:
            old = await _cut(ingest, record.content, record.name)
            await memories.replace_chunks(
                session,
                space,
                ChunkedContent(memory_id, record.number, units.chunks, vectors),
                old_terms=_terms(old),
                encoder_id=ingest.encoder_id,
            )
            header |= {"content_hash": content_hash(content), "searchable": vectors is not None}
            if vectors is None:
                await enqueue(ingest.queue, session, "embed", space.id)
        await memories.update_header(session, memory_id, header, now=now)
        after = {name: value for name, value in header.items() if name not in {"content_hash", "metadata"}}
        after["version"] = record.version + 1
        await memories.record_operation(session, "edit", record, principal_id=caller.principal_id, now=now, after=after)
        return await memories.get_record(session, memory_id, principal_id=caller.principal_id, now=now)


async def delete(ingest: Ingest, caller: Caller, memory_id: MemoryId, *, now: datetime) -> None:
    """Delete a memory with all its versions; raises `NotFoundError`."""
    async with ingest.database.write(caller.tenant_id) as session:
        record, space = await memories.lock_record(session, memory_id, principal_id=caller.principal_id, now=now)
        old = await _cut(ingest, record.content, record.name)
        await memories.record_operation(
            session, "delete", record, principal_id=caller.principal_id, now=now, after=None
        )
        await memories.delete_record(session, space, memory_id, _terms(old))


def _terms(units: Units) -> set[str]:
    return {term for chunk in units.chunks for term in chunk.terms}


async def _cut(ingest: Ingest, content: str, name: str | None) -> Units:
    encoder = ingest.batcher.encoder
    return await asyncio.to_thread(
        cut, content, name, count_tokens=encoder.count_tokens, max_tokens=encoder.spec.max_tokens
    )


async def _encode(ingest: Ingest, units: Units) -> Vectors | None:
    try:
        vectors = await ingest.batcher.encode_documents(units.texts, within_s=ingest.write_wait_s)
    except EncoderUnavailableError:
        return None
    return None if np.isnan(vectors).any() else vectors
