"""The `derived_from` edges between memories. They form no cycle: what would close one is refused."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg.rows import tuple_row

from memsvc.errors import ConflictError, FieldError
from memsvc.ids import MemoryId, OperationId, SpaceId
from memsvc.store.access import When, parameters, visible
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.keys import Caller
from memsvc.store.versions import Operation

Direction = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class Edge:
    """`derived` was made from `source` in the version it then had, by an operation; `depth` counts from the asked."""

    derived_id: MemoryId
    source_id: MemoryId
    source_version: int
    operation_id: OperationId
    recorded_at: datetime
    depth: int


async def insert_edges(
    session: WriteSession, operation: Operation, edges: Sequence[tuple[MemoryId, MemoryId]], *, new: bool
) -> None:
    """Note that each (derived, source) pair holds; an edge that exists stays as it is.

    `new`: the derived memories were made in this transaction, so nothing can derive from them yet. Otherwise an edge
    that would close a cycle is a `ConflictError`; the spaces of both ends must be locked.
    """
    if not edges:
        return
    if not new:
        await _refuse_cycles(session, edges)
    await session.run(
        "INSERT INTO lineage (tenant_id, derived_id, source_id, source_version, operation_id, recorded_at) "
        "SELECT %(tenant)s, e.derived, e.source, m.version, %(operation)s, %(now)s "
        "FROM unnest(%(derived)s::uuid[], %(sources)s::uuid[]) AS e(derived, source) "
        "JOIN memories m ON m.tenant_id = %(tenant)s AND m.id = e.source ON CONFLICT DO NOTHING",
        {
            "tenant": session.tenant_id,
            "operation": operation.id,
            "now": operation.recorded_at,
            "derived": [derived for derived, _ in edges],
            "sources": [source for _, source in edges],
        },
    )


async def _refuse_cycles(session: WriteSession, edges: Sequence[tuple[MemoryId, MemoryId]]) -> None:
    for derived, source in edges:
        below = await descendants(session, [derived])
        if source == derived or source in below:
            raise ConflictError(
                f"memory {source} is itself derived from {derived}",
                fields=(FieldError("derived_from", "would close a cycle", "Leave that source out."),),
                remedy="Lineage has no cycles: name only sources that do not come from this memory.",
            )


async def descendants(session: ReadSession, ids: Collection[MemoryId]) -> dict[MemoryId, SpaceId]:
    """Everything derived from these memories, at any depth and in any space, without themselves."""
    rows = await session.fetch(
        "WITH RECURSIVE below AS (SELECT derived_id AS id FROM lineage "
        "WHERE tenant_id = %(tenant)s AND source_id = ANY (%(ids)s) "
        "UNION SELECT l.derived_id FROM below JOIN lineage l ON l.tenant_id = %(tenant)s AND l.source_id = below.id) "
        "SELECT m.id, m.space_id FROM below JOIN memories m ON m.tenant_id = %(tenant)s AND m.id = below.id "
        "WHERE m.id <> ALL (%(ids)s)",
        {"tenant": session.tenant_id, "ids": list(ids)},
        tuple_row,
    )
    return dict(rows)


async def walk(
    session: ReadSession, memory_id: MemoryId, direction: Direction, *, depth: int, caller: Caller, when: When
) -> list[Edge]:
    """The edges from a memory up to its sources, or down to what derives from it, nearest first.

    The walk does not pass through what the caller may not see.
    """
    near, far = ("derived_id", "source_id") if direction == "up" else ("source_id", "derived_id")
    rows = await session.fetch(
        "WITH RECURSIVE path AS ("
        f"SELECT l.*, 1 AS depth FROM lineage l JOIN memories m ON m.tenant_id = l.tenant_id AND m.id = l.{far} "
        f"WHERE l.tenant_id = %(tenant)s AND l.{near} = %(id)s AND {visible()} "
        f"UNION SELECT l.*, path.depth + 1 FROM path "
        f"JOIN lineage l ON l.tenant_id = %(tenant)s AND l.{near} = path.{far} "
        f"JOIN memories m ON m.tenant_id = l.tenant_id AND m.id = l.{far} "
        f"WHERE path.depth < %(depth)s AND {visible()}) "
        "SELECT derived_id, source_id, source_version, operation_id, recorded_at, min(depth) FROM path "
        "GROUP BY 1, 2, 3, 4, 5 ORDER BY min(depth), recorded_at, derived_id, source_id",
        {**parameters(session, caller, when), "id": memory_id, "depth": depth},
        tuple_row,
    )
    return [Edge(*row) for row in rows]


async def chain(
    session: ReadSession, memory_id: MemoryId, *, caller: Caller, when: When
) -> tuple[list[MemoryId], list[MemoryId]]:
    """The memories that took this one's place, and those whose place it took; each nearest first, as far as visible."""
    keys = {**parameters(session, caller, when), "id": memory_id}
    after = await session.fetch(
        "WITH RECURSIVE path AS (SELECT m.superseded_by AS id, 1 AS depth FROM memories m "
        "WHERE m.tenant_id = %(tenant)s AND m.id = %(id)s UNION SELECT m.superseded_by, depth + 1 FROM path "
        "JOIN memories m ON m.tenant_id = %(tenant)s AND m.id = path.id WHERE depth < 1000) "
        "SELECT m.id FROM path JOIN memories m ON m.tenant_id = %(tenant)s AND m.id = path.id "
        f"WHERE m.id <> %(id)s AND {visible()} GROUP BY m.id ORDER BY min(depth), m.id",
        keys,
        tuple_row,
    )
    before = await session.fetch(
        "WITH RECURSIVE path AS (SELECT m.id, 1 AS depth FROM memories m "
        "WHERE m.tenant_id = %(tenant)s AND m.superseded_by = %(id)s UNION SELECT m.id, depth + 1 FROM path "
        "JOIN memories m ON m.tenant_id = %(tenant)s AND m.superseded_by = path.id WHERE depth < 1000) "
        "SELECT m.id FROM path JOIN memories m ON m.tenant_id = %(tenant)s AND m.id = path.id "
        f"WHERE m.id <> %(id)s AND {visible()} GROUP BY m.id ORDER BY min(depth), m.id",
        keys,
        tuple_row,
    )
    return [row[0] for row in after], [row[0] for row in before]
