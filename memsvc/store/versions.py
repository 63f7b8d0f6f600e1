"""Making new versions of memories: what was current moves to `memory_history`, the change becomes current."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg.rows import namedtuple_row, tuple_row

from memsvc.ids import MemoryId, OperationId, PrincipalId, SpaceId
from memsvc.store import access
from memsvc.store.access import When
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.keys import Caller
from memsvc.store.memories import COLUMNS, RECORD_COLUMNS, RECORD_JOINS, Record, read_records
from memsvc.store.spaces import Space
from memsvc.store.writes import ChunkedContent, insert_chunks

REVISABLE = frozenset(
    {
        "occurred_at",
        "occurred_zone",
        "valid_from",
        "valid_from_precision",
        "valid_to",
        "valid_to_precision",
        "superseded_by",
        "state",
        "importance",
        "trust",
        "sensitivity",
        "visibility",
        "expires_at",
        "retained_until",
        "legal_hold",
        "content_number",
        "content_hash",
        "fingerprint",
        "searchable",
        "metadata",
    }
)
# A hold is placed and lifted by name alone, and retention follows the space's policy of today.
RESTORED = tuple(sorted(REVISABLE - {"legal_hold", "retained_until", "searchable"}))
# Two versions of a memory are never known from the same moment, however coarse or fixed the clock.
_NEXT_MOMENT = "greatest(%(now)s, m.updated_at + interval '1 microsecond')"


@dataclass(frozen=True, slots=True)
class Operation:
    """One recorded change set; `number` is its place in the space's change feed, and `space_id` whose."""

    id: OperationId
    space_id: SpaceId
    number: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Version:
    """A memory as one operation left it; `known_to` is None for the current version."""

    record: Record
    known_to: datetime | None
    operation: str | None
    operation_actor: str | None
    reason: str | None


async def revise(
    session: WriteSession, operation: Operation, ids: Collection[MemoryId], changes: Mapping[str, object]
) -> int:
    """Give each of these memories a new version with these header columns; returns how many. Spaces are locked."""
    unknown = set(changes) - REVISABLE
    if unknown:
        raise ValueError(f"not revisable: {sorted(unknown)}")
    sets = [f"{name} = %({name})s::jsonb" if name == "metadata" else f"{name} = %({name})s" for name in changes]
    values = {name: orjson.dumps(value).decode() if name == "metadata" else value for name, value in changes.items()}
    common = {"tenant": session.tenant_id, "ids": list(ids), "now": operation.recorded_at, "operation": operation.id}
    await _keep(session, common)
    return await session.run(
        f"UPDATE memories m SET {', '.join([*sets, *_ADVANCE])} "
        "WHERE m.tenant_id = %(tenant)s AND m.id = ANY (%(ids)s)",
        {**values, **common},
    )


_ADVANCE = ("version = m.version + 1", f"updated_at = {_NEXT_MOMENT}", "operation_id = %(operation)s")


async def restore(session: WriteSession, operation: Operation, versions: Mapping[MemoryId, int]) -> int:
    """Make an earlier version's content and header current again, as a new version; returns how many."""
    common = {
        "tenant": session.tenant_id,
        "ids": list(versions),
        "versions": list(versions.values()),
        "now": operation.recorded_at,
        "operation": operation.id,
    }
    await _keep(session, common)
    sets = [f"{name} = h.{name}" for name in RESTORED]
    searchable = (
        "searchable = NOT EXISTS (SELECT 1 FROM chunks k WHERE k.tenant_id = %(tenant)s AND k.memory_id = h.id "
        "AND k.content_number = h.content_number AND k.vec IS NULL)"
    )
    return await session.run(
        f"UPDATE memories m SET {', '.join([*sets, searchable, *_ADVANCE])} "
        "FROM unnest(%(ids)s::uuid[], %(versions)s::int[]) AS wanted(id, version) "
        "JOIN memory_history h ON h.tenant_id = %(tenant)s AND h.id = wanted.id AND h.version = wanted.version "
        "WHERE m.tenant_id = %(tenant)s AND m.id = wanted.id",
        common,
    )


