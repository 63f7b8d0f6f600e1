"""What forgetting reads: what is in recall and how it stands, what protects it, and what has faded for good.

Only plaintext is forgotten; tensors have a policy of their own.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg.rows import namedtuple_row, scalar_row, tuple_row
from sqlalchemy import text

from memsvc.ids import MemoryId, SpaceId, TenantId
from memsvc.store import access, principals
from memsvc.store.access import When
from memsvc.store.curve import RETENTION
from memsvc.store.database import Database, ReadSession
from memsvc.store.keys import Caller
from memsvc.store.retention import Due
from memsvc.store.scope import CURRENT_STATES, OVERVIEWS
from memsvc.store.tensors import TOKENS

# Kinds that state something about the world, of which something has to stay.
FACT_KINDS = ("fact", "preference", "procedure")
_ENTRY_BYTES = 8  # of a posting


@dataclass(frozen=True, slots=True)
class Protection:
    """What a policy never forgets: memories of this importance or more, and of these kinds."""

    importance: float
    kinds: Sequence[str]


@dataclass(frozen=True, slots=True)
class Amount:
    """How much there is: memories, bytes of their contents in UTF-8, and tokens as `text.tokens` estimates them."""

    memories: int = 0
    bytes: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """A memory in recall, as forgetting weighs it.

    `version` and `in_use_at` (its last access) tell later whether it was touched since. `kept_by` names the rule that
    protects it, if any does; `useful` counts the verdicts `used` and `helpful`. `told`: a fact was drawn from it;
    `stood_for`: something in recall says the same in its place. `content` is cut off where it is long.
    """

    id: MemoryId
    number: int
    version: int
    in_use_at: datetime | None
    kind: str
    role: str | None
    importance: float
    retention: float
    bytes: int
    tokens: int
    useful: int
    told: bool
    stood_for: bool
    kept_by: str | None
    content: str


@dataclass(frozen=True, slots=True)
class Look:
    """Which memories of a space are looked at, by whom and when; `below`: the retention under which a kind goes."""

    space_id: SpaceId
    caller: Caller
    now: datetime
    protection: Protection
    below: Mapping[str, float]


# Over `memories m`.
_HOT = f"m.state = ANY (%(states)s) AND m.payload_type = 'plaintext' AND {access.UNEXPIRED}"
_OPEN_CONFLICTS = (
    "SELECT first_id FROM conflicts WHERE tenant_id = %(tenant)s AND space_id = %(space)s AND state = 'open' "
    "UNION ALL SELECT second_id FROM conflicts WHERE tenant_id = %(tenant)s AND space_id = %(space)s AND state = 'open'"
)
_KEPT_BY = f"""CASE WHEN m.kind = 'core' THEN 'core' WHEN m.legal_hold THEN 'legal_hold'
    WHEN m.state = 'frozen' THEN 'frozen'
    WHEN m.metadata -> 'pinned' = 'true'::jsonb THEN 'pinned' WHEN m.importance >= %(importance)s THEN 'important'
    WHEN m.kind = ANY (%(kept_kinds)s) THEN 'kind' WHEN m.id IN ({_OPEN_CONFLICTS}) THEN 'conflict' END"""
_FADED = f"{RETENTION} < (%(below)s::jsonb ->> m.kind)::float8"
_IN_RECALL = (
    "SELECT 1 FROM memories d WHERE d.tenant_id = m.tenant_id AND d.id = {id} "
    "AND d.space_id = m.space_id AND d.state = ANY (%(states)s) AND d.superseded_by IS NULL"
)
# Whatever has become of the fact: that there was something to draw from it does not change.
_TOLD = (
    "(EXISTS (SELECT 1 FROM facts f WHERE f.tenant_id = m.tenant_id AND f.source_id = m.id) "
    "OR EXISTS (SELECT 1 FROM lineage l JOIN memories d ON d.tenant_id = l.tenant_id AND d.id = l.derived_id "
    "WHERE l.tenant_id = m.tenant_id AND l.source_id = m.id AND d.kind = ANY (%(fact_kinds)s)))"
)
# Its successor, a summary of it that recall returns, or, of a fact that is a key, the memory that it speaks for.
_STOOD_FOR = (
    f"(EXISTS ({_IN_RECALL.format(id='m.superseded_by')}) "
    "OR EXISTS (SELECT 1 FROM lineage l WHERE l.tenant_id = m.tenant_id AND l.source_id = m.id "
    f"AND EXISTS ({_IN_RECALL.format(id='l.derived_id')} AND d.kind = 'summary' AND d.origin <> '{OVERVIEWS}')) "
    "OR EXISTS (SELECT 1 FROM facts f WHERE f.tenant_id = m.tenant_id AND f.memory_id = m.id "
    f"AND EXISTS ({_IN_RECALL.format(id='f.source_id')})))"
)
# The operation that a memory's time in the archive began with, whatever was changed there since.
_FORGOTTEN = """(m.state = 'archived' AND 'forget' = (SELECT o.kind FROM (
    SELECT m.version, m.operation_id UNION ALL SELECT h.version, h.operation_id FROM memory_history h
    WHERE h.tenant_id = m.tenant_id AND h.id = m.id) x
    JOIN operations o ON o.tenant_id = m.tenant_id AND o.id = x.operation_id
    WHERE x.version = 1 + (SELECT max(h.version) FROM memory_history h
        WHERE h.tenant_id = m.tenant_id AND h.id = m.id AND h.state <> 'archived')))"""
_TOUCHED = (
    "SELECT unnest(%(touching)s::uuid[]) "
    "UNION SELECT memory_id FROM facts WHERE tenant_id = %(tenant)s AND source_id = ANY (%(touching)s) "
    "UNION SELECT derived_id FROM lineage WHERE tenant_id = %(tenant)s AND source_id = ANY (%(touching)s)"
)
_STANDING = f"""
SELECT m.id, m.number, m.version, m.last_accessed_at AS in_use_at, m.kind, m.role, m.importance,
    {RETENTION} AS retention, octet_length(v.content) AS bytes, {TOKENS} AS tokens,
    coalesce(u.useful, 0)::int AS useful, {_TOLD} AS told,
    {_STOOD_FOR} AS stood_for, {_KEPT_BY} AS kept_by,
    left(v.content, %(characters)s) AS content
