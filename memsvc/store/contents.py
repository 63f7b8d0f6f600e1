"""Reading contents, wherever they are: in their rows, or in a pack."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from psycopg.rows import tuple_row

from memsvc.errors import PackCorruptError
from memsvc.ids import PackId
from memsvc.store.database import PipelinedSession, ReadSession
from memsvc.text.packing import Key, Pack, unpack

# One statement, so that a content is in the pack that its row names, whoever packs or unpacks beside it.
_READ = """
WITH wanted AS MATERIALIZED (
    SELECT v.memory_id, v.number, v.content, v.pack_id
    FROM unnest(%(ids)s::uuid[], %(numbers)s::bigint[]) AS w(id, number)
    JOIN contents v ON v.tenant_id = %(tenant)s AND v.memory_id = w.id AND v.number = w.number
)
SELECT memory_id, number, content, pack_id, NULL::text, NULL::bytea, NULL::bigint, NULL::bytea FROM wanted
UNION ALL
SELECT NULL, NULL, NULL, id, codec, data, raw_bytes, raw_hash FROM packs
WHERE tenant_id = %(tenant)s AND id IN (SELECT pack_id FROM wanted)
"""


async def read_texts(session: ReadSession | PipelinedSession, keys: Collection[Key]) -> dict[Key, str]:
    """These contents, packed or not; one that was erased is missing. `PackCorruptError` for a damaged pack."""
    if not keys:
        return {}
    rows = await session.fetch(
        _READ,
        {"tenant": session.tenant_id, "ids": [key[0] for key in keys], "numbers": [key[1] for key in keys]},
        tuple_row,
    )
    texts: dict[Key, str] = {}
    inside: dict[PackId, list[Key]] = {}
    packs: dict[PackId, Pack] = {}
    for memory_id, number, content, pack_id, *columns in rows:
        if memory_id is None:
            packs[pack_id] = Pack(*columns)
        elif pack_id is None:
            texts[memory_id, number] = content
        else:
            inside.setdefault(pack_id, []).append((memory_id, number))
    return await asyncio.to_thread(_unpack_into, texts, inside, packs) if packs else texts


def _unpack_into(
    texts: dict[Key, str], inside: Mapping[PackId, Sequence[Key]], packs: Mapping[PackId, Pack]
) -> dict[Key, str]:
    for pack_id, keys in inside.items():
        held = unpack(packs[pack_id])
        if not held.keys() >= set(keys):
            raise PackCorruptError(f"the pack {pack_id} lacks a content that names it")
        texts |= {key: held[key] for key in keys}
    return texts
