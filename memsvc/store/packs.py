"""Packs: contents that left the hot tier. A pack holds exactly the contents that name it, of one space.

Reading is the same as of any content; what is packed has no chunks, and so is found by no search.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Literal

from psycopg.rows import tuple_row

from memsvc.ids import MemoryId, PackId, SpaceId, new_uuid
from memsvc.store import access
from memsvc.store.access import When
from memsvc.store.contents import read_texts
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.keys import Caller
from memsvc.store.scope import CURRENT_STATES
from memsvc.text.packing import Key, Pack, group, pack, unpack

# States in which a memory may be changed at all; what is frozen stays as it is.
EDITABLE_STATES = ("generated", "activated", "merged", "archived")
# Over `memories m`: it has a successor, and no longer holds.
_REPLACED = "(m.superseded_by IS NOT NULL AND coalesce(m.valid_to <= %(now)s, false))"
_LOOSE = (
    "EXISTS (SELECT 1 FROM contents v WHERE v.tenant_id = m.tenant_id AND v.memory_id = m.id AND v.pack_id IS NULL)"
)


# How far a restore reaches from a memory.
Level = Literal["memory", "topic", "session"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to pack: what is `archived`, and was neither changed nor used after `untouched_since` (None: whenever);
    what is `superseded` and no longer holds, archived or not."""

    space_id: SpaceId
    archived: bool
    untouched_since: datetime | None
    superseded: bool
    limit: int


@dataclass(frozen=True, slots=True)
class Loose:
    """A content in the hot tier. `hash`: its SHA-256, as the versions that have it say."""

    memory_id: MemoryId
    number: int
    session: int | None
    text: str
    hash: bytes

    @property
    def key(self) -> Key:
        """What names it in a pack."""
        return self.memory_id, self.number


@dataclass(frozen=True, slots=True)
class Packed:
    """A packed content, unpacked. `current`: its memory has no later one."""

    memory_id: MemoryId
    number: int
    name: str | None
    current: bool
    text: str

    @property
    def key(self) -> Key:
        """What names it in a pack."""
        return self.memory_id, self.number


@dataclass(frozen=True, slots=True)
class NewPack:
    """A pack to store, and what it holds."""

    id: PackId
    pack: Pack
    contents: Sequence[Loose]


async def find_candidates(session: ReadSession, wanted: Wanted, *, caller: Caller, when: When) -> list[MemoryId]:
    """Memories to pack that the caller may change, a session's side by side, up to `limit`.

    What is held stays where it is, and so do tensors.
    """
    rows = await session.fetch(
        "SELECT m.id FROM memories m WHERE m.tenant_id = %(tenant)s AND m.space_id = %(space)s "
        "AND m.payload_type = 'plaintext' AND NOT m.legal_hold "
        "AND ((%(archived)s AND m.state = 'archived' AND (%(since)s::timestamptz IS NULL "
        "OR greatest(m.updated_at, m.last_accessed_at) <= %(since)s)) "
        f"OR (%(superseded)s AND m.state = ANY (%(editable)s) AND {_REPLACED})) "
        f"AND {access.UNEXPIRED} AND (%(admin)s OR {access.permitted('write', '%(space)s')}) "
        f"AND {_LOOSE} ORDER BY m.session_number, m.position, m.number LIMIT %(limit)s",
        {
            **access.parameters(session, caller, when),
            "space": wanted.space_id,
            "archived": wanted.archived,
            "since": wanted.untouched_since,
            "superseded": wanted.superseded,
            "editable": list(EDITABLE_STATES),
            "limit": wanted.limit,
        },
        tuple_row,
    )
    return [row[0] for row in rows]


async def packable(session: ReadSession, ids: Collection[MemoryId], *, now: datetime) -> list[MemoryId]:
    """Those of these memories that are out of recall and not packed, whoever asks."""
    rows = await session.fetch(
        "SELECT m.id FROM memories m WHERE m.tenant_id = %(tenant)s AND m.id = ANY (%(ids)s) "
        f"AND NOT m.legal_hold AND m.payload_type = 'plaintext' AND (m.state = 'archived' OR {_REPLACED}) "
        f"AND {_LOOSE} ORDER BY m.number",
        {"tenant": session.tenant_id, "ids": list(ids), "now": now},
        tuple_row,
    )
    return [row[0] for row in rows]


