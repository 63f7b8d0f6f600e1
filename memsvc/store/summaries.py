"""Reading what summaries are made of: sessions that changed, their turns with vectors, the summaries there are.

A summary tells of what every reader of the space may see for as long as it likes: a turn that is private, is to expire,
was superseded or is in quarantine counts as not there.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg.rows import namedtuple_row, tuple_row

from memsvc.ids import MemoryId, SessionId, SpaceId
from memsvc.store.arrays import read_vector
from memsvc.store.contents import read_texts
from memsvc.store.database import ReadSession
from memsvc.store.scope import CURRENT_STATES, OVERVIEWS

# Concepts, and procedures made of them: they say more than their sources, and are in recall like any memory.
LEARNED = "learned"

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Source:
    """A memory that something is derived from, as it was read, with what the derived memory takes from it."""

    id: MemoryId
    content_number: int
    occurred_at: datetime | None
    occurred_zone: str | None
    importance: float
    sensitivity: str
    visibility: str
    trust: float


@dataclass(frozen=True, slots=True)
class SessionState:
    """A session as its summaries see it: how many turns count, the last place, the latest content among them, and when
    the last one was recorded (None: there is none)."""

    id: SessionId
    name: str
    turns: int
    last: int
    newest: int
    recorded_at: datetime | None


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a session. `vector` is float32[d], the unit mean of its chunks', or None when it has none yet."""

    source: Source
    session_id: SessionId
    position: int
    content: str
    role: str | None
    name: str | None
    recorded_at: datetime
    vector: Vectors | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Overview:
    """A summary that upkeep made, in whatever state it is now; `metadata` is as it was written."""

    source: Source
    version: int
    state: str
    superseded: bool
    name: str | None
    content: str
    content_hash: str
    metadata: Mapping[str, Any]
    members: tuple[MemoryId, ...] = ()


# SQL over `memories`: whether a summary may tell of it, and whether it may be read as the source of a new one.
COUNTED = (
    "{0}.payload_type = 'plaintext' AND {0}.state NOT IN ('quarantined', 'expired') AND {0}.superseded_by IS NULL "
    "AND {0}.visibility <> 'private' AND {0}.expires_at IS NULL "
    "AND ({0}.retained_until IS NULL OR {0}.retained_until > %(now)s)"
)
LIVE = f"{COUNTED} AND {{0}}.state = ANY (%(states)s)"
SOURCE = (
    "{0}.id, {0}.content_number, {0}.occurred_at, {0}.occurred_zone, {0}.importance, {0}.sensitivity, {0}.visibility, "
    "{0}.trust"
)
VECTOR = (
    "(SELECT vector_send(avg(c.vec)) FROM chunks c WHERE c.tenant_id = {0}.tenant_id AND c.memory_id = {0}.id "
    "AND c.content_number = {0}.content_number AND c.encoder_id = %(encoder)s)"
)
# A caller may have edited the metadata: what is no number is none.
_NUMBER = "CASE jsonb_typeof(s.metadata -> '{0}') WHEN 'number' THEN (s.metadata ->> '{0}')::numeric END"
IS_OVERVIEW = f"{{0}}.kind = 'summary' AND {{0}}.origin = '{OVERVIEWS}'"
# What was made from a derived memory adds nothing to one, and would close a circle.
ECHOES = (
    "EXISTS (SELECT 1 FROM lineage e JOIN memories d ON d.tenant_id = e.tenant_id AND d.id = e.source_id "
    f"WHERE e.tenant_id = {{0}}.tenant_id AND e.derived_id = {{0}}.id AND d.origin IN ('{OVERVIEWS}', '{LEARNED}'))"
)


