"""Taking memories out of the hot tier and back, as part of a recorded operation.

The hot tier is what recall searches: chunks with their vectors, lexical entries, and the text in its row. What is
packed has none of them, and says the same. Nothing leaves before its pack, as the database holds it, has given every
original back byte for byte (after R3Mem: reversible, and checked before the raw text may go). The operation notes what
it packed and what it unpacked, which is how an undo knows what to do.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from memsvc.errors import BusyError, EncoderUnavailableError
from memsvc.ids import MemoryId, PackId, SpaceId, TenantId
from memsvc.inference.types import Embeddings
from memsvc.ingest.units import Units, cut_all
from memsvc.ingest.write import Ingest
from memsvc.queue import enqueue
from memsvc.store import erasure, memories, packs, spaces, versions
from memsvc.store.bundle_chunks import insert_many
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.packs import NewPack, Packed
from memsvc.store.versions import Operation
from memsvc.store.writes import ChunkedContent
from memsvc.text.packing import Key, check

# In an operation's details: the packs that it made, and the memories that it unpacked.
PACKS = "packs"
UNPACKED = "unpacked"


@dataclass(frozen=True, slots=True)
class Tally:
    """What a packing took out of the hot tier: `bytes_before` of texts and chunks there, `bytes_after` of packs."""

    memories: int = 0
    contents: int = 0
    chunks: int = 0
    text_bytes: int = 0
    bytes_before: int = 0
    bytes_after: int = 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """Packed contents cut into units again, with vectors as far as the encoder gave them, before a transaction."""

    units: Mapping[Key, Units] = field(default_factory=dict)
    embeddings: Mapping[Key, Embeddings] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reversal:
    """What undoing an operation does to packs: which memories it packs again, which packed contents it brings back."""

    pack: Sequence[MemoryId]
    unpack: Sequence[Packed]

    @property
    def ids(self) -> list[MemoryId]:
        """All memories that it concerns."""
        return list(dict.fromkeys([*self.pack, *(one.memory_id for one in self.unpack)]))


NOTHING = Prepared()


async def pack(
    session: WriteSession, operation: Operation, ids: Collection[MemoryId], *, made: Sequence[NewPack] = ()
) -> Tally:
    """Pack every content of these memories of the operation's locked space, unless it is packed already.

    `made`: packs that were made before the transaction; they serve if they still hold just what is to be packed.
    `PackCorruptError`, and nothing is changed, when a stored pack does not give every original back.
    """
    loose = await packs.read_loose(session, ids)
    if not loose:
        return Tally()
    if [one for each in made for one in each.contents] != loose:
        made = await asyncio.to_thread(packs.make_packs, loose)
    chunks, chunk_bytes = await erasure.remove_chunks(session, operation.space_id, [one.memory_id for one in loose])
    await _move(session, operation.space_id, made, operation.recorded_at)
    text_bytes = sum(len(one.text.encode()) for one in loose)
    tally = Tally(
        memories=len({one.memory_id for one in loose}),
        contents=len(loose),
        chunks=chunks,
        text_bytes=text_bytes,
        bytes_before=text_bytes + chunk_bytes,
        bytes_after=sum(len(one.pack.data) for one in made),
    )
    await _note(session, operation, PACKS, (one.id for one in made))
    return tally


async def pack_bare(session: WriteSession, space_id: SpaceId, keys: Collection[Key], *, now: datetime) -> None:
    """Pack these contents of a locked space, which have no chunks: they came out of a pack elsewhere."""
    wanted = set(keys)
    loose = await packs.read_loose(session, {MemoryId(key[0]) for key in keys}) if keys else []
    made = await asyncio.to_thread(packs.make_packs, [one for one in loose if one.key in wanted])
    await _move(session, space_id, made, now)


async def _move(session: WriteSession, space_id: SpaceId, made: Sequence[NewPack], now: datetime) -> None:
    """Store packs and empty what they hold, once what the database now has gives every original back."""
    await packs.insert_packs(session, space_id, made, now=now)
    stored = await packs.read_packs(session, [one.id for one in made])

    def compare() -> None:
        for one in made:
            originals = {each.key: each.text for each in one.contents}
            check(stored[one.id], originals, {each.key: each.hash for each in one.contents})

    await asyncio.to_thread(compare)
    await packs.leave_to(session, made)


async def prepare(
    ingest: Ingest, tenant_id: TenantId, *, ids: Collection[MemoryId] = (), made: Collection[PackId] = ()
) -> Prepared:
    """Cut and embed what is packed of these memories and packs, so that no model runs in the transaction to come.

    What the encoder does not give in the time that a write waits is embedded later.
    """
    if not ids and not made:
        return NOTHING
    async with ingest.database.read(tenant_id) as session:
        found = await packs.find_packed(session, ids=ids, packs=made)
    if not found:
        return NOTHING
    units = await _cut(ingest, found)
    try:
        encoded = await ingest.batcher.encode_documents(
            [text for each in units.values() for text in each.texts], within_s=ingest.write_wait_s
        )
    except (EncoderUnavailableError, BusyError):
        return Prepared(units)
    embeddings: dict[Key, Embeddings] = {}
    start = 0
    for key, each in units.items():
        rows = encoded.part(start, start + len(each.texts))
        start += len(each.texts)
        if rows is not None:
            embeddings[key] = rows
    return Prepared(units, embeddings)


async def _cut(ingest: Ingest, contents: Sequence[Packed]) -> dict[Key, Units]:
    encoder = ingest.batcher.encoder
    named = [(one.text, one.name) for one in contents]
    cut = await asyncio.to_thread(
        lambda: cut_all(named, count_tokens=encoder.count_tokens, max_tokens=encoder.spec.max_tokens)
    )
    return {one.key: units for one, units in zip(contents, cut, strict=True)}


async def unpack(
    ingest: Ingest,
    session: WriteSession,
    operation: Operation,
    contents: Sequence[Packed],
    prepared: Prepared = NOTHING,
) -> None:
    """Bring packed contents back into the hot tier of the operation's locked space; their memories stay as they are."""
    if not contents:
        return
    space = (await memories.lock_spaces(session, {operation.space_id}))[operation.space_id]  # its counters have moved
    missing = [one for one in contents if one.key not in prepared.units]
    units = {**prepared.units, **(await _cut(ingest, missing) if missing else {})}
    chunked = [
        ChunkedContent(one.memory_id, one.number, units[one.key].chunks, prepared.embeddings.get(one.key))
        for one in contents
    ]
    waiting = {one.memory_id for one in contents if one.current and one.key not in prepared.embeddings}
    await packs.put_back(session, contents, pending=waiting)
    chunks, terms = await insert_many(session, space, chunked, ingest.encoder_id)
    await spaces.advance_space(session, space.id, memories=0, chunks=chunks, terms=terms)
    if waiting:
        await enqueue(ingest.queue, session, "embed", space.id)
    if not space.ann and space.next_chunk + chunks > ingest.exact_scan_limit:
        await enqueue(ingest.queue, session, "index", space.id)
    await _note(session, operation, UNPACKED, dict.fromkeys(one.memory_id for one in contents))


