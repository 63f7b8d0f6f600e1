"""Erasing for good: the memories, all that was made of them, and every trace of their content; with a signed receipt.

What derives from an erased memory is erased with it, unless the service itself made it and can make it again from the
sources that remain. It is one transaction: either everything is gone, or nothing.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from memsvc.errors import FieldError, InvalidRequestError, LegalHoldError, NotFoundError, PreconditionFailedError
from memsvc.ids import ErasureId, MemoryId, ScratchId, SpaceId, new_uuid
from memsvc.ingest.operations import record
from memsvc.ingest.write import Ingest
from memsvc.lifecycle.rebuild import REBUILDABLE, rebuild
from memsvc.lifecycle.receipts import FORMAT, hash_id
from memsvc.lifecycle.signing import Signer
from memsvc.queue import enqueue, enqueue_blob_deletion
from memsvc.store import access, erasure, memories, scratch
from memsvc.store.access import When
from memsvc.store.blobs import release_blobs
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.erasure import Removed, Selected, Selection
from memsvc.store.keys import Caller
from memsvc.store.spaces import Space

MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class EraseOrder:
    """What to erase. `versions`: the version that each memory must still be in (None: any)."""

    caller: Caller
    now: datetime
    selection: Selection = field(default_factory=Selection)
    memories: Sequence[MemoryId] = ()
    versions: Mapping[MemoryId, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ErasePlan:
    """What an order comes to: `named` by it, `derived` from those and erased too, `rebuilt` from what remains.

    `scratches` of sessions go along: what an agent noted there cannot be told from what it noted it of.
    """

    named: tuple[Selected, ...]
    derived: tuple[Selected, ...]
    rebuilt: tuple[Selected, ...]
    held: tuple[MemoryId, ...]
    scratches: Mapping[ScratchId, SpaceId] = field(default_factory=dict)

    @property
    def erased(self) -> dict[SpaceId, list[MemoryId]]:
        """What goes, by space."""
        by_space: dict[SpaceId, list[MemoryId]] = {}
        for one in (*self.named, *self.derived):
            by_space.setdefault(one.space_id, []).append(one.id)
        return by_space


@dataclass(frozen=True, slots=True)
class Erased:
    """A done erasure: its plan, and the receipt that proves it."""

    plan: ErasePlan
    receipt: Mapping[str, object]


async def plan_erase(ingest: Ingest, order: EraseOrder) -> ErasePlan:
    """What `erase` would do now, done by nobody. Raises what it would raise, but for legal holds, which it lists."""
    async with ingest.database.read(order.caller.tenant_id) as session:
        return await _plan(session, order)


async def erase(ingest: Ingest, signer: Signer, order: EraseOrder) -> Erased:
    """Erase what the order names and what derives from it.

    `LegalHoldError` when any of it is held, `ForbiddenError` when the right to erase any of it is missing; both name
    the memories, and nothing is erased then.
    """
    async with ingest.database.write(order.caller.tenant_id) as session:
        plan, spaces = await _lock(session, order)
        if plan.held:
            shown = ", ".join(map(str, plan.held[:MOST_NAMED]))
            raise LegalHoldError(
                f"{len(plan.held)} memories are under legal hold: {shown}",
                fields=(FieldError("memories", f"{shown} under legal hold", LegalHoldError.remedy),),
            )
        erasure_id = ErasureId(new_uuid())
        removed = [await _erase_space(ingest, session, spaces[i], plan, order) for i in plan.erased]
        for one in plan.rebuilt:
            await rebuild(ingest, session, one.id, spaces[one.space_id], caller=order.caller, now=order.now)
        await _erase_scratches(ingest, session, plan)
        await _drop_whole_space(session, order, spaces, plan)
        receipt = signer.sign(_receipt(erasure_id, order, plan, removed))
        await erasure.insert_receipt(
            session, erasure_id, receipt, principal_id=order.caller.principal_id, now=order.now
        )
    return Erased(plan, receipt)


async def _lock(session: WriteSession, order: EraseOrder) -> tuple[ErasePlan, dict[SpaceId, Space]]:
    """Plan, lock every space that the plan touches, and plan again, until nothing has slipped in between."""
    plan = await _plan(session, order)
    locked: dict[SpaceId, Space] = {}
    while True:
        touched = set(plan.erased) | {one.space_id for one in plan.rebuilt} | set(plan.scratches.values())
        if touched <= set(locked):
            return plan, locked
        locked = await memories.lock_spaces(session, touched)
        plan = await _plan(session, order)


async def _plan(session: ReadSession, order: EraseOrder) -> ErasePlan:
    selection = order.selection if not order.memories else Selection(memories=tuple(order.memories))
    named = await erasure.select(session, selection, caller=order.caller, when=When(order.now))
    missing = set(order.memories) - {one.id for one in named}
    if missing:
        raise NotFoundError(f"there is no memory {', '.join(map(str, sorted(missing)[:MOST_NAMED]))}")
    refused = [str(one.id) for one in named if not one.allowed]
    if refused:
        what = f"{len(refused)} of these memories: {', '.join(refused[:MOST_NAMED])}"
        raise access.missing_right("erase", what, field="memories")
    for one in named:
        expected = order.versions.get(one.id)
        if expected is not None and expected != one.version:
            raise PreconditionFailedError(f"memory {one.id} is at version {one.version}, not {expected}")
    below = await erasure.derived(session, [one.id for one in named])
    derived, rebuilt = split(named, below)
    held = tuple(one.id for one in (*named, *derived, *rebuilt) if one.legal_hold)
    scratches = await _find_scratches(session, order, selection, named, derived)
    return ErasePlan(tuple(named), tuple(derived), tuple(rebuilt), held, scratches)


async def _find_scratches(
    session: ReadSession,
    order: EraseOrder,
    selection: Selection,
    named: Sequence[Selected],
    derived: Sequence[Selected],
) -> Mapping[ScratchId, SpaceId]:
    """Those of a space or sessions that are named by nothing else, and of sessions of which memories go.

    Memories that are named by their ids take along the scratch of a session that they leave empty, and no other.
    """
    both = [{selection.session}] if selection.session is not None else []
    both += [set(selection.sessions)] if selection.sessions is not None else []
    whole = selection == Selection(space=selection.space, session=selection.session, sessions=selection.sessions)
    return await scratch.find_erasable(
        session,
        caller=order.caller,
        space=selection.space if whole else None,
        sessions=sorted(set.intersection(*both)) if both else None,
        of=[one.id for one in named],
        erased=[one.id for one in (*named, *derived)],
        only_emptied=selection.memories is not None,
    )


async def _erase_scratches(ingest: Ingest, session: WriteSession, plan: ErasePlan) -> None:
    await scratch.delete_scratches(session, plan.scratches)
    for space_id in sorted(set(plan.scratches.values())):
        await enqueue(ingest.queue, session, "vacuum", space_id)


def split(named: Collection[Selected], below: Sequence[Selected]) -> tuple[list[Selected], list[Selected]]:
    """Of what derives from `named` (sources first): what must go, and what can be made again. Pure.

    A memory can be made again when the service made it by a rule (`REBUILDABLE`) and a source is left to it.
    """
    gone = {one.id for one in named}
    derived: list[Selected] = []
    rebuilt: list[Selected] = []
    for one in below:
        if one.origin in REBUILDABLE and any(source not in gone for source in one.sources):
            rebuilt.append(one)
        else:
            gone.add(one.id)
            derived.append(one)
    return derived, rebuilt


async def _erase_space(
    ingest: Ingest, session: WriteSession, space: Space, plan: ErasePlan, order: EraseOrder
) -> Removed:
    ids = plan.erased[space.id]
    operation = await record(
        ingest.queue,
        session,
        space,
        "erase",
        caller=order.caller,
        now=order.now,
        details={"memories": len(ids)},
    )
    await enqueue_blob_deletion(ingest.queue, session, await release_blobs(session, ids))
    await erasure.insert_tombstones(session, operation.id, ids, named=[one.id for one in plan.named])
    removed = await erasure.remove(session, space.id, ids)
    # What was removed stands in the files until a vacuum, and an index that grew thin is compacted with it.
    await enqueue(ingest.queue, session, "vacuum", space.id)
    return removed


async def _drop_whole_space(
    session: WriteSession, order: EraseOrder, spaces: Mapping[SpaceId, Space], plan: ErasePlan
) -> None:
    """When the space itself was named, and by nothing else, its name, sessions and operations go as well."""
    if order.memories or order.selection != Selection(space=order.selection.space):
        return
    for space_id, space in spaces.items():
        if space.name == order.selection.space and not any(one.space_id == space_id for one in plan.rebuilt):
            await erasure.remove_space(session, space_id, caller=order.caller)


def check_selection(selection: Selection) -> None:
    """`InvalidRequestError` for an order that names nothing, or more than it seems to."""
    if selection == Selection():
        problem, remedy = (
            "names nothing to erase",
            "Give `memories`, `space`, `session`, `subject`, `actor` or filters.",
        )
        raise InvalidRequestError(f"the request {problem}", fields=(FieldError("body", problem, remedy),))
    if selection.memories is not None and selection != Selection(memories=selection.memories):
        remedy = "Send `memories` alone, or conditions alone."
        problem = "cannot be combined with conditions"
        raise InvalidRequestError(f"memories {problem}", fields=(FieldError("memories", problem, remedy),))
    if (selection.session or selection.sessions) and selection.space is None:
        problem, remedy = "is missing", "A session is found by its name in a space: give `space` too."
        raise InvalidRequestError(f"space {problem}", fields=(FieldError("space", problem, remedy),))


def _receipt(
    erasure_id: ErasureId, order: EraseOrder, plan: ErasePlan, removed: Sequence[Removed]
) -> dict[str, object]:
    """What was erased, in counts and hashes; the request itself only as a hash, since it may name somebody."""
    asked = orjson.dumps({"memories": list(order.memories), "selection": order.selection}, option=orjson.OPT_SORT_KEYS)
    return {
        "format": FORMAT,
        "id": str(erasure_id),
        "tenant": order.caller.tenant,
        "requested_by": order.caller.principal,
        "erased_at": order.now.isoformat(),
        "request_sha256": hashlib.sha256(asked).hexdigest(),
        "counts": {
            "named": len(plan.named),
            "derived": len(plan.derived),
            "rebuilt": len(plan.rebuilt),
            "versions": sum(one.versions for one in removed),
            "chunks": sum(one.chunks for one in removed),
            "postings": sum(one.postings for one in removed),
            "receipts": sum(one.receipts for one in removed),
            "sessions": sum(one.sessions for one in removed),
            "scratches": len(plan.scratches),
        },
        "erased_sha256": sorted(hash_id(one.id) for one in (*plan.named, *plan.derived)),
    }
