"""Subscriptions of spaces to spaces, and what a delivery reads and writes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from numpy.typing import NDArray
from psycopg.rows import namedtuple_row, tuple_row

from memsvc.errors import NotFoundError
from memsvc.ids import MemoryId, OperationId, PrincipalId, SessionId, SpaceId, SubscriptionId, new_uuid
from memsvc.store import access
from memsvc.store.arrays import read_vector
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.feed import IMPORTED
from memsvc.store.keys import Caller
from memsvc.store.memories import RECORD_COLUMNS, RECORD_JOINS, Record, read_records
from memsvc.store.versions import Operation

COPY = "subscription"


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a memory of the source must be like; None is no condition. Copies are left out unless they are wanted."""

    kinds: Sequence[str] | None = None
    roles: Sequence[str] | None = None
    names: Sequence[str] | None = None
    sessions: Sequence[str] | None = None
    metadata: Mapping[str, Any] | None = None
    occurred_from: datetime | None = None
    occurred_to: datetime | None = None
    include_copies: bool = False


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription with the names its ids stand for; `behind` counts operations that are not delivered."""

    id: SubscriptionId
    space_id: SpaceId
    space: str
    source_id: SpaceId
    source: str
    principal_id: PrincipalId
    principal: str
    filter: Mapping[str, Any]
    include_copies: bool
    position: int
    state: str
    reason: str | None
    behind: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Copy:
    """What a space has of a memory of its source, and the kind of the operation that left it so."""

    record: Record
    operation: str


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk as it is stored: characters [start, end), float32[d], None when it is not embedded, and token codes."""

    start: int
    end: int
    encoder_id: int | None
    vector: NDArray[Any] | None = field(repr=False)
    codes: bytes = field(repr=False)


_SELECT = """
SELECT u.id, u.space_id, sp.name, u.source_id, so.name, u.principal_id, p.name, u.filter, u.include_copies,
    u.position, u.state, u.reason, so.next_operation - 1 - u.position, u.created_at
FROM subscriptions u
JOIN spaces sp ON sp.tenant_id = u.tenant_id AND sp.id = u.space_id
JOIN spaces so ON so.tenant_id = u.tenant_id AND so.id = u.source_id
JOIN principals p ON p.tenant_id = u.tenant_id AND p.id = u.principal_id
WHERE u.tenant_id = %(tenant)s
"""
# Who reads the subscriber sees where its copies come from; who may share the source sees where they go.
_KNOWN = f"({access.space_allows('read', 'u.space_id')} OR {access.space_allows('share', 'u.source_id')})"
_ENDED_BY = f"({access.space_allows('write', 'u.space_id')} OR {access.space_allows('share', 'u.source_id')})"


async def list_subscriptions(session: ReadSession, caller: Caller) -> list[Subscription]:
    """Those that the caller may know of, oldest first."""
    rows = await session.fetch(f"{_SELECT} AND {_KNOWN} ORDER BY u.id", _keys(session, caller), tuple_row)
    return [Subscription(*row) for row in rows]


async def get_subscription(
    session: ReadSession, subscription_id: SubscriptionId, *, caller: Caller
) -> tuple[Subscription, bool]:
    """The subscription, and whether the caller may end it; `NotFoundError` when he may not know of it."""
    rows = await session.fetch(
        f"{_SELECT.replace('u.created_at', f'u.created_at, coalesce({_ENDED_BY}, false)', 1)} AND u.id = %(id)s "
        f"AND {_KNOWN}",
        {**_keys(session, caller), "id": subscription_id},
        tuple_row,
    )
    if not rows:
        raise NotFoundError(f"there is no subscription {subscription_id}")
    *columns, ends = rows[0]
    return Subscription(*columns), bool(ends)


async def find_subscription(session: ReadSession, subscription_id: SubscriptionId) -> Subscription | None:
    """The subscription with this id, whoever asks."""
    rows = await session.fetch(
        f"{_SELECT} AND u.id = %(id)s", {"tenant": session.tenant_id, "id": subscription_id}, tuple_row
    )
    return Subscription(*rows[0]) if rows else None


