"""Spaces and their sessions. A writer holds its space's row lock, so numbers and positions have no gaps or races."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg.rows import tuple_row
from sqlalchemy import text

from memsvc.errors import FieldError, InvalidRequestError
from memsvc.ids import SessionId, SpaceId, new_uuid
from memsvc.store import access
from memsvc.store.access import Right
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.keys import Caller


@dataclass(frozen=True, slots=True)
class Space:
    """A space as a writer sees it, its row locked."""

    id: SpaceId
    name: str
    next_memory: int
    next_chunk: int
    ann: bool
    followers: int
    policies: Mapping[str, Any]
    next_operation: int = 1
    tended_operation: int = 0
    tended_memory: int = 0

    @property
    def tended(self) -> bool:
        """Whether consolidation had read every operation when the space was locked."""
        return self.tended_operation >= self.next_operation - 1


@dataclass(frozen=True, slots=True)
class Session:
    """A session of a space; `next_position` is the place of its next turn."""

    id: SessionId
    number: int
    name: str
    next_position: int


@dataclass(frozen=True, slots=True)
class SpaceSummary:
    """What a space holds, whose it is and what holds for it."""

    id: SpaceId
    name: str
    memories: int
    chunks: int
    pending: int
    encoder: str | None
    owner: str | None
    open: bool
    policies: Mapping[str, Any]
    created_at: datetime


async def lock_space(session: WriteSession, caller: Caller, name: str, *, right: Right = "write") -> Space:
    """The space of that name, made when new (the caller owns it), locked until the transaction ends.

    `ForbiddenError` when the caller may not do this in it.
    """
    select = (
        "SELECT sp.id, sp.name, sp.next_memory, sp.next_chunk, sp.ann, sp.followers, sp.policies, sp.next_operation, "
        f"sp.tended_operation, sp.tended_memory, {access.space_allows(right, 'sp.id')} FROM spaces sp "
        "WHERE sp.tenant_id = %(tenant)s AND sp.name = %(name)s FOR UPDATE OF sp"
    )
    keys = {
        "tenant": session.tenant_id,
        "name": name,
        "principal": caller.principal_id,
        "admin": caller.admin,
    }
    rows = await session.fetch(select, keys, tuple_row)
    if not rows:
        _check_name(name)
        await session.run(
            "INSERT INTO spaces (tenant_id, id, name, owner_id) VALUES (%(tenant)s, %(id)s, %(name)s, %(principal)s) "
            "ON CONFLICT DO NOTHING",
            {**keys, "id": new_uuid()},
        )
        rows = await session.fetch(select, keys, tuple_row)
    *columns, allowed = rows[0]
    if not allowed:
        raise access.missing_right(right, f"the space {name!r}", field="space")
    return Space(*columns)


def _check_name(name: str) -> None:
    """A space is addressed by its name in a path, which a slash would cut in two."""
    if "/" in name or not name.strip():
        remedy = "Choose a name without `/`, such as user:123."
        fault = FieldError("space", f"{name!r} cannot be the name of a space", remedy)
        raise InvalidRequestError("the space's name cannot be used", fields=(fault,))


async def advance_space(session: WriteSession, space_id: SpaceId, *, memories: int, chunks: int, terms: int) -> None:
    """Count what was added; numbers are never given twice."""
    await session.execute(
        text(
            "UPDATE spaces SET next_memory = next_memory + :memories, next_chunk = next_chunk + :chunks, "
            "memories = memories + :memories, chunks = chunks + :chunks, terms = terms + :terms "
            "WHERE tenant_id = :tenant AND id = :space"
        ),
        {"tenant": session.tenant_id, "space": space_id, "memories": memories, "chunks": chunks, "terms": terms},
    )


async def shrink_space(session: WriteSession, space_id: SpaceId, *, memories: int, chunks: int, terms: int) -> None:
    """Count what was taken away; numbers stay used."""
    await session.execute(
        text(
            "UPDATE spaces SET memories = memories - :memories, chunks = chunks - :chunks, terms = terms - :terms "
            "WHERE tenant_id = :tenant AND id = :space"
        ),
        {"tenant": session.tenant_id, "space": space_id, "memories": memories, "chunks": chunks, "terms": terms},
    )


async def set_tended(session: WriteSession, space_id: SpaceId, operation: int, *, memory: int = 0) -> None:
    """Consolidation has read up to that operation, and of the next one the memories up to that number."""
    await session.run(
        "UPDATE spaces SET tended_operation = %(operation)s, tended_memory = %(memory)s "
        "WHERE tenant_id = %(tenant)s AND id = %(space)s",
        {"tenant": session.tenant_id, "space": space_id, "operation": operation, "memory": memory},
    )


async def ensure_sessions(session: WriteSession, space_id: SpaceId, names: Collection[str]) -> dict[str, Session]:
    """The named sessions, new ones made; the space must be locked."""
    if not names:
        return {}
    found = await find_sessions(session, space_id, names)
    missing = [name for name in dict.fromkeys(names) if name not in found]
    if missing:
        await session.execute(
            text(
                "WITH taken AS (UPDATE spaces SET next_session = next_session + :count "
                "WHERE tenant_id = :tenant AND id = :space RETURNING next_session - :count AS first) "
                "INSERT INTO sessions (tenant_id, id, space_id, number, name) "
                "SELECT :tenant, new.id, :space, taken.first + new.place - 1, new.name "
                "FROM taken, unnest(CAST(:ids AS uuid[]), CAST(:names AS text[])) "
                "WITH ORDINALITY AS new(id, name, place)"
            ),
            {
                "tenant": session.tenant_id,
                "space": space_id,
                "count": len(missing),
                "ids": [new_uuid() for _ in missing],
                "names": missing,
            },
        )
        found |= await find_sessions(session, space_id, missing)
    return found


async def find_sessions(session: ReadSession, space_id: SpaceId, names: Collection[str]) -> dict[str, Session]:
    """Those of the named sessions that exist."""
    rows = await session.execute(
        text(
            "SELECT id, number, name, next_position FROM sessions "
            "WHERE tenant_id = :tenant AND space_id = :space AND name = ANY(:names)"
        ),
        {"tenant": session.tenant_id, "space": space_id, "names": list(names)},
    )
    return {row.name: Session(SessionId(row.id), row.number, row.name, row.next_position) for row in rows}


async def advance_sessions(session: WriteSession, next_positions: Mapping[SessionId, int]) -> None:
    """Remember each session's next position."""
    if not next_positions:
        return
    await session.execute(
        text(
            "UPDATE sessions s SET next_position = new.next_position "
            "FROM unnest(CAST(:ids AS uuid[]), CAST(:positions AS int[])) AS new(id, next_position) "
            "WHERE s.tenant_id = :tenant AND s.id = new.id"
        ),
        {
            "tenant": session.tenant_id,
            "ids": list(next_positions),
            "positions": list(next_positions.values()),
        },
    )


