"""Reading a whole space for a bundle: pages of rows by server-side cursors, of what the caller may read.

The rows of all members are in the order of their memories, so that a reader of the bundle can go through them side by
side. What a caller who may share the space gets includes expired memories, which are otherwise nobody's.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from psycopg.rows import tuple_row

from memsvc.ids import SpaceId
from memsvc.store import access
from memsvc.store.access import When
from memsvc.store.arrays import VECTOR_HEADER_BYTES
from memsvc.store.contents import read_texts
from memsvc.store.database import ReadSession
from memsvc.store.keys import Caller

PAGE_ROWS = 1000
PAGE_VECTORS = 2000

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Export:
    """What to read of a space; `encoder_id` made the vectors and token codes that count, if any do."""

    space_id: SpaceId
    caller: Caller
    when: When
    encoder_id: int
    embeddings: bool


@dataclass(frozen=True, slots=True)
class EncoderRow:
    """An encoder as the store registered it."""

    key: str
    name: str
    revision: str
    dimension: int
    pooling: str
    query_prefix: str
    document_prefix: str
    file_hash: str


@dataclass(frozen=True, slots=True)
class SpaceRow:
    """What holds for a space."""

    open: bool
    policies: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BlobRow:
    """A blob that a memory of the space names."""

    hash: bytes
    bytes: int


def _exported(alias: str) -> str:
    shared = access.space_allows("share", "%(space)s")
    where = (
        f"m.tenant_id = %(tenant)s AND m.space_id = %(space)s AND {access.permitted('read', '%(space)s')} "
        f"AND (({access.UNEXPIRED}) OR {shared})"
    )
    return where.replace("m.", f"{alias}.")


_MEMORIES = _exported("m")
_VERSION = (
    "{0}.version, {1} AS content, {0}.operation_id AS operation, {0}.updated_at, {0}.occurred_at, {0}.occurred_zone, "
    "{0}.valid_from, {0}.valid_from_precision, {0}.valid_to, {0}.valid_to_precision, {0}.superseded_by, {0}.state, "
    "{0}.importance, {0}.strength, {0}.access_count, {0}.last_accessed_at, {0}.trust, {0}.sensitivity, "
    "{0}.visibility, {0}.expires_at, {0}.retained_until, {0}.legal_hold, encode({0}.fingerprint, 'hex') AS "
    "fingerprint, {0}.metadata::text AS metadata"
)
# The version that introduced a content: the first that had it.
_INTRODUCED = (
    "(SELECT min(h.version) FROM memory_history h WHERE h.tenant_id = %(tenant)s AND h.id = m.id "
    "AND h.content_number = {0})"
)
_PRESENT = f"CASE WHEN m.version = 1 THEN 1 ELSE coalesce({_INTRODUCED.format('m.content_number')}, m.version) END"
_NAMED = (
    f"(EXISTS (SELECT 1 FROM memories m WHERE m.operation_id = o.id AND {_MEMORIES}) "
    "OR EXISTS (SELECT 1 FROM memory_history h JOIN memories m ON m.tenant_id = h.tenant_id AND m.id = h.id "
    f"WHERE h.operation_id = o.id AND h.tenant_id = %(tenant)s AND {_MEMORIES}) "
    "OR EXISTS (SELECT 1 FROM lineage l JOIN memories m ON m.tenant_id = l.tenant_id AND m.id = l.derived_id "
    "JOIN memories s ON s.tenant_id = l.tenant_id AND s.id = l.source_id "
    f"WHERE l.operation_id = o.id AND l.tenant_id = %(tenant)s AND {_MEMORIES} AND {_exported('s')}))"
)
ROWS: Mapping[str, str] = {
    "sessions": "SELECT se.name, se.next_position, se.created_at FROM sessions se WHERE se.tenant_id = %(tenant)s "
    "AND se.space_id = %(space)s AND se.id = ANY (ARRAY(SELECT DISTINCT m.session_id FROM memories m "
    f"WHERE {_MEMORIES} AND m.session_id IS NOT NULL)) ORDER BY se.number",
    "operations": "SELECT o.id, o.kind, p.name AS principal, o.reason, o.details::text AS details, o.recorded_at, "
    "o.undoes, o.undone_by FROM operations o JOIN principals p ON p.tenant_id = o.tenant_id AND p.id = o.principal_id "
    f"WHERE o.tenant_id = %(tenant)s AND o.space_id = %(space)s AND {_NAMED} ORDER BY o.number",
    "memories": "SELECT m.id, m.kind, m.payload_type, m.role, m.name, se.name AS session, m.position, m.origin, "
    f"p.name AS principal, m.recorded_at, {_VERSION.format('m', _PRESENT)} FROM memories m "
    "JOIN principals p ON p.tenant_id = m.tenant_id AND p.id = m.principal_id "
    "LEFT JOIN sessions se ON se.tenant_id = m.tenant_id AND se.id = m.session_id "
    f"WHERE {_MEMORIES} ORDER BY m.number",
    "history": f"SELECT p.id AS memory, {_VERSION.format('p', _INTRODUCED.format('p.content_number'))}, p.known_to "
    "FROM memories m JOIN memory_history p ON p.tenant_id = m.tenant_id AND p.id = m.id "
    f"WHERE {_MEMORIES} ORDER BY m.number, p.version",
    "contents": f"SELECT m.id AS memory, CASE WHEN m.version = 1 THEN 1 ELSE "
    f"coalesce({_INTRODUCED.format('v.number')}, m.version) END AS version, v.content, v.number FROM memories m "
    "JOIN contents v ON v.tenant_id = m.tenant_id AND v.memory_id = m.id "
    f"WHERE {_MEMORIES} ORDER BY m.number, v.number",
    "chunks": f"SELECT m.id AS memory, CASE WHEN m.version = 1 THEN 1 ELSE "
    f"coalesce({_INTRODUCED.format('c.content_number')}, m.version) END AS content, c.start_char AS start, "
    'c.end_char AS "end", CASE WHEN %(embeddings)s AND c.encoder_id = %(encoder)s '
    "THEN translate(encode(c.codes, 'base64'), E'\\n', '') END AS codes FROM memories m JOIN chunks c "
    "ON c.tenant_id = m.tenant_id AND c.memory_id = m.id "
    f"WHERE {_MEMORIES} ORDER BY m.number, c.content_number, c.ordinal",
    "lineage": "SELECT l.derived_id AS derived, l.source_id AS source, l.source_version, l.operation_id AS operation, "
    "l.recorded_at FROM memories m JOIN lineage l ON l.tenant_id = m.tenant_id AND l.derived_id = m.id "
    "JOIN memories s ON s.tenant_id = l.tenant_id AND s.id = l.source_id "
    f"WHERE {_MEMORIES} AND {_exported('s')} ORDER BY m.number, s.number",
    # Of a fact whose source, or what that said, is not in the bundle, only the memory is.
    "facts": "SELECT m.id AS memory, f.source_id AS source, k.version AS content, f.start_char AS start, "
    'f.end_char AS "end", f.subject, f.attribute, f.value, f.negated, f.confidence, f.extractor, '
    "CASE WHEN f.source_id <> m.id THEN m.key_share END AS share FROM memories m "
    "JOIN facts f ON f.tenant_id = m.tenant_id AND f.memory_id = m.id "
    "JOIN memories s ON s.tenant_id = f.tenant_id AND s.id = f.source_id "
    "JOIN LATERAL (SELECT min(x.version) AS version FROM (SELECT h.version, h.content_number FROM memory_history h "
    "WHERE h.tenant_id = s.tenant_id AND h.id = s.id UNION ALL SELECT s.version, s.content_number) x "
    "WHERE x.content_number = CASE WHEN s.id = m.id THEN m.content_number ELSE m.key_of END) k "
    "ON k.version IS NOT NULL "
    # One that is its own source may have been edited since it was read.
    "LEFT JOIN contents v ON v.tenant_id = m.tenant_id AND v.memory_id = m.id AND v.number = m.content_number "
    f"WHERE {_MEMORIES} AND {_exported('s')} AND (s.id <> m.id OR f.end_char <= char_length(v.content)) "
    "ORDER BY m.number",
    "tensors": "SELECT t.memory_id AS memory, encode(t.blob_hash, 'hex') AS blob, b.bytes, t.source_id AS source, "
    "t.source_version, t.model, t.model_revision, t.tokenizer_hash, t.layers, t.heads, t.dtype, t.shape, "
    "t.position_scheme, coalesce(t.token_ids, '{}') AS token_ids FROM memories m "
    "JOIN tensors t ON t.tenant_id = m.tenant_id AND t.memory_id = m.id "
    "JOIN blobs b ON b.tenant_id = t.tenant_id AND b.hash = t.blob_hash "
    f"WHERE {_MEMORIES} ORDER BY m.number",
}
_JSON = frozenset({"metadata", "details"})
_VECTORS = (
    "SELECT CASE WHEN c.encoder_id = %(encoder)s THEN vector_send(c.vec) END FROM memories m "
    "JOIN chunks c ON c.tenant_id = m.tenant_id AND c.memory_id = m.id "
    f"WHERE {_MEMORIES} ORDER BY m.number, c.content_number, c.ordinal"
)
_BLOBS = (
    "SELECT b.hash, min(b.bytes) FROM memories m JOIN tensors t ON t.tenant_id = m.tenant_id AND t.memory_id = m.id "
    "JOIN blobs b ON b.tenant_id = t.tenant_id AND b.hash = t.blob_hash "
    f"WHERE {_MEMORIES} GROUP BY b.hash ORDER BY min(m.number), b.hash"
)
_OUTSIDE = (
    "SELECT (SELECT count(*) FROM memories m JOIN lineage l ON l.tenant_id = m.tenant_id AND l.derived_id = m.id "
    f"WHERE {_MEMORIES} AND NOT EXISTS (SELECT 1 FROM memories s WHERE s.id = l.source_id AND {_exported('s')})) "
    # Those that an import could not bring are outside still.
    "+ (SELECT coalesce(sum((o.details ->> 'outside_edges')::bigint), 0)::bigint FROM operations o "
    "WHERE o.tenant_id = %(tenant)s AND o.space_id = %(space)s AND o.kind = 'import')"
)


async def use_utc(session: ReadSession) -> None:
    """Times read in this transaction are in UTC, whatever the server's zone: a bundle does not depend on it."""
    await session.fetch("SELECT set_config('TimeZone', 'UTC', true)", {}, tuple_row)