# What each session holds, and what its summary says that it held when it was made.
_HELD = f"""
SELECT m.session_id, count(*) AS turns, max(m.position) AS last, max(m.content_number) AS newest,
    max(m.recorded_at) AS recorded, count(*) FILTER (WHERE {LIVE.format("m")}) AS live,
    bool_and(m.searchable) FILTER (WHERE {LIVE.format("m")}) AS ready
FROM memories m WHERE m.tenant_id = %(tenant)s AND m.space_id = %(space)s AND m.kind = 'turn'
AND m.session_id IS NOT NULL AND m.position IS NOT NULL AND {COUNTED.format("m")} GROUP BY m.session_id
"""
_TOLD = f"""
SELECT DISTINCT ON (session) s.metadata ->> 'session' AS session, s.state, {LIVE.format("s")} AS live,
    {_NUMBER.format("counted")} AS turns, {_NUMBER.format("newest")} AS newest
FROM memories s WHERE s.tenant_id = %(tenant)s AND s.space_id = %(space)s AND {IS_OVERVIEW.format("s")}
AND s.metadata ->> 'level' = 'session' ORDER BY session, live DESC, s.number DESC
"""
_STALE = f"""
WITH held AS ({_HELD}), told AS ({_TOLD})
SELECT se.id, se.name, coalesce(held.turns, 0), coalesce(held.last, -1), coalesce(held.newest, 0), held.recorded
FROM sessions se LEFT JOIN held ON held.session_id = se.id LEFT JOIN told ON told.session = se.name
WHERE se.tenant_id = %(tenant)s AND se.space_id = %(space)s
AND (held.live >= %(least)s OR coalesce(told.live, false)) AND coalesce(held.ready, true)
AND coalesce(told.state, '') NOT IN ('frozen', 'quarantined')
AND (told.turns, told.newest) IS DISTINCT FROM (coalesce(held.turns, 0), coalesce(held.newest, 0))
ORDER BY coalesce(held.recorded > %(quiet_since)s, false), se.number LIMIT %(limit)s
"""


async def find_stale_sessions(
    session: ReadSession, space_id: SpaceId, *, now: datetime, quiet_since: datetime, least_turns: int, limit: int
) -> list[SessionState]:
    """Sessions whose summary does not tell of what they hold now; last those to which a turn came after `quiet_since`.

    Left out are those that wait for vectors, and those that have no summary and fewer turns than `least_turns`. A
    summary that is frozen or in quarantine is left as it is.
    """
    rows = await session.fetch(
        _STALE,
        {**_common(session, space_id, now), "quiet_since": quiet_since, "least": least_turns, "limit": limit},
        tuple_row,
    )
    return [SessionState(*row) for row in rows]


OVERVIEW = f"""
{SOURCE.format("s")}, s.version, s.state, s.superseded_by IS NOT NULL AS superseded, s.name, v.content,
v.pack_id IS NOT NULL AS packed, encode(s.content_hash, 'hex') AS content_hash, s.metadata
"""
CONTENT = """
JOIN contents v ON v.tenant_id = {0}.tenant_id AND v.memory_id = {0}.id AND v.number = {0}.content_number
"""
_OVERVIEWS = f"""
SELECT {OVERVIEW}, EXISTS (
    SELECT 1 FROM sessions se JOIN memories t ON t.tenant_id = se.tenant_id AND t.session_id = se.id
    WHERE se.tenant_id = %(tenant)s AND se.space_id = %(space)s AND se.name = s.metadata ->> 'session'
    AND t.kind = 'turn' AND t.position BETWEEN {_NUMBER.format("first")} AND {_NUMBER.format("last")}
    AND t.content_number > coalesce({_NUMBER.format("newest")}, 0) AND {COUNTED.format("t")}
) OR EXISTS (
    SELECT 1 FROM lineage l JOIN memories t ON t.tenant_id = l.tenant_id AND t.id = l.source_id
    WHERE l.tenant_id = %(tenant)s AND l.derived_id = s.id AND t.kind = 'turn' AND NOT ({COUNTED.format("t")})
) AS changed
FROM memories s {CONTENT.format("s")}
WHERE s.tenant_id = %(tenant)s AND s.space_id = %(space)s AND {IS_OVERVIEW.format("s")}
AND s.metadata ->> 'level' IN ('topic', 'session') AND s.metadata ->> 'session' = ANY (%(sessions)s) ORDER BY s.number
"""


async def read_overviews(
    session: ReadSession, space_id: SpaceId, *, sessions: Collection[str], now: datetime
) -> tuple[list[Overview], set[MemoryId]]:
    """The topic and session summaries of these sessions, in order, and which of them are not of what is there now:
    a turn in their range was written, edited or is no longer to be told of since they were made."""
    rows: list[Any] = await session.fetch(
        _OVERVIEWS, {**_common(session, space_id, now), "sessions": list(sessions)}, namedtuple_row
    )
    packed = await read_texts(session, [(row.id, row.content_number) for row in rows if row.packed])
    found = [to_overview(row, packed.get((row.id, row.content_number), row.content)) for row in rows]
    return found, {row.id for row in rows if row.changed}