async def active(session: ReadSession, source_id: SpaceId) -> list[SubscriptionId]:
    """The subscriptions to deliver to, oldest first."""
    rows = await session.fetch(
        "SELECT id FROM subscriptions WHERE tenant_id = %(tenant)s AND source_id = %(source)s AND state = 'active' "
        "ORDER BY id",
        {"tenant": session.tenant_id, "source": source_id},
        tuple_row,
    )
    return [row[0] for row in rows]


async def lock_graph(session: WriteSession) -> None:
    """Let nobody else of the tenant subscribe until the transaction ends: two could close a cycle together."""
    await session.run(
        "SELECT pg_advisory_xact_lock(hashtextextended('subscriptions:' || %(tenant)s::text, 0))",
        {"tenant": session.tenant_id},
    )


async def receives_from(session: ReadSession, space_id: SpaceId, source_id: SpaceId) -> bool:
    """Whether anything of the source comes to the space through the subscriptions there are, however many steps."""
    rows = await session.fetch(
        "WITH RECURSIVE below AS (SELECT %(source)s::uuid AS id UNION SELECT u.space_id FROM below "
        "JOIN subscriptions u ON u.tenant_id = %(tenant)s AND u.source_id = below.id) "
        "SELECT 1 FROM below WHERE id = %(space)s",
        {"tenant": session.tenant_id, "source": source_id, "space": space_id},
        tuple_row,
    )
    return bool(rows)


async def insert_subscription(
    session: WriteSession,
    space_id: SpaceId,
    source_id: SpaceId,
    conditions: Mapping[str, object],
    *,
    include_copies: bool,
    position: int,
    caller: Caller,
    now: datetime,
) -> SubscriptionId | None:
    """Subscribe a space to another; None when it is subscribed to it already."""
    subscription_id = SubscriptionId(new_uuid())
    made = await session.run(
        "INSERT INTO subscriptions (tenant_id, id, space_id, source_id, principal_id, filter, include_copies, "
        "position, created_at) VALUES (%(tenant)s, %(id)s, %(space)s, %(source)s, %(principal)s, %(filter)s::jsonb, "
        "%(include_copies)s, %(position)s, %(now)s) ON CONFLICT DO NOTHING",
        {
            **_keys(session, caller),
            "id": subscription_id,
            "space": space_id,
            "source": source_id,
            "filter": orjson.dumps(conditions).decode(),
            "include_copies": include_copies,
            "position": position,
            "now": now,
        },
    )
    return subscription_id if made else None


async def delete_subscription(session: WriteSession, subscription_id: SubscriptionId) -> None:
    """End a subscription; the copies stay."""
    await session.run(
        "DELETE FROM subscriptions WHERE tenant_id = %(tenant)s AND id = %(id)s",
        {"tenant": session.tenant_id, "id": subscription_id},
    )


async def advance(session: WriteSession, subscription_id: SubscriptionId, position: int) -> None:
    """Note that everything up to this operation of the source is delivered."""
    await session.run(
        "UPDATE subscriptions SET position = %(position)s WHERE tenant_id = %(tenant)s AND id = %(id)s",
        {"tenant": session.tenant_id, "id": subscription_id, "position": position},
    )


async def suspend(session: WriteSession, subscription_id: SubscriptionId, reason: str) -> None:
    """Stop delivering, and say why."""
    await session.run(
        "UPDATE subscriptions SET state = 'suspended', reason = %(reason)s "
        "WHERE tenant_id = %(tenant)s AND id = %(id)s",
        {"tenant": session.tenant_id, "id": subscription_id, "reason": reason},
    )


