"""Copying memories from one space to another, set-wise: records, contents, chunks with vectors, lexical entries.

Nothing is analysed or embedded again: a copy has the same content under the same encoder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from psycopg.rows import tuple_row

from memsvc.ids import MemoryId, SessionId, SpaceId
from memsvc.store import packs
from memsvc.store.branches import Original
from memsvc.store.database import WriteSession
from memsvc.store.memories import COLUMNS, CURRENT, PAST_STATE
from memsvc.store.spaces import Space, advance_space
from memsvc.store.versions import Operation
from memsvc.store.writes import POSTING


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy to make of an original, with its number and its place in a session of the target."""

    original: Original
    id: MemoryId
    number: int
    session_id: SessionId | None
    session_number: int | None
    position: int | None


_MAP = (
    "unnest(%(old)s::uuid[], %(versions)s::int[], %(contents)s::bigint[], %(new)s::uuid[], %(numbers)s::bigint[], "
    "%(sessions)s::uuid[], %(session_numbers)s::int[], %(positions)s::int[]) "
    "AS p(old, version, content, new, number, session_id, session_number, position)"
)
_ALL = ", ".join(COLUMNS)
_VALUES: Mapping[str, str] = {
    "tenant_id": "%(tenant)s",
    "id": "p.new",
    "space_id": "%(target)s",
    "number": "p.number",
    "session_id": "p.session_id",
    "session_number": "p.session_number",
    "position": "p.position",
    "superseded_by": "later.new",
    "updated_at": "%(now)s",
    "operation_id": "%(operation)s",
    "version": "1",
    "content_number": "p.number",
    # A key stays one if what it is a key of is copied in the same content.
    "key_of": "keyed.number",
    "key_share": "CASE WHEN keyed.number IS NOT NULL THEN v.key_share END",
    # A hold keeps what it was placed on; the copy is another memory.
    "legal_hold": "false",
    "state": PAST_STATE.replace("h.state", "v.state"),
    "searchable": "NOT EXISTS (SELECT 1 FROM chunks k WHERE k.tenant_id = %(tenant)s AND k.memory_id = p.old "
    "AND k.content_number = p.content AND k.vec IS NULL)",
}
_EXPRESSIONS = ", ".join(_VALUES.get(name, f"{'cur' if name in CURRENT else 'v'}.{name}") for name in COLUMNS)
_INSERT_MEMORIES = f"""
INSERT INTO memories ({_ALL})
SELECT {_EXPRESSIONS} FROM {_MAP}
JOIN memories cur ON cur.tenant_id = %(tenant)s AND cur.id = p.old
JOIN LATERAL (
    SELECT {_ALL} FROM memories x WHERE x.tenant_id = %(tenant)s AND x.id = p.old AND x.version = p.version
    UNION ALL
    SELECT {_ALL} FROM memory_history x WHERE x.tenant_id = %(tenant)s AND x.id = p.old AND x.version = p.version
) v ON true
LEFT JOIN unnest(%(old)s::uuid[], %(new)s::uuid[]) AS later(old, new) ON later.old = v.superseded_by
LEFT JOIN unnest(%(contents)s::bigint[], %(numbers)s::bigint[]) AS keyed(content, number) ON keyed.content = v.key_of
"""
_INSERT_CONTENTS = f"""
INSERT INTO contents (tenant_id, memory_id, number, content)
SELECT %(tenant)s, p.new, p.number, v.content FROM {_MAP}
JOIN contents v ON v.tenant_id = %(tenant)s AND v.memory_id = p.old AND v.number = p.content
"""
_LIST_CHUNKS = f"""
SELECT array_agg(k.number ORDER BY p.number, k.ordinal), coalesce(sum(k.length), 0)::bigint FROM {_MAP}
JOIN chunks k ON k.tenant_id = %(tenant)s AND k.memory_id = p.old AND k.content_number = p.content
"""
_INSERT_CHUNKS = f"""
INSERT INTO chunks (tenant_id, space_id, number, memory_id, content_number, ordinal, start_char, end_char, length,
    encoder_id, dimension, ann, vec, codes)
SELECT %(tenant)s, %(target)s, w.new, p.new, p.number, k.ordinal, k.start_char, k.end_char, k.length, k.encoder_id,
    k.dimension, %(ann)s, k.vec, k.codes
FROM unnest(%(chunks)s::bigint[], %(new_chunks)s::bigint[]) AS w(old, new)
JOIN chunks k ON k.tenant_id = %(tenant)s AND k.space_id = %(source)s AND k.number = w.old
JOIN {_MAP} ON p.old = k.memory_id
"""
_INSERT_POSTINGS = """
INSERT INTO postings (tenant_id, space_id, term, block, entries)
SELECT %(tenant)s, %(target)s, t.term, %(block)s, t.entries
FROM unnest(%(terms)s::text[], %(entries)s::bytea[]) AS t(term, entries)
"""
# A copy derives from its original, and copies derive from each other as the originals do.
_INSERT_LINEAGE = f"""
INSERT INTO lineage (tenant_id, derived_id, source_id, source_version, operation_id, recorded_at)
SELECT %(tenant)s, p.new, p.old, p.version, %(operation)s, %(now)s FROM {_MAP}
UNION ALL
SELECT %(tenant)s, derived.new, source.new, 1, %(operation)s, %(now)s
FROM unnest(%(old)s::uuid[], %(new)s::uuid[]) AS derived(old, new)
JOIN lineage l ON l.tenant_id = %(tenant)s AND l.derived_id = derived.old
JOIN unnest(%(old)s::uuid[], %(new)s::uuid[]) AS source(old, new) ON source.old = l.source_id
"""
# A tensor stays bound to what it was computed from: to the copy, if that has the same content.
_INSERT_TENSORS = f"""
INSERT INTO tensors (tenant_id, memory_id, blob_hash, source_id, source_version, model, model_revision,
    tokenizer_hash, layers, heads, dtype, shape, position_scheme, token_ids, tokens)
SELECT %(tenant)s, p.new, t.blob_hash, coalesce(source.new, t.source_id),
    CASE WHEN source.new IS NULL THEN t.source_version ELSE 1 END, t.model, t.model_revision, t.tokenizer_hash,
    t.layers, t.heads, t.dtype, t.shape, t.position_scheme, t.token_ids, t.tokens
FROM {_MAP} JOIN tensors t ON t.tenant_id = %(tenant)s AND t.memory_id = p.old
LEFT JOIN unnest(%(old)s::uuid[], %(contents)s::bigint[], %(new)s::uuid[]) AS source(old, content, new)
    ON source.old = t.source_id AND source.content = (
        SELECT x.content_number FROM (
            SELECT content_number FROM memories
            WHERE tenant_id = %(tenant)s AND id = t.source_id AND version = t.source_version
            UNION ALL SELECT content_number FROM memory_history
            WHERE tenant_id = %(tenant)s AND id = t.source_id AND version = t.source_version
        ) x LIMIT 1)
"""
_INSERT_PREFIXES = f"""
INSERT INTO tensor_prefixes (tenant_id, hash, memory_id, tokens)
SELECT %(tenant)s, x.hash, p.new, x.tokens FROM {_MAP}
JOIN tensor_prefixes x ON x.tenant_id = %(tenant)s AND x.memory_id = p.old
"""

