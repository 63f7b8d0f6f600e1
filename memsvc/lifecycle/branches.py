"""Snapshots, rollbacks and forks of a space: each rollback or fork is one transaction and one recorded operation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from memsvc.errors import ConflictError, FieldError, InvalidRequestError, NotFoundError
from memsvc.ids import MemoryId, OperationId, SpaceId, new_uuid
from memsvc.ingest.operations import record
from memsvc.ingest.write import Ingest
from memsvc.lifecycle import packing
from memsvc.queue import enqueue
from memsvc.store import access, branches, copies, memories, spaces, versions
from memsvc.store.access import When
from memsvc.store.branches import Drift, Kept, Original, Snapshot
from memsvc.store.copies import Copy
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.keys import Caller
from memsvc.store.spaces import Space
from memsvc.store.versions import Operation


@dataclass(frozen=True, slots=True)
class Point:
    """Where to go back to: a snapshot by its name, or a position in the order of operations."""

    snapshot: str | None = None
    position: int | None = None


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What a rollback did, or would do (`operation_id` None): by memory."""

    position: int
    operation_id: OperationId | None
    restored: tuple[MemoryId, ...]
    archived: tuple[MemoryId, ...]
    kept: tuple[tuple[MemoryId, Kept], ...]
    erased: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Forked:
    """A new space with copies of `position` of its source."""

    space: str
    position: int
    operation_id: OperationId
    memories: int
    chunks: int


@dataclass(frozen=True, slots=True)
class Copied:
    """Copies that were made: each one's id by its original's, and how many chunks they have."""

    ids: Mapping[MemoryId, MemoryId]
    chunks: int


@dataclass(frozen=True, slots=True)
class Split:
    """What a rollback does with each drifted memory."""

    restored: dict[MemoryId, int] = field(default_factory=dict)
    archived: list[MemoryId] = field(default_factory=list)
    kept: list[tuple[MemoryId, Kept]] = field(default_factory=list)


async def snapshot(ingest: Ingest, caller: Caller, space: str, name: str, *, now: datetime) -> Snapshot:
    """Name the present state of a space. Nothing is copied; `ConflictError` when the name is taken."""
    async with ingest.database.write(caller.tenant_id) as session:
        space_id = await access.require(session, caller, space, "write")
        made = await branches.insert_snapshot(session, space_id, name, caller=caller, now=now)
    if made is None:
        problem, remedy = f"there is a snapshot {name!r} of the space {space!r}", "Delete it, or use another name."
        raise ConflictError(problem, fields=(FieldError("name", problem, remedy),), remedy=remedy)
    return made


async def delete_snapshot(ingest: Ingest, caller: Caller, space: str, name: str) -> None:
    """Forget a snapshot; what it named stays in the history. `NotFoundError` when there is none."""
    async with ingest.database.write(caller.tenant_id) as session:
        space_id = await access.require(session, caller, space, "write")
        if not await branches.delete_snapshot(session, space_id, name):
            raise no_snapshot(space, name)


async def rollback(
    ingest: Ingest, caller: Caller, space: str, point: Point, *, reason: str | None, dry_run: bool, now: datetime
) -> RolledBack:
    """Give every memory its version as of `point`, and archive what was made since.

    Frozen and quarantined memories and those under legal hold stay as they are and are listed; what was erased since
    stays erased. Nothing is recorded when nothing has changed. `NotFoundError`, `ForbiddenError`.
    """
    opened = ingest.database.read if dry_run else ingest.database.write
    async with opened(caller.tenant_id) as session:
        space_id = await access.require(session, caller, space, "write")
        locked: Space | None = None
        if isinstance(session, WriteSession):
            locked = (await memories.lock_spaces(session, {space_id}))[space_id]
        position = await find_position(session, space_id, space, point)
        drifted = await branches.list_drift(session, space_id, position, caller=caller, when=When(now))
        erased = await branches.list_erased(session, space_id, position, caller=caller)
        split = split_drift(drifted)
        operation: Operation | None = None
        if isinstance(session, WriteSession) and locked is not None and (split.restored or split.archived):
            operation = await record(
                ingest.queue,
                session,
                locked,
                "rollback",
                caller=caller,
                now=now,
                reason=reason,
                details={"position": position, "restored": len(split.restored), "archived": len(split.archived)},
            )
            await versions.restore(session, operation, split.restored)
            await versions.revise(session, operation, split.archived, {"state": "archived"})
            await packing.bring_back(ingest, session, operation, list(split.restored))
            await enqueue(ingest.queue, session, "embed", space_id)  # a version may come back that waited for vectors
    readable = {one.id for one in drifted if one.readable}
    return RolledBack(
        position,
        None if operation is None else operation.id,
        tuple(one for one in split.restored if one in readable),
        tuple(one for one in split.archived if one in readable),
        tuple(pair for pair in split.kept if pair[0] in readable),
        tuple(erased),
    )