async def _keep(session: WriteSession, common: Mapping[str, object]) -> None:
    columns = ", ".join(COLUMNS)
    await session.run(
        f"INSERT INTO memory_history ({columns}, known_to) "
        f"SELECT {', '.join(f'm.{name}' for name in COLUMNS)}, {_NEXT_MOMENT} FROM memories m "
        "WHERE m.tenant_id = %(tenant)s AND m.id = ANY (%(ids)s)",
        common,
    )


async def insert_content(
    session: WriteSession, space: Space, content: ChunkedContent, text: str, *, encoder_id: int
) -> None:
    """Add a content to a memory, numbered `space.next_memory`, with its chunks; those of earlier contents stay.

    They are what recall as of an earlier time searches. The space must be locked.
    """
    await session.run(
        "INSERT INTO contents (tenant_id, memory_id, number, content) "
        "VALUES (%(tenant)s, %(memory)s, %(number)s, %(text)s)",
        {
            "tenant": session.tenant_id,
            "memory": content.memory_id,
            "number": content.content_number,
            "text": text,
        },
    )
    await insert_chunks(session, space, [content], encoder_id)
    await session.run(
        "UPDATE spaces SET next_memory = next_memory + 1, next_chunk = next_chunk + %(chunks)s, "
        "chunks = chunks + %(chunks)s, terms = terms + %(terms)s WHERE tenant_id = %(tenant)s AND id = %(space)s",
        {
            "tenant": session.tenant_id,
            "space": space.id,
            "chunks": len(content.chunks),
            "terms": sum(chunk.length for chunk in content.chunks),
        },
    )


async def list_versions(session: ReadSession, memory_id: MemoryId, *, caller: Caller, when: When) -> list[Version]:
    """Every version of a memory that the caller may see, oldest first."""
    rows: list[Any] = await session.fetch(
        f"SELECT {RECORD_COLUMNS}, m.known_to, o.kind AS operation, a.name AS operation_actor, o.reason FROM ("
        f"SELECT {', '.join(COLUMNS)}, NULL::timestamptz AS known_to FROM memories "
        "WHERE tenant_id = %(tenant)s AND id = %(id)s "
        f"UNION ALL SELECT {', '.join(COLUMNS)}, known_to FROM memory_history "
        f"WHERE tenant_id = %(tenant)s AND id = %(id)s) m {RECORD_JOINS} "
        "LEFT JOIN operations o ON o.tenant_id = m.tenant_id AND o.id = m.operation_id "
        "LEFT JOIN principals a ON a.tenant_id = o.tenant_id AND a.id = o.principal_id "
        "WHERE EXISTS (SELECT 1 FROM memories m WHERE m.tenant_id = %(tenant)s AND m.id = %(id)s "
        f"AND {access.visible()}) ORDER BY m.version",
        {**access.parameters(session, caller, when), "id": memory_id},
        namedtuple_row,
    )
    records = {record.version: record for record in await read_records(session, rows)}
    return [
        Version(records[row.version], row.known_to, row.operation, row.operation_actor, row.reason)
        for row in rows
        if row.version in records
    ]


@dataclass(frozen=True, slots=True)
class Affected:
    """A memory that an operation made or changed; `before` None when it was made.

    `changed_since`: a later operation on it stands, one that was not undone.
    """

    operation_id: OperationId
    memory_id: MemoryId
    before: int | None
    after: int
    changed_since: bool
    state: str
    legal_hold: bool


# What an import brought keeps the operations that had made it; the import says which numbers it has in the space. It
# left each memory in the version before the first that an operation since then made.
_IMPORTED = (
    "SELECT o.id, m.id, coalesce((SELECT min(x.version) - 1 FROM ("
    "SELECT m.version, m.operation_id UNION ALL SELECT h.version, h.operation_id FROM memory_history h "
    "WHERE h.tenant_id = %(tenant)s AND h.id = m.id) x JOIN operations later ON later.tenant_id = %(tenant)s "
    "AND later.id = x.operation_id AND later.number > o.number), m.version), true FROM operations o "
    "JOIN memories m ON m.tenant_id = %(tenant)s AND m.space_id = o.space_id AND CASE WHEN o.kind = 'import' "
    "THEN m.number BETWEEN (o.details ->> 'first')::bigint AND (o.details ->> 'last')::bigint END "
    "WHERE o.tenant_id = %(tenant)s AND o.id = ANY (%(operations)s) AND o.kind = 'import'"
)