async def bring_back(
    ingest: Ingest,
    session: WriteSession,
    operation: Operation,
    ids: Collection[MemoryId],
    prepared: Prepared = NOTHING,
) -> None:
    """Unpack those of these memories, of the operation's locked space, that it has made ready for recall again."""
    needed = await packs.find_needed(session, ids, now=operation.recorded_at)
    if needed:
        await unpack(ingest, session, operation, await packs.find_packed(session, ids=needed), prepared)


def named_packs(details: Mapping[str, Any]) -> list[PackId]:
    """The packs that an operation with these details made."""
    return [PackId(UUID(one)) for one in details.get(PACKS, ())]


async def find_reversal(session: ReadSession, details: Mapping[str, Any], *, now: datetime) -> Reversal:
    """What an operation with these details did to packs and has not been taken back since."""
    made = named_packs(details)
    ids = [MemoryId(UUID(one)) for one in details.get(UNPACKED, ())]
    return Reversal(
        await packs.packable(session, ids, now=now) if ids else (),
        await packs.find_packed(session, packs=made) if made else (),
    )


async def reverse(
    ingest: Ingest, session: WriteSession, operation: Operation, reversal: Reversal, prepared: Prepared = NOTHING
) -> None:
    """Do it, as part of the operation that undoes; the space is locked."""
    await unpack(ingest, session, operation, reversal.unpack, prepared)
    if reversal.pack:
        await pack(session, operation, reversal.pack)


async def _note(session: WriteSession, operation: Operation, name: str, ids: Iterable[UUID]) -> None:
    before = (await versions.read_details(session, operation)).get(name, [])
    await versions.note_details(session, operation, {name: [*before, *map(str, ids)]})