async def first_within(session: ReadSession, ids: Sequence[MemoryId], text_bytes: int) -> list[MemoryId]:
    """The first of these memories whose texts outside of packs take that many bytes together; one at least."""
    rows = await session.fetch(
        "SELECT w.id, (SELECT coalesce(sum(octet_length(v.content)), 0)::bigint FROM contents v "
        "WHERE v.tenant_id = %(tenant)s AND v.memory_id = w.id) "
        "FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS w(id, place) ORDER BY w.place",
        {"tenant": session.tenant_id, "ids": list(ids)},
        tuple_row,
    )
    ends = accumulate(size for _, size in rows)
    return [
        memory_id
        for place, ((memory_id, _), end) in enumerate(zip(rows, ends, strict=True))
        if not place or end <= text_bytes
    ]


# From a summary down to all it was made of, and from what was said to what else its summary tells of.
_FAMILY = """
WITH RECURSIVE below AS (
    SELECT source_id AS id FROM lineage WHERE tenant_id = %(tenant)s AND derived_id = %(id)s
    UNION SELECT l.source_id FROM below JOIN lineage l ON l.tenant_id = %(tenant)s AND l.derived_id = below.id
), own AS (
    SELECT %(id)s::uuid AS id UNION SELECT id FROM below
), family AS (
    SELECT %(id)s::uuid AS id
    UNION SELECT id FROM own WHERE %(level)s <> 'memory'
    UNION SELECT beside.source_id FROM lineage l
        JOIN memories d ON d.tenant_id = l.tenant_id AND d.id = l.derived_id AND d.kind = 'summary'
        JOIN lineage beside ON beside.tenant_id = l.tenant_id AND beside.derived_id = d.id
        WHERE l.tenant_id = %(tenant)s AND l.source_id = %(id)s AND %(level)s <> 'memory'
    UNION SELECT m.id FROM memories m WHERE m.tenant_id = %(tenant)s AND %(level)s = 'session' AND m.session_id IN (
        SELECT s.session_id FROM own JOIN memories s ON s.tenant_id = %(tenant)s AND s.id = own.id)
)
"""


async def find_family(
    session: ReadSession, memory_id: MemoryId, level: Level, *, caller: Caller, when: When, limit: int
) -> list[MemoryId]:
    """Packed memories of its space that a restore at that level brings back with it and that the caller may change.

    `topic`: what a summary was made of, or what shares one with the memory; `session`: all of its session as well. In
    the order of recording, up to `limit`.
    """
    rows = await session.fetch(
        f"{_FAMILY} SELECT m.id FROM family JOIN memories m ON m.tenant_id = %(tenant)s AND m.id = family.id "
        "WHERE m.space_id = (SELECT space_id FROM memories WHERE tenant_id = %(tenant)s AND id = %(id)s) "
        "AND EXISTS (SELECT 1 FROM contents v WHERE v.tenant_id = m.tenant_id AND v.memory_id = m.id "
        f"AND v.pack_id IS NOT NULL) AND {access.UNEXPIRED} AND (%(admin)s OR {access.permitted('write')}) "
        "ORDER BY m.number LIMIT %(limit)s",
        {**access.parameters(session, caller, when), "id": memory_id, "level": level, "limit": limit},
        tuple_row,
    )
    return [row[0] for row in rows]


async def read_loose(session: ReadSession, ids: Collection[MemoryId]) -> list[Loose]:
    """All contents of these memories that are not packed, a session's in the order of its turns."""
    # OFFSET 0: by the memory's id. With the statistics of an empty table, all contents are read for each memory.
    rows = await session.fetch(
        "SELECT m.id, v.number, m.session_number, v.content, x.content_hash FROM memories m "
        "JOIN LATERAL (SELECT number, content FROM contents WHERE tenant_id = %(tenant)s AND memory_id = m.id "
        "AND pack_id IS NULL OFFSET 0) v ON true "
        "JOIN LATERAL (SELECT m.content_hash WHERE v.number = m.content_number "
        "UNION ALL SELECT h.content_hash FROM memory_history h WHERE h.tenant_id = %(tenant)s AND h.id = m.id "
        "AND h.content_number = v.number LIMIT 1) x ON true "
        "WHERE m.tenant_id = %(tenant)s AND m.id = ANY (%(ids)s) "
        "ORDER BY m.session_number, m.position, m.number, v.number",
        {"tenant": session.tenant_id, "ids": list(ids)},
        tuple_row,
    )
    return [Loose(memory, number, at, text, bytes(found)) for memory, number, at, text, found in rows]


def make_packs(contents: Sequence[Loose]) -> list[NewPack]:
    """Packs of these contents, which are in order. Pure, but for the ids; slow enough for a thread."""
    groups = group([one.session for one in contents], [len(one.text.encode()) for one in contents])
    members = [[contents[place] for place in places] for places in groups]
    return [NewPack(PackId(new_uuid()), pack({one.key: one.text for one in each}), each) for each in members]