# A fact stays one if what it was found in is copied in the same content; one that says so itself, in its own.
_INSERT_FACTS = f"""
INSERT INTO facts (tenant_id, memory_id, space_id, source_id, start_char, end_char, subject, attribute, value, negated,
    confidence, extractor)
SELECT %(tenant)s, p.new, %(target)s, source.new, f.start_char, f.end_char, f.subject, f.attribute, f.value, f.negated,
    f.confidence, f.extractor
FROM {_MAP} JOIN facts f ON f.tenant_id = %(tenant)s AND f.memory_id = p.old
JOIN memories cur ON cur.tenant_id = %(tenant)s AND cur.id = p.old
JOIN unnest(%(old)s::uuid[], %(contents)s::bigint[], %(new)s::uuid[]) AS source(old, content, new)
    ON source.old = f.source_id
    AND source.content = CASE WHEN f.source_id = f.memory_id THEN cur.content_number ELSE cur.key_of END
"""


async def insert_copies(
    session: WriteSession, source_id: SpaceId, target: Space, copies: Sequence[Copy], operation: Operation
) -> int:
    """Insert the copies, numbered from the target's `next_memory`; returns how many chunks they have.

    Both spaces must be locked. Header columns that are of today rather than of a version, such as who may see the
    memory, are the original's of today.
    """
    common = {
        "tenant": session.tenant_id,
        "source": source_id,
        "target": target.id,
        "ann": target.ann,
        "operation": operation.id,
        "now": operation.recorded_at,
        "old": [copy.original.id for copy in copies],
        "versions": [copy.original.version for copy in copies],
        "contents": [copy.original.content_number for copy in copies],
        "new": [copy.id for copy in copies],
        "numbers": [copy.number for copy in copies],
        "sessions": [copy.session_id for copy in copies],
        "session_numbers": [copy.session_number for copy in copies],
        "positions": [copy.position for copy in copies],
    }
    await session.run(_INSERT_MEMORIES, common)
    await session.run(_INSERT_CONTENTS, common)
    pairs = [((one.original.id, one.original.content_number), (one.id, one.number)) for one in copies]
    await packs.copy(session, target.id, pairs, now=operation.recorded_at)
    found, terms = (await session.fetch(_LIST_CHUNKS, common, tuple_row))[0]
    chunks = np.empty(0, np.int64) if found is None else np.asarray(found, np.int64)
    if len(chunks):
        renumbered = np.arange(target.next_chunk, target.next_chunk + len(chunks))
        await session.run(_INSERT_CHUNKS, {**common, "chunks": chunks.tolist(), "new_chunks": renumbered.tolist()})
        await _copy_postings(session, source_id, target, chunks)
    for statement in (_INSERT_LINEAGE, _INSERT_FACTS, _INSERT_TENSORS, _INSERT_PREFIXES):
        await session.run(statement, common)
    await advance_space(session, target.id, memories=len(copies), chunks=len(chunks), terms=terms)
    return len(chunks)


