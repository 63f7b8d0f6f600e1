"""Scratch states: one a session, with every revision that it had; each holds the whole state, which is bounded."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

import orjson
from psycopg.rows import tuple_row

from memsvc.ids import MemoryId, ScratchId, SpaceId, new_uuid
from memsvc.store import access
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.keys import Caller

ScratchOperation = Literal["write", "rewrite", "prune"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A part of a state. `pruned`: the ids of the entries whose place it took; `revision` is that of its content."""

    id: str
    content: str
    pinned: bool
    pruned: tuple[str, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class Scratch:
    """A session's scratch in a space; `revision` is its latest, 0 when nothing was written yet."""

    id: ScratchId
    token_limit: int
    revision: int


@dataclass(frozen=True, slots=True)
class Revision:
    """The state as one operation left it; `details` says which entries it pruned or evicted."""

    revision: int
    operation: ScratchOperation
    details: Mapping[str, Any]
    entries: tuple[Entry, ...]
    tokens: int
    actor: str
    recorded_at: datetime


async def find_scratch(session: ReadSession, space_id: SpaceId, name: str) -> Scratch | None:
    """The scratch of a session; None when there is none."""
    rows = await session.fetch(
        "SELECT id, token_limit, revision FROM scratches WHERE tenant_id = %(tenant)s AND space_id = %(space)s "
        "AND session = %(name)s",
        {"tenant": session.tenant_id, "space": space_id, "name": name},
        tuple_row,
    )
    return Scratch(*rows[0]) if rows else None


async def lock_scratch(
    session: WriteSession, space_id: SpaceId, name: str, *, caller: Caller, token_limit: int, now: datetime
) -> Scratch:
    """The scratch of a session, made with that limit when it is new, locked until the transaction ends."""
    keys = {"tenant": session.tenant_id, "space": space_id, "name": name}
    await session.run(
        "INSERT INTO scratches (tenant_id, id, space_id, session, principal_id, token_limit, created_at) "
        "VALUES (%(tenant)s, %(id)s, %(space)s, %(name)s, %(principal)s, %(limit)s, %(now)s) ON CONFLICT DO NOTHING",
        {**keys, "id": new_uuid(), "principal": caller.principal_id, "limit": token_limit, "now": now},
    )
    rows = await session.fetch(
        "SELECT id, token_limit, revision FROM scratches WHERE tenant_id = %(tenant)s AND space_id = %(space)s "
        "AND session = %(name)s FOR UPDATE",
        keys,
        tuple_row,
    )
    return Scratch(*rows[0])


async def set_limit(session: WriteSession, scratch: Scratch, token_limit: int) -> None:
    """Bound a locked scratch by so many tokens from now on."""
    await session.run(
        "UPDATE scratches SET token_limit = %(limit)s WHERE tenant_id = %(tenant)s AND id = %(id)s",
        {"tenant": session.tenant_id, "id": scratch.id, "limit": token_limit},
    )


_REVISION = (
    "SELECT r.revision, r.operation, r.details, r.entries, r.tokens, p.name, r.recorded_at FROM scratch_revisions r "
    "JOIN principals p ON p.tenant_id = r.tenant_id AND p.id = r.principal_id "
    "WHERE r.tenant_id = %(tenant)s AND r.scratch_id = %(scratch)s"
)


async def read_revisions(session: ReadSession, scratch: Scratch, *, last: int, limit: int) -> list[Revision]:
    """Up to `limit` revisions back from number `last`, newest first."""
    rows = await session.fetch(
        f"{_REVISION} AND r.revision <= %(last)s ORDER BY r.revision DESC LIMIT %(limit)s",
        {"tenant": session.tenant_id, "scratch": scratch.id, "last": last, "limit": limit},
        tuple_row,
    )
    return [_to_revision(row) for row in rows]


async def find_retried(session: ReadSession, scratch: Scratch, key: str) -> Revision | None:
    """The revision that the request with this key (a hash, with the principal's) had made."""
    rows = await session.fetch(
        f"{_REVISION} AND r.details ->> 'key' = %(key)s",
        {"tenant": session.tenant_id, "scratch": scratch.id, "key": key},
        tuple_row,
    )
    return _to_revision(rows[0]) if rows else None


async def append_revision(session: WriteSession, scratch: Scratch, revision: Revision, *, caller: Caller) -> None:
    """Add the next revision of a locked scratch."""
    keys = {"tenant": session.tenant_id, "scratch": scratch.id, "revision": revision.revision}
    await session.run(
        "INSERT INTO scratch_revisions (tenant_id, scratch_id, revision, operation, details, entries, tokens, "
        "principal_id, recorded_at) VALUES (%(tenant)s, %(scratch)s, %(revision)s, %(operation)s, %(details)s::jsonb, "
        "%(entries)s::jsonb, %(tokens)s, %(principal)s, %(now)s)",
        {
            **keys,
            "operation": revision.operation,
            "details": orjson.dumps(revision.details).decode(),
            "entries": orjson.dumps([asdict(entry) for entry in revision.entries]).decode(),
            "tokens": revision.tokens,
            "principal": caller.principal_id,
            "now": revision.recorded_at,
        },
    )
    await session.run(
        "UPDATE scratches SET revision = %(revision)s WHERE tenant_id = %(tenant)s AND id = %(scratch)s", keys
    )


async def find_erasable(
    session: ReadSession,
    *,
    caller: Caller,
    space: str | None,
    sessions: Sequence[str] | None,
    of: Collection[MemoryId],
    erased: Collection[MemoryId],
    only_emptied: bool,
) -> dict[ScratchId, SpaceId]:
    """The scratches that an erasure takes along, with their spaces, of those that the caller made or may erase.

    Those of the space (of these sessions of it), and those of the sessions of the memories `of`; `only_emptied`: of
    such sessions, those that have nothing left once `erased` is gone.
    """
    emptied = (
        "AND NOT EXISTS (SELECT 1 FROM memories o WHERE o.tenant_id = m.tenant_id AND o.session_id = m.session_id "
        "AND o.id <> ALL (%(erased)s))"
    )
    rows = await session.fetch(
        "SELECT sc.id, sc.space_id FROM scratches sc JOIN spaces sp ON sp.tenant_id = sc.tenant_id "
        "AND sp.id = sc.space_id WHERE sc.tenant_id = %(tenant)s AND ((sp.name = %(space)s::text "
        "AND (%(sessions)s::text[] IS NULL OR sc.session = ANY (%(sessions)s))) OR EXISTS ("
        "SELECT 1 FROM memories m JOIN sessions se ON se.tenant_id = m.tenant_id AND se.id = m.session_id "
        "WHERE m.tenant_id = sc.tenant_id AND m.id = ANY (%(of)s) AND m.space_id = sc.space_id "
        f"AND se.name = sc.session {emptied if only_emptied else ''})) "
        f"AND (sc.principal_id = %(principal)s OR {access.space_allows('erase', 'sc.space_id')}) ORDER BY sc.id",
        {
            "tenant": session.tenant_id,
            "principal": caller.principal_id,
            "admin": caller.admin,
            "space": space,
            "sessions": None if sessions is None else list(sessions),
            "of": list(of),
            "erased": list(erased),
        },
        tuple_row,
    )
    return dict(rows)


async def delete_scratches(session: WriteSession, ids: Collection[ScratchId]) -> None:
    """Remove scratches with all their revisions."""
    await session.run(
        "DELETE FROM scratches WHERE tenant_id = %(tenant)s AND id = ANY (%(ids)s)",
        {"tenant": session.tenant_id, "ids": list(ids)},
    )


def _to_revision(row: Sequence[Any]) -> Revision:
    number, operation, details, entries, tokens, actor, recorded_at = row
    kept = tuple(Entry(**{**entry, "pruned": tuple(entry["pruned"])}) for entry in entries)
    return Revision(number, operation, details, kept, tokens, actor, recorded_at)
