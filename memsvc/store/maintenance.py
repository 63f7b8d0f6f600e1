"""What background work reads and writes: pending embeddings, the move to HNSW, access statistics, sizes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import tuple_row
from sqlalchemy import text

from memsvc.ids import MemoryId, SpaceId
from memsvc.inference.types import Embeddings
from memsvc.store.arrays import VectorArray
from memsvc.store.curve import reinforce
from memsvc.store.database import ReadSession, WriteSession


@dataclass(frozen=True, slots=True)
class PendingChunk:
    """A chunk without a vector, and what its vector is made from."""

    number: int
    memory_id: MemoryId
    name: str | None
    content: str


async def pending_chunks(session: ReadSession, space_id: SpaceId, *, limit: int) -> list[PendingChunk]:
    """The oldest chunks of the space that have no vector yet."""
    rows = await session.fetch(
        "SELECT c.number, c.memory_id, m.name, substr(v.content, c.start_char + 1, c.end_char - c.start_char) "
        "FROM memories m JOIN chunks c ON c.tenant_id = m.tenant_id AND c.memory_id = m.id "
        "AND c.content_number = m.content_number AND c.vec IS NULL "
        "JOIN contents v ON v.tenant_id = m.tenant_id AND v.memory_id = m.id AND v.number = m.content_number "
        "WHERE m.tenant_id = %(tenant)s AND m.space_id = %(space)s AND NOT m.searchable "
        "ORDER BY m.number, c.ordinal LIMIT %(limit)s",
        {"tenant": session.tenant_id, "space": space_id, "limit": limit},
        tuple_row,
    )
    return [PendingChunk(*row) for row in rows]


async def store_embeddings(
    session: WriteSession, space_id: SpaceId, pending: Sequence[PendingChunk], made: Embeddings, *, encoder_id: int
) -> None:
    """Give each chunk its own of what was `made`. A chunk that was replaced meanwhile is passed over."""
    driver = await session.driver()
    keys = {"tenant": session.tenant_id, "space": space_id}
    await driver.execute(
        "UPDATE chunks c SET vec = new.vec, codes = new.codes, encoder_id = %(encoder)s, dimension = %(dimension)s "
        "FROM unnest(%(numbers)s::bigint[], %(vectors)s::vector[], %(codes)b::bytea[]) AS new(number, vec, codes) "
        "WHERE c.tenant_id = %(tenant)s AND c.space_id = %(space)s AND c.number = new.number AND c.vec IS NULL",
        {
            **keys,
            "encoder": encoder_id,
            "dimension": made.vectors.shape[1],
            "numbers": [chunk.number for chunk in pending],
            "vectors": VectorArray(made.vectors),
            "codes": [code or None for code in made.codes],
        },
    )
    await driver.execute(
        "UPDATE memories m SET searchable = true WHERE m.tenant_id = %(tenant)s AND m.id = ANY(%(ids)s) "
        "AND NOT EXISTS (SELECT 1 FROM chunks c WHERE c.tenant_id = m.tenant_id AND c.memory_id = m.id "
        "AND c.content_number = m.content_number AND c.vec IS NULL)",
        {**keys, "ids": list({chunk.memory_id for chunk in pending})},
    )


async def index_chunks(session: WriteSession, space_id: SpaceId, *, limit: int) -> int:
    """Move up to `limit` chunks of the space into the HNSW index; returns how many were moved."""
    result = await session.execute(
        text(
            "UPDATE chunks c SET ann = true FROM (SELECT number FROM chunks WHERE tenant_id = :tenant "
            "AND space_id = :space AND NOT ann ORDER BY number LIMIT :limit) AS next "
            "WHERE c.tenant_id = :tenant AND c.space_id = :space AND c.number = next.number"
        ),
        {"tenant": session.tenant_id, "space": space_id, "limit": limit},
    )
    return result.rowcount


async def lock_space_by_id(session: WriteSession, space_id: SpaceId) -> bool:
    """Lock a space as every writer does; False when it is gone."""
    row = await session.execute(
        text("SELECT 1 FROM spaces WHERE tenant_id = :tenant AND id = :space FOR UPDATE"),
        {"tenant": session.tenant_id, "space": space_id},
    )
    return row.first() is not None


async def mark_indexed(session: WriteSession, space_id: SpaceId) -> None:
    """From now on the space is searched through HNSW, and new chunks enter it."""
    await session.execute(
        text("UPDATE spaces SET ann = true WHERE tenant_id = :tenant AND id = :space"),
        {"tenant": session.tenant_id, "space": space_id},
    )


async def record_accesses(session: WriteSession, counts: Mapping[MemoryId, int], *, now: datetime) -> None:
    """Add to the access statistics of these memories, and strengthen those that nothing did in the last day."""
    await reinforce(session, counts, "recalled", now=now)


async def storage(session: ReadSession) -> tuple[int, int]:
    """Bytes of the memory tables with their indexes (all tenants), and this tenant's memories."""
    row = (
        await session.execute(
            text(
                "SELECT (SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c WHERE c.relkind = 'r' "
                "AND c.relname IN ('memories', 'memory_history', 'contents', 'packs', 'chunks', 'postings'))::bigint "
                "AS bytes, "
                "(SELECT coalesce(sum(memories), 0) FROM spaces WHERE tenant_id = :tenant)::bigint AS memories"
            ),
            {"tenant": session.tenant_id},
        )
    ).one()
    return row.bytes, row.memories
