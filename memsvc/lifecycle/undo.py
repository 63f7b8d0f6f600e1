"""Undoing an operation: what it changed gets its earlier version back, what it made leaves recall. An operation too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from memsvc.errors import ConflictError, FieldError
from memsvc.ids import MemoryId, OperationId
from memsvc.ingest.operations import record
from memsvc.ingest.write import Ingest
from memsvc.lifecycle import packing
from memsvc.lifecycle.packing import Prepared, Reversal
from memsvc.queue import enqueue
from memsvc.store import history, memories, sharing, versions
from memsvc.store.access import When, missing_right
from memsvc.store.database import WriteSession
from memsvc.store.history import PastOperation
from memsvc.store.keys import Caller
from memsvc.store.versions import Affected, Operation

# Why an operation of this kind cannot be undone.
FINAL: Mapping[str, str] = {
    "erase": "What was erased is gone, which is what erasing means.",
    "hold": "Lift the hold by name: PUT /v1/memories/{id}/hold.",
    "release": "Place the hold by name: PUT /v1/memories/{id}/hold.",
}
MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo did: the memories that got an earlier version back, and those that left recall."""

    operation_id: OperationId
    restored: tuple[MemoryId, ...]
    archived: tuple[MemoryId, ...]


async def undo(
    ingest: Ingest, caller: Caller, operation_id: OperationId, *, reason: str | None, now: datetime
) -> Undone:
    """Take an operation back, whole or not at all.

    `ConflictError` when it was undone already, cannot be undone, or when later changes stand on it; it names them.
    """
    prepared = await _prepare(ingest, caller, operation_id)
    async with ingest.database.write(caller.tenant_id) as session:
        found = await history.get_operation(session, operation_id, caller=caller, right="write")
        spaces = await memories.lock_spaces(session, {found.space_id})
        found = await history.get_operation(session, operation_id, caller=caller, right="write")
        _check_undoable(found)
        affected = await versions.affected_by(session, [operation_id])
        reversal = await packing.find_reversal(session, found.details, now=now)
        await _check_permitted(session, caller, [*(change.memory_id for change in affected), *reversal.ids], now)
        made = [change.memory_id for change in affected if change.before is None]
        dependents = await history.dependents(session, made, made_by=operation_id)
        _check_nothing_stands_on_it(found, affected, reversal, dependents)
        undoing = await record(
            ingest.queue,
            session,
            spaces[found.space_id],
            "undo",
            caller=caller,
            now=now,
            reason=reason,
            undoes=operation_id,
        )
        await take_back(session, undoing, affected)
        reversal = await packing.find_reversal(session, found.details, now=now)  # of memories as they are again
        await packing.reverse(ingest, session, undoing, reversal, prepared)
        await packing.bring_back(ingest, session, undoing, [change.memory_id for change in affected], prepared)
        # An earlier content may have been edited away before its embeddings were made.
        await enqueue(ingest.queue, session, "embed", found.space_id)
        await history.mark_undone(session, found, by=undoing.id)
    restored = [change.memory_id for change in affected if change.before is not None]
    return Undone(undoing.id, tuple(dict.fromkeys([*restored, *reversal.ids])), tuple(made))


async def _prepare(ingest: Ingest, caller: Caller, operation_id: OperationId) -> Prepared:
    """What the undo may bring back out of a pack, embedded before its transaction."""
    async with ingest.database.read(caller.tenant_id) as session:
        found = await history.get_operation(session, operation_id, caller=caller, right="write")
        affected = await versions.affected_by(session, [operation_id])
    return await packing.prepare(
        ingest, caller.tenant_id, ids=[change.memory_id for change in affected], made=packing.named_packs(found.details)
    )


async def take_back(session: WriteSession, operation: Operation, affected: Sequence[Affected]) -> None:
    """Bring every memory to where it was before these changes; what they made is archived."""
    before = {change.memory_id: change.before for change in affected if change.before is not None}
    if before:
        await versions.restore(session, operation, before)
    made = [change.memory_id for change in affected if change.before is None and change.state != "archived"]
    if made:
        await versions.revise(session, operation, made, {"state": "archived"})


async def _check_permitted(session: WriteSession, caller: Caller, ids: Sequence[MemoryId], now: datetime) -> None:
    """The right to write in the space does not reach what others keep private in it; an admin may do all here."""
    if not caller.admin and await sharing.refused(session, ids, caller=caller, when=When(now), right="write"):
        raise missing_right("write", "all memories that the operation concerns", field="id")


def _check_undoable(found: PastOperation) -> None:
    if found.undone_by is not None:
        _refuse(f"operation {found.id} was undone by {found.undone_by}", f"Undo {found.undone_by} to do it again.")
    if found.kind in FINAL:
        _refuse(f"an operation of kind {found.kind} cannot be undone", FINAL[found.kind])


def _check_nothing_stands_on_it(
    found: PastOperation, affected: Sequence[Affected], reversal: Reversal, dependents: Sequence[MemoryId]
) -> None:
    later = [change.memory_id for change in affected if change.changed_since]
    if later:
        _refuse(
            f"{len(later)} memories were changed after operation {found.id}: {_named(later)}",
            "Undo the later operations first; GET /v1/memories/{id}/history lists them, newest last.",
        )
    if dependents:
        _refuse(
            f"{len(dependents)} memories were derived from what operation {found.id} made: {_named(dependents)}",
            "Archive or erase those first, or undo the operations that made them.",
        )
    if not affected and not reversal.ids:
        _refuse(
            f"nothing is left of what operation {found.id} did", "It was erased, or taken back piece by piece, since."
        )


def _named(ids: Sequence[MemoryId]) -> str:
    return ", ".join(map(str, ids[:MOST_NAMED])) + (", ..." if len(ids) > MOST_NAMED else "")


def _refuse(problem: str, remedy: str) -> None:
    raise ConflictError(problem, fields=(FieldError("id", problem, remedy),), remedy=remedy)