FROM memories m
JOIN contents v ON v.tenant_id = m.tenant_id AND v.memory_id = m.id AND v.number = m.content_number
LEFT JOIN LATERAL (SELECT count(*) AS useful FROM feedback f WHERE f.tenant_id = m.tenant_id AND f.memory_id = m.id
    AND f.verdict IN ('used', 'helpful')) u ON true
WHERE m.tenant_id = %(tenant)s AND m.space_id = %(space)s AND m.number > %(after)s AND {_HOT}
"""


async def read_policies(session: ReadSession, space_id: SpaceId) -> Mapping[str, Any]:
    """The space's policies, as `wire.Policies` is stored."""
    rows = await session.fetch(
        "SELECT policies FROM spaces WHERE tenant_id = %(tenant)s AND id = %(space)s",
        {"tenant": session.tenant_id, "space": space_id},
        scalar_row,
    )
    return rows[0] if rows else {}


async def measure(session: ReadSession, space_id: SpaceId, *, now: datetime) -> dict[str, Amount]:
    """How much of each kind is in recall, whoever may see it."""
    rows = await session.fetch(
        f"SELECT m.kind, count(*), sum(octet_length(v.content))::bigint, sum({TOKENS})::bigint FROM memories m "
        "JOIN contents v ON v.tenant_id = m.tenant_id AND v.memory_id = m.id AND v.number = m.content_number "
        f"WHERE m.tenant_id = %(tenant)s AND m.space_id = %(space)s AND {_HOT} GROUP BY m.kind",
        {"tenant": session.tenant_id, "space": space_id, "now": now, "states": list(CURRENT_STATES)},
        tuple_row,
    )
    return {kind: Amount(count, size, tokens) for kind, count, size, tokens in rows}


