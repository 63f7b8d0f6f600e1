"""Writing the rows of a bundle into a locked space, set-wise. What is JSON in the bundle is read by Postgres itself."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import numpy as np
import psycopg
from psycopg.rows import tuple_row

from memsvc.errors import FieldError, InvalidRequestError
from memsvc.ids import MemoryId, PrincipalId, SessionId, SpaceId, new_uuid
from memsvc.store.arrays import NumberArray
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.spaces import Space
from memsvc.store.tables import memories


@dataclass(frozen=True, slots=True)
class Present:
    """A memory of the tenant that has the id of one in the bundle."""

    space_id: SpaceId
    version: int
    content_hash: bytes
    operation_id: UUID
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session of the bundle."""

    name: str
    next_position: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ImportedVersion:
    """A version to insert: its line of the bundle, and what that has no place for.

    A past version has the author and the place of its memory.
    """

    text: bytes
    number: int
    content_number: int
    content_hash: bytes
    searchable: bool
    principal_id: PrincipalId | None = None
    session: tuple[SessionId, int] | None = None

    @property
    def row(self) -> bytes:
        """The line with the rest added to its fields, under names that no line has."""
        added = b',"_number":%d,"_content_number":%d,"_content_hash":"%s","_searchable":%s' % (
            self.number,
            self.content_number,
            self.content_hash.hex().encode(),
            b"true" if self.searchable else b"false",
        )
        if self.principal_id is not None:
            added += b',"_principal_id":"%s"' % str(self.principal_id).encode()
        if self.session is not None:
            added += b',"_session_id":"%s","_session_number":%d' % (str(self.session[0]).encode(), self.session[1])
        return self.text[: self.text.rindex(b"}")] + added + b"}"


@dataclass(frozen=True, slots=True)
class ImportedContent:
    """A content to insert."""

    memory_id: MemoryId
    number: int
    text: str


# The fields of a line, with their types; `memory_history` has the same but for those that never change.
_VERSION = {
    "version": "int",
    "operation": "uuid",
    "updated_at": "timestamptz",
    "occurred_at": "timestamptz",
    "occurred_zone": "text",
    "valid_from": "timestamptz",
    "valid_from_precision": "text",
    "valid_to": "timestamptz",
    "valid_to_precision": "text",
    "superseded_by": "uuid",
    "state": "text",
    "importance": "float8",
    "strength": "float8",
    "access_count": "int",
    "last_accessed_at": "timestamptz",
    "trust": "float8",
    "sensitivity": "text",
    "visibility": "text",
    "expires_at": "timestamptz",
    "retained_until": "timestamptz",
    "legal_hold": "bool",
    "fingerprint": "text",
    "metadata": "jsonb",
}
_MEMORY = {
    "id": "uuid",
    "kind": "text",
    "payload_type": "text",
    "role": "text",
    "name": "text",
    "position": "int",
    "origin": "text",
    "recorded_at": "timestamptz",
    **_VERSION,
}
_HISTORY = {"memory": "uuid", "known_to": "timestamptz", **_VERSION}
_GIVEN = {
    "_number": "bigint",
    "_content_number": "bigint",
    "_content_hash": "text",
    "_searchable": "bool",
    "_principal_id": "uuid",
    "_session_id": "uuid",
    "_session_number": "int",
}
_EXPRESSIONS: Mapping[str, str] = {
    "tenant_id": "%(tenant)s",
    "space_id": "%(space)s",
    "operation_id": "r.operation",
    # Set for what facts.jsonl names, once all is there.
    "key_of": "NULL",
    "key_share": "NULL",
    "fingerprint": "decode(r.fingerprint, 'hex')",
    "content_hash": "decode(r._content_hash, 'hex')",
    **{name[1:]: f"r.{name}" for name in _GIVEN if name != "_content_hash"},
}
_FIXED = ("number", "kind", "payload_type", "role", "name", "session_id", "session_number", "position", "origin")
_OF_MEMORY: Mapping[str, str] = {
    "id": "r.memory",
    **{name: f"m.{name}" for name in (*_FIXED, "principal_id", "recorded_at")},
}


def _rows(fields: Mapping[str, str]) -> str:
    """The lines as rows. `json` is read in half the time of `jsonb`."""
    listed = ", ".join(f"{name} {kind}" for name, kind in {**fields, **_GIVEN}.items())
    return f"json_to_recordset(%(lines)s::json) AS r({listed})"


