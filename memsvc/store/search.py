"""The statements of recall. Every one filters by tenant, space, permission, state, validity and expiry itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from pgvector import Vector
from psycopg.rows import namedtuple_row, tuple_row

from memsvc.ids import MemoryId, PrincipalId, SpaceId
from memsvc.store.database import ReadSession
from memsvc.store.memories import RECORD_COLUMNS, RECORD_TABLES, VISIBLE, Record, to_record
from memsvc.store.writes import Vectors

# What recall may return: neither archived, expired nor quarantined.
CURRENT_STATES = ("generated", "activated", "merged", "frozen")


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose memories may be returned, and which. `now` is the moment of the request, UTC."""

    space_id: SpaceId
    principal_id: PrincipalId
    now: datetime
    as_of: datetime | None = None
    kinds: Sequence[str] | None = None
    roles: Sequence[str] | None = None
    names: Sequence[str] | None = None
    sessions: Sequence[str] | None = None
    metadata: Mapping[str, Any] | None = None
    occurred_from: datetime | None = None
    occurred_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class ScoredChunks:
    """Parallel arrays, one row a chunk: its number, memory, session (-1: none), place, and cosine (NaN: none yet)."""

    chunk: NDArray[np.int64]
    memory: NDArray[np.int64]
    session: NDArray[np.int32]
    position: NDArray[np.int32]
    dense: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What ranking reads of a memory, with one chunk: characters [start, end) and their vector (None: none yet)."""

    id: MemoryId
    number: int
    content: str
    role: str | None
    name: str | None
    occurred_at: datetime | None
    chunk: int
    start: int
    end: int
    vector: Vectors | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Beside:
    """A turn beside another in its session."""

    of: MemoryId
    id: MemoryId
    offset: int
    role: str | None
    name: str | None
    content: str


def _conditions(scope: Scope) -> tuple[str, dict[str, object]]:
    """The WHERE clause over `memories m`, and its parameters."""
    clauses = [
        "m.tenant_id = %(tenant)s",
        "m.space_id = %(space)s",
        "m.state = ANY(%(states)s)",
        "m.superseded_at IS NULL",
        "(m.valid_to IS NULL OR m.valid_to > %(now)s)",
        VISIBLE,
    ]
    optional: dict[str, tuple[str, object]] = {
        "as_of": ("m.recorded_at <= %(as_of)s", scope.as_of),
        "kinds": ("m.kind = ANY(%(kinds)s)", scope.kinds),
        "roles": ("m.role = ANY(%(roles)s)", scope.roles),
        "names": ("m.name = ANY(%(names)s)", scope.names),
        "sessions": (
            (
                "m.session_id IN (SELECT id FROM sessions WHERE tenant_id = %(tenant)s AND space_id = %(space)s "
                "AND name = ANY(%(sessions)s))"
            ),
            scope.sessions,
        ),
        "metadata": (
            "m.metadata @> %(metadata)s::jsonb",
            None if scope.metadata is None else orjson.dumps(scope.metadata).decode(),
        ),
        "occurred_from": ("m.occurred_at >= %(occurred_from)s", scope.occurred_from),
        "occurred_to": ("m.occurred_at <= %(occurred_to)s", scope.occurred_to),
    }
    parameters: dict[str, object] = {
        "space": scope.space_id,
        "principal": scope.principal_id,
        "now": scope.now,
        "states": list(CURRENT_STATES),
    }
    for name, (clause, value) in optional.items():
        if value is not None:
            clauses.append(clause)
            parameters[name] = list(value) if isinstance(value, tuple) else value
    return " AND ".join(clauses), parameters


_COLUMNS = """
coalesce(array_agg(r.number), '{{}}'), coalesce(array_agg(r.memory), '{{}}'), coalesce(array_agg(r.session), '{{}}'),
coalesce(array_agg(r.position), '{{}}'), coalesce(array_agg(r.score), '{{}}')
"""
_ROW = """
c.number, m.number AS memory, coalesce(m.session_number, -1) AS session, coalesce(m.position, -1) AS position,
coalesce((-(c.vec <#> %(query)s::vector))::real, 'NaN'::real) AS score
"""
_JOIN = "chunks c JOIN memories m ON m.tenant_id = c.tenant_id AND m.id = c.memory_id"

_EXACT = f"""
SELECT {_COLUMNS} FROM (
    SELECT {_ROW} FROM {_JOIN} WHERE c.tenant_id = %(tenant)s AND c.space_id = %(space)s AND {{where}}
) r
"""

# The inner query is the one that HNSW serves: order and predicate match the index to the letter. Its neighbours in
# the session, and the chunks that the lexical arm names, are scored beside them.
_APPROXIMATE = f"""
WITH near AS MATERIALIZED (
    SELECT c.number, c.memory_id FROM {_JOIN}
    WHERE c.tenant_id = %(tenant)s AND c.space_id = %(space)s AND c.ann AND c.dimension = {{dimension}} AND {{where}}
    ORDER BY c.vec::halfvec({{dimension}}) <#> %(query)s::halfvec({{dimension}}) LIMIT %(limit)s
), seeds AS (
    SELECT memory_id FROM near
    UNION SELECT memory_id FROM chunks
          WHERE tenant_id = %(tenant)s AND space_id = %(space)s AND number = ANY(%(lexical)s)
), wide AS (
    SELECT memory_id FROM seeds
    UNION SELECT beside.id FROM seeds JOIN memories s ON s.tenant_id = %(tenant)s AND s.id = seeds.memory_id
    JOIN memories beside ON beside.tenant_id = %(tenant)s AND beside.session_id = s.session_id
        AND beside.position BETWEEN s.position - %(reach)s AND s.position + %(reach)s
)
SELECT {_COLUMNS} FROM (
    SELECT {_ROW} FROM wide JOIN chunks c ON c.tenant_id = %(tenant)s AND c.memory_id = wide.memory_id
    JOIN memories m ON m.tenant_id = c.tenant_id AND m.id = c.memory_id WHERE {{where}}
) r
"""


async def score_all(session: ReadSession, scope: Scope, query: Vectors | None) -> ScoredChunks:
    """Every chunk in scope with its exact cosine (inner product of unit vectors) to `query` float32[dimension].

    Without a query vector every cosine is NaN, and the lexical arm decides alone.
    """
    where, parameters = _conditions(scope)
    rows = await session.fetch_hashed(
        _EXACT.format(where=where),
        {**parameters, "tenant": session.tenant_id, "query": None if query is None else Vector(query)},
        tuple_row,
    )
    return ScoredChunks(*rows[0])


async def score_nearest(
    session: ReadSession,
    scope: Scope,
    query: Vectors | None,
    *,
    dimension: int,
    limit: int,
    lexical: Sequence[int],
    reach: int,
) -> ScoredChunks:
    """The `limit` nearest chunks by HNSW, the `lexical` ones, and the turns within `reach` of both in their sessions.

    The scan is iterative (pgvector 0.8): it goes on until `limit` rows pass the filters, so that a narrow filter does
    not starve the arm.
    """
    where, parameters = _conditions(scope)
    driver = await session.driver()
    await driver.execute("SET LOCAL hnsw.iterative_scan = relaxed_order")
    await driver.execute(f"SET LOCAL hnsw.ef_search = {max(100, min(limit, 1000))}")
    rows = await session.fetch(
        _APPROXIMATE.format(where=where, dimension=dimension),
        {
            **parameters,
            "tenant": session.tenant_id,
            "query": None if query is None else Vector(query),
            "limit": 0 if query is None else limit,
            "lexical": list(lexical),
            "reach": reach,
        },
        tuple_row,
    )
    return ScoredChunks(*rows[0])


async def hydrate(session: ReadSession, scope: Scope, chunks: Sequence[int]) -> list[Candidate]:
    """The memories of these chunks, in no particular order; filtered again, since it returns content."""
    where, parameters = _conditions(scope)
    rows = await session.fetch(
        "SELECT m.id, m.number, v.content, m.role, m.name, m.occurred_at, c.number, c.start_char, c.end_char, c.vec "
        "FROM chunks c JOIN memories m ON m.tenant_id = c.tenant_id AND m.id = c.memory_id "
        "JOIN memory_versions v ON v.tenant_id = m.tenant_id AND v.memory_id = m.id AND v.version = m.version "
        f"WHERE c.tenant_id = %(tenant)s AND c.space_id = %(space)s AND c.number = ANY(%(chunks)s) AND {where}",
        {**parameters, "tenant": session.tenant_id, "chunks": list(chunks)},
        tuple_row,
    )
    return [
        Candidate(*columns, vector=None if vec is None else vec.to_numpy())  # type: ignore[misc]
        for *columns, vec in rows
    ]


async def find_records(session: ReadSession, scope: Scope, ids: Sequence[MemoryId]) -> dict[MemoryId, Record]:
    """The whole records of these memories, as far as they are in scope."""
    where, parameters = _conditions(scope)
    rows = await session.fetch(
        f"SELECT {RECORD_COLUMNS} FROM {RECORD_TABLES} WHERE m.id = ANY(%(ids)s) AND {where}",
        {**parameters, "tenant": session.tenant_id, "ids": list(ids)},
        namedtuple_row,
    )
    records = (to_record(row) for row in rows)
    return {record.id: record for record in records}


async def beside(session: ReadSession, scope: Scope, memories: Sequence[MemoryId], *, reach: int) -> list[Beside]:
    """The turns up to `reach` places before and after each memory, as far as they are in scope."""
    where, parameters = _conditions(scope)
    rows = await session.fetch(
        "SELECT t.id AS of, m.id, m.position - t.position AS offset, m.role, m.name, v.content "
        "FROM memories t JOIN memories m ON m.tenant_id = t.tenant_id AND m.session_id = t.session_id "
        "AND m.id <> t.id AND m.position BETWEEN t.position - %(reach)s AND t.position + %(reach)s "
        "JOIN memory_versions v ON v.tenant_id = m.tenant_id AND v.memory_id = m.id AND v.version = m.version "
        f"WHERE t.tenant_id = %(tenant)s AND t.id = ANY(%(memories)s) AND {where} ORDER BY t.id, m.position",
        {**parameters, "tenant": session.tenant_id, "memories": list(memories), "reach": reach},
        tuple_row,
    )
    return [Beside(*row) for row in rows]