async def resume(session: WriteSession, subscription_id: SubscriptionId, principal_id: PrincipalId) -> None:
    """Deliver again, with the rights of that principal."""
    await session.run(
        "UPDATE subscriptions SET state = 'active', reason = NULL, principal_id = %(principal)s "
        "WHERE tenant_id = %(tenant)s AND id = %(id)s",
        {"tenant": session.tenant_id, "id": subscription_id, "principal": principal_id},
    )


async def count_followers(session: WriteSession, space_id: SpaceId) -> None:
    """Bring a space's counter of followers in step; it also holds off the space's writers until the commit."""
    await session.run(
        "UPDATE spaces s SET followers = (SELECT count(*) FROM subscriptions u WHERE u.tenant_id = s.tenant_id "
        "AND u.source_id = s.id) + (SELECT count(*) FROM webhooks w WHERE w.tenant_id = s.tenant_id "
        "AND w.space_id = s.id) WHERE s.tenant_id = %(tenant)s AND s.id = %(space)s",
        {"tenant": session.tenant_id, "space": space_id},
    )


async def left_by(session: ReadSession, operations: Sequence[OperationId]) -> list[MemoryId]:
    """The memories whose present version these operations made, and those that such a one has superseded.

    What a later operation changed again is delivered with that one.
    """
    rows = await session.fetch(
        "WITH changed AS (SELECT id FROM memories WHERE tenant_id = %(tenant)s "
        f"AND operation_id = ANY (%(operations)s) UNION SELECT i.id FROM ({IMPORTED}) i) "
        "SELECT id FROM changed UNION SELECT m.id FROM changed "
        "JOIN memories m ON m.tenant_id = %(tenant)s AND m.superseded_by = changed.id",
        {"tenant": session.tenant_id, "operations": list(operations)},
        tuple_row,
    )
    return [row[0] for row in rows]


async def matching(session: ReadSession, ids: Collection[MemoryId], conditions: Conditions) -> set[MemoryId]:
    """Those of these memories that meet the conditions; tensors and core memory are a space's own and never do."""
    wanted: dict[str, tuple[str, object]] = {
        "kinds": ("m.kind = ANY (%(kinds)s)", conditions.kinds),
        "roles": ("m.role = ANY (%(roles)s)", conditions.roles),
        "names": ("m.name = ANY (%(names)s)", conditions.names),
        "sessions": ("se.name = ANY (%(sessions)s)", conditions.sessions),
        "metadata": (
            "m.metadata @> %(metadata)s::jsonb",
            None if conditions.metadata is None else orjson.dumps(conditions.metadata).decode(),
        ),
        "occurred_from": ("m.occurred_at >= %(occurred_from)s", conditions.occurred_from),
        "occurred_to": ("m.occurred_at <= %(occurred_to)s", conditions.occurred_to),
    }
    where = [clause for clause, value in wanted.values() if value is not None]
    if not conditions.include_copies:
        where.append("m.origin <> %(copy)s")
    rows = await session.fetch(
        "SELECT m.id FROM memories m LEFT JOIN sessions se ON se.tenant_id = m.tenant_id AND se.id = m.session_id "
        "WHERE m.tenant_id = %(tenant)s AND m.id = ANY (%(ids)s) AND m.payload_type = 'plaintext' AND m.kind <> 'core'"
        f"{''.join(f' AND {clause}' for clause in where)}",
        {
            "tenant": session.tenant_id,
            "ids": list(ids),
            "copy": COPY,
            **{name: list(value) if isinstance(value, tuple) else value for name, (_, value) in wanted.items()},
        },
        tuple_row,
    )
    return {row[0] for row in rows}


