"""Reading records: one or many, now or as of another time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import namedtuple_row, tuple_row

from memsvc.errors import NotFoundError
from memsvc.ids import MemoryId, OperationId, SpaceId
from memsvc.store import access, tables
from memsvc.store.access import Right, When
from memsvc.store.contents import read_texts
from memsvc.store.database import PipelinedSession, ReadSession, WriteSession
from memsvc.store.keys import Caller
from memsvc.store.spaces import Space


@dataclass(frozen=True, slots=True)
class Record:
    """A memory in one version, with the names its ids stand for. `packed`: its content is out of the hot tier."""

    id: MemoryId
    space_id: SpaceId
    space: str
    number: int
    kind: str
    payload_type: str
    content: str
    content_number: int
    role: str | None
    name: str | None
    session: str | None
    session_number: int | None
    position: int | None
    origin: str
    actor: str
    occurred_at: datetime | None
    occurred_zone: str | None
    valid_from: datetime | None
    valid_from_precision: str | None
    valid_to: datetime | None
    valid_to_precision: str | None
    superseded_by: MemoryId | None
    recorded_at: datetime
    updated_at: datetime
    operation_id: OperationId
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
    retained_until: datetime | None
    legal_hold: bool
    content_hash: str
    searchable: bool
    metadata: Mapping[str, Any]
    packed: bool = False


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
m.id, m.space_id, sp.name AS space, m.number, m.kind, m.payload_type, v.content, v.pack_id IS NOT NULL AS packed,
m.content_number, m.role, m.name, se.name AS session, m.session_number, m.position, m.origin, p.name AS actor,
m.occurred_at, m.occurred_zone, m.valid_from, m.valid_from_precision, m.valid_to, m.valid_to_precision,
m.superseded_by, m.recorded_at, m.updated_at, m.operation_id, m.state, m.version, m.importance, m.strength, m.trust,
m.access_count, m.last_accessed_at, m.sensitivity, m.visibility, m.expires_at, m.retained_until, m.legal_hold,
encode(m.content_hash, 'hex') AS content_hash, m.searchable, m.metadata
"""
RECORD_JOINS = """
JOIN contents v ON v.tenant_id = m.tenant_id AND v.memory_id = m.id AND v.number = m.content_number
JOIN spaces sp ON sp.tenant_id = m.tenant_id AND sp.id = m.space_id
JOIN principals p ON p.tenant_id = m.tenant_id AND p.id = m.principal_id
LEFT JOIN sessions se ON se.tenant_id = m.tenant_id AND se.id = m.session_id
"""

COLUMNS: Sequence[str] = tuple(tables.memories.c.keys())
# Of a past version, these are what they are now: who may see it, until when, and how it was used. What was put in
# quarantine, or expired, does not come back through the past.
CURRENT = frozenset(
    {
        "principal_id",
        "visibility",
        "expires_at",
        "retained_until",
        "legal_hold",
        "strength",
        "access_count",
        "last_accessed_at",
    }
)
PAST_STATE = "CASE WHEN cur.state IN ('quarantined', 'expired') THEN cur.state ELSE h.state END"
_PAST_COLUMNS = ", ".join(
    f"{PAST_STATE} AS state" if name == "state" else f"{'cur' if name in CURRENT else 'h'}.{name}" for name in COLUMNS
)
_ALL_COLUMNS = ", ".join(COLUMNS)


def as_known(when: When, condition: str = "true") -> str:
    """SQL: the relation of every memory in the version that was known at `when.known_at` (now: the current one).

    `condition`, over columns of `x`, is repeated inside, because Postgres does not carry the parameters of a join
    into both halves of a union.
    """
    if when.known_at is None:
        return f"(SELECT {_ALL_COLUMNS} FROM memories x WHERE x.tenant_id = %(tenant)s AND {condition} OFFSET 0)"
    past = condition.replace("x.", "h.")
    return (
        f"(SELECT {_ALL_COLUMNS} FROM memories x "
        f"WHERE x.tenant_id = %(tenant)s AND x.updated_at <= %(known_at)s AND {condition} "
        f"UNION ALL SELECT {_PAST_COLUMNS} FROM memory_history h "
        "JOIN memories cur ON cur.tenant_id = h.tenant_id AND cur.id = h.id "
        f"WHERE h.tenant_id = %(tenant)s AND h.updated_at <= %(known_at)s AND h.known_to > %(known_at)s AND {past})"
    )


async def get_record(session: ReadSession, memory_id: MemoryId, *, caller: Caller, when: When) -> Record:
    """The memory with this id; `NotFoundError` when there is none that this caller may see, or none yet."""
    found = await get_records(session, [memory_id], caller=caller, when=when)
    if not found:
        raise NotFoundError(f"there is no memory {memory_id}")
    return found[memory_id]


