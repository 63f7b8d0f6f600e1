"""Pairs of memories of which it is not certain which holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import tuple_row

from memsvc.ids import ConflictId, MemoryId, OperationId, SpaceId, new_uuid
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.versions import Operation


async def insert_conflicts(
    session: WriteSession, operation: Operation, pairs: Sequence[tuple[MemoryId, MemoryId, str]]
) -> None:
    """List pairs of memories of which it is not certain which holds, with the reason; a pair is listed once."""
    if not pairs:
        return
    await session.run(
        "INSERT INTO conflicts (tenant_id, id, space_id, first_id, second_id, reason, operation_id, found_at) "
        "SELECT %(tenant)s, c.id, %(space)s, c.first, c.second, c.reason, %(operation)s, %(now)s "
        "FROM unnest(%(ids)s::uuid[], %(firsts)s::uuid[], %(seconds)s::uuid[], %(reasons)s::text[]) "
        "AS c(id, first, second, reason) ON CONFLICT DO NOTHING",
        {
            "tenant": session.tenant_id,
            "space": operation.space_id,
            "operation": operation.id,
            "now": operation.recorded_at,
            "ids": [new_uuid() for _ in pairs],
            "firsts": [first for first, _, _ in pairs],
            "seconds": [second for _, second, _ in pairs],
            "reasons": [reason for _, _, reason in pairs],
        },
    )


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two memories of which it is not certain which holds. `resolution` says how it was settled, and by whom."""

    id: ConflictId
    space_id: SpaceId
    first_id: MemoryId
    second_id: MemoryId
    reason: str
    operation_id: OperationId
    found_at: datetime
    state: str
    resolution: str | None
    settled_by: OperationId | None
    settled_at: datetime | None


_CONFLICTS = """
SELECT c.id, c.space_id, c.first_id, c.second_id, c.reason, c.operation_id, c.found_at,
    CASE WHEN u.undone_by IS NULL THEN c.state ELSE 'open' END,
    CASE WHEN u.undone_by IS NULL THEN c.resolution END, CASE WHEN u.undone_by IS NULL THEN c.settled_by END,
    CASE WHEN u.undone_by IS NULL THEN c.settled_at END
FROM conflicts c JOIN operations o ON o.tenant_id = c.tenant_id AND o.id = c.operation_id
LEFT JOIN operations u ON u.tenant_id = c.tenant_id AND u.id = c.settled_by
WHERE c.tenant_id = %(tenant)s AND o.undone_by IS NULL
"""


async def list_conflicts(
    session: ReadSession, space_id: SpaceId, *, state: str | None, after: tuple[datetime, ConflictId] | None, limit: int
) -> list[Conflict]:
    """The conflicts of a space, oldest first. What was found by an operation that was undone is none, and one that was
    settled by such an operation is open again."""
    rows = await session.fetch(
        f"SELECT * FROM ({_CONFLICTS} AND c.space_id = %(space)s) AS found(id, space_id, first_id, second_id, reason, "
        "operation_id, found_at, state, resolution, settled_by, settled_at) "
        "WHERE (%(state)s::text IS NULL OR state = %(state)s) "
        "AND (%(after)s::timestamptz IS NULL OR (found_at, id) > (%(after)s, %(after_id)s::uuid)) "
        "ORDER BY found_at, id LIMIT %(limit)s",
        {
            "tenant": session.tenant_id,
            "space": space_id,
            "state": state,
            "after": after[0] if after else None,
            "after_id": after[1] if after else None,
            "limit": limit,
        },
        tuple_row,
    )
    return [Conflict(*row) for row in rows]


async def get_conflict(session: ReadSession, conflict_id: ConflictId) -> Conflict | None:
    """One conflict; who may see it is the caller's to check."""
    rows = await session.fetch(
        f"{_CONFLICTS} AND c.id = %(id)s", {"tenant": session.tenant_id, "id": conflict_id}, tuple_row
    )
    return Conflict(*rows[0]) if rows else None


async def settle_conflict(
    session: WriteSession, conflict_id: ConflictId, resolution: str, operation: Operation
) -> None:
    """Note how it was settled."""
    await session.run(
        "UPDATE conflicts SET state = 'settled', resolution = %(resolution)s, settled_by = %(operation)s, "
        "settled_at = %(now)s WHERE tenant_id = %(tenant)s AND id = %(id)s",
        {
            "tenant": session.tenant_id,
            "id": conflict_id,
            "resolution": resolution,
            "operation": operation.id,
            "now": operation.recorded_at,
        },
    )