async def find_copies(session: ReadSession, space_id: SpaceId, sources: Collection[MemoryId]) -> dict[MemoryId, Copy]:
    """What the space has of these memories, by the source's id."""
    rows: list[Any] = await session.fetch(
        f"SELECT l.source_id, o.kind AS operation, {RECORD_COLUMNS} FROM lineage l "
        f"JOIN memories m ON m.tenant_id = l.tenant_id AND m.id = l.derived_id {RECORD_JOINS} "
        "JOIN operations o ON o.tenant_id = m.tenant_id AND o.id = m.operation_id "
        "WHERE l.tenant_id = %(tenant)s AND l.source_id = ANY (%(ids)s) AND m.space_id = %(space)s "
        "AND m.origin = %(copy)s",
        {"tenant": session.tenant_id, "ids": list(sources), "space": space_id, "copy": COPY},
        namedtuple_row,
    )
    copies = {record.id: record for record in await read_records(session, rows)}
    return {row.source_id: Copy(copies[row.id], row.operation) for row in rows if row.id in copies}


async def erased(session: ReadSession, ids: Collection[MemoryId]) -> set[MemoryId]:
    """Those of these ids that somebody has erased by themselves; what went with its source may come back with it."""
    rows = await session.fetch(
        "SELECT DISTINCT memory_id FROM tombstones WHERE tenant_id = %(tenant)s AND memory_id = ANY (%(ids)s) "
        "AND named",
        {"tenant": session.tenant_id, "ids": list(ids)},
        tuple_row,
    )
    return {row[0] for row in rows}


async def read_chunks(session: ReadSession, ids: Collection[MemoryId]) -> dict[MemoryId, list[StoredChunk]]:
    """The chunks of these memories' present contents, in their order."""
    rows = await session.fetch(
        "SELECT c.memory_id, c.start_char, c.end_char, c.encoder_id, vector_send(c.vec), c.codes FROM memories m "
        "JOIN chunks c ON c.tenant_id = m.tenant_id AND c.memory_id = m.id AND c.content_number = m.content_number "
        "WHERE m.tenant_id = %(tenant)s AND m.id = ANY (%(ids)s) ORDER BY c.memory_id, c.ordinal",
        {"tenant": session.tenant_id, "ids": list(ids)},
        tuple_row,
    )
    found: dict[MemoryId, list[StoredChunk]] = {}
    for memory_id, start, end, encoder_id, sent, codes in rows:
        vector = None if sent is None else read_vector(sent)
        found.setdefault(memory_id, []).append(StoredChunk(start, end, encoder_id, vector, codes or b""))
    return found


async def taken_positions(session: ReadSession, sessions: Collection[SessionId]) -> set[tuple[SessionId, int]]:
    """The places of these sessions that hold a turn."""
    rows = await session.fetch(
        "SELECT session_id, position FROM memories WHERE tenant_id = %(tenant)s AND session_id = ANY (%(sessions)s) "
        "AND position IS NOT NULL",
        {"tenant": session.tenant_id, "sessions": list(sessions)},
        tuple_row,
    )
    return set(rows)


async def link_successors(session: WriteSession, links: Mapping[MemoryId, MemoryId]) -> None:
    """Let copies made in this transaction name what superseded them."""
    await session.run(
        "UPDATE memories m SET superseded_by = new.by FROM unnest(%(ids)s::uuid[], %(by)s::uuid[]) AS new(id, by) "
        "WHERE m.tenant_id = %(tenant)s AND m.id = new.id",
        {"tenant": session.tenant_id, "ids": list(links), "by": list(links.values())},
    )


async def note_versions(session: WriteSession, operation: Operation, copies: Collection[MemoryId]) -> None:
    """Let the lineage of copies say which version of their source they now are."""
    await session.run(
        "UPDATE lineage l SET source_version = m.version, operation_id = %(operation)s, recorded_at = %(now)s "
        "FROM memories m WHERE l.tenant_id = %(tenant)s AND l.derived_id = ANY (%(ids)s) "
        "AND m.tenant_id = l.tenant_id AND m.id = l.source_id",
        {
            "tenant": session.tenant_id,
            "ids": list(copies),
            "operation": operation.id,
            "now": operation.recorded_at,
        },
    )


def _keys(session: ReadSession, caller: Caller) -> dict[str, object]:
    return {"tenant": session.tenant_id, "principal": caller.principal_id, "admin": caller.admin}
