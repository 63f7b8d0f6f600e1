"""Inserting memories: what exists already, and what is new, in few set-wise statements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
import orjson
from numpy.typing import NDArray
from psycopg.rows import tuple_row
from sqlalchemy import text

from memsvc.ids import MemoryId, OperationId, PrincipalId, SessionId, SpaceId
from memsvc.inference.types import Embeddings
from memsvc.store.arrays import VectorArray
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.spaces import Space

Vectors = NDArray[np.float32]
# Number, memory, its content's number, ordinal, start, end, length.
_ChunkRow = tuple[int, MemoryId, int, int, int, int, int]
POSTING = np.dtype([("chunk", "<u4"), ("tf", "<u2"), ("length", "<u2")])


@dataclass(frozen=True, slots=True)
class NewChunk:
    """A unit of search: characters [start, end) of the content, and its terms with their counts."""

    start: int
    end: int
    terms: Mapping[str, int]
    length: int


@dataclass(frozen=True, slots=True)
class ChunkedContent:
    """What of a memory is searched; its chunks' embeddings, or None when they come later."""

    memory_id: MemoryId
    content_number: int
    chunks: Sequence[NewChunk]
    embeddings: Embeddings | None


@dataclass(frozen=True, slots=True)
class NewMemory:
    """A record to insert; its first content has its own number. `embeddings` are its chunks', or None when they come
    later."""

    id: MemoryId
    number: int
    kind: str
    role: str | None
    name: str | None
    session_id: SessionId | None
    session_number: int | None
    position: int | None
    content: str
    content_hash: bytes
    fingerprint: bytes
    occurred_at: datetime | None
    occurred_zone: str | None
    importance: float
    sensitivity: str
    expires_at: datetime | None
    metadata: Mapping[str, Any]
    chunks: Sequence[NewChunk]
    embeddings: Embeddings | None
    valid_from: datetime | None = None
    valid_from_precision: str | None = None
    valid_to: datetime | None = None
    valid_to_precision: str | None = None
    visibility: str = "space"
    retained_until: datetime | None = None
    payload_type: str = "plaintext"
    origin: str = "user_input"
    state: str = "generated"
    trust: float = 0.5
    key_of: int | None = None
    key_share: float | None = None
    superseded_by: MemoryId | None = None


@dataclass(frozen=True, slots=True)
class Existing:
    """What the store holds of the items about to be written. Values: (id, version, chunks)."""

    by_id: Mapping[UUID, tuple[bytes, MemoryId]]
    by_position: Mapping[tuple[SessionId, int], tuple[bytes, MemoryId]]
    by_fingerprint: Mapping[bytes, Sequence[MemoryId]]


async def find_existing(
    session: ReadSession,
    space_id: SpaceId,
    *,
    ids: Sequence[UUID],
    fingerprints: Sequence[bytes],
    positions: Sequence[tuple[SessionId, int]],
    writer: PrincipalId | None = None,
) -> Existing:
    """Look up by id (in the whole tenant), by place in a session, and by fingerprint (in the space).

    What somebody else keeps private is no duplicate: the writer would be told that it exists, and not be able to read
    what he wrote.
    """
    tenant = session.tenant_id
    rows = await session.execute(
        text(
            "SELECT 'fingerprint' AS by, id, fingerprint, NULL::uuid AS session_id, NULL::int AS position, number "
            "FROM memories WHERE tenant_id = :tenant AND space_id = :space AND fingerprint = ANY(:fingerprints) "
            "AND (visibility <> 'private' OR principal_id = :writer) "
            "UNION ALL SELECT 'id', id, fingerprint, NULL, NULL, number "
            "FROM memories WHERE tenant_id = :tenant AND id = ANY(:ids) "
            "UNION ALL SELECT 'position', m.id, m.fingerprint, m.session_id, m.position, m.number "
            "FROM unnest(CAST(:sessions AS uuid[]), CAST(:positions AS int[])) AS wanted(session_id, position) "
            "JOIN memories m ON m.tenant_id = :tenant AND m.session_id = wanted.session_id "
            "AND m.position = wanted.position ORDER BY number"
        ),
        {
            "tenant": tenant,
            "space": space_id,
            "writer": writer,
            "fingerprints": list(set(fingerprints)),
            "ids": list(ids),
            "sessions": [place[0] for place in positions],
            "positions": [place[1] for place in positions],
        },
    )
    by_id: dict[UUID, tuple[bytes, MemoryId]] = {}
    by_position: dict[tuple[SessionId, int], tuple[bytes, MemoryId]] = {}
    by_fingerprint: dict[bytes, list[MemoryId]] = {}
    for row in rows:
        memory = MemoryId(row.id)
        if row.by == "id":
            by_id[row.id] = (bytes(row.fingerprint), memory)
        elif row.by == "position":
            by_position[SessionId(row.session_id), row.position] = (bytes(row.fingerprint), memory)
        else:
            by_fingerprint.setdefault(bytes(row.fingerprint), []).append(memory)
    return Existing(by_id, by_position, by_fingerprint)