_COLUMNS = tuple(memories.c.keys())
_INSERT_MEMORIES = (
    f"INSERT INTO memories ({', '.join(_COLUMNS)}) "
    f"SELECT {', '.join(_EXPRESSIONS.get(name, f'r.{name}') for name in _COLUMNS)} FROM {_rows(_MEMORY)}"
)
_INSERT_HISTORY = (
    f"INSERT INTO memory_history ({', '.join(_COLUMNS)}, known_to) SELECT "
    f"{', '.join({**_EXPRESSIONS, **_OF_MEMORY}.get(name, f'r.{name}') for name in _COLUMNS)}, r.known_to "
    f"FROM {_rows(_HISTORY)} JOIN memories m ON m.tenant_id = %(tenant)s AND m.id = r.memory"
)
_INSERT_OPERATIONS = (
    "INSERT INTO operations (tenant_id, id, space_id, number, kind, principal_id, reason, details, recorded_at, "
    "undoes, undone_by) SELECT %(tenant)s, r.id, %(space)s, %(first)s + r.place - 1, r.kind, r.principal_id, r.reason, "
    "r.details, r.recorded_at, r.undoes, r.undone_by FROM ROWS FROM (jsonb_to_recordset(%(lines)s::jsonb) "
    "AS (id uuid, kind text, reason text, details jsonb, recorded_at timestamptz, undoes uuid, undone_by uuid), "
    "unnest(%(principals)s::uuid[])) WITH ORDINALITY "
    "AS r(id, kind, reason, details, recorded_at, undoes, undone_by, principal_id, place)"
)
_INSERT_EDGES = (
    "INSERT INTO lineage (tenant_id, derived_id, source_id, source_version, operation_id, recorded_at) "
    "SELECT %(tenant)s, r.derived, r.source, r.source_version, r.operation, r.recorded_at "
    "FROM jsonb_to_recordset(%(lines)s::jsonb) "
    "AS r(derived uuid, source uuid, source_version int, operation uuid, recorded_at timestamptz)"
)


@contextmanager
def refusing(place: str) -> Iterator[None]:
    """What Postgres cannot store, though every field has the right form, is the bundle's fault and not ours."""
    try:
        yield
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        problem = f"cannot be stored: {error.diag.message_primary}"
        fault = FieldError(place, problem, "Correct these lines, or export the space again.")
        raise InvalidRequestError(f"the bundle cannot be used: {place} {problem}", fields=(fault,)) from error


async def find_present(session: ReadSession, ids: Sequence[UUID]) -> dict[UUID, Present]:
    """Those of these ids that the tenant has already, whoever may see them."""
    rows = await session.fetch(
        "SELECT id, space_id, version, content_hash, operation_id, updated_at FROM memories "
        "WHERE tenant_id = %(tenant)s AND id = ANY (%(ids)b::uuid[])",
        {"tenant": session.tenant_id, "ids": list(ids)},
        tuple_row,
    )
    return {row[0]: Present(row[1], row[2], bytes(row[3]), row[4], row[5]) for row in rows}


async def find_taken(
    session: ReadSession, space_id: SpaceId, places: Collection[tuple[str, int]]
) -> set[tuple[str, int]]:
    """Those of these places in sessions of the space that a memory has."""
    rows = await session.fetch(
        "SELECT w.name, w.position FROM unnest(%(names)b::text[], %(positions)s) AS w(name, position) "
        "JOIN sessions se ON se.space_id = %(space)s AND se.name = w.name AND se.tenant_id = %(tenant)s "
        "JOIN memories m ON m.session_id = se.id AND m.position = w.position AND m.tenant_id = %(tenant)s",
        {
            "tenant": session.tenant_id,
            "space": space_id,
            "names": [name for name, _ in places],
            "positions": NumberArray(np.array([position for _, position in places], np.int64)),
        },
        tuple_row,
    )
    return {(row[0], row[1]) for row in rows}


async def find_operations(session: ReadSession, ids: Collection[UUID]) -> dict[UUID, SpaceId]:
    """The spaces of those of these operations that the tenant has."""
    rows = await session.fetch(
        "SELECT id, space_id FROM operations WHERE tenant_id = %(tenant)s AND id = ANY (%(ids)s)",
        {"tenant": session.tenant_id, "ids": list(ids)},
        tuple_row,
    )
    return dict(rows)


async def ensure_principals(session: WriteSession, names: Collection[str]) -> dict[str, PrincipalId]:
    """The principals of these names; who is new has no key, and so can do nothing."""
    find = "SELECT name, id FROM principals WHERE tenant_id = %(tenant)s AND name = ANY (%(names)s)"
    keys: dict[str, object] = {"tenant": session.tenant_id, "names": sorted(names)}
    found: dict[str, PrincipalId] = dict(await session.fetch(find, keys, tuple_row))
    missing = sorted(set(names) - found.keys())
    if missing:
        await session.run(
            "INSERT INTO principals (tenant_id, id, name) SELECT %(tenant)s, w.id, w.name "
            "FROM unnest(%(ids)s::uuid[], %(names)s::text[]) AS w(id, name) ON CONFLICT DO NOTHING",
            {"tenant": session.tenant_id, "ids": [new_uuid() for _ in missing], "names": missing},
        )
        found = dict(await session.fetch(find, keys, tuple_row))
    return found


