"""The statements of recall. Every one filters by tenant, space, permission, state, validity and expiry itself.

A memory is known to them by the number of its content: what was said before an edit is found, and only found, as of a
time when it stood. A fact speaks for the memory that it was extracted from, as a further key of it, as long as that
memory can be returned itself (fact-augmented key expansion, LongMemEval section 5.3); else it stands for itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from pgvector import Vector
from psycopg.rows import namedtuple_row, tuple_row

from memsvc.ids import MemoryId, SpaceId
from memsvc.store.arrays import read_vector
from memsvc.store.contents import read_texts
from memsvc.store.database import PipelinedSession
from memsvc.store.memories import RECORD_COLUMNS, RECORD_JOINS, Record, read_records
from memsvc.store.postings import Postings, read_entries
from memsvc.store.scope import Scope, by_id, conditions, relation
from memsvc.store.timely import of_times
from memsvc.store.writes import Vectors


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
    """Parallel arrays, one row a memory that may be returned: its content's number, session (-1: none) and place.

    `source`: the content that it is a key of (-1: none), and `share` how far it may lift that. `listed`: 0 for one that
    may be returned as that key alone.
    """

    memory: NDArray[np.int64]
    session: NDArray[np.int32]
    position: NDArray[np.int32]
    source: NDArray[np.int64]
    share: NDArray[np.float32]
    listed: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Ground:
    """What is known of a space before the query is encoded: its postings, and what is in scope unless HNSW tells.

    `timely`: what is of the times asked for, int64[n, 2], the numbers of a content and of its first chunk
    (-1: none).
    """

    space: SearchedSpace
    postings: Mapping[str, Postings]
    in_scope: MemoriesInScope | None
    timely: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ScoredChunks:
    """Parallel arrays, one row a chunk: its number, the memory's that it speaks for, whose session (-1: none) and
    place, its cosine (NaN: none), its terms, and how far it may lift that memory, 0 when it is one of its own."""

    chunk: NDArray[np.int64]
    memory: NDArray[np.int64]
    session: NDArray[np.int32]
    position: NDArray[np.int32]
    dense: NDArray[np.float32]
    length: NDArray[np.int32]
    share: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What ranking reads of a memory, with one chunk: characters [start, end) and their vector (None: none yet).

    `number` is that of its content; `later` are the numbers of the memories that say otherwise since, where nothing
    else that it told holds still.
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
    later: tuple[int, ...]
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


_SPACES = "SELECT id, name, chunks, terms, ann FROM spaces WHERE tenant_id = %(tenant)s AND name = ANY(%(names)s)"
_POSTINGS = f"""
SELECT term, string_agg(entries, ''::bytea ORDER BY block) FROM postings
WHERE tenant_id = %(tenant)s AND space_id = {_BY_NAME} AND term = ANY(%(terms)s) GROUP BY term
"""
_SCOPE = """
SELECT coalesce(array_agg(r.number), '{{}}'), coalesce(array_agg(r.session), '{{}}'),
    coalesce(array_agg(r.position), '{{}}'), coalesce(array_agg(r.source), '{{}}'),
    coalesce(array_agg(r.share), '{{}}'), coalesce(array_agg(r.listed), '{{}}')
FROM (
    SELECT m.content_number AS number, coalesce(m.session_number, -1) AS session,
        coalesce(m.position, -1) AS position, coalesce(m.key_of, -1) AS source, coalesce(m.key_share, 0)::real AS share,
        ({listed})::int AS listed
    FROM {memories} m WHERE {usable}
) r
"""
_COSINES = """
SELECT coalesce(array_agg(r.number), '{}'), coalesce(array_agg(r.content_number), '{}'),
    coalesce(array_agg(r.score), '{}'), coalesce(array_agg(r.length), '{}')