async def read_standings(
    session: ReadSession, look: Look, *, after: int, limit: int, characters: int, faded_only: bool = False
) -> list[Standing]:
    """Up to `limit` memories in recall past the number `after`, that the caller may change, by number.

    Of each content up to so many characters; `faded_only`: those whose retention is below their kind's bound and that
    no rule keeps.
    """
    narrowed = f"AND {_FADED} AND {_KEPT_BY} IS NULL" if faded_only else ""
    rows = await session.fetch(
        f"{_STANDING} AND {_changeable(look.caller)} {narrowed} ORDER BY m.number LIMIT %(limit)s",
        {**_parameters(session, look), "after": after, "limit": limit, "characters": characters},
        namedtuple_row,
    )
    return [Standing(**row._asdict()) for row in rows]


async def untouched(session: ReadSession, look: Look, ids: Sequence[MemoryId]) -> dict[MemoryId, tuple[int, object]]:
    """Those of these memories that may still go, with version and last access; the space is locked."""
    rows = await session.fetch(
        "SELECT m.id, m.version, m.last_accessed_at FROM memories m WHERE m.tenant_id = %(tenant)s "
        f"AND m.id = ANY (%(ids)s) AND {_HOT} AND {_KEPT_BY} IS NULL AND {_changeable(look.caller)}",
        {**_parameters(session, look), "ids": list(ids)},
        tuple_row,
    )
    return {memory_id: (version, in_use_at) for memory_id, version, in_use_at in rows}


async def kept_by(session: ReadSession, look: Look, memory_id: MemoryId) -> str | None:
    """The rule of `Protection`, the record itself or an open conflict that keeps a memory, whatever its state."""
    rows = await session.fetch(
        f"SELECT {_KEPT_BY} FROM memories m WHERE m.tenant_id = %(tenant)s AND m.id = %(id)s",
        {**_parameters(session, look), "id": memory_id},
        tuple_row,
    )
    return rows[0][0] if rows else None


async def evidence(
    session: ReadSession, space_id: SpaceId, *, now: datetime, touching: Collection[MemoryId] | None = None
) -> dict[MemoryId, set[MemoryId]]:
    """What of each current fact is in recall: the fact itself, and the memories that it was taken from.

    A fact is current when it is in recall, or was there until it was forgotten, is not superseded and holds now; one
    that extraction made counts when it knows what attribute it tells, any other when it names its sources. `touching`
    narrows it to the facts of these memories.
    """
    narrowed = "" if touching is None else f"AND m.id IN ({_TOUCHED})"
    rows = await session.fetch(
        f"""
        WITH standing AS MATERIALIZED (
            SELECT m.id FROM memories m LEFT JOIN facts f ON f.tenant_id = m.tenant_id AND f.memory_id = m.id
            WHERE m.tenant_id = %(tenant)s AND m.space_id = %(space)s AND m.kind = ANY (%(fact_kinds)s)
            AND (m.state = ANY (%(states)s) OR {_FORGOTTEN}) AND m.superseded_by IS NULL
            AND {access.UNEXPIRED} AND {access.HOLDS} AND (f.memory_id IS NULL OR f.attribute <> '') {narrowed}
        ), sourced AS MATERIALIZED (
            SELECT s.id AS fact, f.source_id AS member FROM standing s
            JOIN facts f ON f.tenant_id = %(tenant)s AND f.memory_id = s.id
            UNION SELECT s.id, l.source_id FROM standing s
            JOIN lineage l ON l.tenant_id = %(tenant)s AND l.derived_id = s.id
        ), held AS MATERIALIZED (SELECT fact, member FROM sourced UNION SELECT fact, fact FROM sourced)
        SELECT h.fact, h.member FROM held h JOIN memories m ON m.tenant_id = %(tenant)s AND m.id = h.member
        WHERE m.space_id = %(space)s AND {_HOT}
        """,
        {
            "tenant": session.tenant_id,
            "space": space_id,
            "now": now,
            "holds_at": now,
            "states": list(CURRENT_STATES),
            "fact_kinds": list(FACT_KINDS),
            "touching": None if touching is None else list(touching),
        },
        tuple_row,
    )
    found: dict[MemoryId, set[MemoryId]] = defaultdict(set)
    for fact, member in rows:
        found[fact].add(member)
    return dict(found)


