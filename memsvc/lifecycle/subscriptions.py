"""Publish and subscribe: a space receives copies of what another one holds, and they follow their sources.

A copy is a memory of its own, derived from its source: erasing the source erases it. Each delivery is one transaction
and one operation of the subscriber's space, which also moves the subscription on, so it happens exactly once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from memsvc.errors import ConflictError, FieldError, InvalidRequestError
from memsvc.ids import MemoryId, SpaceId, SubscriptionId, TenantId
from memsvc.ingest.operations import record
from memsvc.ingest.write import Ingest
from memsvc.lifecycle import copies as copies_of
from memsvc.queue import enqueue
from memsvc.store import access, feed, memories, sharing, spaces, subscriptions
from memsvc.store.access import When, missing_right
from memsvc.store.database import WriteSession
from memsvc.store.keys import Caller
from memsvc.store.scope import CURRENT_STATES
from memsvc.store.spaces import Space
from memsvc.store.subscriptions import Conditions, Subscription
from memsvc.wire import Filters

log = structlog.get_logger(__name__)

MEMORIES_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class SubscribeOrder:
    """Which space is to follow which other."""

    space: str
    source: str
    filters: Filters
    from_start: bool
    include_copies: bool


async def subscribe(ingest: Ingest, caller: Caller, order: SubscribeOrder, *, now: datetime) -> Subscription:
    """Let a space follow another. The caller must be allowed to write in the one and to read the other.

    `ConflictError` when it follows it already, or when a cycle would close.
    """
    async with ingest.database.write(caller.tenant_id) as session:
        await subscriptions.lock_graph(session)
        source_id = await _require(session, caller, order.source)
        space = await _lock_both(session, caller, order.space, source_id)
        _check(order, cycle=await subscriptions.receives_from(session, source_id, space.id))
        subscription_id = await subscriptions.insert_subscription(
            session,
            space.id,
            source_id,
            order.filters.model_dump(mode="json", exclude_none=True),
            include_copies=order.include_copies,
            position=0 if order.from_start else await feed.last_number(session, source_id),
            caller=caller,
            now=now,
        )
        if subscription_id is None:
            problem = f"space {order.space!r} is subscribed to {order.source!r} already"
            remedy = "Delete that subscription first; GET /v1/subscriptions lists it."
            raise ConflictError(problem, fields=(FieldError("source", problem, remedy),), remedy=remedy)
        await subscriptions.count_followers(session, source_id)
        await enqueue(ingest.queue, session, "deliver", source_id)
        return (await subscriptions.get_subscription(session, subscription_id, caller=caller))[0]


async def _require(session: WriteSession, caller: Caller, source: str) -> SpaceId:
    source_id = await access.require(session, caller, source, "read")
    if not await sharing.allows(session, caller, source_id, "read"):
        raise missing_right("read", f"the space {source!r}", field="source")
    return source_id


async def _lock_both(session: WriteSession, caller: Caller, name: str, source_id: SpaceId) -> Space:
    """The subscriber's space, made when new; both are locked, in the order in which every writer of several does."""
    found = await spaces.find_space(session, name)
    if found is not None:
        await memories.lock_spaces(session, {found, source_id})
    space = await spaces.lock_space(session, caller, name)
    await memories.lock_spaces(session, {source_id})
    return space


def _check(order: SubscribeOrder, *, cycle: bool) -> None:
    if order.space == order.source:
        fault = FieldError("source", "is the subscriber itself", "Name another space.")
        raise InvalidRequestError("a space cannot subscribe to itself", fields=(fault,))
    if cycle:
        problem = f"{order.source!r} receives from {order.space!r} already, directly or through other spaces"
        remedy = "Subscriptions form no cycle: end one of them first, or write what both need into a third space."
        raise ConflictError(problem, fields=(FieldError("source", problem, remedy),), remedy=remedy)


async def unsubscribe(ingest: Ingest, caller: Caller, subscription_id: SubscriptionId) -> None:
    """End a subscription; its copies stay, and are still erased with their sources."""
    async with ingest.database.write(caller.tenant_id) as session:
        found, ends = await subscriptions.get_subscription(session, subscription_id, caller=caller)
        if not ends:
            raise missing_right("write", f"the space {found.space!r}", field="id")
        await memories.lock_spaces(session, {found.space_id, found.source_id})
        await subscriptions.delete_subscription(session, subscription_id)
        await subscriptions.count_followers(session, found.source_id)