def split_drift(drifted: Sequence[Drift]) -> Split:
    """What goes back to which version, what is archived, and what stays as it is and why. Pure."""
    split = Split()
    for one in drifted:
        if not one.writable:
            split.kept.append((one.id, "not_permitted"))
        elif one.state == "frozen":
            split.kept.append((one.id, "frozen"))
        elif one.legal_hold:
            split.kept.append((one.id, "legal_hold"))
        elif one.state == "quarantined":
            split.kept.append((one.id, "quarantined"))
        elif one.version is None:
            split.archived.append(one.id)
        else:
            split.restored[one.id] = one.version
    return split


async def fork(
    ingest: Ingest, caller: Caller, space: str, to: str, *, at: str | None, reason: str | None, now: datetime
) -> Forked:
    """Make the space `to` with copies of all that the caller may read of `space`, as of the snapshot `at` or now.

    Each copy derives from its original, so that an erasure of that reaches it; nothing done in the fork changes the
    source. `ConflictError` when `to` is taken.
    """
    async with ingest.database.write(caller.tenant_id) as session:
        source_id = await access.require(session, caller, space, "read")
        if await spaces.find_space(session, to) is not None:
            problem, remedy = f"there is a space {to!r}", "Fork into a name that is free."
            raise ConflictError(problem, fields=(FieldError("to", problem, remedy),), remedy=remedy)
        source = (await memories.lock_spaces(session, {source_id}))[source_id]
        position = await find_position(session, source_id, space, Point(snapshot=at))
        found = await branches.list_originals(
            session,
            source_id,
            at=None if at is None else position,
            current=False,
            caller=caller,
            when=When(now),
        )
        target = await spaces.lock_space(session, caller, to)
        await branches.copy_settings(session, source_id, target.id)
        details = {"source": str(source_id), "position": position, "memories": len(found)}
        operation = await record(
            ingest.queue, session, target, "fork", caller=caller, now=now, reason=reason, details=details
        )
        copied = await copy_memories(ingest, session, source_id, target, found, operation)
        if at is None and source.tended:  # what was read there need not be read here
            await spaces.set_tended(session, target.id, operation.number)
    return Forked(to, position, operation.id, len(found), copied.chunks)


async def copy_memories(
    ingest: Ingest,
    session: WriteSession,
    source_id: SpaceId,
    target: Space,
    originals: Sequence[Original],
    operation: Operation,
) -> Copied:
    """Copy these memories of a locked space into another one, as a part of the operation.

    A session that the target does not have keeps its places; turns of one that it has follow those that are there.
    """
    names = list(dict.fromkeys(one.session for one in originals if one.session is not None))
    before = await spaces.find_sessions(session, target.id, names)
    sessions = await spaces.ensure_sessions(session, target.id, names)
    next_position = {name: one.next_position for name, one in before.items()}
    planned = []
    for number, one in enumerate(originals, target.next_memory):
        place, position = None if one.session is None else sessions[one.session], one.position
        if one.session in before and position is not None:
            position = next_position[one.session]
        if place is not None and one.session is not None and position is not None:
            next_position[one.session] = max(next_position.get(one.session, 0), position + 1)
        planned.append(
            Copy(
                original=one,
                id=MemoryId(new_uuid()),
                number=number,
                session_id=None if place is None else place.id,
                session_number=None if place is None else place.number,
                position=position,
            )
        )
    chunks = await copies.insert_copies(session, source_id, target, planned, operation)
    # As of a snapshot, what is packed today was in recall: so is its copy.
    await packing.bring_back(ingest, session, operation, [copy.id for copy in planned])
    await spaces.advance_sessions(session, {sessions[name].id: value for name, value in next_position.items()})
    await enqueue(ingest.queue, session, "embed", target.id)  # for copies whose originals still waited for vectors
    if not target.ann and target.next_chunk - 1 + chunks > ingest.exact_scan_limit:
        await enqueue(ingest.queue, session, "index", target.id)
    return Copied({copy.original.id: copy.id for copy in planned}, chunks)


async def find_position(session: ReadSession, space_id: SpaceId, space: str, point: Point) -> int:
    """The position that `point` names, the present one when it names none."""
    last = await branches.last_position(session, space_id)
    if point.snapshot is not None:
        found = await branches.list_snapshots(session, space_id, point.snapshot)
        if not found:
            raise no_snapshot(space, point.snapshot)
        return found[0].position
    if point.position is None:
        return last
    if point.position > last:
        problem = f"lies after the space's last operation, number {last}"
        fault = FieldError("position", problem, "Take a number that GET /v1/operations lists.")
        raise InvalidRequestError(f"position {problem}", fields=(fault,))
    return point.position


def no_snapshot(space: str, name: str) -> NotFoundError:
    """The refusal to use a snapshot that does not exist."""
    remedy = "List them with GET /v1/spaces/{name}/snapshots."
    problem = f"the space {space!r} has no snapshot {name!r}"
    return NotFoundError(problem, fields=(FieldError("snapshot", problem, remedy),), remedy=remedy)
