"""Fusing memories into one, and one space into another: duplicates are kept once, contradictions side by side."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import orjson

from memsvc.errors import ConflictError, FieldError, FrozenError, InvalidRequestError
from memsvc.ids import MemoryId, OperationId, SpaceId, new_uuid
from memsvc.inference.types import Embeddings
from memsvc.ingest.operations import record
from memsvc.ingest.prepare import content_hash
from memsvc.ingest.retention import retained_until
from memsvc.ingest.units import Units
from memsvc.ingest.write import Ingest, store_memories
from memsvc.lifecycle.branches import copy_memories
from memsvc.lifecycle.change import cut_content, encode_units
from memsvc.lifecycle.fuse import FUSED, Conflict, Fused, find_conflict, fuse_contents
from memsvc.store import access, branches, lineage, memories, versions
from memsvc.store.access import When
from memsvc.store.branches import Original
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.keys import Caller
from memsvc.store.memories import Record
from memsvc.store.scope import CURRENT_STATES
from memsvc.store.spaces import Space
from memsvc.store.writes import NewMemory
from memsvc.text.analysis import analyze
from memsvc.wire import Kind

# Kinds that a fusion of several of them keeps; turns and core sections are what they are by their place.
KEPT_KINDS = frozenset({"fact", "summary", "preference", "procedure", "concept", "document"})
SENSITIVITIES = ("public", "normal", "sensitive")
VISIBILITIES = ("private", "space", "tenant")
# Bounds of the search for contradictions: a term in more memories than this tells nothing of what they are about, and
# so many of those that share the most of the others are compared sentence by sentence.
COMMON = 64
COMPARED = 4


@dataclass(frozen=True, slots=True)
class FuseOrder:
    """Which memories to make one of; `kind` None keeps the one that they share."""

    caller: Caller
    memories: Sequence[MemoryId]
    kind: Kind | None
    reason: str | None
    now: datetime


@dataclass(frozen=True, slots=True)
class FusePlan:
    """What a fusion comes to. `sources` in the order of their time; `frozen` are those that stay as they are."""

    sources: tuple[Record, ...]
    fused: Fused
    kind: str
    frozen: tuple[MemoryId, ...]

    @property
    def archived(self) -> tuple[MemoryId, ...]:
        """The sources that the new memory takes the place of."""
        return tuple(source.id for source in self.sources if source.id not in self.frozen)


@dataclass(frozen=True, slots=True)
class FusedMemory:
    """A done fusion; `id` and `operation_id` None when it was only planned."""

    plan: FusePlan
    id: MemoryId | None
    operation_id: OperationId | None


@dataclass(frozen=True, slots=True)
class FusedSpaces:
    """What went from one space into another, or would, by the ids in the source.

    The first of each conflict is the copy, once there is one.
    """

    operation_id: OperationId | None
    copied: tuple[MemoryId, ...]
    duplicates: tuple[MemoryId, ...]
    conflicts: tuple[Conflict, ...]


async def fuse(ingest: Ingest, order: FuseOrder, *, dry_run: bool) -> FusedMemory:
    """Make one memory of several of one space; it takes their place, and they are archived.

    Raises `NotFoundError`, `ForbiddenError`, `FrozenError` (archived, expired or quarantined sources) and
    `ConflictError` (superseded ones, ones of several spaces, or ones that changed meanwhile).
    """
    when = When(order.now)
    ids = list(dict.fromkeys(order.memories))
    async with ingest.database.read(order.caller.tenant_id) as session:
        plan = plan_fuse(await _find(session, ids, order.caller, when), order.kind)
    if dry_run:
        return FusedMemory(plan, None, None)
    units = await cut_content(ingest, plan.fused.text, _name(plan.sources))
    embeddings = await encode_units(ingest, units)
    async with ingest.database.write(order.caller.tenant_id) as session:
        records, spaces = await memories.lock_records(session, ids, caller=order.caller, when=when)
        _check_unchanged(plan.sources, records)
        space = spaces[plan.sources[0].space_id]
        made = new_memory(plan, space, units, embeddings, now=order.now)
        operation = await record(
            ingest.queue,
            session,
            space,
            "fuse",
            caller=order.caller,
            now=order.now,
            reason=order.reason,
            details={"sources": len(ids), "conflicts": len(plan.fused.conflicts)},
        )
        await store_memories(ingest, session, space, [made], operation=operation, caller=order.caller)
        await lineage.insert_edges(session, operation, [(made.id, source) for source in ids], new=True)
        if plan.archived:
            await versions.revise(session, operation, plan.archived, {"state": "archived", "superseded_by": made.id})
    return FusedMemory(plan, made.id, operation.id)


def plan_fuse(records: Sequence[Record], kind: Kind | None) -> FusePlan:
    """What fusing these memories comes to, whatever the order they are named in. Pure; raises as `fuse` does."""
    if len(records) < 2:
        problem, remedy = "names fewer than two memories", "Name 2 to 100 different memories of one space."
        raise InvalidRequestError(f"memories {problem}", fields=(FieldError("memories", problem, remedy),))
    for one in records:
        if one.space_id != records[0].space_id:
            _refuse(f"memory {one.id} is in the space {one.space!r}, not in {records[0].space!r}", "Fuse within one.")
        if one.payload_type != "plaintext":
            _refuse(f"memory {one.id} holds tensors", "Only texts can be fused.")
        if one.superseded_by is not None:
            _refuse(f"memory {one.id} is superseded by {one.superseded_by}", "Name its successor instead.")
        if one.state not in CURRENT_STATES:
            raise FrozenError.of(one.id, one.state, field="memories")
    ordered = sorted(records, key=lambda one: (one.occurred_at or one.recorded_at, one.number))
    kinds = {one.kind for one in ordered}
    found = kind or (ordered[0].kind if len(kinds) == 1 and kinds <= KEPT_KINDS else "fact")
    frozen = tuple(one.id for one in ordered if one.state == "frozen")
    return FusePlan(tuple(ordered), fuse_contents(ordered), found, frozen)


def new_memory(
    plan: FusePlan, space: Space, units: Units, embeddings: Embeddings | None, *, now: datetime
) -> NewMemory:
    """The record of a fusion: as wide in time as its sources together, as closely kept as the closest of them. Pure."""
    sources, text = plan.sources, plan.fused.text
    latest = max((one for one in sources if one.occurred_at), key=lambda one: one.occurred_at or now, default=None)
    first, last = _widest(sources)
    name, hashed = _name(sources), content_hash(text)
    identity = [plan.kind, None, name, None, None if latest is None else latest.occurred_at, hashed.hex()]
    return NewMemory(
        id=MemoryId(new_uuid()),
        number=space.next_memory,
        kind=plan.kind,
        role=None,
        name=name,
        session_id=None,
        session_number=None,
        position=None,
        content=text,
        content_hash=hashed,
        fingerprint=hashlib.sha256(orjson.dumps(identity)).digest()[:16],
        occurred_at=None if latest is None else latest.occurred_at,
        occurred_zone=None if latest is None else latest.occurred_zone,
        importance=max(one.importance for one in sources),
        sensitivity=max((one.sensitivity for one in sources), key=SENSITIVITIES.index),
        expires_at=min((one.expires_at for one in sources if one.expires_at), default=None),
        metadata=_shared_metadata(sources),
        chunks=units.chunks,
        embeddings=embeddings,
        valid_from=None if first is None else first.valid_from,
        valid_from_precision=None if first is None else first.valid_from_precision,
        valid_to=None if last is None else last.valid_to,
        valid_to_precision=None if last is None else last.valid_to_precision,
        visibility=min((one.visibility for one in sources), key=VISIBILITIES.index),
        retained_until=retained_until(space.policies, plan.kind, now),
        origin=FUSED,
        state="merged",
        trust=min(one.trust for one in sources),
    )


async def fuse_spaces(
    ingest: Ingest, caller: Caller, target: str, source: str, *, reason: str | None, dry_run: bool, now: datetime
) -> FusedSpaces:
    """Copy what the caller may read of the space `source` into `target`, but for what is there word for word.

    What contradicts something there is copied too, stands beside it and is listed. The source is not changed.
    """
    when = When(now)
    opened = ingest.database.read if dry_run else ingest.database.write
    async with opened(caller.tenant_id) as session:
        target_id = await access.require(session, caller, target, "write")
        source_id = await access.require(session, caller, source, "read")
        if source_id == target_id:
            problem, remedy = "is the target itself", "Name another space."
            raise InvalidRequestError(f"source {problem}", fields=(FieldError("source", problem, remedy),))
        locked: dict[SpaceId, Space] = {}
        if isinstance(session, WriteSession):
            locked = await memories.lock_spaces(session, {source_id, target_id})
        originals = await branches.list_originals(session, source_id, at=None, current=True, caller=caller, when=when)
        there = await branches.list_originals(session, target_id, at=None, current=True, caller=caller, when=when)
        incoming = await branches.list_current(session, source_id, caller=caller, when=when)
        standing = await branches.list_current(session, target_id, caller=caller, when=when)
        prints = {one.id: one.fingerprint for one in (*originals, *there)}
        fresh, duplicates = split_duplicates(incoming, standing, prints)
        conflicts = await asyncio.to_thread(find_contradictions, fresh, standing)
        copied = {one.id for one in fresh}
        operation_id = None
        if copied and isinstance(session, WriteSession):
            operation = await record(
                ingest.queue,
                session,
                locked[target_id],
                "fuse",
                caller=caller,
                now=now,
                reason=reason,
                details={
                    "source": str(source_id),
                    "copied": len(fresh),
                    "duplicates": len(duplicates),
                    "conflicts": len(conflicts),
                },
            )
            chosen: list[Original] = [one for one in originals if one.id in copied]
            ids = (await copy_memories(ingest, session, source_id, locked[target_id], chosen, operation)).ids
            operation_id = operation.id
            conflicts = [replace(one, first_id=ids[one.first_id]) for one in conflicts]
    return FusedSpaces(
        operation_id, tuple(one.id for one in fresh), tuple(one.id for one in duplicates), tuple(conflicts)
    )


def split_duplicates(
    incoming: Sequence[Record], standing: Sequence[Record], prints: Mapping[MemoryId, bytes]
) -> tuple[list[Record], list[Record]]:
    """Those of `incoming` that `standing` does not say word for word in the same role and name, and the others. Pure.

    Of several equal ones, the n-th is a duplicate when `standing` has n. What holds tensors is described by its text
    and told by its fingerprint in `prints`.
    """
    left = Counter(_identity(one, prints) for one in standing)
    fresh, duplicates = [], []
    for one in incoming:
        if left[_identity(one, prints)] > 0:
            left[_identity(one, prints)] -= 1
            duplicates.append(one)
        else:
            fresh.append(one)
    return fresh, duplicates


def find_contradictions(incoming: Sequence[Record], standing: Sequence[Record]) -> list[Conflict]:
    """Where each of `incoming` contradicts those of `standing` that share the most of its rarer terms. Pure.

    The work for one memory does not grow with `standing`: a term in more than `COMMON` of them is passed over, and
    `COMPARED` of them are compared.
    """
    holders: dict[str, list[int]] = {}
    for index, one in enumerate(standing):
        if one.payload_type != "plaintext":
            continue
        for term in set(analyze(one.content)):
            holders.setdefault(term, []).append(index)
    conflicts = []
    for one in (one for one in incoming if one.payload_type == "plaintext"):
        shared: Counter[int] = Counter()
        for term in set(analyze(one.content)):
            having = holders.get(term, ())
            if len(having) <= COMMON:
                shared.update(having)
        nearest = sorted(shared, key=lambda index: (-shared[index], index))[:COMPARED]
        found = (find_conflict(one, standing[index]) for index in nearest)
        conflicts += [conflict for conflict in found if conflict is not None]
    return conflicts


async def _find(session: ReadSession, ids: Sequence[MemoryId], caller: Caller, when: When) -> list[Record]:
    found = await memories.get_records(session, ids, caller=caller, when=when)
    missing = [memory_id for memory_id in ids if memory_id not in found]
    if missing:
        await memories.get_record(session, missing[0], caller=caller, when=when)  # raises as for any read
    return list(found.values())


def _check_unchanged(before: Sequence[Record], now: Mapping[MemoryId, Record]) -> None:
    for one in before:
        if now[one.id].version != one.version:
            _refuse(f"memory {one.id} was changed while it was fused", "Send the request again.")


def _widest(sources: Sequence[Record]) -> tuple[Record | None, Record | None]:
    """The source that began first and the one that ends last; None where one has no such bound."""
    first = min(sources, key=lambda one: one.valid_from or one.recorded_at)
    last = max(sources, key=lambda one: one.valid_to or one.recorded_at)
    return (
        first if all(one.valid_from for one in sources) else None,
        last if all(one.valid_to for one in sources) else None,
    )


def _name(sources: Sequence[Record]) -> str | None:
    names = {one.name for one in sources}
    return sources[0].name if len(names) == 1 else None


def _shared_metadata(sources: Sequence[Record]) -> dict[str, object]:
    """The fields on which all that have them agree."""
    merged: dict[str, object] = {}
    disputed = set()
    for one in sources:
        for key, value in one.metadata.items():
            if merged.setdefault(key, value) != value:
                disputed.add(key)
    return {key: value for key, value in merged.items() if key not in disputed}


def _identity(one: Record, prints: Mapping[MemoryId, bytes]) -> tuple[object, ...]:
    return (one.content_hash, one.role, one.name) if one.payload_type == "plaintext" else (prints[one.id],)


def _refuse(problem: str, remedy: str) -> None:
    raise ConflictError(problem, fields=(FieldError("memories", problem, remedy),), remedy=remedy)
