"""Editing one memory, and moving it between states: each is one transaction and one recorded operation."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from memsvc.errors import ConflictError, EncoderUnavailableError, FieldError
from memsvc.ids import MemoryId
from memsvc.inference.types import Embeddings
from memsvc.ingest.operations import record
from memsvc.ingest.prepare import content_hash
from memsvc.ingest.supersede import check_supersedable, supersede
from memsvc.ingest.units import Units, cut
from memsvc.ingest.write import Ingest
from memsvc.lifecycle import packing
from memsvc.lifecycle.states import check_editable, check_transition, check_version
from memsvc.queue import enqueue
from memsvc.store import memories, tensors, versions
from memsvc.store.access import When
from memsvc.store.keys import Caller
from memsvc.store.memories import Record
from memsvc.store.scope import CURRENT_STATES
from memsvc.store.writes import ChunkedContent
from memsvc.wire import State


@dataclass(frozen=True, slots=True)
class Change:
    """What to change: header columns, and new content if it is not None. `reason` goes into the history."""

    content: str | None
    header: Mapping[str, object]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """The memory to change, and the version that the caller has read (None: whichever it is)."""

    id: MemoryId
    version: int | None = None


async def edit(ingest: Ingest, caller: Caller, target: Target, change: Change, *, now: datetime) -> Record:
    """Apply a change as a new version. The earlier content stays findable as of its time.

    Raises `NotFoundError`, `ForbiddenError`, `FrozenError`, `PreconditionFailedError`.
    """
    when = When(now)
    async with ingest.database.read(caller.tenant_id) as session:
        before = await memories.get_record(session, target.id, caller=caller, when=when)
    check_version(before, target.version)
    check_editable(before)
    content = None if change.content == before.content else change.content
    units = None if content is None else await cut_content(ingest, content, before.name)
    embeddings = None if units is None else await encode_units(ingest, units)
    async with ingest.database.write(caller.tenant_id) as session:
        before, space = await memories.lock_record(session, target.id, caller=caller, when=when)
        check_version(before, target.version)
        check_editable(before)
        operation = await record(ingest.queue, session, space, "edit", caller=caller, now=now, reason=change.reason)
        header = dict(change.header)
        if units is not None and content is not None:
            number = space.next_memory
            chunked = ChunkedContent(target.id, number, units.chunks, embeddings)
            await versions.insert_content(session, space, chunked, content, encoder_id=ingest.encoder_id)
            header |= {
                "content_number": number,
                "content_hash": content_hash(content),
                "searchable": embeddings is not None,
            }
            if embeddings is None:
                await enqueue(ingest.queue, session, "embed", space.id)
        await versions.revise(session, operation, [target.id], header)
        await packing.bring_back(ingest, session, operation, [target.id])
        if content is not None:
            await tensors.invalidate_for_sources(session, [target.id], operation)
        return await memories.get_record(session, target.id, caller=caller, when=when)


async def move(
    ingest: Ingest, caller: Caller, target: Target, state: State, *, reason: str | None, now: datetime
) -> Record:
    """Bring a memory to another state; `ConflictError` when the table of transitions has no such step."""
    prepared = await packing.prepare(ingest, caller.tenant_id, ids=[target.id] if state in CURRENT_STATES else ())
    async with ingest.database.write(caller.tenant_id) as session:
        before, space = await memories.lock_record(session, target.id, caller=caller, when=When(now))
        check_version(before, target.version)
        check_transition(before, state)
        operation = await record(ingest.queue, session, space, state, caller=caller, now=now, reason=reason)
        await versions.revise(session, operation, [target.id], {"state": state})
        await packing.bring_back(ingest, session, operation, [target.id], prepared)
        return await memories.get_record(session, target.id, caller=caller, when=When(now))


async def replace(
    ingest: Ingest,
    caller: Caller,
    target: Target,
    by: MemoryId,
    *,
    at: tuple[datetime, str] | None,
    reason: str | None,
    now: datetime,
) -> Record:
    """Let a memory be superseded by another of its space, from `at` (default: where the successor begins, or now)."""
    async with ingest.database.write(caller.tenant_id) as session:
        records, spaces = await memories.lock_records(session, [target.id, by], caller=caller, when=When(now))
        old, new = records[target.id], records[by]
        check_version(old, target.version)
        check_supersedable([old], new.space_id, field="by")
        if new.superseded_by is not None:  # also what keeps the chain from closing on itself
            problem = f"memory {by} is itself superseded by {new.superseded_by}"
            raise ConflictError(problem, fields=(FieldError("by", problem, "Name the end of its chain."),))
        begins = new.valid_from or new.occurred_at or now
        since, precision = at or (begins, new.valid_from_precision or "instant")
        operation = await record(
            ingest.queue, session, spaces[old.space_id], "supersede", caller=caller, now=now, reason=reason
        )
        await supersede(session, operation, [old], by, at=since, precision=precision)
        return await memories.get_record(session, target.id, caller=caller, when=When(now))


async def expire(ingest: Ingest, caller: Caller, target: Target, moment: datetime, *, now: datetime) -> None:
    """Let a memory's time end at `moment`; from then on it is not returned, whether or not a worker has swept it."""
    async with ingest.database.write(caller.tenant_id) as session:
        before, space = await memories.lock_record(session, target.id, caller=caller, when=When(now))
        check_version(before, target.version)
        check_editable(before)
        operation = await record(ingest.queue, session, space, "expire", caller=caller, now=now)
        state = {"state": "expired"} if moment <= now else {}
        await versions.revise(session, operation, [target.id], {"expires_at": moment, **state})


async def hold(
    ingest: Ingest, caller: Caller, target: Target, *, on: bool, reason: str | None, now: datetime
) -> Record:
    """Place or lift a legal hold: while it stands, nothing erases the memory."""
    async with ingest.database.write(caller.tenant_id) as session:
        before, space = await memories.lock_record(session, target.id, caller=caller, when=When(now))
        check_version(before, target.version)
        if before.legal_hold == on:
            return before
        kind = "hold" if on else "release"
        operation = await record(ingest.queue, session, space, kind, caller=caller, now=now, reason=reason)
        await versions.revise(session, operation, [target.id], {"legal_hold": on})
        return await memories.get_record(session, target.id, caller=caller, when=When(now))


async def cut_content(ingest: Ingest, content: str, name: str | None) -> Units:
    """The units of search of one content."""
    encoder = ingest.batcher.encoder
    return await asyncio.to_thread(
        cut, content, name, count_tokens=encoder.count_tokens, max_tokens=encoder.spec.max_tokens
    )


async def encode_units(ingest: Ingest, units: Units) -> Embeddings | None:
    """Their embeddings; None when the encoder does not give them in the time that a write waits."""
    try:
        made = await ingest.batcher.encode_documents(units.texts, within_s=ingest.write_wait_s)
    except EncoderUnavailableError:
        return None
    return made.part(0, len(units.texts))