_INSERT_MEMORIES = """
INSERT INTO memories (tenant_id, id, space_id, number, content_number, kind, payload_type, role, name, session_id,
    session_number, position, origin, principal_id, occurred_at, occurred_zone, valid_from, valid_from_precision,
    valid_to, valid_to_precision, recorded_at, updated_at, operation_id, state, importance, trust, sensitivity,
    visibility, expires_at, retained_until, content_hash, fingerprint, searchable, metadata, key_of,
    key_share, superseded_by)
SELECT %(tenant)s, r.id, %(space)s, r.number, r.number, r.kind, r.payload_type, r.role, r.name, r.session_id,
    r.session_number, r.position, r.origin, %(principal)s, r.occurred_at, r.occurred_zone, r.valid_from,
    r.valid_from_precision, r.valid_to, r.valid_to_precision, %(now)s, %(now)s, %(operation)s, r.state, r.importance,
    r.trust, r.sensitivity, r.visibility, r.expires_at, r.retained_until, decode(r.content_hash, 'hex'),
    decode(r.fingerprint, 'hex'), r.searchable, r.metadata, r.key_of,
    r.key_share, r.superseded_by
FROM jsonb_to_recordset(%(rows)s::jsonb) AS r(id uuid, number bigint, kind text, payload_type text, role text,
    name text, session_id uuid, session_number int, position int, origin text, occurred_at timestamptz,
    occurred_zone text, valid_from timestamptz, valid_from_precision text, valid_to timestamptz,
    valid_to_precision text, state text, importance float8, trust float8, sensitivity text, visibility text,
    expires_at timestamptz, retained_until timestamptz, content_hash text, fingerprint text, searchable bool,
    metadata jsonb, key_of bigint, key_share float8, superseded_by uuid)
"""

_INSERT_CONTENTS = """
INSERT INTO contents (tenant_id, memory_id, number, content)
SELECT %(tenant)s, v.id, v.number, v.content
FROM unnest(%(ids)s::uuid[], %(numbers)s::bigint[], %(contents)s::text[]) AS v(id, number, content)
"""

# The rows with vectors come first: unnest gives NULL past the end of the shorter array.
_INSERT_CHUNKS = """
INSERT INTO chunks (tenant_id, space_id, number, memory_id, content_number, ordinal, start_char, end_char, length,
    encoder_id, dimension, ann, vec, codes)
SELECT %(tenant)s, %(space)s, c.number, c.memory, c.content_number, c.ordinal, c.s, c.e, c.length,
    CASE WHEN c.vec IS NOT NULL THEN %(encoder)s::smallint END,
    CASE WHEN c.vec IS NOT NULL THEN %(dimension)s::smallint END, %(ann)s, c.vec, c.codes
FROM unnest(%(numbers)s::bigint[], %(memories)s::uuid[], %(content_numbers)s::bigint[], %(ordinals)s::int[],
    %(starts)s::int[], %(ends)s::int[], %(lengths)s::smallint[], %(vectors)s::vector[],
    %(codes)b::bytea[]) AS c(number, memory, content_number, ordinal, s, e, length, vec, codes)
"""

_INSERT_POSTINGS = """
INSERT INTO postings (tenant_id, space_id, term, block, entries)
SELECT %(tenant)s, %(space)s, p.term, %(block)s, p.entries
FROM unnest(%(terms)s::text[], %(entries)s::bytea[]) AS p(term, entries)
"""


async def insert_memories(
    session: WriteSession,
    space: Space,
    memories: Sequence[NewMemory],
    *,
    operation_id: OperationId,
    principal_id: PrincipalId,
    encoder_id: int,
    now: datetime,
) -> None:
    """Insert records, contents, chunks and postings; the space must be locked, counters are advanced elsewhere."""
    driver = await session.driver()
    common = {
        "tenant": session.tenant_id,
        "space": space.id,
        "principal": principal_id,
        "operation": operation_id,
        "now": now,
    }
    async with driver.cursor(row_factory=tuple_row) as cursor:
        rows = orjson.dumps([_memory_row(memory) for memory in memories]).decode()
        await cursor.execute(_INSERT_MEMORIES, {**common, "rows": rows})
        await cursor.execute(
            _INSERT_CONTENTS,
            {
                **common,
                "ids": [memory.id for memory in memories],
                "numbers": [memory.number for memory in memories],
                "contents": [memory.content for memory in memories],
            },
        )
    await insert_chunks(
        session,
        space,
        [ChunkedContent(memory.id, memory.number, memory.chunks, memory.embeddings) for memory in memories],
        encoder_id,
    )