async def _copy_postings(session: WriteSession, source_id: SpaceId, target: Space, chunks: NDArray[np.int64]) -> None:
    rows = await session.fetch(
        "SELECT term, string_agg(entries, ''::bytea ORDER BY block) FROM postings "
        "WHERE tenant_id = %(tenant)s AND space_id = %(source)s GROUP BY term ORDER BY term",
        {"tenant": session.tenant_id, "source": source_id},
        tuple_row,
    )
    copied = renumber(rows, chunks, first=target.next_chunk)
    await session.run(
        _INSERT_POSTINGS,
        {
            "tenant": session.tenant_id,
            "target": target.id,
            "block": target.next_chunk,
            "terms": list(copied),
            "entries": list(copied.values()),
        },
    )


def renumber(rows: Sequence[tuple[str, bytes]], chunks: NDArray[np.int64], *, first: int) -> dict[str, bytes]:
    """The entries of these chunks by term, chunk number `chunks[i]` now `first + i`; in the order of the new ones."""
    if not rows:
        return {}
    entries = np.frombuffer(b"".join(row[1] for row in rows), POSTING)
    term = np.repeat(np.arange(len(rows)), [len(row[1]) // POSTING.itemsize for row in rows])
    order = np.argsort(chunks)
    place = np.minimum(np.searchsorted(chunks, entries["chunk"], sorter=order), len(chunks) - 1)
    kept = chunks[order[place]] == entries["chunk"]
    entries, term, new = entries[kept].copy(), term[kept], first + order[place[kept]]
    entries["chunk"] = new
    sorted_by = np.lexsort((new, term))
    entries, term = entries[sorted_by], term[sorted_by]
    starts = np.flatnonzero(np.diff(term, prepend=-1))
    ends = np.append(starts[1:], len(term))
    return {
        rows[int(term[start])][0]: entries[start:end].tobytes()
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    }
