"""Operations as they are read: by memory, by space in the order of commits, and for undoing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import tuple_row

from memsvc.errors import NotFoundError
from memsvc.ids import MemoryId, OperationId, SpaceId
from memsvc.store import access
from memsvc.store.access import Right
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.keys import Caller


@dataclass(frozen=True, slots=True)
class PastOperation:
    """An operation as it was recorded; `number` is its place in the space's change feed."""

    id: OperationId
    space_id: SpaceId
    space: str
    number: int
    kind: str
    actor: str
    reason: str | None
    details: Mapping[str, Any]
    recorded_at: datetime
    undoes: OperationId | None
    undone_by: OperationId | None


_SELECT = """
SELECT o.id, o.space_id, sp.name, o.number, o.kind, p.name, o.reason, o.details, o.recorded_at, o.undoes, o.undone_by
FROM operations o
JOIN spaces sp ON sp.tenant_id = o.tenant_id AND sp.id = o.space_id
JOIN principals p ON p.tenant_id = o.tenant_id AND p.id = o.principal_id
WHERE o.tenant_id = %(tenant)s
"""

# What somebody did to memories that the caller may not read is not for him to know, nor why it was done.
_KNOWN = f"""
AND (o.principal_id = %(principal)s OR NOT EXISTS (
    SELECT 1 FROM memories m WHERE m.tenant_id = o.tenant_id AND m.operation_id = o.id
    UNION ALL SELECT 1 FROM memory_history h WHERE h.tenant_id = o.tenant_id AND h.operation_id = o.id
    UNION ALL SELECT 1 FROM tombstones t WHERE t.tenant_id = o.tenant_id AND t.operation_id = o.id
) OR EXISTS (
    SELECT 1 FROM memories m WHERE m.tenant_id = o.tenant_id AND m.operation_id = o.id
    AND {access.permitted("read", "o.space_id")}
) OR EXISTS (
    SELECT 1 FROM memory_history h JOIN memories m ON m.tenant_id = h.tenant_id AND m.id = h.id
    WHERE h.tenant_id = o.tenant_id AND h.operation_id = o.id AND {access.permitted("read", "o.space_id")}
) OR EXISTS (
    SELECT 1 FROM tombstones t WHERE t.tenant_id = o.tenant_id AND t.operation_id = o.id
    AND (t.readers IS NULL OR %(principal)s = ANY (t.readers))
))
"""


async def get_operation(
    session: ReadSession, operation_id: OperationId, *, caller: Caller, right: Right = "read"
) -> PastOperation:
    """The operation; `NotFoundError` unless the caller may read its space and some of what it concerns,

    `ForbiddenError` without the right in the space.
    """
    keys = _keys(session, caller)
    rows = await session.fetch(
        _SELECT + f"AND o.id = %(id)s AND {access.space_allows('read', 'o.space_id')} {_KNOWN}",
        {**keys, "id": operation_id},
        tuple_row,
    )
    if not rows:
        raise NotFoundError(f"there is no operation {operation_id}")
    found = PastOperation(*rows[0])
    if right != "read":
        await access.require(session, caller, found.space, right)
    return found


async def list_operations(
    session: ReadSession,
    space_id: SpaceId,
    *,
    caller: Caller,
    after: int,
    limit: int,
    newest_first: bool = False,
) -> list[PastOperation]:
    """Up to `limit` operations of a space past place `after` in the order of commits (or before it, newest first).

    The caller may read the space; what concerns only memories that he may not read is left out.
    """
    compared, order = ("<", "DESC") if newest_first else (">", "ASC")
    rows = await session.fetch(
        _SELECT + f"AND o.space_id = %(space)s AND o.number {compared} %(after)s {_KNOWN} ORDER BY o.number {order} "
        "LIMIT %(limit)s",
        {**_keys(session, caller), "space": space_id, "after": after, "limit": limit},
        tuple_row,
    )
    return [PastOperation(*row) for row in rows]


async def dependents(session: ReadSession, sources: Sequence[MemoryId], *, made_by: OperationId) -> list[MemoryId]:
    """What derives from these memories, which one operation made, is none of them, and has not left recall.

    Edges of an operation that was undone since (another source of a summary) count no more, unless it made the derived
    memory, which then was brought back since; and those of the operation `made_by` go with it.
    """
    rows = await session.fetch(
        "SELECT DISTINCT l.derived_id FROM lineage l "
        "JOIN memories m ON m.tenant_id = l.tenant_id AND m.id = l.derived_id "
        "JOIN operations o ON o.tenant_id = l.tenant_id AND o.id = l.operation_id AND o.id <> %(made_by)s "
        "AND (o.undone_by IS NULL OR EXISTS (SELECT 1 FROM memory_history h WHERE h.tenant_id = m.tenant_id "
        "AND h.id = m.id AND h.version = 1 AND h.operation_id = o.id)) "
        "WHERE l.tenant_id = %(tenant)s AND l.source_id = ANY (%(ids)s) AND l.derived_id <> ALL (%(ids)s) "
        "AND m.state NOT IN ('archived', 'expired') ORDER BY l.derived_id",
        {"tenant": session.tenant_id, "ids": list(sources), "made_by": made_by},
        tuple_row,
    )
    return [row[0] for row in rows]


async def mark_undone(session: WriteSession, operation: PastOperation, *, by: OperationId) -> None:
    """Note which operation undid this one. What this one had undone is done again, and so on down the chain."""
    undone = operation.id
    standing: OperationId | None = by
    while True:
        rows = await session.fetch(
            "UPDATE operations SET undone_by = %(by)s WHERE tenant_id = %(tenant)s AND id = %(id)s RETURNING undoes",
            {"tenant": session.tenant_id, "id": undone, "by": standing},
            tuple_row,
        )
        below = rows[0][0] if rows else None
        if below is None:
            return
        standing = None if standing is not None else undone
        undone = below


async def list_tombstones(
    session: ReadSession, operations: Sequence[OperationId], *, caller: Caller
) -> list[tuple[OperationId, MemoryId]]:
    """Which memories these operations erased, of those that the caller could read."""
    return await session.fetch(
        "SELECT operation_id, memory_id FROM tombstones WHERE tenant_id = %(tenant)s "
        "AND operation_id = ANY (%(operations)s) AND (readers IS NULL OR %(principal)s = ANY (readers)) "
        "ORDER BY operation_id, memory_id",
        {**_keys(session, caller), "operations": list(operations)},
        tuple_row,
    )


def _keys(session: ReadSession, caller: Caller) -> dict[str, object]:
    return {"tenant": session.tenant_id, "principal": caller.principal_id, "admin": caller.admin}