_SUMMARY = f"""
SELECT sp.id, sp.name, sp.memories, sp.chunks,
    (SELECT count(*) FROM memories m
     WHERE m.tenant_id = sp.tenant_id AND m.space_id = sp.id AND NOT m.searchable) AS pending,
    (SELECT name FROM encoders WHERE active) AS encoder, o.name AS owner, sp.open, sp.policies, sp.created_at
FROM spaces sp LEFT JOIN principals o ON o.tenant_id = sp.tenant_id AND o.id = sp.owner_id
WHERE sp.tenant_id = %(tenant)s AND {access.space_allows("read", "sp.id")}
"""


async def list_spaces(session: ReadSession, caller: Caller, names: Sequence[str] | None = None) -> list[SpaceSummary]:
    """The spaces that the caller may read (those named, if names are given), by name."""
    rows = await session.fetch(
        _SUMMARY + ("" if names is None else "AND sp.name = ANY (%(names)s) ") + "ORDER BY sp.name",
        {
            "tenant": session.tenant_id,
            "principal": caller.principal_id,
            "admin": caller.admin,
            "names": None if names is None else list(names),
        },
        tuple_row,
    )
    return [SpaceSummary(*row) for row in rows]


async def find_space(session: ReadSession, name: str) -> SpaceId | None:
    """The id of the space of that name, whoever asks."""
    rows = await session.fetch(
        "SELECT id FROM spaces WHERE tenant_id = %(tenant)s AND name = %(name)s",
        {"tenant": session.tenant_id, "name": name},
        tuple_row,
    )
    return rows[0][0] if rows else None


async def set_policies(
    session: WriteSession, space_id: SpaceId, policies: Mapping[str, object], *, open_to_all: bool
) -> None:
    """Replace a space's policies; the space must be locked."""
    await session.run(
        "UPDATE spaces SET policies = %(policies)s::jsonb, open = %(open)s "
        "WHERE tenant_id = %(tenant)s AND id = %(space)s",
        {
            "tenant": session.tenant_id,
            "space": space_id,
            "policies": orjson.dumps(policies).decode(),
            "open": open_to_all,
        },
    )
