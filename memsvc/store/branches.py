"""Snapshots of a space, what it held at one, and what a rollback to it would change.

Every version of a memory names the operation that made it, and operations are numbered in the order of commits: a
position in that order is a snapshot, and costs nothing to take.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from psycopg.rows import namedtuple_row, scalar_row, tuple_row

from memsvc.ids import MemoryId, SpaceId, new_uuid
from memsvc.store import access
from memsvc.store.access import When
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.keys import Caller
from memsvc.store.memories import RECORD_COLUMNS, RECORD_JOINS, Record, read_records
from memsvc.store.scope import CURRENT_STATES
from memsvc.store.versions import RESTORED

# Why a rollback leaves a memory as it is.
Kept = Literal["frozen", "quarantined", "legal_hold", "not_permitted"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A name for a position in the order of a space's operations."""

    name: str
    position: int
    actor: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Original:
    """A memory in one version, as it is copied; `content_number` of its content in that version."""

    id: MemoryId
    version: int
    content_number: int
    fingerprint: bytes
    session: str | None
    position: int | None


@dataclass(frozen=True, slots=True)
class Drift:
    """A memory that was made or changed after a position; `version` is the one it had then, None when it had none."""

    id: MemoryId
    version: int | None
    state: str
    legal_hold: bool
    readable: bool
    writable: bool


async def insert_snapshot(
    session: WriteSession, space_id: SpaceId, name: str, *, caller: Caller, now: datetime
) -> Snapshot | None:
    """Name the space's present position; None when the name is taken."""
    rows = await session.fetch(
        "INSERT INTO snapshots (tenant_id, id, space_id, name, position, principal_id, recorded_at) "
        "SELECT %(tenant)s, %(id)s, id, %(name)s, next_operation - 1, %(principal)s, %(now)s FROM spaces "
        "WHERE tenant_id = %(tenant)s AND id = %(space)s ON CONFLICT (space_id, name, tenant_id) DO NOTHING "
        "RETURNING position",
        {
            "tenant": session.tenant_id,
            "id": new_uuid(),
            "space": space_id,
            "name": name,
            "principal": caller.principal_id,
            "now": now,
        },
        scalar_row,
    )
    return Snapshot(name, rows[0], caller.principal, now) if rows else None


async def list_snapshots(session: ReadSession, space_id: SpaceId, name: str | None = None) -> list[Snapshot]:
    """The space's snapshots (the one of that name), in the order of their positions."""
    rows = await session.fetch(
        "SELECT n.name, n.position, p.name, n.recorded_at FROM snapshots n "
        "JOIN principals p ON p.tenant_id = n.tenant_id AND p.id = n.principal_id "
        "WHERE n.tenant_id = %(tenant)s AND n.space_id = %(space)s "
        "AND (%(name)s::text IS NULL OR n.name = %(name)s) ORDER BY n.position, n.recorded_at, n.name",
        {"tenant": session.tenant_id, "space": space_id, "name": name},
        tuple_row,
    )
    return [Snapshot(*row) for row in rows]


async def delete_snapshot(session: WriteSession, space_id: SpaceId, name: str) -> bool:
    """Forget the name; whether there was one. The versions stay."""
    gone = await session.run(
        "DELETE FROM snapshots WHERE tenant_id = %(tenant)s AND space_id = %(space)s AND name = %(name)s",
        {"tenant": session.tenant_id, "space": space_id, "name": name},
    )
    return gone > 0


async def last_position(session: ReadSession, space_id: SpaceId) -> int:
    """The number of the space's last operation, 0 when there is none."""
    rows = await session.fetch(
        "SELECT next_operation - 1 FROM spaces WHERE tenant_id = %(tenant)s AND id = %(space)s",
        {"tenant": session.tenant_id, "space": space_id},
        scalar_row,
    )
    return int(rows[0])


_OF_SPACE = "o.tenant_id = %(tenant)s AND o.space_id = %(space)s"
# OFFSET 0: a memory's past is found by its id. From its operations it would be found once for each memory they made.
_HISTORY = (
    "(SELECT h.version, h.operation_id, h.content_number FROM memory_history h "
    "WHERE h.tenant_id = %(tenant)s AND h.id = m.id OFFSET 0)"
)


async def list_originals(
    session: ReadSession, space_id: SpaceId, *, at: int | None, current: bool, caller: Caller, when: When
) -> list[Original]:
    """The memories of the space that the caller may read, in their version at that position (None: the present one).

    `current`: only those that recall may return. In the order of recording.
    """
    version = "SELECT m.version, m.content_number"
    if at is not None:
        version = (
            f"SELECT x.version, x.content_number FROM (SELECT m.version, m.operation_id, m.content_number "
            f"UNION ALL {_HISTORY}) x JOIN operations o ON {_OF_SPACE} AND o.id = x.operation_id "
            "AND o.number <= %(at)s ORDER BY x.version DESC LIMIT 1"
        )
    rows = await session.fetch(
        f"SELECT m.id, v.version, v.content_number, m.fingerprint, se.name, m.position FROM memories m "
        f"JOIN LATERAL ({version}) v ON true "
        "LEFT JOIN sessions se ON se.tenant_id = m.tenant_id AND se.id = m.session_id "
        f"WHERE m.tenant_id = %(tenant)s AND m.space_id = %(space)s AND {access.visible('%(space)s')} "
        f"{'AND m.state = ANY (%(states)s) ' if current else ''}ORDER BY m.number",
        {
            **access.parameters(session, caller, when),
            "space": space_id,
            "at": at,
            "states": list(CURRENT_STATES),
        },
        tuple_row,
    )
    return [Original(*row) for row in rows]