async def insert_packs(session: WriteSession, space_id: SpaceId, packs: Sequence[NewPack], *, now: datetime) -> None:
    """Store packs of a locked space; the contents are still where they were."""
    await session.run(
        "INSERT INTO packs (tenant_id, id, space_id, codec, data, raw_bytes, raw_hash, made_at) "
        "SELECT %(tenant)s, p.id, %(space)s, p.codec, p.data, p.raw_bytes, p.raw_hash, %(now)s "
        "FROM unnest(%(ids)s::uuid[], %(codecs)s::text[], %(data)s::bytea[], %(sizes)s::bigint[], "
        "%(hashes)s::bytea[]) AS p(id, codec, data, raw_bytes, raw_hash)",
        {
            "tenant": session.tenant_id,
            "space": space_id,
            "now": now,
            "ids": [one.id for one in packs],
            "codecs": [one.pack.codec for one in packs],
            "data": [one.pack.data for one in packs],
            "sizes": [one.pack.raw_bytes for one in packs],
            "hashes": [one.pack.raw_hash for one in packs],
        },
    )


async def read_packs(session: ReadSession, ids: Collection[PackId]) -> dict[PackId, Pack]:
    """These packs, as the database holds them."""
    rows = await session.fetch(
        "SELECT id, codec, data, raw_bytes, raw_hash FROM packs WHERE tenant_id = %(tenant)s AND id = ANY (%(ids)s)",
        {"tenant": session.tenant_id, "ids": list(ids)},
        tuple_row,
    )
    return {row[0]: Pack(*row[1:]) for row in rows}


async def leave_to(session: WriteSession, packs: Sequence[NewPack]) -> None:
    """Empty the contents that these packs hold, and let them name their pack; their memories wait for no embeddings."""
    placed = [(one.memory_id, one.number, each.id) for each in packs for one in each.contents]
    await session.run(
        "UPDATE contents v SET content = '', pack_id = p.pack FROM unnest(%(ids)s::uuid[], %(numbers)s::bigint[], "
        "%(packs)s::uuid[]) AS p(id, number, pack) "
        "WHERE v.tenant_id = %(tenant)s AND v.memory_id = p.id AND v.number = p.number",
        {
            "tenant": session.tenant_id,
            "ids": [one[0] for one in placed],
            "numbers": [one[1] for one in placed],
            "packs": [one[2] for one in placed],
        },
    )
    await session.run(
        "UPDATE memories SET searchable = true WHERE tenant_id = %(tenant)s AND id = ANY (%(ids)s) AND NOT searchable",
        {"tenant": session.tenant_id, "ids": [one[0] for one in placed]},
    )


async def find_packed(
    session: ReadSession, *, ids: Collection[MemoryId] = (), packs: Collection[PackId] = ()
) -> list[Packed]:
    """The packed contents of these memories and those in these packs, in the order of recording."""
    rows = await session.fetch(
        "SELECT m.id, v.number, m.name, v.number = m.content_number FROM contents v "
        "JOIN memories m ON m.tenant_id = v.tenant_id AND m.id = v.memory_id "
        "WHERE v.tenant_id = %(tenant)s AND v.pack_id IS NOT NULL "
        "AND (v.memory_id = ANY (%(ids)s) OR v.pack_id = ANY (%(packs)s)) ORDER BY m.number, v.number",
        {"tenant": session.tenant_id, "ids": list(ids), "packs": list(packs)},
        tuple_row,
    )
    texts = await read_texts(session, [(row[0], row[1]) for row in rows])
    return [
        Packed(memory, number, name, current, texts[memory, number])
        for memory, number, name, current in rows
        if (memory, number) in texts
    ]


async def find_needed(session: ReadSession, ids: Collection[MemoryId], *, now: datetime) -> list[MemoryId]:
    """Those of these memories that recall may return now, and cannot, because their content is packed."""
    rows = await session.fetch(
        "SELECT m.id FROM memories m JOIN contents v ON v.tenant_id = m.tenant_id AND v.memory_id = m.id "
        "AND v.number = m.content_number AND v.pack_id IS NOT NULL WHERE m.tenant_id = %(tenant)s "
        f"AND m.id = ANY (%(ids)s) AND m.state = ANY (%(states)s) AND NOT {_REPLACED} ORDER BY m.number",
        {"tenant": session.tenant_id, "ids": list(ids), "states": list(CURRENT_STATES), "now": now},
        tuple_row,
    )
    return [row[0] for row in rows]


