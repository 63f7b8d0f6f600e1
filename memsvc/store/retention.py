"""What has expired: retention as a space's policies set it, and what a sweep finds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg.rows import tuple_row
from sqlalchemy import text

from memsvc.ids import MemoryId, SpaceId, TenantId
from memsvc.store.database import Database, ReadSession, WriteSession


@dataclass(frozen=True, slots=True)
class Due:
    """A space with something to sweep."""

    tenant_id: TenantId
    space_id: SpaceId


async def apply(session: WriteSession, space_id: SpaceId, policies: Mapping[str, Any]) -> None:
    """Set when the policies end each memory of the space; which is no new version, since nobody changed the memory."""
    await session.run(
        "UPDATE memories m SET retained_until = new.until FROM ("
        "SELECT id, recorded_at + make_interval(secs => 86400 * coalesce((%(policies)s::jsonb -> 'kinds' -> kind "
        "->> 'ttl_days')::float8, (%(policies)s::jsonb ->> 'ttl_days')::float8)) AS until "
        "FROM memories WHERE tenant_id = %(tenant)s AND space_id = %(space)s) new "
        "WHERE m.tenant_id = %(tenant)s AND m.id = new.id AND m.retained_until IS DISTINCT FROM new.until",
        {"tenant": session.tenant_id, "space": space_id, "policies": orjson.dumps(policies).decode()},
    )


async def find_due(database: Database, now: datetime) -> list[Due]:
    """The spaces, of every tenant, that hold something expired that no sweep has dealt with."""
    async with database.untenanted() as connection:
        rows = await connection.execute(text("SELECT tenant_id, space_id FROM memsvc_due_spaces(:now)"), {"now": now})
        return [Due(TenantId(row.tenant_id), SpaceId(row.space_id)) for row in rows]


async def expired(session: ReadSession, space_id: SpaceId, *, now: datetime, limit: int) -> list[MemoryId]:
    """Memories whose time is over and whose state does not say so yet."""
    rows = await session.fetch(
        "SELECT id FROM memories WHERE tenant_id = %(tenant)s AND space_id = %(space)s AND state <> 'expired' "
        "AND least(expires_at, retained_until) <= %(now)s ORDER BY number LIMIT %(limit)s",
        {"tenant": session.tenant_id, "space": space_id, "now": now, "limit": limit},
        tuple_row,
    )
    return [row[0] for row in rows]


async def erasable(session: ReadSession, space_id: SpaceId, *, before: datetime, limit: int) -> Sequence[MemoryId]:
    """Expired memories whose time was over before that moment; what is held stays."""
    rows = await session.fetch(
        "SELECT id FROM memories WHERE tenant_id = %(tenant)s AND space_id = %(space)s AND state = 'expired' "
        "AND NOT legal_hold AND coalesce(least(expires_at, retained_until), updated_at) <= %(before)s "
        "ORDER BY number LIMIT %(limit)s",
        {"tenant": session.tenant_id, "space": space_id, "before": before, "limit": limit},
        tuple_row,
    )
    return [row[0] for row in rows]