async def forgotten(session: ReadSession, look: Look, *, limit: int) -> list[MemoryId]:
    """Archived memories whose retention is below their kind's bound, that no rule keeps and that are not packed yet.

    What may be forgotten as content, oldest first; `look.below` holds the second threshold here.
    """
    return await session.fetch(
        "SELECT m.id FROM memories m JOIN contents v ON v.tenant_id = m.tenant_id AND v.memory_id = m.id "
        "AND v.number = m.content_number AND v.pack_id IS NULL WHERE m.tenant_id = %(tenant)s "
        "AND m.space_id = %(space)s AND m.state = 'archived' AND m.payload_type = 'plaintext' "
        f"AND {access.UNEXPIRED} AND {_changeable(look.caller)} AND {_FADED} AND {_KEPT_BY} IS NULL "
        "ORDER BY m.number LIMIT %(limit)s",
        {**_parameters(session, look), "limit": limit},
        scalar_row,
    )


async def revivable(session: ReadSession, ids: Collection[MemoryId]) -> dict[SpaceId, list[MemoryId]]:
    """Those of these memories that were archived by forgetting, by space.

    What a person put away, or consolidation or a fusion made another memory of, stays away.
    """
    rows = await session.fetch(
        "SELECT m.space_id, m.id FROM memories m WHERE m.tenant_id = %(tenant)s AND m.id = ANY (%(ids)s) "
        f"AND {_FORGOTTEN} ORDER BY m.number",
        {"tenant": session.tenant_id, "ids": list(ids)},
        tuple_row,
    )
    found: dict[SpaceId, list[MemoryId]] = defaultdict(list)
    for space_id, memory_id in rows:
        found[space_id].append(memory_id)
    return dict(found)


async def frequencies(session: ReadSession, space_id: SpaceId) -> tuple[dict[str, int], int]:
    """In how many chunks of the space each term occurs, and how many chunks there are; other terms occur in one."""
    rows = await session.fetch(
        f"SELECT term, (sum(octet_length(entries)) / {_ENTRY_BYTES})::int FROM postings WHERE tenant_id = %(tenant)s "
        f"AND space_id = %(space)s GROUP BY term HAVING sum(octet_length(entries)) > {_ENTRY_BYTES}",
        {"tenant": session.tenant_id, "space": space_id},
        tuple_row,
    )
    chunks = await session.fetch(
        "SELECT chunks FROM spaces WHERE tenant_id = %(tenant)s AND id = %(space)s",
        {"tenant": session.tenant_id, "space": space_id},
        tuple_row,
    )
    return dict(rows), chunks[0][0]


async def find_forgetting(database: Database) -> list[Due]:
    """The spaces, of every tenant, whose policies say what to forget."""
    async with database.untenanted() as connection:
        rows = await connection.execute(text("SELECT tenant_id, space_id FROM memsvc_untended_spaces() WHERE forgets"))
        return [Due(TenantId(row.tenant_id), SpaceId(row.space_id)) for row in rows]


def _changeable(caller: Caller) -> str:
    """SQL: a policy is for the whole space, but what others keep private is not for a caller to see or touch."""
    return "true" if caller.principal == principals.SERVICE else access.permitted("write", "%(space)s")


def _parameters(session: ReadSession, look: Look) -> dict[str, object]:
    return {
        **access.parameters(session, look.caller, When(look.now)),
        "space": look.space_id,
        "states": list(CURRENT_STATES),
        "importance": look.protection.importance,
        "kept_kinds": list(look.protection.kinds),
        "fact_kinds": list(FACT_KINDS),
        "below": orjson.dumps(dict(look.below)).decode(),
    }
