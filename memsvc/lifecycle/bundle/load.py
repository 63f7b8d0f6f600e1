"""Importing a bundle: checked whole, then written in one transaction as one operation; or nothing is written."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from uuid import UUID

from memsvc.ids import OperationId, PrincipalId, SessionId, SpaceId
from memsvc.ingest.operations import record
from memsvc.ingest.units import cut_all
from memsvc.ingest.write import Ingest
from memsvc.lifecycle import packing
from memsvc.lifecycle.bundle.archive import PIECE_BYTES, ArchiveReader, blob_name
from memsvc.lifecycle.bundle.numbering import difference, number, tensor
from memsvc.lifecycle.bundle.related import read_related
from memsvc.lifecycle.bundle.rows import (
    EDGES,
    FACTS,
    MAX_ROW_BYTES,
    OPERATIONS,
    TENSORS,
    Draft,
    DraftReader,
    Lines,
    Related,
)
from memsvc.queue import enqueue
from memsvc.store import bundle_facts, bundle_writes, bundles, retention, spaces, tensors
from memsvc.store.bundle_chunks import insert_many
from memsvc.store.bundle_writes import NewSession
from memsvc.store.database import WriteSession
from memsvc.store.keys import Caller
from memsvc.store.spaces import Space
from memsvc.text.analysis import document_text

# Stores a blob of this hash and size; a blob that is there already is no error.
BlobSink = Callable[[bytes, int, AsyncIterator[bytes]], Awaitable[None]]
BATCH_LINES = 2000


@dataclass(frozen=True, slots=True)
class ImportOrder:
    """A bundle to import, in a file, and where."""

    caller: Caller
    space: str
    path: Path
    max_content_bytes: int
    blob_sink: BlobSink
    reason: str | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Refused:
    """A memory of the bundle that was not imported, and why."""

    id: UUID
    reason: str


@dataclass(slots=True)
class Tally:
    """What an import did; `operation_id` None when nothing was new."""

    operation_id: OperationId | None = None
    memories: int = 0
    versions: int = 0
    chunks: int = 0
    edges: int = 0
    tensors: int = 0
    operations: int = 0
    pending: int = 0
    outside_edges: int = 0
    duplicates: int = 0
    conflicts: list[Refused] = field(default_factory=list)


class _NothingNewError(Exception):
    """Rolls back what was prepared for memories that did not come."""


async def import_bundle(ingest: Ingest, order: ImportOrder) -> Tally:
    """Bring every memory of the bundle into the space as it was, with its versions, times, state and lineage.

    What is there already, in the same version, is a duplicate; an id or a place that something else has is a conflict
    and listed. `InvalidRequestError` names the member and line at fault; `ForbiddenError`.
    """
    archive = await asyncio.to_thread(ArchiveReader, order.path)
    with archive:
        await asyncio.to_thread(archive.verify)
        related = await asyncio.to_thread(read_related, archive)
        if archive.blobs:
            # Blobs are stored before the rows that name them: not even those are, for a bundle that is at fault.
            reader = DraftReader(archive, related, max_content_bytes=order.max_content_bytes, with_vectors=True)
            while await asyncio.to_thread(reader.read):
                pass
            for blob_hash, size in archive.blobs.items():
                await order.blob_sink(blob_hash, size, _pieces(archive, blob_hash))
        tally = Tally()
        try:
            async with ingest.database.write(order.caller.tenant_id) as session:
                await _Load(ingest, order, archive, related, session, tally).run()
        except _NothingNewError:
            return tally
    return tally


async def _pieces(archive: ArchiveReader, blob_hash: bytes) -> AsyncIterator[bytes]:
    with archive.open(blob_name(blob_hash)) as file:
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            yield piece


@dataclass(slots=True)
class _Load:
    """One import inside its transaction."""

    ingest: Ingest
    order: ImportOrder
    archive: ArchiveReader
    related: Related
    session: WriteSession
    tally: Tally
    _principals: dict[str, PrincipalId] = field(default_factory=dict)
    _sessions: dict[str, tuple[SessionId, int]] = field(default_factory=dict)
    _homes: dict[UUID, SpaceId | None] = field(default_factory=dict)
    _new: set[UUID] = field(default_factory=set)
    _there: set[UUID] = field(default_factory=set)
    _used: set[UUID] = field(default_factory=set)
    _placed: dict[tuple[UUID, int], int] = field(default_factory=dict)
    _numbers: int = 0
    _chunks: int = 0

    async def run(self) -> None:
        """Write everything, or raise."""
        session, order, ingest, manifest = self.session, self.order, self.ingest, self.archive.manifest
        existed = await spaces.find_space(session, order.space) is not None
        space = await spaces.lock_space(session, order.caller, order.space)
        if not existed:
            policies = manifest.space.policies.model_dump(mode="json", exclude_none=True)
            await spaces.set_policies(session, space.id, policies, open_to_all=manifest.space.open)
        encoder = await bundles.find_encoder(session, ingest.encoder_id)
        await self._store_all(space, same_encoder=encoder.key == manifest.encoder.key)
        if not self._new and (self._there or self.tally.conflicts):
            raise _NothingNewError
        await self._store_edges()
        await self._store_facts(space)
        await self._store_operations(space)
        await self._store_tensors()
        if existed:
            await retention.apply(session, space.id, space.policies)
        await self._record(space)

    async def _store_all(self, space: Space, *, same_encoder: bool) -> None:
        reader = DraftReader(
            self.archive,
            self.related,
            max_content_bytes=self.order.max_content_bytes,
            with_vectors=same_encoder,
        )
        # The next batch is read, checked and analysed while Postgres takes this one.
        ahead = asyncio.create_task(asyncio.to_thread(reader.read))
        try:
            while drafts := await ahead:
                ahead = asyncio.create_task(asyncio.to_thread(reader.read))
                await asyncio.to_thread(self._prepare_units, drafts, same_encoder=same_encoder)
                first, last = drafts[0].line.number, drafts[-1].line.number
                with bundle_writes.refusing(f"memories.jsonl:{first}-{last}"):
                    await self._store(space, drafts)
        finally:
            await asyncio.wait([ahead])  # it reads from a file that is about to be closed
        self._there |= reader.ids - self._new - {refused.id for refused in self.tally.conflicts}

    def _prepare_units(self, drafts: Sequence[Draft], *, same_encoder: bool) -> None:
        """Cut anew what another encoder's limits had cut; and what is still to be embedded must fit this one's."""
        encoder = self.ingest.batcher.encoder
        named = [(draft.line.row.get("name"), content) for draft in drafts for content in draft.contents.values()]
        waiting = [(name, content) for name, content in named if content.chunks and content.embeddings is None]
        if not waiting:
            return
        if same_encoder:
            texts = [
                document_text(content.text[chunk.start : chunk.end], name)
                for name, content in waiting
                for chunk in content.chunks
            ]
            if max(encoder.count_tokens(texts)) <= encoder.spec.max_tokens:
                return
        units = cut_all(
            [(content.text, name) for name, content in waiting],
            count_tokens=encoder.count_tokens,
            max_tokens=encoder.spec.max_tokens,
        )
        for (_, content), unit in zip(waiting, units, strict=True):
            content.chunks = list(unit.chunks)

    async def _store(self, space: Space, drafts: Sequence[Draft]) -> None:
        fresh = await self._choose(space, drafts)
        if not fresh:
            return
        session = self.session
        if not self._sessions and self.related.sessions:
            rows = [
                NewSession(row["name"], row["next_position"], row["created_at"])
                for row in self.related.sessions.values()
            ]
            self._sessions = await bundle_writes.ensure_sessions(session, space.id, rows)
        await self._know({draft.line.row["principal"] for draft in fresh})
        counted = replace(
            space, next_memory=space.next_memory + self._numbers, next_chunk=space.next_chunk + self._chunks
        )
        batch = number(fresh, counted.next_memory, self._principals, self._sessions)
        await bundle_writes.insert_versions(session, counted, batch.current, past=False)
        await bundle_writes.insert_contents(session, batch.contents)
        chunks, terms = await insert_many(session, counted, batch.chunked, self.ingest.encoder_id)
        if batch.past:
            await bundle_writes.insert_versions(session, counted, batch.past, past=True)
        await packing.pack_bare(session, space.id, batch.packed, now=self.order.now)
        await bundle_writes.advance(
            session,
            counted,
            numbers=batch.numbers,
            memories_added=len(fresh),
            chunks=chunks,
            terms=terms,
        )
        wanted = self.related.facts.found_in
        self._placed |= {place: number for place, number in batch.placed.items() if place in wanted}
        self._numbers += batch.numbers
        self._chunks += chunks
        for draft in fresh:
            self._new.add(draft.id)
            self._used.update(version["operation"] for version in draft.versions)
        self.tally.memories += len(fresh)
        self.tally.versions += len(fresh) + len(batch.past)
        self.tally.chunks += chunks
        self.tally.pending += sum(not version.searchable for version in batch.current)

    async def _choose(self, space: Space, drafts: Sequence[Draft]) -> list[Draft]:
        """Those that are new; the others are counted or listed."""
        session = self.session
        present = await bundle_writes.find_present(session, [draft.id for draft in drafts])
        places = [(draft.line.row.get("session"), draft.line.row.get("position")) for draft in drafts]
        asked = [(name, at) for name, at in places if name is not None and at is not None]
        taken = await bundle_writes.find_taken(session, space.id, asked) if asked else set()
        operations = {version["operation"] for draft in drafts for version in draft.versions}
        await self._find_homes(operations)
        foreign = {operation for operation in operations if self._homes[operation] not in {None, space.id}}
        fresh = []
        for draft, place in zip(drafts, places, strict=True):
            found = present.get(draft.id) if present else None
            problem = None if found is None else difference(draft, found, space.id)
            if found is not None and problem is None:
                self.tally.duplicates += 1
                continue
            if problem is None and taken and place in taken:
                problem = f"position {place[1]} of its session is taken by another memory"
            if problem is None and foreign and any(version["operation"] in foreign for version in draft.versions):
                problem = "an operation that made it belongs to another space"
            if problem is None:
                fresh.append(draft)
            else:
                self.tally.conflicts.append(Refused(draft.id, problem))
        return fresh

    async def _find_homes(self, operations: set[UUID]) -> None:
        unknown = operations - self._homes.keys()
        if unknown:
            found = await bundle_writes.find_operations(self.session, unknown)
            self._homes |= {operation: found.get(operation) for operation in unknown}

    async def _know(self, names: set[str]) -> None:
        unknown = names - self._principals.keys()
        if unknown:
            self._principals |= await bundle_writes.ensure_principals(self.session, unknown)

    async def _store_edges(self) -> None:
        known = self._new | self._there
        edges = Lines(self.archive, "lineage", EDGES, max_bytes=MAX_ROW_BYTES)
        kept: list[bytes] = []
        refused = {one.id for one in self.tally.conflicts}
        for line in edges:
            for end in (line.row["derived"], line.row["source"]):
                if end not in known and end not in refused:
                    raise edges.refuse(line, f"names memory {end}, which memories.jsonl does not have")
            if line.row["derived"] not in self._new:
                continue
            if line.row["source"] not in known:
                self.tally.outside_edges += 1
                continue
            kept.append(line.text)
            self._used.add(line.row["operation"])
        for start in range(0, len(kept), BATCH_LINES):
            with bundle_writes.refusing(edges.name):
                await bundle_writes.insert_edges(self.session, kept[start : start + BATCH_LINES])
        self.tally.edges = len(kept)

    async def _store_facts(self, space: Space) -> None:
        """Of what was found in a memory that did not come, only the memory is stored."""
        if not self.archive.has("facts"):
            return
        facts = Lines(self.archive, "facts", FACTS, max_bytes=MAX_ROW_BYTES)
        there = {place for place in self.related.facts.found_in if place[0] in self._there}
        placed = {**self._placed, **(await bundle_facts.find_contents(self.session, there) if there else {})}
        kept = [
            (line.text, placed[place])
            for line in facts
            if line.row["memory"] in self._new and (place := (line.row["source"], line.row["content"])) in placed
        ]
        for start in range(0, len(kept), BATCH_LINES):
            part = kept[start : start + BATCH_LINES]
            with bundle_writes.refusing(facts.name):
                await bundle_facts.insert_facts(
                    self.session, space.id, [text for text, _ in part], [number for _, number in part]
                )

    async def _store_operations(self, space: Space) -> None:
        await self._find_homes(self._used)
        wanted = {operation for operation in self._used if self._homes[operation] is None}
        operations = Lines(self.archive, "operations", OPERATIONS, max_bytes=MAX_ROW_BYTES)
        found = [line for line in operations if line.row["id"] in wanted]
        await self._know({line.row["principal"] for line in found})
        place = await bundle_writes.take_places(self.session, space.id, len(found))
        for start in range(0, len(found), BATCH_LINES):
            part = found[start : start + BATCH_LINES]
            with bundle_writes.refusing(operations.name):
                await bundle_writes.insert_operations(
                    self.session,
                    space.id,
                    [line.text for line in part],
                    [self._principals[line.row["principal"]] for line in part],
                    first=place + start,
                )
        self.tally.operations = len(found)

    async def _store_tensors(self) -> None:
        lines = Lines(self.archive, "tensors", TENSORS, max_bytes=MAX_ROW_BYTES)
        for line in lines:
            if line.row["memory"] in self._new:
                with bundle_writes.refusing(f"{lines.name}:{line.number}"):
                    await tensors.insert_tensor(self.session, tensor(line.row))
                self.tally.tensors += 1

    async def _record(self, space: Space) -> None:
        tally, session, order = self.tally, self.session, self.order
        tally.outside_edges += self.archive.manifest.counts.outside_edges
        operation = await record(
            self.ingest.queue,
            session,
            space,
            "import",
            caller=order.caller,
            now=order.now,
            reason=order.reason,
            details={
                "memories": tally.memories,
                "duplicates": tally.duplicates,
                "conflicts": len(tally.conflicts),
                "outside_edges": tally.outside_edges,
                "operations": tally.operations,  # they stand right before it; the change feed asks which do not
                # Its memories keep the operations that made them; their numbers tell which they are.
                "first": space.next_memory,
                "last": space.next_memory + self._numbers - 1,
            },
        )
        tally.operation_id = operation.id
        if tally.pending:
            await enqueue(self.ingest.queue, session, "embed", space.id)
        if not space.ann and space.next_chunk - 1 + self._chunks > self.ingest.exact_scan_limit:
            await enqueue(self.ingest.queue, session, "index", space.id)