async def put_back(session: WriteSession, contents: Sequence[Packed], *, pending: Collection[MemoryId]) -> None:
    """Let these contents stand in their rows again, and in no pack; `pending` memories wait for their embeddings."""
    keys = {"tenant": session.tenant_id, "ids": [one.memory_id for one in contents]}
    await take_out(session, contents)
    await session.run(
        "UPDATE contents v SET content = p.content, pack_id = NULL FROM unnest(%(ids)s::uuid[], %(numbers)s::bigint[], "
        "%(contents)s::text[]) AS p(id, number, content) "
        "WHERE v.tenant_id = %(tenant)s AND v.memory_id = p.id AND v.number = p.number",
        {
            **keys,
            "numbers": [one.number for one in contents],
            "contents": [one.text for one in contents],
        },
    )
    await session.run(
        "UPDATE memories SET searchable = false WHERE tenant_id = %(tenant)s AND id = ANY (%(pending)s)",
        {**keys, "pending": list(pending)},
    )


async def take_out(session: WriteSession, contents: Collection[Packed | Loose]) -> None:
    """Pack anew, without these contents, the packs that hold them; their rows are the caller's."""
    await _repack(
        session,
        "v.memory_id = ANY (%(ids)s) AND (v.memory_id, v.number) IN "
        "(SELECT * FROM unnest(%(keys)s::uuid[], %(numbers)s::bigint[]))",
        {
            "ids": list({one.memory_id for one in contents}),
            "keys": [one.memory_id for one in contents],
            "numbers": [one.number for one in contents],
        },
    )


async def erase(session: WriteSession, ids: Collection[MemoryId], *, past: bool = False) -> None:
    """Take the contents of these memories (`past`: all but the present ones) out of every pack, for good."""
    only = (
        "AND v.number <> (SELECT m.content_number FROM memories m WHERE m.tenant_id = v.tenant_id "
        "AND m.id = v.memory_id)"
        if past
        else ""
    )
    await _repack(session, f"v.memory_id = ANY (%(ids)s) {only}", {"ids": list(ids)})


async def _repack(session: WriteSession, which: str, parameters: Mapping[str, object]) -> None:
    rows = await session.fetch(
        "SELECT v.pack_id, v.memory_id, v.number FROM contents v WHERE v.tenant_id = %(tenant)s "
        f"AND v.pack_id IS NOT NULL AND {which}",
        {**parameters, "tenant": session.tenant_id},
        tuple_row,
    )
    gone: dict[PackId, set[Key]] = {}
    for pack_id, memory_id, number in rows:
        gone.setdefault(pack_id, set()).add((memory_id, number))
    if not gone:
        return
    found = await read_packs(session, gone)
    left = await asyncio.to_thread(lambda: {one: _without(found[one], keys) for one, keys in gone.items()})
    emptied = [pack_id for pack_id, rest in left.items() if rest is None]
    await session.run(
        "DELETE FROM packs WHERE tenant_id = %(tenant)s AND id = ANY (%(ids)s)",
        {"tenant": session.tenant_id, "ids": emptied},
    )
    for pack_id, rest in left.items():
        if rest is not None:
            await session.run(
                "UPDATE packs SET codec = %(codec)s, data = %(data)s, raw_bytes = %(size)s, raw_hash = %(hash)s "
                "WHERE tenant_id = %(tenant)s AND id = %(id)s",
                {
                    "tenant": session.tenant_id,
                    "id": pack_id,
                    "codec": rest.codec,
                    "data": rest.data,
                    "size": rest.raw_bytes,
                    "hash": rest.raw_hash,
                },
            )


def _without(packed: Pack, keys: Collection[Key]) -> Pack | None:
    left = {key: text for key, text in unpack(packed).items() if key not in keys}
    return pack(left) if left else None


async def copy(session: WriteSession, space_id: SpaceId, pairs: Sequence[tuple[Key, Key]], *, now: datetime) -> None:
    """Where the first content of a pair is packed, pack the second, its empty copy in a locked space, as well."""
    rows = await session.fetch(
        "SELECT v.memory_id, v.number FROM unnest(%(ids)s::uuid[], %(numbers)s::bigint[]) AS w(id, number) "
        "JOIN contents v ON v.tenant_id = %(tenant)s AND v.memory_id = w.id AND v.number = w.number "
        "AND v.pack_id IS NOT NULL",
        {
            "tenant": session.tenant_id,
            "ids": [old[0] for old, _ in pairs],
            "numbers": [old[1] for old, _ in pairs],
        },
        tuple_row,
    )
    packed = {(row[0], row[1]) for row in rows}
    if not packed:
        return
    texts = await read_texts(session, packed)
    copies = [Loose(MemoryId(new[0]), new[1], None, texts[old], b"") for old, new in pairs if old in packed]
    packs = await asyncio.to_thread(make_packs, copies)
    await insert_packs(session, space_id, packs, now=now)
    await leave_to(session, packs)
