"""Reading, listing, changing and deleting records."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import text

from memsvc.errors import NotFoundError
from memsvc.ids import MemoryId, OperationId, PrincipalId, SpaceId, new_uuid
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.postings import remove_postings
from memsvc.store.spaces import Space, shrink_space
from memsvc.store.writes import ChunkedContent, insert_chunks


@dataclass(frozen=True, slots=True)
class Record:
    """A memory in its current version, with the names its ids stand for."""

    id: MemoryId
    space_id: SpaceId
    space: str
    number: int
    kind: str
    payload_type: str
    content: str
    role: str | None
    name: str | None
    session: str | None
    session_number: int | None
    position: int | None
    origin: str
    actor: str
    occurred_at: datetime | None
    occurred_zone: str | None
    recorded_at: datetime
    updated_at: datetime
    state: str
    version: int
    importance: float
    strength: float
    trust: float
    access_count: int
    last_accessed_at: datetime | None
    sensitivity: str
    visibility: str
    expires_at: datetime | None
    legal_hold: bool
    content_hash: str
    searchable: bool
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ListFilter:
    """Conditions of a listing; None is no condition."""

    space: str | None = None
    kind: str | None = None
    role: str | None = None
    name: str | None = None
    session: str | None = None
    state: str | None = None


RECORD_COLUMNS = """
m.id, m.space_id, sp.name AS space, m.number, m.kind, m.payload_type, v.content, m.role, m.name, se.name AS session,
m.session_number, m.position, m.origin, p.name AS actor, m.occurred_at, m.occurred_zone, m.recorded_at, m.updated_at,
m.state, m.version, m.importance, m.strength, m.trust, m.access_count, m.last_accessed_at, m.sensitivity, m.visibility,
m.expires_at, m.legal_hold, encode(m.content_hash, 'hex') AS content_hash, m.searchable, m.metadata
"""
RECORD_JOINS = """
JOIN memory_versions v ON v.tenant_id = m.tenant_id AND v.memory_id = m.id AND v.version = m.version
JOIN spaces sp ON sp.tenant_id = m.tenant_id AND sp.id = m.space_id
JOIN principals p ON p.tenant_id = m.tenant_id AND p.id = m.principal_id
LEFT JOIN sessions se ON se.tenant_id = m.tenant_id AND se.id = m.session_id
"""
RECORD_TABLES = f"memories m {RECORD_JOINS}"
# A private memory is its author's alone; an expired one is nobody's, whether or not a worker has swept it.
VISIBLE = (
    "(m.visibility <> 'private' OR m.principal_id = %(principal)s) AND (m.expires_at IS NULL OR m.expires_at > %(now)s)"
)
_VISIBLE = VISIBLE.replace("%(principal)s", ":principal").replace("%(now)s", ":now")


async def get_record(session: ReadSession, memory_id: MemoryId, *, principal_id: PrincipalId, now: datetime) -> Record:
    """The memory with this id; `NotFoundError` when there is none that this principal may see."""
    row = (
        await session.execute(
            text(
                f"SELECT {RECORD_COLUMNS} FROM {RECORD_TABLES} "
                f"WHERE m.tenant_id = :tenant AND m.id = :id AND {_VISIBLE}"
            ),
            {"tenant": session.tenant_id, "id": memory_id, "principal": principal_id, "now": now},
        )
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no memory {memory_id}")
    return to_record(row)


async def list_records(
    session: ReadSession,
    conditions: ListFilter,
    *,
    principal_id: PrincipalId,
    now: datetime,
    after: tuple[str, int] | None,
    limit: int,
) -> list[Record]:
    """Up to `limit` memories by (space, number), after the given keyset position."""
    wanted = {
        "sp.name": ("space", conditions.space),
        "m.kind": ("kind", conditions.kind),
        "m.role": ("role", conditions.role),
        "m.name": ("name", conditions.name),
        "se.name": ("session", conditions.session),
        "m.state": ("state", conditions.state),
    }
    where = [f"{column} = :{name}" for column, (name, value) in wanted.items() if value is not None]
    if after is not None:
        where.append("(sp.name, m.number) > (:after_space, :after_number)")
    rows = await session.execute(
        text(
            f"SELECT {RECORD_COLUMNS} FROM {RECORD_TABLES} "
            f"WHERE {' AND '.join(['m.tenant_id = :tenant', _VISIBLE, *where])} ORDER BY sp.name, m.number LIMIT :limit"
        ),
        {
            "tenant": session.tenant_id,
            "principal": principal_id,
            "now": now,
            "limit": limit,
            "after_space": after[0] if after else None,
            "after_number": after[1] if after else None,
            **{name: value for name, value in wanted.values() if value is not None},
        },
    )
    return [to_record(row) for row in rows]


async def lock_record(
    session: WriteSession, memory_id: MemoryId, *, principal_id: PrincipalId, now: datetime
) -> tuple[Record, Space]:
    """The memory, after locking its space as every writer does."""
    record = await get_record(session, memory_id, principal_id=principal_id, now=now)
    row = (
        await session.execute(
            text(
                "SELECT next_memory, next_chunk, ann FROM spaces WHERE tenant_id = :tenant AND id = :space FOR UPDATE"
            ),
            {"tenant": session.tenant_id, "space": record.space_id},
        )
    ).one()
    record = await get_record(session, memory_id, principal_id=principal_id, now=now)
    return record, Space(record.space_id, record.space, row.next_memory, row.next_chunk, row.ann)


async def update_header(
    session: WriteSession,
    memory_id: MemoryId,
    changes: Mapping[str, object],
    *,
    now: datetime,
) -> None:
    """Set header columns; `changes` holds names from `PATCHABLE` only."""
    unknown = set(changes) - PATCHABLE
    if unknown:
        raise ValueError(f"not patchable: {sorted(unknown)}")
    values = {name: orjson.dumps(value).decode() if name == "metadata" else value for name, value in changes.items()}
    sets = [f"{name} = CAST(:{name} AS jsonb)" if name == "metadata" else f"{name} = :{name}" for name in changes]
    await session.execute(
        text(
            f"UPDATE memories SET {', '.join([*sets, 'version = version + 1', 'updated_at = :now'])} "
            "WHERE tenant_id = :tenant AND id = :id"
        ),
        {**values, "tenant": session.tenant_id, "id": memory_id, "now": now},
    )


PATCHABLE = frozenset({"importance", "metadata", "occurred_at", "expires_at", "content_hash", "searchable"})


async def insert_version(
    session: WriteSession,
    record: Record,
    content: str,
    content_hash: bytes,
    *,
    principal_id: PrincipalId,
    now: datetime,
) -> None:
    """Store the content of the version after `record`'s."""
    await session.execute(
        text(
            "INSERT INTO memory_versions (tenant_id, memory_id, version, content, content_hash, principal_id, "
            "recorded_at) VALUES (:tenant, :id, :version, :content, :hash, :principal, :now)"
        ),
        {
            "tenant": session.tenant_id,
            "id": record.id,
            "version": record.version + 1,
            "content": content,
            "hash": content_hash,
            "principal": principal_id,
            "now": now,
        },
    )