FROM (
    SELECT number, content_number, coalesce((-(vec <#> %(query)s::vector))::real, 'NaN'::real) AS score,
        length::int AS length
    FROM chunks WHERE tenant_id = %(tenant)s AND space_id = %(space)s
) r
"""

# The inner query is the one that HNSW serves: order and predicate match the index to the letter. Beside what it finds
# and the lexical arm names, their neighbours in the session are scored, and the keys of all of them.
_APPROXIMATE = """
WITH near AS MATERIALIZED (
    SELECT c.number, c.memory_id FROM chunks c JOIN {joined} m ON {on} AND m.content_number = c.content_number
    WHERE c.tenant_id = %(tenant)s AND c.space_id = %(space)s AND c.ann AND c.dimension = {dimension} AND {usable}
    ORDER BY c.vec::halfvec({dimension}) <#> %(query)s::halfvec({dimension}) LIMIT %(limit)s
), named AS (
    SELECT memory_id FROM near
    UNION SELECT memory_id FROM chunks
          WHERE tenant_id = %(tenant)s AND space_id = %(space)s AND number = ANY(%(lexical)s)
), seeds AS (
    SELECT memory_id FROM named
    UNION SELECT s.source_id FROM named JOIN LATERAL (
        SELECT source_id FROM facts WHERE tenant_id = %(tenant)s AND memory_id = named.memory_id OFFSET 0
    ) s ON true
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
), whole AS (
    SELECT memory_id FROM wide
    UNION SELECT k.memory_id FROM wide JOIN LATERAL (
        SELECT memory_id FROM facts WHERE tenant_id = %(tenant)s AND source_id = wide.memory_id OFFSET 0
    ) k ON true
)
SELECT coalesce(array_agg(r.number), '{{}}'), coalesce(array_agg(r.memory), '{{}}'),
    coalesce(array_agg(r.session), '{{}}'), coalesce(array_agg(r.position), '{{}}'),
    coalesce(array_agg(r.score), '{{}}'), coalesce(array_agg(r.length), '{{}}'),
    coalesce(array_agg(r.source), '{{}}'), coalesce(array_agg(r.share), '{{}}'),
    coalesce(array_agg(r.listed), '{{}}')
FROM (
    SELECT c.number, m.content_number AS memory, coalesce(m.session_number, -1) AS session,
        coalesce(m.position, -1) AS position, coalesce((-(c.vec <#> %(query)s::vector))::real, 'NaN'::real) AS score,
        c.length::int AS length, coalesce(m.key_of, -1) AS source, coalesce(m.key_share, 0)::real AS share,
        ({listed})::int AS listed
    FROM whole JOIN chunks c ON c.tenant_id = %(tenant)s AND c.memory_id = whole.memory_id
    JOIN {joined} m ON {on} AND m.content_number = c.content_number WHERE {usable}
) r
"""


async def find_ground(
    session: PipelinedSession,
    scope: Scope,
    names: Sequence[str],
    terms: Sequence[str],
    *,
    spans: Sequence[tuple[datetime, datetime]] = (),
    timely: int = 0,
) -> list[Ground]:
    """The named spaces that exist, in that order, with all that recall can know before it has the query's vector.

    Of each, up to `timely` memories from within `spans` (from, and before) are named, the latest. One round trip, so
    that it is over by the time the query is encoded.
    """
    tenant = {"tenant": session.tenant_id}
    postings = [
        await session.send(_POSTINGS, {**tenant, "name": name, "terms": list(terms)}, tuple_row) for name in names
    ]
    found = conditions(scope, _EXACT_BY_NAME)
    statement = _SCOPE.format(memories=relation(scope, _EXACT_BY_NAME), usable=found.usable, listed=found.listed)
    in_scope = [
        await session.send(statement, {**found.parameters, **tenant, "name": name}, tuple_row) for name in names
    ]
    named = [{**tenant, "name": name, "limit": timely} for name in names] if spans else []
    of_time = [await session.send(*of_times(scope, _BY_NAME, spans, space), tuple_row) for space in named]
    # Last: a space that moves to HNSW meanwhile is then seen to have moved, and its empty scope is not believed.
    spaces = await session.send(_SPACES, {**tenant, "names": list(names)}, tuple_row)
    there = {row[1]: SearchedSpace(*row) for row in await spaces.fetchall()}
    return [
        Ground(
            space=there[name],
            postings={term: read_entries(entries) for term, entries in await of_space.fetchall()},
            in_scope=None if there[name].ann else MemoriesInScope(*(await scoped.fetchall())[0]),
            timely=np.array(await of_time[index].fetchall() if spans else [], np.int64).reshape(-1, 2),
        )
        for index, (name, of_space, scoped) in enumerate(zip(names, postings, in_scope, strict=True))
        if name in there
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
    chunk, memory, dense, length = (await session.fetch(_COSINES, parameters, tuple_row))[0]
    row = _find(in_scope.memory, memory)
    there = row >= 0
    row = row[there]
    table = ScoredChunks(
        chunk=chunk[there],
        memory=memory[there],
        session=in_scope.session[row],
        position=in_scope.position[row],
        dense=dense[there],
        length=length[there],
        share=in_scope.share[row],
    )
    # What is packed has no chunk to be shown by: its facts then stand for themselves.
    shown = np.zeros(len(in_scope.memory), np.int32)
    shown[row] = in_scope.listed[row]
    return _speak(table, in_scope.source[row], in_scope.listed[row] > 0, replace(in_scope, listed=shown))


def _find(numbers: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.intp]:
    """The index in `numbers` of each wanted one, -1 where there is none."""
    if not len(numbers):
        return np.full(len(wanted), -1, np.intp)
    order = np.argsort(numbers)
    found = order[np.minimum(np.searchsorted(numbers, wanted, sorter=order), len(order) - 1)]
    return np.where(numbers[found] == wanted, found, -1)


def _speak(
    table: ScoredChunks, source: NDArray[np.int64], listed: NDArray[np.bool_], among: MemoriesInScope
) -> ScoredChunks:
    """Let the chunks of facts speak for their sources where `among` lists those; drop what then is not listed."""
    if not (source >= 0).any():
        kept = listed
        speaks = np.full(len(source), -1, np.intp)
    else:
        speaks = np.where(source >= 0, _find(among.memory, source), -1)
        speaks = np.where((speaks >= 0) & (among.listed[speaks] > 0), speaks, -1)
        kept = listed | (speaks >= 0)
    key = speaks >= 0
    return ScoredChunks(
        chunk=table.chunk[kept],
        memory=np.where(key, among.memory[speaks] if len(among.memory) else 0, table.memory)[kept],
        session=np.where(key, among.session[speaks] if len(among.session) else 0, table.session)[kept],
        position=np.where(key, among.position[speaks] if len(among.position) else 0, table.position)[kept],
        dense=table.dense[kept],
        length=table.length[kept],
        share=np.where(key, table.share, np.float32(0))[kept],
    )


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
    found = conditions(scope)
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
            usable=found.usable,
            listed=found.listed,
            dimension=dimension,
            joined="memories" if scope.when.known_at is None else f"LATERAL {by_id(scope, 'c.memory_id')}",
            on="m.tenant_id = c.tenant_id AND m.id = c.memory_id",
        ),
        {
            **found.parameters,
            "tenant": session.tenant_id,
            "space": space_id,
            "query": None if query is None else Vector(query),
            "limit": 0 if query is None else limit,
            "lexical": list(lexical),
            "reach": reach,
        },
        tuple_row,
    )
    chunk, memory, at_session, position, dense, length, source, share, listed = rows[0]
    table = ScoredChunks(chunk, memory, at_session, position, dense, length, share)
    return _speak(table, source, listed > 0, MemoriesInScope(memory, at_session, position, source, share, listed))


# Both statements go from what was chosen to its rows, by primary key. OFFSET 0 (in `as_known` too) keeps the planner
# from turning that round: with the statistics of an empty table it would read the whole space first.
# The sources of what took the place of all that a memory told, by their content numbers; none while it tells something
# that holds still.
_LATER = """
ARRAY(
    SELECT s.content_number FROM facts f
    JOIN memories o ON o.tenant_id = f.tenant_id AND o.id = f.memory_id
    JOIN facts g ON g.tenant_id = o.tenant_id AND g.memory_id = o.superseded_by
    JOIN memories s ON s.tenant_id = g.tenant_id AND s.id = g.source_id
    WHERE f.tenant_id = %(tenant)s AND f.source_id = m.id AND o.valid_to <= %(holds_at)s AND s.id <> m.id
    AND o.state <> 'archived'
    AND NOT EXISTS (
        SELECT 1 FROM facts k JOIN memories h ON h.tenant_id = k.tenant_id AND h.id = k.memory_id
        WHERE k.tenant_id = f.tenant_id AND k.source_id = m.id AND k.attribute <> 'answers'
        AND h.id <> m.id AND h.superseded_by IS NULL AND h.state <> 'archived'
    )
)
"""
_CANDIDATES = """
SELECT m.id, m.content_number, v.content, m.role, m.name, m.occurred_at, c.number, c.start_char, c.end_char,
    CASE WHEN %(known_at)s::timestamptz IS NULL THEN {later} ELSE '{{}}' END, vector_send(c.vec)
FROM (
    SELECT * FROM chunks WHERE tenant_id = %(tenant)s AND space_id = %(space)s AND number = ANY(%(chunks)s) OFFSET 0
) c
JOIN LATERAL {memory} m ON m.content_number = c.content_number AND {returned}
JOIN LATERAL (
    SELECT content FROM contents
    WHERE tenant_id = %(tenant)s AND memory_id = m.id AND number = m.content_number OFFSET 0
) v ON true
"""
_KEYS = """
SELECT c.number, m.id, v.content
FROM (
    SELECT * FROM chunks WHERE tenant_id = %(tenant)s AND space_id = %(space)s AND number = ANY(%(chunks)s) OFFSET 0
) c
JOIN LATERAL {memory} m ON m.content_number = c.content_number AND {usable}
JOIN LATERAL (
    SELECT content FROM contents
    WHERE tenant_id = %(tenant)s AND memory_id = m.id AND number = m.content_number OFFSET 0
) v ON true
"""
_RECORDS = f"""
SELECT {RECORD_COLUMNS} FROM unnest(%(ids)s::uuid[]) AS wanted(id)
JOIN LATERAL {{memory}} m ON {{returned}}
{RECORD_JOINS}
"""


async def hydrate(session: PipelinedSession, scope: Scope, space_id: SpaceId, chunks: Sequence[int]) -> list[Candidate]:
    """The memories of these chunks, in no particular order; filtered again, since it returns content."""
    found = conditions(scope)
    rows = await session.fetch(
        _CANDIDATES.format(returned=found.returned, memory=by_id(scope, "c.memory_id"), later=_LATER),
        {**found.parameters, "tenant": session.tenant_id, "space": space_id, "chunks": list(chunks)},
        tuple_row,
    )
    return [
        Candidate(*columns, later=tuple(later), vector=None if sent is None else read_vector(sent))  # type: ignore[misc]
        for *columns, later, sent in rows
    ]


async def read_codes(session: PipelinedSession, space_id: SpaceId, chunks: Sequence[int]) -> dict[int, bytes]:
    """The token codes of these chunks, which must have been found in scope; those that have some."""
    rows = await session.fetch(
        "SELECT number, codes FROM chunks WHERE tenant_id = %(tenant)s AND space_id = %(space)s "
        "AND number = ANY(%(chunks)s) AND codes IS NOT NULL",
        {"tenant": session.tenant_id, "space": space_id, "chunks": list(chunks)},
        tuple_row,
    )
    return dict(rows)


async def find_keys(
    session: PipelinedSession, scope: Scope, space_id: SpaceId, chunks: Sequence[int]
) -> dict[int, tuple[MemoryId, str]]:
    """The facts whose chunks these are, by chunk: id and content."""
    found = conditions(scope)
    rows = await session.fetch(
        _KEYS.format(usable=found.usable, memory=by_id(scope, "c.memory_id")),
        {**found.parameters, "tenant": session.tenant_id, "space": space_id, "chunks": list(chunks)},
        tuple_row,
    )
    return {number: (memory, content) for number, memory, content in rows}


async def find_records(
    session: PipelinedSession, scope: Scope, space_id: SpaceId, ids: Sequence[MemoryId]
) -> dict[MemoryId, Record]:
    """The whole records of these memories, as far as they are in scope."""
    found = conditions(scope)
    rows = await session.fetch(
        _RECORDS.format(returned=found.returned, memory=by_id(scope, "wanted.id")),
        {**found.parameters, "tenant": session.tenant_id, "space": space_id, "ids": list(ids)},
        namedtuple_row,
    )
    return {record.id: record for record in await read_records(session, rows)}


async def beside(
    session: PipelinedSession, scope: Scope, space_id: SpaceId, memories: Sequence[MemoryId], *, reach: int
) -> list[Beside]:
    """The turns up to `reach` places before and after each memory, as far as they are in scope."""
    found = conditions(scope)
    rows = await session.fetch(
        "SELECT m.content_number, t.id AS of, m.id, m.position - t.position AS offset, m.role, m.name, v.content "
        "FROM memories t JOIN memories b ON b.tenant_id = t.tenant_id AND b.session_id = t.session_id "
        "AND b.id <> t.id AND b.position BETWEEN t.position - %(reach)s AND t.position + %(reach)s "
        f"JOIN LATERAL {by_id(scope, 'b.id')} m ON true "
        "JOIN contents v ON v.tenant_id = m.tenant_id AND v.memory_id = m.id AND v.number = m.content_number "
        f"WHERE t.tenant_id = %(tenant)s AND t.id = ANY(%(memories)s) AND {found.returned} ORDER BY t.id, m.position",
        {
            **found.parameters,
            "tenant": session.tenant_id,
            "space": space_id,
            "memories": list(memories),
            "reach": reach,
        },
        tuple_row,
    )
    turns = [(number, Beside(*columns)) for number, *columns in rows]
    texts = await read_texts(session, [(one.id, number) for number, one in turns if not one.content])
    return [replace(one, content=texts.get((one.id, number), one.content)) for number, one in turns]