async def list_current(session: ReadSession, space_id: SpaceId, *, caller: Caller, when: When) -> list[Record]:
    """The records of the space that recall may return to the caller, in the order of recording."""
    rows = await session.fetch(
        f"SELECT {RECORD_COLUMNS} FROM memories m {RECORD_JOINS} WHERE m.tenant_id = %(tenant)s "
        f"AND m.space_id = %(space)s AND {access.visible('%(space)s')} AND m.state = ANY (%(states)s) "
        "ORDER BY m.number",
        {**access.parameters(session, caller, when), "space": space_id, "states": list(CURRENT_STATES)},
        namedtuple_row,
    )
    return await read_records(session, rows)


async def list_drift(session: ReadSession, space_id: SpaceId, at: int, *, caller: Caller, when: When) -> list[Drift]:
    """What differs from what the space held at that position and is still there, in the order of recording.

    A memory that was changed and changed back has not drifted, nor has one that was made since and left recall.
    """
    versions = ", ".join(f"h.{name}" for name in RESTORED), ", ".join(f"m.{name}" for name in RESTORED)
    rows = await session.fetch(
        "WITH changed AS (SELECT m.id FROM operations o "
        "JOIN memories m ON m.operation_id = o.id AND m.tenant_id = %(tenant)s AND m.space_id = %(space)s "
        f"WHERE {_OF_SPACE} AND o.number > %(at)s), drifted AS (SELECT m.id, m.number, m.state, m.legal_hold, "
        f"{access.permitted('read', '%(space)s')} AS readable, "
        f"(%(admin)s OR {access.permitted('write', '%(space)s')}) AS writable, (SELECT h.version FROM {_HISTORY} h "
        f"JOIN operations o ON {_OF_SPACE} AND o.id = h.operation_id AND o.number <= %(at)s "
        "ORDER BY h.version DESC LIMIT 1) AS version "
        "FROM changed JOIN memories m ON m.tenant_id = %(tenant)s AND m.id = changed.id) "
        "SELECT d.id, d.version, d.state, d.legal_hold, d.readable, d.writable FROM drifted d WHERE CASE "
        "WHEN d.version IS NULL THEN d.state NOT IN ('archived', 'expired', 'quarantined') "
        "ELSE NOT EXISTS (SELECT 1 FROM memories m JOIN memory_history h ON h.tenant_id = %(tenant)s AND h.id = m.id "
        f"AND h.version = d.version AND ({versions[0]}) IS NOT DISTINCT FROM ({versions[1]}) "
        "WHERE m.tenant_id = %(tenant)s AND m.id = d.id) END ORDER BY d.number",
        {**access.parameters(session, caller, when), "space": space_id, "at": at},
        tuple_row,
    )
    return [Drift(*row) for row in rows]


async def list_erased(session: ReadSession, space_id: SpaceId, at: int, *, caller: Caller) -> Sequence[UUID]:
    """What was erased after the position, and so cannot come back; as far as the caller may know of it."""
    return await session.fetch(
        "SELECT t.memory_id FROM operations o JOIN tombstones t ON t.tenant_id = o.tenant_id "
        f"AND t.operation_id = o.id WHERE {_OF_SPACE} AND o.number > %(at)s "
        "AND (t.readers IS NULL OR %(principal)s = ANY (t.readers)) ORDER BY o.number, t.memory_id",
        {"tenant": session.tenant_id, "space": space_id, "at": at, "principal": caller.principal_id},
        scalar_row,
    )


async def copy_settings(session: WriteSession, source_id: SpaceId, target_id: SpaceId) -> None:
    """Give a new space the policies and recipes of another, and its restriction if it is restricted."""
    keys = {"tenant": session.tenant_id, "source": source_id, "target": target_id}
    await session.run(
        "UPDATE spaces t SET policies = s.policies, open = s.open FROM spaces s WHERE t.tenant_id = %(tenant)s "
        "AND t.id = %(target)s AND s.tenant_id = %(tenant)s AND s.id = %(source)s",
        keys,
    )
    await session.run(
        "INSERT INTO recipes (tenant_id, space_id, name, version, base, settings, description, created_by, created_at) "
        "SELECT tenant_id, %(target)s, name, version, base, settings, description, created_by, created_at "
        "FROM recipes WHERE tenant_id = %(tenant)s AND space_id = %(source)s",
        keys,
    )
