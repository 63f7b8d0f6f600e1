"""Reading and editing scratch states: each edit is one transaction, against the revision that the caller has read."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from memsvc.errors import ConflictError, FieldError, NotFoundError, PreconditionFailedError
from memsvc.queue import enqueue
from memsvc.store import access, spaces
from memsvc.store import scratch as store
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.keys import Caller
from memsvc.store.scratch import Revision, Scratch, ScratchOperation
from memsvc.upkeep.model import Upkeep
from memsvc.upkeep.scratch import DEFAULT_TOKENS, Difference, State, Step, compare, limit

Apply = Callable[[State], Step]


@dataclass(frozen=True, slots=True)
class Place:
    """Whose scratch: a session of a space."""

    caller: Caller
    space: str
    session: str


@dataclass(frozen=True, slots=True)
class EditOrder:
    """Edit a scratch. `revision`: what it must still be at (None: any); `key` and `request` tell a retry."""

    place: Place
    operation: ScratchOperation
    apply: Apply
    revision: int | None
    now: datetime
    key: str | None = None
    request: bytes = b""


@dataclass(frozen=True, slots=True)
class View:
    """A state as it is shown; `recorded_at` None before anything was written. `replayed`: a retry that did nothing."""

    state: State
    recorded_at: datetime | None = None
    evicted: tuple[str, ...] = ()
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Past:
    """A revision with what it did to the one before: to entries, which of them it pruned, and which made room."""

    revision: Revision
    difference: Difference
    pruned: tuple[str, ...]
    evicted: tuple[str, ...]


async def read_scratch(upkeep: Upkeep, place: Place, *, revision: int | None = None) -> View:
    """The state now, or as of a revision; an empty one where nothing was written yet. `NotFoundError`."""
    async with upkeep.ingest.database.read(place.caller.tenant_id) as session:
        space_id = await access.require(session, place.caller, place.space, "read")
        scratch = await store.find_scratch(session, space_id, place.session)
        if revision == 0 or (scratch is None and revision is None):
            return View(State(token_limit=DEFAULT_TOKENS if scratch is None else scratch.token_limit))
        if scratch is None or (revision is not None and revision > scratch.revision):
            raise NotFoundError(f"the scratch of session {place.session!r} has no revision {revision}")
        return await _view(session, scratch, scratch.revision if revision is None else revision)


async def list_revisions(upkeep: Upkeep, place: Place, *, before: int | None, count: int) -> list[Past]:
    """Up to `count` revisions, newest first, each with what it changed; `before`: only those of smaller numbers."""
    async with upkeep.ingest.database.read(place.caller.tenant_id) as session:
        space_id = await access.require(session, place.caller, place.space, "read")
        scratch = await store.find_scratch(session, space_id, place.session)
        if scratch is None:
            return []
        last = scratch.revision if before is None else before - 1
        found = await store.read_revisions(session, scratch, last=last, limit=count + 1)
    earlier = [one.entries for one in found[1:]] + ([] if len(found) > count else [()])
    return [
        Past(
            one,
            compare(entries, one.entries),
            tuple(one.details["pruned"]),
            tuple(one.details["evicted"]),
        )
        for one, entries in zip(found[:count], earlier, strict=True)
    ]


async def edit_scratch(upkeep: Upkeep, order: EditOrder) -> View:
    """Apply an operation as the next revision; the scratch, and its space, are made when they are new.

    A retry with the key of an edit that was done gives the state that it left. Raises what the operation raises,
    `PreconditionFailedError` when the scratch is at another revision, `ConflictError` when the key was used for another
    request, and `ForbiddenError`.
    """
    place = order.place
    key = None if order.key is None else _hash(f"{place.caller.principal_id}:{order.key}".encode())
    async with upkeep.ingest.database.write(place.caller.tenant_id) as session:
        scratch = await _lock(session, place, order.now)
        done = None if key is None else await store.find_retried(session, scratch, key)
        if done is not None:
            return _replay(order, scratch, done)
        _check_revision(place, scratch, order.revision)
        step = order.apply((await _view(session, scratch, scratch.revision)).state)
        retry = {} if key is None else {"key": key, "request": _hash(order.request)}
        await _append(session, scratch, step, order.operation, place.caller, order.now, retry)
    return View(step.state, order.now, step.evicted)


async def set_token_limit(
    upkeep: Upkeep, place: Place, token_limit: int, *, evict: bool, revision: int | None, now: datetime
) -> View:
    """Bound a scratch, made when it is new; what no longer fits makes room as a revision of its own, or is refused."""
    async with upkeep.ingest.database.write(place.caller.tenant_id) as session:
        scratch = await _lock(session, place, now)
        _check_revision(place, scratch, revision)
        view = await _view(session, scratch, scratch.revision)
        step = limit(view.state, token_limit, evict=evict)
        await store.set_limit(session, scratch, token_limit)
        if step is None:
            return await _view(session, Scratch(scratch.id, token_limit, scratch.revision), scratch.revision)
        await _append(session, scratch, step, "prune", place.caller, now, {})
    return View(step.state, now, step.evicted)


async def delete_scratch(upkeep: Upkeep, place: Place, *, revision: int | None, now: datetime) -> None:
    """Remove a scratch with all its revisions, for good. `NotFoundError`, `ForbiddenError`."""
    async with upkeep.ingest.database.write(place.caller.tenant_id) as session:
        space_id = await access.require(session, place.caller, place.space, "erase")
        found = await store.find_scratch(session, space_id, place.session)
        if found is None:
            raise NotFoundError(f"there is no scratch of session {place.session!r} in the space {place.space!r}")
        scratch = await store.lock_scratch(
            session, space_id, place.session, caller=place.caller, token_limit=DEFAULT_TOKENS, now=now
        )
        _check_revision(place, scratch, revision)
        await store.delete_scratches(session, [scratch.id])
        await enqueue(upkeep.ingest.queue, session, "vacuum", space_id)


async def _lock(session: WriteSession, place: Place, now: datetime) -> Scratch:
    try:
        space_id = await access.require(session, place.caller, place.space, "write")
    except NotFoundError:
        space_id = (await spaces.lock_space(session, place.caller, place.space)).id
    return await store.lock_scratch(
        session, space_id, place.session, caller=place.caller, token_limit=DEFAULT_TOKENS, now=now
    )


async def _view(session: ReadSession, scratch: Scratch, revision: int) -> View:
    if revision == 0:
        return View(State(token_limit=scratch.token_limit))
    found = (await store.read_revisions(session, scratch, last=revision, limit=1))[0]
    return _shown(scratch, found)


def _shown(scratch: Scratch, revision: Revision, *, replayed: bool = False) -> View:
    state = State(revision.entries, revision.revision, scratch.token_limit)
    return View(state, revision.recorded_at, tuple(revision.details["evicted"]), replayed)


def _replay(order: EditOrder, scratch: Scratch, done: Revision) -> View:
    if done.details["request"] != _hash(order.request):
        fault = FieldError("Idempotency-Key", "was used before", "Send a new key with a new request.")
        raise ConflictError("this Idempotency-Key was used for another request", fields=(fault,))
    return _shown(scratch, done, replayed=True)


def _check_revision(place: Place, scratch: Scratch, expected: int | None) -> None:
    if expected is not None and expected != scratch.revision:
        problem = f"the scratch of session {place.session!r} is at revision {scratch.revision}, not {expected}"
        fault = FieldError("If-Match", problem, PreconditionFailedError.remedy)
        raise PreconditionFailedError(problem, fields=(fault,))


async def _append(
    session: WriteSession,
    scratch: Scratch,
    step: Step,
    operation: ScratchOperation,
    caller: Caller,
    now: datetime,
    retry: dict[str, str],
) -> None:
    revision = Revision(
        revision=step.state.revision,
        operation=operation,
        details={"pruned": list(step.pruned), "evicted": list(step.evicted), **retry},
        entries=step.state.entries,
        tokens=step.state.tokens,
        actor=caller.principal,
        recorded_at=now,
    )
    await store.append_revision(session, scratch, revision, caller=caller)


def _hash(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()
