"""Erasing: every row that holds, indexes or was computed from a memory's content, and what refers to it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from psycopg.rows import tuple_row

from memsvc.ids import ErasureId, MemoryId, OperationId, PrincipalId, SpaceId
from memsvc.store import access, packs
from memsvc.store.access import When
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.keys import Caller
from memsvc.store.spaces import shrink_space
from memsvc.store.writes import POSTING


@dataclass(frozen=True, slots=True)
class Selection:
    """Which memories to erase: every condition that is given must hold; `space` alone is the whole space."""

    memories: Sequence[MemoryId] | None = None
    space: str | None = None
    session: str | None = None
    subject: str | None = None
    actor: str | None = None
    kinds: Sequence[str] | None = None
    roles: Sequence[str] | None = None
    names: Sequence[str] | None = None
    sessions: Sequence[str] | None = None
    metadata: Mapping[str, Any] | None = None
    occurred_from: datetime | None = None
    occurred_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Selected:
    """A memory that a selection names, or that derives from one; `sources` are those it has."""

    id: MemoryId
    space_id: SpaceId
    number: int
    version: int
    origin: str
    state: str
    legal_hold: bool
    allowed: bool
    sources: Sequence[MemoryId] = field(default=())


@dataclass(frozen=True, slots=True)
class Removed:
    """How many rows went, by table."""

    memories: int
    versions: int
    chunks: int
    postings: int
    receipts: int
    sessions: int


async def select(session: ReadSession, selection: Selection, *, caller: Caller, when: When) -> list[Selected]:
    """What the selection names, whether or not the caller may erase it; nothing that he could not know of.

    Expired memories are included: they are out of recall and still there.
    """
    wanted: dict[str, tuple[str, object]] = {
        "ids": ("m.id = ANY (%(ids)s)", _list(selection.memories)),
        "space": ("sp.name = %(space)s", selection.space),
        "session": ("se.name = %(session)s", selection.session),
        "subject": ("m.name = %(subject)s", selection.subject),
        "actor": ("p.name = %(actor)s", selection.actor),
        "kinds": ("m.kind = ANY (%(kinds)s)", _list(selection.kinds)),
        "roles": ("m.role = ANY (%(roles)s)", _list(selection.roles)),
        "names": ("m.name = ANY (%(names)s)", _list(selection.names)),
        "sessions": ("se.name = ANY (%(sessions)s)", _list(selection.sessions)),
        "metadata": (
            "m.metadata @> %(metadata)s::jsonb",
            None if selection.metadata is None else orjson.dumps(selection.metadata).decode(),
        ),
        "occurred_from": ("m.occurred_at >= %(occurred_from)s", selection.occurred_from),
        "occurred_to": ("m.occurred_at <= %(occurred_to)s", selection.occurred_to),
    }
    where = [clause for clause, value in wanted.values() if value is not None]
    rows = await session.fetch(
        "SELECT m.id, m.space_id, m.number, m.version, m.origin, m.state, m.legal_hold, "
        f"{access.permitted('erase')} FROM memories m "
        "JOIN spaces sp ON sp.tenant_id = m.tenant_id AND sp.id = m.space_id "
        "JOIN principals p ON p.tenant_id = m.tenant_id AND p.id = m.principal_id "
        "LEFT JOIN sessions se ON se.tenant_id = m.tenant_id AND se.id = m.session_id "
        f"WHERE {' AND '.join(['m.tenant_id = %(tenant)s', *where])} "
        f"AND (%(admin)s OR {access.permitted('read')}) ORDER BY m.space_id, m.number",
        {
            **access.parameters(session, caller, when),
            **{name: value for name, (_, value) in wanted.items() if value is not None},
        },
        tuple_row,
    )
    return [Selected(*row) for row in rows]


async def derived(session: ReadSession, ids: Collection[MemoryId]) -> list[Selected]:
    """Everything that derives from these memories, at any depth and in any space, sources before what uses them."""
    rows = await session.fetch(
        "WITH RECURSIVE below AS (SELECT l.derived_id AS id FROM lineage l "
        "WHERE l.tenant_id = %(tenant)s AND l.source_id = ANY (%(ids)s) "
        "UNION SELECT l.derived_id FROM below JOIN lineage l ON l.tenant_id = %(tenant)s AND l.source_id = below.id) "
        "SELECT m.id, m.space_id, m.number, m.version, m.origin, m.state, m.legal_hold, true, "
        "ARRAY(SELECT l.source_id FROM lineage l WHERE l.tenant_id = %(tenant)s AND l.derived_id = m.id) "
        "FROM below JOIN memories m ON m.tenant_id = %(tenant)s AND m.id = below.id "
        "WHERE m.id <> ALL (%(ids)s)",
        {"tenant": session.tenant_id, "ids": list(ids)},
        tuple_row,
    )
    found = {row[0]: Selected(*row) for row in rows}
    ordered: dict[MemoryId, Selected] = {}
    waiting = dict(sorted(found.items()))
    while waiting:
        ready = [one for one in waiting.values() if not any(source in waiting for source in one.sources)]
        for one in ready:
            ordered[one.id] = waiting.pop(one.id)
    return list(ordered.values())


async def remove(session: WriteSession, space_id: SpaceId, ids: Sequence[MemoryId]) -> Removed:
    """Erase these memories of a locked space with all that was made of them in the store, and count it down."""
    common = {"tenant": session.tenant_id, "space": space_id, "ids": list(ids)}
    await packs.erase(session, ids)
    postings = await _remove_postings(session, common)
    chunks = await session.fetch(
        "DELETE FROM chunks WHERE tenant_id = %(tenant)s AND memory_id = ANY (%(ids)s) RETURNING length",
        common,
        tuple_row,
    )
    for table in ("contents", "tensor_prefixes", "tensors", "grants"):
        await session.run(f"DELETE FROM {table} WHERE tenant_id = %(tenant)s AND memory_id = ANY (%(ids)s)", common)
    receipts = await _strip_receipts(session, space_id, ids)
    await session.run(
        "UPDATE operations SET reason = NULL WHERE tenant_id = %(tenant)s AND reason IS NOT NULL AND id IN ("
        "SELECT operation_id FROM memories WHERE tenant_id = %(tenant)s AND id = ANY (%(ids)s) "
        "UNION SELECT operation_id FROM memory_history WHERE tenant_id = %(tenant)s AND id = ANY (%(ids)s))",
        common,
    )
    sessions = await session.fetch(
        "SELECT DISTINCT session_id FROM memories WHERE tenant_id = %(tenant)s AND id = ANY (%(ids)s) "
        "AND session_id IS NOT NULL",
        common,
        tuple_row,
    )
    versions = await session.run(
        "DELETE FROM memory_history WHERE tenant_id = %(tenant)s AND id = ANY (%(ids)s)", common
    )
    memories = await session.run("DELETE FROM memories WHERE tenant_id = %(tenant)s AND id = ANY (%(ids)s)", common)
    emptied = await session.run(
        "DELETE FROM sessions s WHERE s.tenant_id = %(tenant)s AND s.id = ANY (%(sessions)s) AND NOT EXISTS "
        "(SELECT 1 FROM memories m WHERE m.tenant_id = s.tenant_id AND m.session_id = s.id)",
        {**common, "sessions": [row[0] for row in sessions]},
    )
    await session.run(
        "UPDATE spaces SET memories = memories - %(memories)s, chunks = chunks - %(chunks)s, "
        "terms = terms - %(terms)s WHERE tenant_id = %(tenant)s AND id = %(space)s",
        {**common, "memories": memories, "chunks": len(chunks), "terms": sum(row[0] for row in chunks)},
    )
    return Removed(memories, versions + memories, len(chunks), postings, receipts, emptied)


async def remove_chunks(session: WriteSession, space_id: SpaceId, ids: Sequence[MemoryId]) -> tuple[int, int]:
    """Take these memories of a locked space out of both indexes, and count their chunks down; what they say stays.

    Returns how many chunks went, and how many bytes their rows had.
    """
    common = {"tenant": session.tenant_id, "space": space_id, "ids": list(ids)}
    await _remove_postings(session, common)
    chunks = await session.fetch(
        "DELETE FROM chunks c WHERE c.tenant_id = %(tenant)s AND c.memory_id = ANY (%(ids)s) "
        "RETURNING c.length, pg_column_size(c.*)",
        common,
        tuple_row,
    )
    terms = sum(row[0] for row in chunks)
    await shrink_space(session, space_id, memories=0, chunks=len(chunks), terms=terms)
    return len(chunks), sum(row[1] for row in chunks)


async def forget_past(session: WriteSession, space_id: SpaceId, memory_id: MemoryId) -> None:
    """Remove every content and version of a memory but the current one, which was made without what they held."""
    common = {"tenant": session.tenant_id, "space": space_id, "ids": [memory_id]}
    await packs.erase(session, [memory_id], past=True)
    await _remove_postings(session, common, past=True)
    past = (
        "tenant_id = %(tenant)s AND memory_id = ANY (%(ids)s) AND {column} <> (SELECT m.content_number "
        "FROM memories m WHERE m.tenant_id = %(tenant)s AND m.id = memory_id)"
    )
    chunks = await session.fetch(
        f"DELETE FROM chunks WHERE {past.format(column='content_number')} RETURNING length", common, tuple_row
    )
    await session.run(f"DELETE FROM contents WHERE {past.format(column='number')}", common)
    await session.run("DELETE FROM memory_history WHERE tenant_id = %(tenant)s AND id = ANY (%(ids)s)", common)
    await session.run(
        "UPDATE spaces SET chunks = chunks - %(chunks)s, terms = terms - %(terms)s "
        "WHERE tenant_id = %(tenant)s AND id = %(space)s",
        {**common, "chunks": len(chunks), "terms": sum(row[0] for row in chunks)},
    )


async def insert_tombstones(
    session: WriteSession, operation_id: OperationId, ids: Sequence[MemoryId], *, named: Collection[MemoryId]
) -> None:
    """Say to who follows the space which memories go: ids alone. They are still there, and say who may know of them."""
    of_group = (
        "SELECT gm.principal_id FROM grants g JOIN group_members gm ON gm.tenant_id = g.tenant_id "
        "AND gm.group_id = g.group_id WHERE g.tenant_id = m.tenant_id AND g.space_id = m.space_id "
        "AND g.memory_id = m.id AND 'read' = ANY (g.rights)"
    )
    await session.run(
        "INSERT INTO tombstones (tenant_id, operation_id, memory_id, named, readers) "
        "SELECT m.tenant_id, %(operation)s, m.id, m.id = ANY (%(named)s), CASE WHEN m.visibility = 'private' THEN "
        "ARRAY(SELECT m.principal_id UNION SELECT g.principal_id FROM grants g WHERE g.tenant_id = m.tenant_id "
        "AND g.space_id = m.space_id AND g.memory_id = m.id AND 'read' = ANY (g.rights) "
        f"AND g.principal_id IS NOT NULL UNION {of_group}) END "
        "FROM memories m WHERE m.tenant_id = %(tenant)s AND m.id = ANY (%(ids)s)",
        {"tenant": session.tenant_id, "operation": operation_id, "ids": list(ids), "named": list(named)},
    )


async def remove_space(session: WriteSession, space_id: SpaceId, *, caller: Caller) -> None:
    """Remove an emptied space with its operations, receipts, sessions, grants and policies.

    It stays when it still holds what the caller could not see, and when he may not erase in it.
    """
    await session.run(
        "DELETE FROM spaces sp WHERE sp.tenant_id = %(tenant)s AND sp.id = %(space)s AND NOT EXISTS "
        "(SELECT 1 FROM memories m WHERE m.tenant_id = sp.tenant_id AND m.space_id = sp.id) "
        f"AND {access.space_allows('erase', 'sp.id')}",
        {
            "tenant": session.tenant_id,
            "space": space_id,
            "principal": caller.principal_id,
            "admin": caller.admin,
        },
    )


async def insert_receipt(
    session: WriteSession,
    erasure_id: ErasureId,
    receipt: Mapping[str, object],
    *,
    principal_id: PrincipalId,
    now: datetime,
) -> None:
    """Keep the signed receipt of an erasure."""
    await session.run(
        "INSERT INTO erasures (tenant_id, id, principal_id, recorded_at, receipt) "
        "VALUES (%(tenant)s, %(id)s, %(principal)s, %(now)s, %(receipt)s::jsonb)",
        {
            "tenant": session.tenant_id,
            "id": erasure_id,
            "principal": principal_id,
            "now": now,
            "receipt": orjson.dumps(receipt).decode(),
        },
    )


async def find_receipt(session: ReadSession, erasure_id: ErasureId) -> Mapping[str, Any] | None:
    """The signed receipt of an erasure."""
    rows = await session.fetch(
        "SELECT receipt FROM erasures WHERE tenant_id = %(tenant)s AND id = %(id)s",
        {"tenant": session.tenant_id, "id": erasure_id},
        tuple_row,
    )
    return rows[0][0] if rows else None


async def _remove_postings(session: WriteSession, common: Mapping[str, object], *, past: bool = False) -> int:
    """Take the memories' chunks out of the lexical index, and with them their words; how many entries lists changed.

    The index is read whole: a term that the text analysis of today would not make is found too.
    """
    only = (
        " AND c.content_number <> (SELECT m.content_number FROM memories m WHERE m.tenant_id = c.tenant_id "
        "AND m.id = c.memory_id)"
        if past
        else ""
    )
    chunks = await session.fetch(
        f"SELECT c.number FROM chunks c WHERE c.tenant_id = %(tenant)s AND c.memory_id = ANY (%(ids)s){only}",
        common,
        tuple_row,
    )
    if not chunks:
        return 0
    gone = np.array(sorted(row[0] for row in chunks), np.int64)
    rows = await session.fetch(
        "SELECT term, block, entries FROM postings WHERE tenant_id = %(tenant)s AND space_id = %(space)s "
        "AND block <= %(last)s",
        {**common, "last": int(gone[-1])},
        tuple_row,
    )
    kept = _without(rows, gone)
    await session.run(
        "UPDATE postings p SET entries = new.entries "
        "FROM unnest(%(terms)s::text[], %(blocks)s::bigint[], %(entries)s::bytea[]) AS new(term, block, entries) "
        "WHERE p.tenant_id = %(tenant)s AND p.space_id = %(space)s AND p.term = new.term AND p.block = new.block",
        {
            **common,
            "terms": [term for term, _, entries in kept if entries],
            "blocks": [block for _, block, entries in kept if entries],
            "entries": [entries for _, _, entries in kept if entries],
        },
    )
    await session.run(
        "DELETE FROM postings p USING unnest(%(terms)s::text[], %(blocks)s::bigint[]) AS old(term, block) "
        "WHERE p.tenant_id = %(tenant)s AND p.space_id = %(space)s AND p.term = old.term AND p.block = old.block",
        {
            **common,
            "terms": [term for term, _, entries in kept if not entries],
            "blocks": [block for _, block, entries in kept if not entries],
        },
    )
    return len(kept)


def _without(rows: Sequence[tuple[str, int, bytes]], gone: NDArray[np.int64]) -> list[tuple[str, int, bytes]]:
    """The lists that held a chunk of `gone`, without it; all of them are looked through at once."""
    if not rows:
        return []
    sizes = np.array([len(row[2]) // POSTING.itemsize for row in rows])
    entries = np.frombuffer(b"".join(row[2] for row in rows), POSTING)
    removed = np.isin(entries["chunk"], gone)
    ends = np.cumsum(sizes)
    counts = np.add.reduceat(removed, ends - sizes) if len(entries) else np.zeros(len(rows), int)
    result = []
    for index in np.flatnonzero(counts).tolist():
        part = slice(ends[index] - sizes[index], ends[index])
        result.append((rows[index][0], rows[index][1], entries[part][~removed[part]].tobytes()))
    return result


async def _strip_receipts(session: WriteSession, space_id: SpaceId, ids: Sequence[MemoryId]) -> int:
    """Take the memories out of the receipts of their writes.

    The Idempotency-Key stays, without the hash of its request: a late retry must not bring back what was erased.
    """
    return await session.run(
        "UPDATE receipts r SET request_hash = ''::bytea, items = coalesce((SELECT jsonb_agg(item) "
        "FROM jsonb_array_elements(r.items) AS item WHERE NOT (item ->> 0 = ANY (%(names)s::text[]))), '[]'::jsonb) "
        "WHERE r.tenant_id = %(tenant)s AND r.space_id = %(space)s AND EXISTS (SELECT 1 "
        "FROM jsonb_array_elements(r.items) AS item WHERE item ->> 0 = ANY (%(names)s::text[]))",
        {"tenant": session.tenant_id, "space": space_id, "names": [str(memory_id) for memory_id in ids]},
    )


def _list(values: Sequence[Any] | None) -> list[Any] | None:
    return None if values is None else list(values)
