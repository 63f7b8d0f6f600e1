"""The lexical index: for every term of a space, which chunks hold it, how often, and how long they are.

A write adds one block of entries a term. True BM25 needs the real document frequency, which is the number of a term's
entries, so entries of removed chunks are taken out at once.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text

from memsvc.ids import SpaceId
from memsvc.store.database import WriteSession
from memsvc.store.writes import POSTING

Postings = NDArray[np.void]

# Blocks are joined once a term has this many, so that a space written turn by turn is read as fast as a bulk one.
COMPACT_BLOCKS = 64


def read_entries(entries: bytes) -> Postings:
    """The (chunk, tf, length) entries of one term."""
    return np.frombuffer(entries, POSTING)


async def remove_postings(
    session: WriteSession, space_id: SpaceId, chunks: Collection[int], terms: Collection[str]
) -> None:
    """Take out the entries of these chunks under these terms (all that they hold); the space must be locked."""
    if not chunks or not terms:
        return
    keys = {"tenant": session.tenant_id, "space": space_id}
    rows = await session.execute(
        text(
            "SELECT term, block, entries FROM postings WHERE tenant_id = :tenant AND space_id = :space "
            "AND term = ANY(:terms) AND block <= :last"
        ),
        {**keys, "terms": list(terms), "last": max(chunks)},
    )
    gone = np.array(sorted(chunks), np.uint32)
    changed: list[dict[str, object]] = []
    for row in rows:
        entries = np.frombuffer(row.entries, POSTING)
        kept = entries[~np.isin(entries["chunk"], gone)]
        if len(kept) < len(entries):
            changed.append({**keys, "term": row.term, "block": row.block, "entries": kept.tobytes()})
    if changed:
        place = "tenant_id = :tenant AND space_id = :space AND term = :term AND block = :block"
        await session.execute(text(f"UPDATE postings SET entries = :entries WHERE {place}"), changed)
        await session.execute(text(f"DELETE FROM postings WHERE {place} AND entries = ''"), changed)


async def compact_postings(session: WriteSession, space_id: SpaceId) -> int:
    """Join the blocks of terms that have many; returns how many terms. The space must be locked."""
    keys = {"tenant": session.tenant_id, "space": space_id}
    result = await session.execute(
        text(
            "WITH many AS (SELECT term FROM postings WHERE tenant_id = :tenant AND space_id = :space "
            "GROUP BY term HAVING count(*) >= :blocks), "
            "gone AS (DELETE FROM postings p USING many WHERE p.tenant_id = :tenant AND p.space_id = :space "
            "AND p.term = many.term AND p.block <> (SELECT min(q.block) FROM postings q WHERE q.tenant_id = :tenant "
            "AND q.space_id = :space AND q.term = p.term) RETURNING p.term, p.block, p.entries), "
            "joined AS (SELECT term, string_agg(entries, ''::bytea ORDER BY block) AS entries FROM gone GROUP BY term) "
            "UPDATE postings p SET entries = p.entries || joined.entries FROM joined "
            "WHERE p.tenant_id = :tenant AND p.space_id = :space AND p.term = joined.term "
            "AND NOT EXISTS (SELECT 1 FROM gone WHERE gone.term = p.term AND gone.block = p.block)"
        ),
        {**keys, "blocks": COMPACT_BLOCKS},
    )
    return result.rowcount