async def replace_chunks(
    session: WriteSession,
    space: Space,
    content: ChunkedContent,
    *,
    old_terms: Collection[str],
    encoder_id: int,
) -> None:
    """Swap a memory's units of search for new ones; the space must be locked."""
    removed, terms = await _remove_chunks(session, space.id, content.memory_id, old_terms)
    await insert_chunks(session, space, [content], encoder_id)
    added = sum(chunk.length for chunk in content.chunks)
    await session.execute(
        text(
            "UPDATE spaces SET next_chunk = next_chunk + :added, chunks = chunks + :added - :removed, "
            "terms = terms + :terms WHERE tenant_id = :tenant AND id = :space"
        ),
        {
            "tenant": session.tenant_id,
            "space": space.id,
            "added": len(content.chunks),
            "removed": removed,
            "terms": added - terms,
        },
    )


async def delete_record(session: WriteSession, space: Space, memory_id: MemoryId, terms: Collection[str]) -> None:
    """Remove a memory with its versions, chunks, edges and the postings of its `terms`; the space must be locked."""
    chunks, length = await _remove_chunks(session, space.id, memory_id, terms)
    await session.execute(
        text("DELETE FROM memories WHERE tenant_id = :tenant AND id = :id"),
        {"tenant": session.tenant_id, "id": memory_id},
    )
    await shrink_space(session, space.id, memories=1, chunks=chunks, terms=length)


async def _remove_chunks(
    session: WriteSession, space_id: SpaceId, memory_id: MemoryId, terms: Collection[str]
) -> tuple[int, int]:
    rows = (
        await session.execute(
            text("DELETE FROM chunks WHERE tenant_id = :tenant AND memory_id = :id RETURNING number, length"),
            {"tenant": session.tenant_id, "id": memory_id},
        )
    ).all()
    await remove_postings(session, space_id, [row.number for row in rows], terms)
    return len(rows), sum(row.length for row in rows)


async def record_operation(
    session: WriteSession,
    kind: str,
    record: Record,
    *,
    principal_id: PrincipalId,
    now: datetime,
    after: Mapping[str, object] | None,
) -> OperationId:
    """Note who changed what, when: header fields and version numbers, never content."""
    operation_id = OperationId(new_uuid())
    keys = {"tenant": session.tenant_id, "operation": operation_id}
    await session.execute(
        text(
            "INSERT INTO operations (tenant_id, id, space_id, kind, principal_id, recorded_at) "
            "VALUES (:tenant, :operation, :space, :kind, :principal, :now)"
        ),
        {**keys, "space": record.space_id, "kind": kind, "principal": principal_id, "now": now},
    )
    before = {
        "version": record.version,
        "state": record.state,
        "importance": record.importance,
        "occurred_at": record.occurred_at,
        "expires_at": record.expires_at,
    }
    await session.execute(
        text(
            "INSERT INTO operation_changes (tenant_id, operation_id, memory_id, before, after) "
            "VALUES (:tenant, :operation, :memory, CAST(:before AS jsonb), CAST(:after AS jsonb))"
        ),
        {
            **keys,
            "memory": record.id,
            "before": orjson.dumps(before).decode(),
            "after": None if after is None else orjson.dumps(after).decode(),
        },
    )
    return operation_id


def to_record(row: Any) -> Record:
    """A row of `RECORD_COLUMNS`."""
    return Record(**{name: getattr(row, name) for name in Record.__slots__})
