"""Rows of tensor blobs: what a tenant holds, who may read it, and what nothing refers to any more.

A blob's bytes are put before its row is committed and deleted after its row is gone. `lock_blobs` orders the two, so
that no file is deleted which a row names.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import scalar_row, tuple_row

from memsvc.ids import MemoryId
from memsvc.store.access import When, parameters, visible
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.keys import Caller


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob that a row names."""

    hash: bytes
    bytes: int
    created_at: datetime


async def lock_blobs(session: WriteSession) -> None:
    """One transaction of the tenant at a time decides about quota and files."""
    await session.run(
        "SELECT pg_advisory_xact_lock(hashtextextended('memsvc blobs ' || %(tenant)s::text, 0))",
        {"tenant": session.tenant_id},
    )


async def used_bytes(session: ReadSession) -> int:
    """What the tenant's blobs take."""
    rows = await session.fetch(
        "SELECT coalesce(sum(bytes), 0)::bigint FROM blobs WHERE tenant_id = %(tenant)s",
        {"tenant": session.tenant_id},
        scalar_row,
    )
    return int(rows[0])


async def insert_blob(session: WriteSession, blob_hash: bytes, size: int, *, caller: Caller, now: datetime) -> bool:
    """Name a blob whose bytes are stored; whether it is new. A known one counts as uploaded now, by this caller."""
    rows = await session.fetch(
        "INSERT INTO blobs (tenant_id, hash, bytes, principal_id, created_at) "
        "VALUES (%(tenant)s, %(hash)s, %(bytes)s, %(principal)s, %(now)s) "
        "ON CONFLICT (tenant_id, hash) DO UPDATE SET principal_id = EXCLUDED.principal_id, "
        "created_at = EXCLUDED.created_at RETURNING xmax = 0",
        {
            "tenant": session.tenant_id,
            "hash": blob_hash,
            "bytes": size,
            "principal": caller.principal_id,
            "now": now,
        },
        scalar_row,
    )
    return bool(rows[0])


async def find_blob(
    session: ReadSession, blob_hash: bytes, *, caller: Caller, when: When, keep: bool = False
) -> Blob | None:
    """The blob, when the caller uploaded it last or may read a record that refers to it.

    To know a hash is not enough: it may be the hash of a private memory's cache. `keep`: its row stays until the
    transaction ends.
    """
    rows = await session.fetch(
        "SELECT b.hash, b.bytes, b.created_at FROM blobs b WHERE b.tenant_id = %(tenant)s AND b.hash = %(hash)s "
        "AND (b.principal_id = %(principal)s OR EXISTS (SELECT 1 FROM tensors t "
        "JOIN memories m ON m.tenant_id = t.tenant_id AND m.id = t.memory_id "
        f"WHERE t.tenant_id = %(tenant)s AND t.blob_hash = b.hash AND {visible()}))"
        f"{' FOR KEY SHARE OF b' if keep else ''}",
        {**parameters(session, caller, when), "hash": blob_hash},
        tuple_row,
    )
    return Blob(*rows[0]) if rows else None


async def named_hashes(session: ReadSession, hashes: Collection[bytes]) -> set[bytes]:
    """Those of these hashes that a row names."""
    rows = await session.fetch(
        "SELECT hash FROM blobs WHERE tenant_id = %(tenant)s AND hash = ANY (%(hashes)s)",
        {"tenant": session.tenant_id, "hashes": list(hashes)},
        scalar_row,
    )
    return set(rows)


async def release_blobs(session: WriteSession, memory_ids: Sequence[MemoryId]) -> list[bytes]:
    """Take these memories' tensors away, and the rows of blobs that nothing else refers to; returns their hashes.

    To be called before the memories are deleted. The blobs' bytes go once this is committed: enqueue the job that
    deletes them in the same transaction.
    """
    hashes = await session.fetch(
        "DELETE FROM tensors WHERE tenant_id = %(tenant)s AND memory_id = ANY (%(ids)s) RETURNING blob_hash",
        {"tenant": session.tenant_id, "ids": list(memory_ids)},
        scalar_row,
    )
    if not hashes:
        return []
    return await _delete_unused(session, "hash = ANY (%(hashes)s)", {"hashes": list(set(hashes))})


async def abandon_blobs(session: WriteSession, before: datetime) -> list[bytes]:
    """Take away the rows of blobs that were uploaded before that time and that no record refers to."""
    return await _delete_unused(session, f"created_at < %(before)s AND {_UNUSED}", {"before": before})


_UNUSED = "NOT EXISTS (SELECT 1 FROM tensors t WHERE t.tenant_id = b.tenant_id AND t.blob_hash = b.hash)"


async def _delete_unused(session: WriteSession, condition: str, values: dict[str, object]) -> list[bytes]:
    common = {"tenant": session.tenant_id, **values}
    # Two statements: a record being inserted holds its blob's row, and is seen only by what begins after the wait.
    locked = await session.fetch(
        f"SELECT b.hash FROM blobs b WHERE b.tenant_id = %(tenant)s AND {condition} ORDER BY b.hash FOR UPDATE",
        common,
        scalar_row,
    )
    return await session.fetch(
        f"DELETE FROM blobs b WHERE b.tenant_id = %(tenant)s AND b.hash = ANY (%(locked)s) AND {_UNUSED} "
        "RETURNING b.hash",
        {**common, "locked": locked},
        scalar_row,
    )