async def get_records(
    session: ReadSession, ids: Sequence[MemoryId], *, caller: Caller, when: When, right: Right = "read"
) -> dict[MemoryId, Record]:
    """Those of these memories with which the caller may do that, in the order of recording."""
    holds = "" if when.valid_at is None else f" AND {access.HOLDS}"
    rows = await session.fetch(
        f"SELECT {RECORD_COLUMNS} FROM {as_known(when, 'x.id = ANY (%(ids)s)')} m {RECORD_JOINS} "
        f"WHERE {access.permitted(right)} AND {access.UNEXPIRED}{holds} ORDER BY sp.name, m.number",
        {**access.parameters(session, caller, when), "ids": list(ids)},
        namedtuple_row,
    )
    return {record.id: record for record in await read_records(session, rows)}


async def list_records(
    session: ReadSession,
    conditions: ListFilter,
    *,
    caller: Caller,
    when: When,
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
    where = [f"{column} = %({name})s" for column, (name, value) in wanted.items() if value is not None]
    if after is not None:
        where.append("(sp.name, m.number) > (%(after_space)s, %(after_number)s)")
    if when.valid_at is not None:
        where.append(access.HOLDS)
    rows = await session.fetch(
        f"SELECT {RECORD_COLUMNS} FROM {'memories' if when.known_at is None else as_known(when)} m {RECORD_JOINS} "
        f"WHERE {' AND '.join(['m.tenant_id = %(tenant)s', access.visible(), *where])} "
        "ORDER BY sp.name, m.number LIMIT %(limit)s",
        {
            **access.parameters(session, caller, when),
            "limit": limit,
            "after_space": after[0] if after else None,
            "after_number": after[1] if after else None,
            **{name: value for name, value in wanted.values() if value is not None},
        },
        namedtuple_row,
    )
    return await read_records(session, rows)


async def lock_records(
    session: WriteSession, ids: Sequence[MemoryId], *, caller: Caller, when: When, right: Right = "write"
) -> tuple[dict[MemoryId, Record], dict[SpaceId, Space]]:
    """The memories in their current version, after locking their spaces as every writer does.

    `NotFoundError` names those that the caller cannot see, `ForbiddenError` those he may see and not change.
    """
    readable = await get_records(session, ids, caller=caller, when=When(when.now))
    missing = [str(memory_id) for memory_id in ids if memory_id not in readable]
    if missing:
        raise NotFoundError(f"there is no memory {', '.join(missing)}")
    spaces = await lock_spaces(session, {record.space_id for record in readable.values()})
    allowed = await get_records(session, ids, caller=caller, when=When(when.now), right=right)
    refused = [str(memory_id) for memory_id in ids if memory_id not in allowed]
    if refused:
        raise access.missing_right(right, f"memory {', '.join(refused)}", field="id")
    return allowed, spaces


async def lock_record(
    session: WriteSession, memory_id: MemoryId, *, caller: Caller, when: When, right: Right = "write"
) -> tuple[Record, Space]:
    """`lock_records` of one."""
    records, spaces = await lock_records(session, [memory_id], caller=caller, when=when, right=right)
    record = records[memory_id]
    return record, spaces[record.space_id]


async def lock_spaces(session: WriteSession, ids: set[SpaceId]) -> dict[SpaceId, Space]:
    """Lock these spaces, always in the same order, so that two writers of several cannot wait for each other."""
    rows = await session.fetch(
        "SELECT id, name, next_memory, next_chunk, ann, followers, policies, next_operation, tended_operation, "
        "tended_memory FROM spaces WHERE tenant_id = %(tenant)s AND id = ANY (%(ids)s) ORDER BY id FOR UPDATE",
        {"tenant": session.tenant_id, "ids": list(ids)},
        tuple_row,
    )
    return {row[0]: Space(*row) for row in rows}


async def read_records(session: ReadSession | PipelinedSession, rows: Sequence[Any]) -> list[Record]:
    """Rows of `RECORD_COLUMNS` as records, in order, with packed contents; what was erased meanwhile is left out."""
    packed = [(row.id, row.content_number) for row in rows if row.packed]
    texts = await read_texts(session, packed)
    return [
        _to_record(row, texts[row.id, row.content_number] if row.packed else row.content)
        for row in rows
        if not row.packed or (row.id, row.content_number) in texts
    ]


def _to_record(row: Any, content: str) -> Record:
    columns: dict[str, Any] = {name: getattr(row, name) for name in Record.__slots__}
    return Record(**{**columns, "content": content})


async def with_sources(session: ReadSession, memory_id: MemoryId) -> tuple[Record, list[Record]]:
    """A memory and the sources it was derived from, as they are now, oldest first; whoever asks."""
    rows = await session.fetch(
        f"SELECT {RECORD_COLUMNS} FROM memories m {RECORD_JOINS} WHERE m.tenant_id = %(tenant)s AND (m.id = %(id)s "
        "OR m.id IN (SELECT source_id FROM lineage WHERE tenant_id = %(tenant)s AND derived_id = %(id)s)) "
        "ORDER BY coalesce(m.occurred_at, m.recorded_at), m.space_id, m.number",
        {"tenant": session.tenant_id, "id": memory_id},
        namedtuple_row,
    )
    records = await read_records(session, rows)
    return next(one for one in records if one.id == memory_id), [one for one in records if one.id != memory_id]