async def pages(session: ReadSession, export: Export, member: str) -> AsyncIterator[list[dict[str, Any]]]:
    """The rows of one of `ROWS`, a page at a time; a field that is null is left out, JSON stays as it is stored."""
    async for names, page in _stream(session, ROWS[member], _values(session, export), PAGE_ROWS):
        if member == "contents":
            yield await _contents(session, page)
            continue
        yield [
            {
                name: orjson.Fragment(value) if name in _JSON else value
                for name, value in zip(names, row, strict=True)
                if value is not None
            }
            for row in page
        ]


async def _contents(session: ReadSession, page: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Lines of contents.jsonl. What is packed is exported as what it says; it has no chunks."""
    texts = await read_texts(session, [(memory, number) for memory, _, content, number in page if not content])
    return [
        {"memory": memory, "version": version, "content": texts.get((memory, number), content)}
        for memory, version, content, number in page
    ]


async def vectors(session: ReadSession, export: Export, dimension: int) -> AsyncIterator[Vectors]:
    """The vectors of the rows of `chunks` in their order, float32[n, dimension]; NaN where there is none."""
    missing = np.full(dimension, np.nan, ">f4").tobytes()
    async for _, page in _stream(session, _VECTORS, _values(session, export), PAGE_VECTORS):
        sent = b"".join(missing if row[0] is None else bytes(row[0][VECTOR_HEADER_BYTES:]) for row in page)
        yield np.frombuffer(sent, ">f4").reshape(-1, dimension).astype(np.float32)


async def list_blobs(session: ReadSession, export: Export) -> list[BlobRow]:
    """The blobs of the exported tensor records, each once."""
    rows = await session.fetch(_BLOBS, _values(session, export), tuple_row)
    return [BlobRow(bytes(row[0]), row[1]) for row in rows]


async def count_outside(session: ReadSession, export: Export) -> int:
    """Edges of lineage that lead out of what is exported."""
    return int((await session.fetch(_OUTSIDE, _values(session, export), tuple_row))[0][0])


async def find_settings(session: ReadSession, export: Export) -> tuple[SpaceRow, EncoderRow]:
    """What holds for the space, and the encoder whose vectors are exported."""
    space = await session.fetch(
        "SELECT open, policies FROM spaces WHERE tenant_id = %(tenant)s AND id = %(space)s",
        {"tenant": session.tenant_id, "space": export.space_id},
        tuple_row,
    )
    return SpaceRow(*space[0]), await find_encoder(session, export.encoder_id)


async def find_encoder(session: ReadSession, encoder_id: int) -> EncoderRow:
    """An encoder by its id."""
    rows = await session.fetch(
        "SELECT key, name, revision, dimension, pooling, query_prefix, document_prefix, file_hash FROM encoders "
        "WHERE id = %(id)s",
        {"id": encoder_id},
        tuple_row,
    )
    return EncoderRow(*rows[0])


async def _stream(
    session: ReadSession, sql: str, values: Mapping[str, object], size: int
) -> AsyncIterator[tuple[Sequence[str], list[tuple[Any, ...]]]]:
    driver = await session.driver()
    async with driver.cursor("bundle", row_factory=tuple_row) as cursor:
        await cursor.execute(sql.encode(), values, binary=True)
        names = [column.name for column in cursor.description or ()]
        while page := await cursor.fetchmany(size):
            yield names, page


def _values(session: ReadSession, export: Export) -> Mapping[str, object]:
    return {
        **access.parameters(session, export.caller, export.when),
        "space": export.space_id,
        "encoder": export.encoder_id,
        "embeddings": export.embeddings,
    }