async def read_turns(
    session: ReadSession,
    ranges: Sequence[tuple[SessionId, int, int]],
    *,
    encoder_id: int,
    now: datetime,
    limit: int,
) -> list[Turn]:
    """The turns at these places (session, first, last; ends included) that a summary may tell of, in order.

    Archived ones are among them where a summary tells of them already: it was made while they were in recall. At most
    `limit`; a packed content is unpacked.
    """
    rows: list[Any] = await session.fetch(
        f"SELECT {SOURCE.format('t')}, t.session_id, t.position, v.content, t.role, t.name, t.recorded_at, "
        f"v.pack_id IS NOT NULL AS packed, {VECTOR.format('t')} AS vec "
        "FROM unnest(%(sessions)s::uuid[], %(firsts)s::int[], %(lasts)s::int[]) WITH ORDINALITY "
        "AS w(session_id, first, last, place) "
        "JOIN memories t ON t.tenant_id = %(tenant)s AND t.session_id = w.session_id "
        "AND t.position BETWEEN w.first AND w.last AND t.kind = 'turn' "
        f"{CONTENT.format('t')} WHERE NOT {ECHOES.format('t')} AND ({LIVE.format('t')} "
        f"OR {COUNTED.format('t')} AND t.state = 'archived' AND EXISTS "
        "(SELECT 1 FROM lineage l JOIN memories s ON s.tenant_id = l.tenant_id AND s.id = l.derived_id "
        f"WHERE l.tenant_id = %(tenant)s AND l.source_id = t.id AND {IS_OVERVIEW.format('s')})) "
        "ORDER BY w.place, t.position LIMIT %(limit)s",
        {
            "tenant": session.tenant_id,
            "now": now,
            "states": list(CURRENT_STATES),
            "encoder": encoder_id,
            "sessions": [one for one, _, _ in ranges],
            "firsts": [first for _, first, _ in ranges],
            "lasts": [last for _, _, last in ranges],
            "limit": limit,
        },
        namedtuple_row,
    )
    packed = await read_texts(session, [(row.id, row.content_number) for row in rows if row.packed])
    return [
        Turn(
            to_source(row),
            row.session_id,
            row.position,
            packed.get((row.id, row.content_number), row.content),
            row.role,
            row.name,
            row.recorded_at,
            to_unit(row.vec),
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class Present:
    """A memory as it is now; `usable`: it may still be told of."""

    version: int
    content_number: int
    state: str
    usable: bool


async def find_present(session: ReadSession, ids: Collection[MemoryId], *, now: datetime) -> dict[MemoryId, Present]:
    """How these memories stand; those that were erased are missing."""
    rows = await session.fetch(
        f"SELECT m.id, m.version, m.content_number, m.state, {COUNTED.format('m')} FROM memories m "
        "WHERE m.tenant_id = %(tenant)s AND m.id = ANY (%(ids)s)",
        {"tenant": session.tenant_id, "ids": list(ids), "now": now},
        tuple_row,
    )
    return {row[0]: Present(*row[1:]) for row in rows}


async def find_edges(session: ReadSession, derived: Collection[MemoryId]) -> set[tuple[MemoryId, MemoryId]]:
    """The (derived, source) pairs that are known of these memories."""
    rows = await session.fetch(
        "SELECT derived_id, source_id FROM lineage WHERE tenant_id = %(tenant)s AND derived_id = ANY (%(ids)s)",
        {"tenant": session.tenant_id, "ids": list(derived)},
        tuple_row,
    )
    return {(row[0], row[1]) for row in rows}


def to_overview(row: Any, content: str) -> Overview:
    """A row of `OVERVIEW`."""
    return Overview(
        to_source(row), row.version, row.state, row.superseded, row.name, content, row.content_hash, row.metadata
    )


def to_source(row: Any) -> Source:
    """A row of `SOURCE`."""
    return Source(**{name: getattr(row, name) for name in Source.__slots__})


def to_unit(sent: bytes | None) -> Vectors | None:
    """What `VECTOR` gives, as a unit vector float32[d]; None when there is none."""
    if sent is None:
        return None
    vector = read_vector(sent)
    norm = float(np.linalg.norm(vector))
    return vector / np.float32(norm) if norm else None


def _common(session: ReadSession, space_id: SpaceId, now: datetime) -> dict[str, object]:
    return {"tenant": session.tenant_id, "space": space_id, "now": now, "states": list(CURRENT_STATES)}
