"""Making memories from others, and new versions of them: planned without a transaction, applied inside the caller's.

A derived memory is as closely kept as the closest of its sources. It names them all, so that erasing one erases it, and
the next run makes it again from those that are left.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from memsvc.errors import BusyError, EncoderUnavailableError
from memsvc.ids import MemoryId, SpaceId
from memsvc.inference.types import Embeddings
from memsvc.ingest.operations import record
from memsvc.ingest.prepare import content_hash
from memsvc.ingest.retention import retained_until
from memsvc.ingest.units import Units, cut_all
from memsvc.ingest.write import Ingest, store_memories
from memsvc.lifecycle import packing
from memsvc.queue import enqueue
from memsvc.store import lineage, memories, summaries, versions
from memsvc.store.database import WriteSession
from memsvc.store.keys import Caller
from memsvc.store.scope import OVERVIEWS
from memsvc.store.spaces import Space
from memsvc.store.summaries import Present, Source
from memsvc.store.versions import Operation
from memsvc.store.writes import ChunkedContent, NewMemory
from memsvc.upkeep.model import Action, Change, Order, Run, Upkeep

SENSITIVITIES = ("public", "normal", "sensitive")
VISIBILITIES = ("private", "space", "tenant")
EDITABLE = frozenset({"generated", "activated", "merged"})


@dataclass(frozen=True, slots=True)
class Derivation:
    """A memory to make (`version` None) or to give a new version, which is planned on that version.

    `content` None: it stays what it is. `parents` are the memories that it is derived from directly, and `sources`
    those whose header it takes over: time, sensitivity, visibility, trust, importance. A plan is dropped when one of
    `checks` (memory -> its content's number) has another content by then, or may not be told of any more.
    `retired`: it has lost its sources, and is archived.
    """

    id: MemoryId
    version: int | None
    kind: str
    content: str | None
    metadata: Mapping[str, Any]
    parents: tuple[MemoryId, ...]
    sources: tuple[Source, ...]
    checks: Mapping[MemoryId, int]
    reason: str
    name: str | None = None
    state: str | None = None
    origin: str = OVERVIEWS
    retired: bool = False

    @property
    def change(self) -> Change:
        """What a run says of it."""
        action: Action = "archive" if self.retired else "summarize"
        if self.kind != "summary" and not self.retired:
            action = "learn" if self.version is None else "refine"
        return Change(action, self.id, self.parents, self.content, self.reason)


@dataclass(frozen=True, slots=True)
class Encoded:
    """The units of search of a content, and their vectors, float32[n, d]; None when they come later."""

    units: Units
    embeddings: Embeddings | None = field(repr=False)


async def encode(ingest: Ingest, plans: Sequence[Derivation]) -> dict[MemoryId, Encoded]:
    """The units of every new content, encoded together. No transaction may be open.

    Without an encoder the memories are stored all the same, and a job embeds them.
    """
    written = [(plan.id, plan.content, plan.name) for plan in plans if plan.content is not None]
    encoder = ingest.batcher.encoder
    units = await asyncio.to_thread(
        cut_all,
        [(content, name) for _, content, name in written],
        count_tokens=encoder.count_tokens,
        max_tokens=encoder.spec.max_tokens,
    )
    texts = [text for one in units for text in one.texts]
    made = None
    if texts:
        try:
            made = await ingest.batcher.encode_documents(texts, within_s=ingest.write_wait_s)
        except (BusyError, EncoderUnavailableError):
            made = None
    encoded: dict[MemoryId, Encoded] = {}
    start = 0
    for (memory_id, _, _), one in zip(written, units, strict=True):
        stop = start + len(one.texts)
        encoded[memory_id] = Encoded(one, None if made is None else made.part(start, stop))
        start = stop
    return encoded


async def find_standing(session: WriteSession, plans: Sequence[Derivation], *, now: datetime) -> list[Derivation]:
    """Those of these plans that still can be done; the space must be locked.

    A plan may name one before it as a parent, and falls with it.
    """
    ids = {memory_id for plan in plans for memory_id in (plan.id, *plan.checks)}
    present = await summaries.find_present(session, ids, now=now)
    revised = [plan.id for plan in plans if plan.version is not None and plan.parents]
    below = {memory_id: set(await lineage.descendants(session, [memory_id])) for memory_id in revised}
    standing: list[Derivation] = []
    fallen: set[MemoryId] = set()
    for plan in plans:
        is_circle = not below.get(plan.id, set()).isdisjoint(plan.parents)
        if fallen.isdisjoint(plan.parents) and _stands(plan, present) and not is_circle:
            standing.append(plan)
        else:
            fallen.add(plan.id)
    return standing


async def apply(
    ingest: Ingest,
    session: WriteSession,
    operation: Operation,
    plans: Sequence[Derivation],
    encoded: Mapping[MemoryId, Encoded],
    *,
    caller: Caller,
) -> None:
    """Do these plans, which `find_standing` has let pass in this transaction, as part of a recorded operation."""
    # Numbers go on from what the operation has stored so far.
    space = await _locked(session, operation.space_id)
    made = [
        _new_memory(plan, encoded[plan.id], space, number, operation.recorded_at)
        for number, plan in enumerate((plan for plan in plans if plan.version is None), start=space.next_memory)
    ]
    if made:
        await store_memories(ingest, session, space, made, operation=operation, caller=caller)
    await _revise(ingest, session, operation, [plan for plan in plans if plan.version is not None], encoded)
    await _relate(session, operation, plans)


async def derive(
    upkeep: Upkeep, order: Order, space_id: SpaceId, plans: Sequence[Derivation], *, more: bool = False
) -> Run:
    """Encode these plans and do what still can be done of them as one operation of their own; or only tell, in a dry
    run."""
    ingest, caller = upkeep.ingest, order.caller
    if order.dry_run or not plans:
        return Run(space_id, tuple(plan.change for plan in plans), None, more)
    encoded = await encode(ingest, plans)
    async with ingest.database.write(caller.tenant_id) as session:
        spaces = await memories.lock_spaces(session, {space_id})
        standing = await find_standing(session, plans, now=order.now) if space_id in spaces else []
        if not standing:
            return Run(space_id, (), None, more)
        operation = await record(
            ingest.queue,
            session,
            spaces[space_id],
            "consolidate",
            caller=caller,
            now=order.now,
            reason=order.reason,
            details={"derived": len(standing)},
        )
        await apply(ingest, session, operation, standing, encoded, caller=caller)
    return Run(space_id, tuple(plan.change for plan in standing), operation.id, more)


def _stands(plan: Derivation, present: Mapping[MemoryId, Present]) -> bool:
    if plan.version is not None:
        before = present.get(plan.id)
        if before is None or before.version != plan.version or before.state not in EDITABLE:
            return False
    found = ((present.get(memory_id), number) for memory_id, number in plan.checks.items())
    return all(one is not None and one.usable and one.content_number == number for one, number in found)


async def _locked(session: WriteSession, space_id: SpaceId) -> Space:
    return (await memories.lock_spaces(session, {space_id}))[space_id]


def _new_memory(plan: Derivation, encoded: Encoded, space: Space, number: int, now: datetime) -> NewMemory:
    content = plan.content or ""
    header = inherit(plan.sources)
    return NewMemory(
        id=plan.id,
        number=number,
        kind=plan.kind,
        role=None,
        name=plan.name,
        session_id=None,
        session_number=None,
        position=None,
        content=content,
        content_hash=content_hash(content),
        # Of no use to find duplicates by: what somebody writes himself is his own.
        fingerprint=hashlib.sha256(plan.id.bytes).digest()[:16],
        expires_at=None,
        metadata=plan.metadata,
        chunks=encoded.units.chunks,
        embeddings=encoded.embeddings,
        retained_until=retained_until(space.policies, plan.kind, now),
        origin=plan.origin,
        state=plan.state or "generated",
        importance=max((source.importance for source in plan.sources), default=0.5),
        **header,
    )


def inherit(sources: Sequence[Source]) -> dict[str, Any]:
    """The header of what is made of these, at least one: the latest time, and as closely kept as the closest. Pure."""
    timed = [source for source in sources if source.occurred_at is not None]
    latest = max(timed, key=lambda source: source.occurred_at.timestamp() if source.occurred_at else 0, default=None)
    return {
        "occurred_at": None if latest is None else latest.occurred_at,
        "occurred_zone": None if latest is None else latest.occurred_zone,
        "sensitivity": max((source.sensitivity for source in sources), key=SENSITIVITIES.index),
        "visibility": min((source.visibility for source in sources), key=VISIBILITIES.index),
        "trust": min(source.trust for source in sources),
    }


async def _revise(
    ingest: Ingest,
    session: WriteSession,
    operation: Operation,
    plans: Sequence[Derivation],
    encoded: Mapping[MemoryId, Encoded],
) -> None:
    space = await _locked(session, operation.space_id)
    waiting = False
    for plan in plans:
        if plan.retired:
            await versions.revise(session, operation, [plan.id], {"state": "archived"})
            continue
        header: dict[str, object] = {**inherit(plan.sources), "metadata": dict(plan.metadata)}
        if plan.state is not None:
            header["state"] = plan.state
        if plan.content is not None:
            units, embeddings = encoded[plan.id].units, encoded[plan.id].embeddings
            chunked = ChunkedContent(plan.id, space.next_memory, units.chunks, embeddings)
            await versions.insert_content(session, space, chunked, plan.content, encoder_id=ingest.encoder_id)
            header |= {
                "content_number": space.next_memory,
                "content_hash": content_hash(plan.content),
                "searchable": embeddings is not None,
            }
            waiting |= embeddings is None
            space = replace(space, next_memory=space.next_memory + 1, next_chunk=space.next_chunk + len(units.chunks))
        await versions.revise(session, operation, [plan.id], header)
    # A summary that comes back into recall with what it said may have been packed meanwhile.
    await packing.bring_back(ingest, session, operation, [plan.id for plan in plans if plan.state is not None])
    if waiting:
        await enqueue(ingest.queue, session, "embed", operation.space_id)


async def _relate(session: WriteSession, operation: Operation, plans: Sequence[Derivation]) -> None:
    new = {plan.id for plan in plans if plan.version is None}
    edges = [(plan.id, parent) for plan in plans for parent in plan.parents]
    await lineage.insert_edges(session, operation, [edge for edge in edges if edge[0] in new], new=True)
    known = await summaries.find_edges(session, [plan.id for plan in plans if plan.version is not None])
    missing = [edge for edge in edges if edge[0] not in new and edge not in known]
    await lineage.insert_edges(session, operation, missing, new=False)