async def insert_chunks(
    session: WriteSession,
    space: Space,
    contents: Sequence[ChunkedContent],
    encoder_id: int,
) -> None:
    """Insert the chunks and postings of these memories, numbered from `space.next_chunk`."""
    embedded: list[_ChunkRow] = []
    pending: list[_ChunkRow] = []
    rows_of_vectors: list[Vectors] = []
    codes: list[bytes | None] = []
    postings: dict[str, list[tuple[int, int, int]]] = {}
    number = space.next_chunk
    for content in contents:
        if content.embeddings is not None:
            rows_of_vectors.append(content.embeddings.vectors)
            codes += [code or None for code in content.embeddings.codes]
        rows = pending if content.embeddings is None else embedded
        for ordinal, chunk in enumerate(content.chunks):
            memory = content.memory_id, content.content_number
            rows.append((number, *memory, ordinal, chunk.start, chunk.end, chunk.length))
            for term, count in chunk.terms.items():
                postings.setdefault(term, []).append((number, min(count, 0xFFFF), chunk.length))
            number += 1
    if number == space.next_chunk:
        return
    all_vectors = np.concatenate(rows_of_vectors) if rows_of_vectors else np.empty((0, 0), np.float32)
    numbers, memories, content_numbers, ordinals, starts, ends, lengths = (
        list(column) for column in zip(*embedded, *pending, strict=True)
    )
    common = {"tenant": session.tenant_id, "space": space.id}
    driver = await session.driver()
    async with driver.cursor() as cursor:
        await cursor.execute(
            _INSERT_CHUNKS,
            {
                **common,
                "numbers": numbers,
                "memories": memories,
                "content_numbers": content_numbers,
                "ordinals": ordinals,
                "starts": starts,
                "ends": ends,
                "lengths": lengths,
                "vectors": VectorArray(all_vectors),
                "codes": codes,
                "encoder": encoder_id,
                "dimension": all_vectors.shape[1],
                "ann": space.ann,
            },
        )
        if postings:
            await cursor.execute(
                _INSERT_POSTINGS,
                {
                    **common,
                    "block": space.next_chunk,
                    "terms": list(postings),
                    "entries": [np.array(entries, POSTING).tobytes() for entries in postings.values()],
                },
            )


@dataclass(frozen=True, slots=True)
class Standing:
    """How a written memory stands now."""

    version: int
    chunks: int
    state: str
    searchable: bool


async def find_standings(session: ReadSession, ids: Sequence[MemoryId]) -> dict[MemoryId, Standing]:
    """The standing of each of these memories that still exists."""
    rows = await session.execute(
        text(
            "SELECT m.id, m.version, m.state, m.searchable, (SELECT count(*) FROM chunks c "
            "WHERE c.tenant_id = m.tenant_id AND c.memory_id = m.id AND c.content_number = m.content_number) AS chunks "
            "FROM memories m WHERE m.tenant_id = :tenant AND m.id = ANY(:ids)"
        ),
        {"tenant": session.tenant_id, "ids": list(ids)},
    )
    return {MemoryId(row.id): Standing(row.version, row.chunks, row.state, row.searchable) for row in rows}


def _memory_row(memory: NewMemory) -> dict[str, object]:
    return {
        "id": memory.id,
        "number": memory.number,
        "kind": memory.kind,
        "payload_type": memory.payload_type,
        "role": memory.role,
        "name": memory.name,
        "session_id": memory.session_id,
        "session_number": memory.session_number,
        "position": memory.position,
        "origin": memory.origin,
        "occurred_at": memory.occurred_at,
        "occurred_zone": memory.occurred_zone,
        "valid_from": memory.valid_from,
        "valid_from_precision": memory.valid_from_precision,
        "valid_to": memory.valid_to,
        "valid_to_precision": memory.valid_to_precision,
        "state": memory.state,
        "importance": memory.importance,
        "trust": memory.trust,
        "sensitivity": memory.sensitivity,
        "visibility": memory.visibility,
        "expires_at": memory.expires_at,
        "retained_until": memory.retained_until,
        "content_hash": memory.content_hash.hex(),
        "fingerprint": memory.fingerprint.hex(),
        "searchable": memory.embeddings is not None,
        "metadata": memory.metadata,
        "key_of": memory.key_of,
        "key_share": memory.key_share,
        "superseded_by": memory.superseded_by,
    }
