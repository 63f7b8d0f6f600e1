"""The statements of recall. Every one filters by tenant, space, permission, state, validity and expiry itself.

A memory is known to them by the number of its content: what was said before an edit is found, and only found, as of a
time when it stood.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from pgvector import Vector
from psycopg.rows import namedtuple_row, tuple_row

from memsvc.ids import MemoryId, SpaceId
from memsvc.store import access
from memsvc.store.access import When
from memsvc.store.arrays import read_vector
from memsvc.store.database import PipelinedSession
from memsvc.store.keys import Caller
from memsvc.store.memories import RECORD_COLUMNS, RECORD_JOINS, Record, as_known, to_record
from memsvc.store.postings import Postings, read_entries
from memsvc.store.writes import Vectors

# What recall may return: neither archived, expired nor quarantined.
CURRENT_STATES = ("generated", "activated", "merged", "frozen")


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose memories may be returned, and which, whatever the space."""

    caller: Caller
    when: When
    include_superseded: bool = False
    kinds: Sequence[str] | None = None
    roles: Sequence[str] | None = None
    names: Sequence[str] | None = None
    sessions: Sequence[str] | None = None
    metadata: Mapping[str, Any] | None = None
    occurred_from: datetime | None = None
    occurred_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class SearchedSpace:
    """A space as recall sees it; `terms` is the sum of its chunks' lengths, for BM25."""

    id: SpaceId
    name: str
    chunks: int
    terms: int
    ann: bool


@dataclass(frozen=True, slots=True)
class MemoriesInScope:
    """Parallel arrays, one row a memory that may be returned: its content's number, session (-1: none) and place."""

    memory: NDArray[np.int64]
    session: NDArray[np.int32]
    position: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Ground:
    """What is known of a space before the query is encoded: its postings, and what is in scope unless HNSW tells."""

    space: SearchedSpace
    postings: Mapping[str, Postings]
    in_scope: MemoriesInScope | None


@dataclass(frozen=True, slots=True)
class ScoredChunks:
    """Parallel arrays, one row a chunk: its number, its content's, session (-1: none), place, cosine (NaN: none)."""

    chunk: NDArray[np.int64]
    memory: NDArray[np.int64]
    session: NDArray[np.int32]
    position: NDArray[np.int32]
    dense: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What ranking reads of a memory, with one chunk: characters [start, end) and their vector (None: none yet).

    `number` is that of its content.
    """

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


# Stands for the space in a statement that is sent before the space's id is known.
_BY_NAME = "(SELECT id FROM spaces WHERE tenant_id = %(tenant)s AND name = %(name)s)"
_EXACT_BY_NAME = _BY_NAME.replace("name)s)", "name)s AND NOT ann)")


def _conditions(scope: Scope, space: str = "%(space)s") -> tuple[str, dict[str, object]]:
    """The WHERE clause over `memories m` in the space that an SQL expression names, and its parameters."""
    holds = f"({access.HOLDS})"
    clauses = [
        "m.tenant_id = %(tenant)s",
        f"m.space_id = {space}",
        "m.state = ANY(%(states)s)",
        f"({holds} OR m.superseded_by IS NOT NULL)" if scope.include_superseded else holds,
        access.visible(space),
    ]
    optional: dict[str, tuple[str, object]] = {
        "kinds": ("m.kind = ANY(%(kinds)s)", scope.kinds),
        "roles": ("m.role = ANY(%(roles)s)", scope.roles),
        "names": ("m.name = ANY(%(names)s)", scope.names),
        "sessions": (
            (
                f"m.session_id IN (SELECT id FROM sessions WHERE tenant_id = %(tenant)s AND space_id = {space} "
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
        "principal": scope.caller.principal_id,
        "admin": scope.caller.admin,
        "now": scope.when.now,
        "holds_at": scope.when.holds_at,
        "known_at": scope.when.known_at,
        "states": list(CURRENT_STATES),
    }
    for name, (clause, value) in optional.items():
        if value is not None:
            clauses.append(clause)
            parameters[name] = list(value) if isinstance(value, tuple) else value
    return " AND ".join(clauses), parameters


def _relation(scope: Scope, space: str) -> str:
    """The memories of a space in the version that the scope asks for."""
    return "memories" if scope.when.known_at is None else as_known(scope.when, f"x.space_id = {space}")


def _by_id(scope: Scope, memory: str) -> str:
    """The memory with this id, found by its primary key, in the version that the scope asks for."""
    return as_known(scope.when, f"x.id = {memory}")


_SPACES = "SELECT id, name, chunks, terms, ann FROM spaces WHERE tenant_id = %(tenant)s AND name = ANY(%(names)s)"
_POSTINGS = f"""
SELECT term, string_agg(entries, ''::bytea ORDER BY block) FROM postings
WHERE tenant_id = %(tenant)s AND space_id = {_BY_NAME} AND term = ANY(%(terms)s) GROUP BY term
"""
_SCOPE = """
SELECT coalesce(array_agg(r.number), '{{}}'), coalesce(array_agg(r.session), '{{}}'),
    coalesce(array_agg(r.position), '{{}}')