async def resume(ingest: Ingest, caller: Caller, subscription_id: SubscriptionId) -> Subscription:
    """Deliver again where it was suspended, from now on with the rights of the caller."""
    async with ingest.database.write(caller.tenant_id) as session:
        found, _ = await subscriptions.get_subscription(session, subscription_id, caller=caller)
        await access.require(session, caller, found.space, "write")
        await _require(session, caller, found.source)
        await memories.lock_spaces(session, {found.space_id, found.source_id})
        await subscriptions.resume(session, subscription_id, caller.principal_id)
        await enqueue(ingest.queue, session, "deliver", found.source_id)
        return (await subscriptions.get_subscription(session, subscription_id, caller=caller))[0]


async def deliver_all(
    ingest: Ingest, tenant_id: TenantId, source_id: SpaceId, *, clock: Callable[[], datetime]
) -> None:
    """Bring every subscription to a space up to its latest operation."""
    async with ingest.database.read(tenant_id) as session:
        active = await subscriptions.active(session, source_id)
    for subscription_id in active:
        while await deliver_next(ingest, tenant_id, subscription_id, now=clock()):
            pass


async def deliver_next(ingest: Ingest, tenant_id: TenantId, subscription_id: SubscriptionId, *, now: datetime) -> bool:
    """Deliver the next operations in one transaction; whether there may be more.

    Both spaces are locked: an erase of a source waits until its copy is there to be erased with it.
    """
    async with ingest.database.write(tenant_id) as session:
        found = await subscriptions.find_subscription(session, subscription_id)
        if found is None:
            return False
        await memories.lock_spaces(session, {found.space_id, found.source_id})
        found = await subscriptions.find_subscription(session, subscription_id)
        if found is None or found.state != "active":
            return False
        caller = await sharing.acting_as(session, found.principal_id)
        refusal = await _refusal(session, caller, found)
        if caller is None or refusal is not None:
            await subscriptions.suspend(session, found.id, refusal or "")
            log.warning("subscription_suspended", subscription=str(found.id))
            return False
        operations = await feed.next_operations(
            session, found.source_id, first=found.position + 1, last=None, memories=MEMORIES_AT_ONCE
        )
        if not operations:
            return False
        ids = await subscriptions.left_by(session, [operation.id for operation in operations])
        await _mirror(ingest, session, found, caller, ids, now)
        await subscriptions.advance(session, found.id, operations[-1].number)
    return True


async def _refusal(session: WriteSession, caller: Caller | None, found: Subscription) -> str | None:
    """Why the subscription may not be served any more."""
    if caller is None:
        return f"principal {found.principal!r} has no valid API key any more"
    if not caller.scopes & {"write", "admin"}:
        return f"principal {found.principal!r} has no key with the scope `write` any more"
    if not await sharing.allows(session, caller, found.space_id, "write"):
        return f"principal {found.principal!r} may no longer write in {found.space!r}"
    if not await sharing.allows(session, caller, found.source_id, "read"):
        return f"principal {found.principal!r} may no longer read {found.source!r}"
    return None


async def _mirror(
    ingest: Ingest, session: WriteSession, found: Subscription, caller: Caller, ids: Sequence[MemoryId], now: datetime
) -> None:
    """Make the copies of these memories what they should be."""
    sources = await memories.get_records(session, ids, caller=caller, when=When(now))
    matching = await subscriptions.matching(session, list(sources), conditions_of(found))
    copies = await subscriptions.find_copies(session, found.space_id, ids)
    without = [each for each in matching if each not in copies and sources[each].state in CURRENT_STATES]
    fresh = {copies_of.copy_id(found.space_id, sources[each]): each for each in without}
    gone = await subscriptions.erased(session, list(fresh))
    successors = {each.superseded_by for each in sources.values() if each.superseded_by is not None}
    known = await subscriptions.find_copies(session, found.space_id, successors - copies.keys())
    copied = {source: copy.record.id for source, copy in {**known, **copies}.items()}
    copied |= {source: copy for copy, source in fresh.items() if copy not in gone}
    mirror = copies_of.plan_mirror(ids, sources, matching, copies, copied)
    if not mirror.empty:
        space = (await memories.lock_spaces(session, {found.space_id}))[found.space_id]
        operation = await record(
            ingest.queue,
            session,
            space,
            copies_of.DELIVER,
            caller=caller,
            now=now,
            details={"subscription": str(found.id), **mirror.counts()},
        )
        await copies_of.apply(copies_of.Delivery(ingest, session, found, caller, operation, copied), space, mirror)


def conditions_of(found: Subscription) -> Conditions:
    """What a subscription's filters ask for."""
    filters = Filters.model_validate(found.filter)

    def listed(values: Sequence[str] | None) -> tuple[str, ...] | None:
        return None if values is None else tuple(values)

    return Conditions(
        kinds=listed(filters.kinds),
        roles=listed(filters.roles),
        names=listed(filters.names),
        sessions=listed(filters.sessions),
        metadata=filters.metadata,
        occurred_from=filters.occurred_from,
        occurred_to=filters.occurred_to,
        include_copies=found.include_copies,
    )