async def ensure_sessions(
    session: WriteSession, space_id: SpaceId, sessions: Sequence[NewSession]
) -> dict[str, tuple[SessionId, int]]:
    """The sessions by name, new ones numbered in this order; those that exist go on behind what comes."""
    values = {
        "tenant": session.tenant_id,
        "space": space_id,
        "names": [one.name for one in sessions],
        "ids": [new_uuid() for _ in sessions],
        "positions": [one.next_position for one in sessions],
        "made": [one.created_at for one in sessions],
    }
    await session.run(
        "UPDATE sessions se SET next_position = greatest(se.next_position, w.position) "
        "FROM unnest(%(names)s::text[], %(positions)s::int[]) AS w(name, position) "
        "WHERE se.tenant_id = %(tenant)s AND se.space_id = %(space)s AND se.name = w.name",
        values,
    )
    await session.run(
        "WITH fresh AS (SELECT w.*, row_number() OVER (ORDER BY w.place) AS rank FROM unnest(%(ids)s::uuid[], "
        "%(names)s::text[], %(positions)s::int[], %(made)s::timestamptz[]) WITH ORDINALITY "
        "AS w(id, name, position, made, place) WHERE NOT EXISTS (SELECT 1 FROM sessions se "
        "WHERE se.tenant_id = %(tenant)s AND se.space_id = %(space)s AND se.name = w.name)), "
        "taken AS (UPDATE spaces SET next_session = next_session + (SELECT count(*) FROM fresh) "
        "WHERE tenant_id = %(tenant)s AND id = %(space)s "
        "RETURNING next_session - (SELECT count(*) FROM fresh) AS first) "
        "INSERT INTO sessions (tenant_id, id, space_id, number, name, next_position, created_at) "
        "SELECT %(tenant)s, fresh.id, %(space)s, taken.first + fresh.rank - 1, fresh.name, fresh.position, fresh.made "
        "FROM fresh, taken",
        values,
    )
    rows = await session.fetch(
        "SELECT name, id, number FROM sessions WHERE tenant_id = %(tenant)s AND space_id = %(space)s "
        "AND name = ANY (%(names)s)",
        values,
        tuple_row,
    )
    return {row[0]: (SessionId(row[1]), row[2]) for row in rows}


async def insert_versions(session: WriteSession, space: Space, rows: Sequence[ImportedVersion], *, past: bool) -> None:
    """Insert lines of memories.jsonl, or past versions from lines of history.jsonl."""
    statement = _INSERT_HISTORY if past else _INSERT_MEMORIES
    lines = _array([row.row for row in rows])
    await session.run(statement, {"tenant": session.tenant_id, "space": space.id, "lines": lines})


async def insert_contents(session: WriteSession, contents: Sequence[ImportedContent]) -> None:
    """Insert contents of memories that were inserted before."""
    await session.run(
        "INSERT INTO contents (tenant_id, memory_id, number, content) SELECT %(tenant)s, v.id, v.number, v.content "
        "FROM unnest(%(ids)b::uuid[], %(numbers)s, %(contents)b::text[]) AS v(id, number, content)",
        {
            "tenant": session.tenant_id,
            "ids": [one.memory_id for one in contents],
            "numbers": NumberArray(np.array([one.number for one in contents], np.int64)),
            "contents": [one.text for one in contents],
        },
    )


async def take_places(session: WriteSession, space_id: SpaceId, count: int) -> int:
    """The first of the next `count` places in the order of a locked space's operations, which are given away."""
    rows = await session.fetch(
        "UPDATE spaces SET next_operation = next_operation + %(count)s "
        "WHERE tenant_id = %(tenant)s AND id = %(space)s RETURNING next_operation - %(count)s",
        {"tenant": session.tenant_id, "space": space_id, "count": count},
        tuple_row,
    )
    return int(rows[0][0])


async def insert_operations(
    session: WriteSession, space_id: SpaceId, lines: Sequence[bytes], principals: Sequence[PrincipalId], *, first: int
) -> None:
    """Insert lines of operations.jsonl at the places from `first` on."""
    await session.run(
        _INSERT_OPERATIONS,
        {
            "tenant": session.tenant_id,
            "space": space_id,
            "first": first,
            "lines": _array(lines),
            "principals": list(principals),
        },
    )


async def insert_edges(session: WriteSession, lines: Sequence[bytes]) -> None:
    """Insert lines of lineage.jsonl whose both ends are there."""
    await session.run(_INSERT_EDGES, {"tenant": session.tenant_id, "lines": _array(lines)})


async def advance(
    session: WriteSession, space: Space, *, numbers: int, memories_added: int, chunks: int, terms: int
) -> None:
    """Count what a batch added to a locked space, and the numbers it took."""
    await session.run(
        "UPDATE spaces SET next_memory = next_memory + %(numbers)s, memories = memories + %(memories)s, "
        "next_chunk = next_chunk + %(chunks)s, chunks = chunks + %(chunks)s, terms = terms + %(terms)s "
        "WHERE tenant_id = %(tenant)s AND id = %(space)s",
        {
            "tenant": session.tenant_id,
            "space": space.id,
            "numbers": numbers,
            "memories": memories_added,
            "chunks": chunks,
            "terms": terms,
        },
    )


def _array(lines: Sequence[bytes]) -> str:
    return f"[{b','.join(lines).decode()}]"