FROM (
    SELECT m.content_number AS number, coalesce(m.session_number, -1) AS session,
        coalesce(m.position, -1) AS position
    FROM {memories} m WHERE {where}
) r
"""
_COSINES = """
SELECT coalesce(array_agg(r.number), '{}'), coalesce(array_agg(r.content_number), '{}'),
    coalesce(array_agg(r.score), '{}')
FROM (
    SELECT number, content_number, coalesce((-(vec <#> %(query)s::vector))::real, 'NaN'::real) AS score
    FROM chunks WHERE tenant_id = %(tenant)s AND space_id = %(space)s
) r
"""

# The inner query is the one that HNSW serves: order and predicate match the index to the letter. Its neighbours in
# the session, and the chunks that the lexical arm names, are scored beside them.
_APPROXIMATE = """
WITH near AS MATERIALIZED (
    SELECT c.number, c.memory_id FROM chunks c JOIN {joined} m ON {on} AND m.content_number = c.content_number
    WHERE c.tenant_id = %(tenant)s AND c.space_id = %(space)s AND c.ann AND c.dimension = {dimension} AND {where}
    ORDER BY c.vec::halfvec({dimension}) <#> %(query)s::halfvec({dimension}) LIMIT %(limit)s
), seeds AS (
    SELECT memory_id FROM near
    UNION SELECT memory_id FROM chunks
          WHERE tenant_id = %(tenant)s AND space_id = %(space)s AND number = ANY(%(lexical)s)
), wide AS (
    SELECT memory_id FROM seeds
    UNION SELECT beside.id FROM seeds
    JOIN LATERAL (
        SELECT session_id, position FROM memories WHERE tenant_id = %(tenant)s AND id = seeds.memory_id OFFSET 0
    ) s ON true
    JOIN LATERAL (
        SELECT id FROM memories WHERE tenant_id = %(tenant)s AND session_id = s.session_id
        AND position BETWEEN s.position - %(reach)s AND s.position + %(reach)s ORDER BY position OFFSET 0
    ) beside ON true
)
SELECT coalesce(array_agg(r.number), '{{}}'), coalesce(array_agg(r.memory), '{{}}'),
    coalesce(array_agg(r.session), '{{}}'), coalesce(array_agg(r.position), '{{}}'),
    coalesce(array_agg(r.score), '{{}}')
FROM (
    SELECT c.number, m.content_number AS memory, coalesce(m.session_number, -1) AS session,
        coalesce(m.position, -1) AS position, coalesce((-(c.vec <#> %(query)s::vector))::real, 'NaN'::real) AS score
    FROM wide JOIN chunks c ON c.tenant_id = %(tenant)s AND c.memory_id = wide.memory_id
    JOIN {joined} m ON {on} AND m.content_number = c.content_number WHERE {where}
) r
"""


async def find_ground(
    session: PipelinedSession, scope: Scope, names: Sequence[str], terms: Sequence[str]
) -> list[Ground]:
    """The named spaces that exist, in that order, with all that recall can know before it has the query's vector.

    One round trip, so that it is over by the time the query is encoded.
    """
    tenant = {"tenant": session.tenant_id}
    postings = [
        await session.send(_POSTINGS, {**tenant, "name": name, "terms": list(terms)}, tuple_row) for name in names
    ]
    where, parameters = _conditions(scope, _EXACT_BY_NAME)
    memories = _relation(scope, _EXACT_BY_NAME)
    in_scope = [
        await session.send(
            _SCOPE.format(memories=memories, where=where), {**parameters, **tenant, "name": name}, tuple_row
        )
        for name in names
    ]
    # Last: a space that moves to HNSW meanwhile is then seen to have moved, and its empty scope is not believed.
    spaces = await session.send(_SPACES, {**tenant, "names": list(names)}, tuple_row)
    found = {row[1]: SearchedSpace(*row) for row in await spaces.fetchall()}
    return [
        Ground(
            space=found[name],
            postings={term: read_entries(entries) for term, entries in await of_space.fetchall()},
            in_scope=None if found[name].ann else MemoriesInScope(*(await scoped.fetchall())[0]),
        )
        for name, of_space, scoped in zip(names, postings, in_scope, strict=True)
        if name in found
    ]


async def score_all(
    session: PipelinedSession, space_id: SpaceId, in_scope: MemoriesInScope, query: Vectors | None
) -> ScoredChunks:
    """The chunks of what is in scope, with their exact cosines (inner product of unit vectors) to `query` float32[d].

    Without a query vector every cosine is NaN, and the lexical arm decides alone. What was written since its scope was
    read is left out, and what was removed is gone when its record is asked for.
    """
    parameters = {
        "tenant": session.tenant_id,
        "space": space_id,
        "query": None if query is None else Vector(query),
    }
    chunk, memory, dense = (await session.fetch(_COSINES, parameters, tuple_row))[0]
    if not len(in_scope.memory):
        return ScoredChunks(chunk[:0], memory[:0], in_scope.session, in_scope.position, dense[:0])
    order = np.argsort(in_scope.memory)
    found = np.minimum(np.searchsorted(in_scope.memory, memory, sorter=order), len(order) - 1)
    row = order[found]
    kept = in_scope.memory[row] == memory
    row = row[kept]
    return ScoredChunks(chunk[kept], memory[kept], in_scope.session[row], in_scope.position[row], dense[kept])


async def score_nearest(
    session: PipelinedSession,
    scope: Scope,
    space_id: SpaceId,
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
    await session.set_local(
        {
            "hnsw.iterative_scan": "relaxed_order",
            "hnsw.ef_search": str(max(100, min(limit, 1000))),
            # Nothing but HNSW, and the index of places in a session, gives the orders asked for without a sort. Left to
            # its estimates for an average tenant, the planner reads and sorts the whole space.
            "enable_sort": "off",
        }
    )
    rows = await session.fetch(
        _APPROXIMATE.format(
            where=where,
            dimension=dimension,
            joined="memories" if scope.when.known_at is None else f"LATERAL {_by_id(scope, 'c.memory_id')}",
            on="m.tenant_id = c.tenant_id AND m.id = c.memory_id",
        ),
        {
            **parameters,
            "tenant": session.tenant_id,
            "space": space_id,
            "query": None if query is None else Vector(query),
            "limit": 0 if query is None else limit,
            "lexical": list(lexical),
            "reach": reach,
        },
        tuple_row,
    )
    return ScoredChunks(*rows[0])


# Both statements go from what was chosen to its rows, by primary key. OFFSET 0 (in `as_known` too) keeps the planner
# from turning that round: with the statistics of an empty table it would read the whole space first.
_CANDIDATES = """
SELECT m.id, m.content_number, v.content, m.role, m.name, m.occurred_at, c.number, c.start_char, c.end_char,
    vector_send(c.vec)
FROM (
    SELECT * FROM chunks WHERE tenant_id = %(tenant)s AND space_id = %(space)s AND number = ANY(%(chunks)s) OFFSET 0
) c
JOIN LATERAL {memory} m ON m.content_number = c.content_number AND {where}
JOIN LATERAL (
    SELECT content FROM contents
    WHERE tenant_id = %(tenant)s AND memory_id = m.id AND number = m.content_number OFFSET 0
) v ON true
"""
_RECORDS = f"""
SELECT {RECORD_COLUMNS} FROM unnest(%(ids)s::uuid[]) AS wanted(id)
JOIN LATERAL {{memory}} m ON {{where}}
{RECORD_JOINS}
"""


async def hydrate(session: PipelinedSession, scope: Scope, space_id: SpaceId, chunks: Sequence[int]) -> list[Candidate]:
    """The memories of these chunks, in no particular order; filtered again, since it returns content."""
    where, parameters = _conditions(scope)
    rows = await session.fetch(
        _CANDIDATES.format(where=where, memory=_by_id(scope, "c.memory_id")),
        {**parameters, "tenant": session.tenant_id, "space": space_id, "chunks": list(chunks)},
        tuple_row,
    )
    return [
        Candidate(*columns, vector=None if sent is None else read_vector(sent))  # type: ignore[misc]
        for *columns, sent in rows
    ]


async def find_records(
    session: PipelinedSession, scope: Scope, space_id: SpaceId, ids: Sequence[MemoryId]
) -> dict[MemoryId, Record]:
    """The whole records of these memories, as far as they are in scope."""
    where, parameters = _conditions(scope)
    rows = await session.fetch(
        _RECORDS.format(where=where, memory=_by_id(scope, "wanted.id")),
        {**parameters, "tenant": session.tenant_id, "space": space_id, "ids": list(ids)},
        namedtuple_row,
    )
    records = (to_record(row) for row in rows)
    return {record.id: record for record in records}


async def beside(
    session: PipelinedSession, scope: Scope, space_id: SpaceId, memories: Sequence[MemoryId], *, reach: int
) -> list[Beside]:
    """The turns up to `reach` places before and after each memory, as far as they are in scope."""
    where, parameters = _conditions(scope)
    rows = await session.fetch(
        "SELECT t.id AS of, m.id, m.position - t.position AS offset, m.role, m.name, v.content "
        "FROM memories t JOIN memories b ON b.tenant_id = t.tenant_id AND b.session_id = t.session_id "
        "AND b.id <> t.id AND b.position BETWEEN t.position - %(reach)s AND t.position + %(reach)s "
        f"JOIN LATERAL {_by_id(scope, 'b.id')} m ON true "
        "JOIN contents v ON v.tenant_id = m.tenant_id AND v.memory_id = m.id AND v.number = m.content_number "
        f"WHERE t.tenant_id = %(tenant)s AND t.id = ANY(%(memories)s) AND {where} ORDER BY t.id, m.position",
        {
            **parameters,
            "tenant": session.tenant_id,
            "space": space_id,
            "memories": list(memories),
            "reach": reach,
        },
        tuple_row,
    )
    return [Beside(*row) for row in rows]
