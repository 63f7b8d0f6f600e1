"""Spaces and their sessions. A writer holds its space's row lock, so numbers and positions have no gaps or races."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, text

from memsvc.ids import SessionId, SpaceId, new_uuid
from memsvc.store.database import ReadSession, WriteSession


@dataclass(frozen=True, slots=True)
class Space:
    """A space as a writer sees it, its row locked."""

    id: SpaceId
    name: str
    next_memory: int
    next_chunk: int
    ann: bool


@dataclass(frozen=True, slots=True)
class Session:
    """A session of a space; `next_position` is the place of its next turn."""

    id: SessionId
    number: int
    name: str
    next_position: int


@dataclass(frozen=True, slots=True)
class SpaceSummary:
    """What a space holds; `terms` is the sum of its chunks' lengths, for BM25."""

    id: SpaceId
    name: str
    memories: int
    chunks: int
    terms: int
    ann: bool
    pending: int
    encoder: str | None
    created_at: datetime


async def lock_space(session: WriteSession, name: str) -> Space:
    """The space of that name, made when new, locked until the transaction ends."""
    select = text(
        "SELECT id, name, next_memory, next_chunk, ann FROM spaces "
        "WHERE tenant_id = :tenant AND name = :name FOR UPDATE"
    )
    keys = {"tenant": session.tenant_id, "name": name}
    row = (await session.execute(select, keys)).one_or_none()
    if row is None:
        await session.execute(
            text("INSERT INTO spaces (tenant_id, id, name) VALUES (:tenant, :id, :name) ON CONFLICT DO NOTHING"),
            {**keys, "id": new_uuid()},
        )
        row = (await session.execute(select, keys)).one()
    return Space(SpaceId(row.id), row.name, row.next_memory, row.next_chunk, row.ann)


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


_SUMMARY = """
SELECT s.id, s.name, s.memories, s.chunks, s.terms, s.ann, s.created_at,
       (SELECT count(*) FROM memories m
        WHERE m.tenant_id = s.tenant_id AND m.space_id = s.id AND NOT m.searchable) AS pending,
       (SELECT name FROM encoders WHERE active) AS encoder
FROM spaces s WHERE s.tenant_id = :tenant
"""


async def list_spaces(session: ReadSession) -> list[SpaceSummary]:
    """The tenant's spaces, by name."""
    rows = await session.execute(text(_SUMMARY + "ORDER BY s.name"), {"tenant": session.tenant_id})
    return [_summary(row) for row in rows]


async def find_spaces(session: ReadSession, names: Sequence[str]) -> list[SpaceSummary]:
    """Those of the named spaces that exist, in the order given."""
    rows = await session.execute(
        text(_SUMMARY + "AND s.name = ANY(:names)"), {"tenant": session.tenant_id, "names": list(names)}
    )
    found = {row.name: _summary(row) for row in rows}
    return [found[name] for name in dict.fromkeys(names) if name in found]


def _summary(row: Row[tuple[object, ...]]) -> SpaceSummary:
    return SpaceSummary(
        SpaceId(row.id),
        row.name,
        row.memories,
        row.chunks,
        row.terms,
        row.ann,
        row.pending,
        row.encoder,
        row.created_at,
    )