# Of the versions after `v`, one that stands. An operation that was undone does not, nor does an undo by itself: with
# what it undid it leaves the memory as it was.
_CHANGED_SINCE = (
    "EXISTS (SELECT 1 FROM (SELECT c.version, c.operation_id UNION ALL SELECT h.version, h.operation_id "
    "FROM memory_history h WHERE h.tenant_id = %(tenant)s AND h.id = c.id) x "
    "JOIN operations s ON s.tenant_id = %(tenant)s AND s.id = x.operation_id "
    "WHERE x.version > v.version AND s.undone_by IS NULL AND NOT EXISTS (SELECT 1 FROM operations t "
    "WHERE t.tenant_id = %(tenant)s AND t.id = s.undoes AND t.undone_by = s.id))"
)


async def affected_by(session: ReadSession, operations: Sequence[OperationId]) -> list[Affected]:
    """What these operations made or changed and was not erased since, in the order of recording."""
    rows = await session.fetch(
        f"SELECT v.operation_id, v.id, v.version, {_CHANGED_SINCE}, c.state, c.legal_hold, v.made FROM ("
        "SELECT operation_id, id, version, version = 1 FROM memories WHERE operation_id = ANY (%(operations)s) "
        "AND tenant_id = %(tenant)s UNION ALL SELECT operation_id, id, version, version = 1 FROM memory_history "
        f"WHERE operation_id = ANY (%(operations)s) AND tenant_id = %(tenant)s UNION ALL {_IMPORTED}) "
        "v(operation_id, id, version, made) "
        "JOIN memories c ON c.tenant_id = %(tenant)s AND c.id = v.id ORDER BY c.number",
        {"tenant": session.tenant_id, "operations": list(operations)},
        tuple_row,
    )
    return [
        Affected(operation, memory, None if made else version - 1, version, changed, state, hold)
        for operation, memory, version, changed, state, hold, made in rows
    ]


async def insert_operation(
    session: WriteSession,
    space_id: SpaceId,
    kind: str,
    *,
    principal_id: PrincipalId,
    now: datetime,
    reason: str | None = None,
    details: Mapping[str, object] | None = None,
    operation_id: OperationId,
    undoes: OperationId | None = None,
) -> Operation:
    """Record an operation at the next place of its space's feed; the space must be locked."""
    rows = await session.fetch(
        "WITH place AS (UPDATE spaces SET next_operation = next_operation + 1 "
        "WHERE tenant_id = %(tenant)s AND id = %(space)s RETURNING next_operation - 1 AS number) "
        "INSERT INTO operations (tenant_id, id, space_id, number, kind, principal_id, reason, details, recorded_at, "
        "undoes) SELECT %(tenant)s, %(id)s, %(space)s, place.number, %(kind)s, %(principal)s, %(reason)s, "
        "%(details)s::jsonb, %(now)s, %(undoes)s FROM place RETURNING number",
        {
            "tenant": session.tenant_id,
            "id": operation_id,
            "space": space_id,
            "kind": kind,
            "principal": principal_id,
            "reason": reason,
            "details": orjson.dumps(details or {}).decode(),
            "now": now,
            "undoes": undoes,
        },
        tuple_row,
    )
    return Operation(operation_id, space_id, rows[0][0], now)


async def read_details(session: ReadSession, operation: Operation) -> Mapping[str, Any]:
    """What an operation says it did."""
    rows = await session.fetch(
        "SELECT details FROM operations WHERE tenant_id = %(tenant)s AND id = %(id)s",
        {"tenant": session.tenant_id, "id": operation.id},
        tuple_row,
    )
    found: Mapping[str, Any] = rows[0][0]
    return found


async def note_details(session: WriteSession, operation: Operation, details: Mapping[str, object]) -> None:
    """Add to what an operation of this transaction says it did: counts and ids, never content."""
    await session.run(
        "UPDATE operations SET details = details || %(details)s::jsonb WHERE tenant_id = %(tenant)s AND id = %(id)s",
        {"tenant": session.tenant_id, "id": operation.id, "details": orjson.dumps(details).decode()},
    )
