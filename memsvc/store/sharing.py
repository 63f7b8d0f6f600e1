"""Groups, grants and the principals they name."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import tuple_row

from memsvc.errors import NotFoundError
from memsvc.ids import GrantId, GroupId, KeyId, MemoryId, PrincipalId, SpaceId, new_uuid
from memsvc.store import access, principals
from memsvc.store.access import RIGHTS, Right, When
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.keys import Caller


@dataclass(frozen=True, slots=True)
class Group:
    """A named set of principals."""

    name: str
    members: Sequence[str]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Grantee:
    """Whom something is granted to: exactly one of the two."""

    principal_id: PrincipalId | None = None
    group_id: GroupId | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """Rights on a space, or on one memory of it, with the names its ids stand for."""

    id: GrantId
    space_id: SpaceId
    space: str
    memory_id: MemoryId | None
    principal: str | None
    group: str | None
    rights: Sequence[str]
    granted_by: str
    granted_by_id: PrincipalId
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Shareable:
    """A space, or a memory in one, as somebody sees it who wants to grant rights on it; `rights` are his own."""

    space_id: SpaceId
    memory_id: MemoryId | None
    readable: bool
    may_grant: bool
    rights: frozenset[str]


async def list_principals(session: ReadSession) -> list[str]:
    """The names of the tenant's principals."""
    rows = await session.fetch(
        "SELECT name FROM principals WHERE tenant_id = %(tenant)s ORDER BY name", _tenant(session), tuple_row
    )
    return [row[0] for row in rows]


async def find_principal(session: ReadSession, name: str) -> PrincipalId | None:
    """The principal of that name."""
    found = await _find(session, "principals", name)
    return None if found is None else PrincipalId(found)


async def find_group(session: ReadSession, name: str) -> GroupId | None:
    """The group of that name."""
    found = await _find(session, "groups", name)
    return None if found is None else GroupId(found)


async def _find(session: ReadSession, table: str, name: str) -> UUID | None:
    rows = await session.fetch(
        f"SELECT id FROM {table} WHERE tenant_id = %(tenant)s AND name = %(name)s",
        {**_tenant(session), "name": name},
        tuple_row,
    )
    return rows[0][0] if rows else None


async def acting_as(session: ReadSession, principal_id: PrincipalId) -> Caller | None:
    """A principal in its own absence, with the scopes of all its keys; None when none of them is valid any more."""
    rows = await session.fetch(
        "SELECT p.name, (array_agg(k.id ORDER BY k.id))[1], array_agg(DISTINCT scope) FROM principals p "
        "JOIN api_keys k ON k.tenant_id = p.tenant_id AND k.principal_id = p.id AND k.revoked_at IS NULL "
        "CROSS JOIN unnest(k.scopes) AS scope WHERE p.tenant_id = %(tenant)s AND p.id = %(principal)s GROUP BY p.name",
        {**_tenant(session), "principal": principal_id},
        tuple_row,
    )
    if not rows:
        return None
    name, key_id, scopes = rows[0]
    tenant = await principals.tenant_name(session, session.tenant_id)
    return Caller(session.tenant_id, tenant, principal_id, name, KeyId(key_id), frozenset(scopes))


async def allows(session: ReadSession, caller: Caller, space_id: SpaceId, right: Right) -> bool:
    """Whether the caller may do this in the space now."""
    rows = await session.fetch(
        f"SELECT coalesce({access.space_allows(right, '%(space)s')}, false)",
        {**_tenant(session), "principal": caller.principal_id, "admin": caller.admin, "space": space_id},
        tuple_row,
    )
    return bool(rows[0][0])


async def refused(
    session: ReadSession, ids: Collection[MemoryId], *, caller: Caller, when: When, right: Right
) -> list[MemoryId]:
    """Those of these memories, expired ones included, with which the caller may not do this."""
    rows = await session.fetch(
        "SELECT m.id FROM memories m WHERE m.tenant_id = %(tenant)s AND m.id = ANY (%(ids)s) "
        f"AND NOT coalesce({access.permitted(right)}, false) ORDER BY m.id",
        {**access.parameters(session, caller, when), "ids": list(ids)},
        tuple_row,
    )
    return [row[0] for row in rows]


async def insert_group(session: WriteSession, name: str, *, now: datetime) -> bool:
    """Make a group; False when there is one of that name."""
    made = await session.run(
        "INSERT INTO groups (tenant_id, id, name, created_at) VALUES (%(tenant)s, %(id)s, %(name)s, %(now)s) "
        "ON CONFLICT DO NOTHING",
        {**_tenant(session), "id": new_uuid(), "name": name, "now": now},
    )
    return made == 1


async def delete_group(session: WriteSession, group_id: GroupId) -> None:
    """Remove a group, its memberships and what was granted to it."""
    await session.run(
        "DELETE FROM groups WHERE tenant_id = %(tenant)s AND id = %(group)s", {**_tenant(session), "group": group_id}
    )


async def list_groups(session: ReadSession, name: str | None = None) -> list[Group]:
    """The tenant's groups (or the named one) with their members, by name."""
    rows = await session.fetch(
        "SELECT g.name, ARRAY(SELECT p.name FROM group_members gm JOIN principals p "
        "ON p.tenant_id = gm.tenant_id AND p.id = gm.principal_id "
        "WHERE gm.tenant_id = g.tenant_id AND gm.group_id = g.id ORDER BY p.name), g.created_at FROM groups g "
        f"WHERE g.tenant_id = %(tenant)s{'' if name is None else ' AND g.name = %(name)s'} ORDER BY g.name",
        {**_tenant(session), "name": name},
        tuple_row,
    )
    return [Group(*row) for row in rows]


async def add_member(session: WriteSession, group_id: GroupId, principal_id: PrincipalId) -> None:
    """Put a principal into a group, where it may be already."""
    await session.run(
        "INSERT INTO group_members (tenant_id, group_id, principal_id) "
        "VALUES (%(tenant)s, %(group)s, %(principal)s) ON CONFLICT DO NOTHING",
        {**_tenant(session), "group": group_id, "principal": principal_id},
    )


async def remove_member(session: WriteSession, group_id: GroupId, principal_id: PrincipalId) -> bool:
    """Take a principal out of a group; False when it was not in it."""
    removed = await session.run(
        "DELETE FROM group_members WHERE tenant_id = %(tenant)s AND group_id = %(group)s "
        "AND principal_id = %(principal)s",
        {**_tenant(session), "group": group_id, "principal": principal_id},
    )
    return removed == 1


# An open space lets everyone do everything, but nobody prepare for the day when it is restricted: what outlasts its
# being open is granted by those who would then have the right.
_MAY_GRANT = access.space_allows("share", "sp.id").replace("s.open OR ", "")
_MAY_GRANT_MEMORY = access.permitted("share").replace("s.open OR ", "")


async def shareable_space(session: WriteSession, caller: Caller, name: str) -> Shareable | None:
    """The space of that name, locked, and the caller's rights in it; None when there is none."""
    rights = ", ".join(f"coalesce({access.space_allows(right, 'sp.id')}, false)" for right in RIGHTS)
    rows = await session.fetch(
        f"SELECT sp.id, coalesce({_MAY_GRANT}, false), {rights} FROM spaces sp "
        "WHERE sp.tenant_id = %(tenant)s AND sp.name = %(name)s FOR UPDATE OF sp",
        {**_tenant(session), "principal": caller.principal_id, "admin": caller.admin, "name": name},
        tuple_row,
    )
    if not rows:
        return None
    space_id, may_grant, *held = rows[0]
    return Shareable(space_id, None, bool(held[0]), bool(may_grant), _held(held))


async def shareable_memory(session: WriteSession, caller: Caller, memory_id: MemoryId, when: When) -> Shareable | None:
    """The memory, its space locked, and the caller's rights on it; None when there is none."""
    rights = ", ".join(f"coalesce({access.permitted(right)}, false)" for right in RIGHTS)
    rows = await session.fetch(
        f"SELECT m.space_id, coalesce({_MAY_GRANT_MEMORY}, false), {rights} FROM memories m "
        "JOIN spaces sp ON sp.tenant_id = m.tenant_id AND sp.id = m.space_id "
        f"WHERE m.tenant_id = %(tenant)s AND m.id = %(memory)s AND {access.UNEXPIRED} FOR UPDATE OF sp",
        {**access.parameters(session, caller, when), "memory": memory_id},
        tuple_row,
    )
    if not rows:
        return None
    space_id, may_grant, *held = rows[0]
    return Shareable(space_id, memory_id, bool(held[0]), bool(may_grant), _held(held))


def _held(flags: Sequence[bool]) -> frozenset[str]:
    return frozenset(right for right, holds in zip(RIGHTS, flags, strict=True) if holds)


async def set_grant(
    session: WriteSession,
    target: Shareable,
    grantee: Grantee,
    rights: Sequence[str],
    *,
    caller: Caller,
    now: datetime,
) -> tuple[GrantId, bool]:
    """Let the grantee have exactly these rights on the target, whose space is locked; and whether the grant is new."""
    made = GrantId(new_uuid())
    keys = {
        **_tenant(session),
        "id": made,
        "space": target.space_id,
        "memory": target.memory_id,
        "principal": grantee.principal_id,
        "group": grantee.group_id,
        "rights": list(rights),
        "by": caller.principal_id,
        "now": now,
    }
    changed = await session.fetch(
        "UPDATE grants SET rights = %(rights)s, granted_by = %(by)s, created_at = %(now)s "
        "WHERE tenant_id = %(tenant)s AND space_id = %(space)s AND memory_id IS NOT DISTINCT FROM %(memory)s "
        "AND principal_id IS NOT DISTINCT FROM %(principal)s AND group_id IS NOT DISTINCT FROM %(group)s RETURNING id",
        keys,
        tuple_row,
    )
    if changed:
        return changed[0][0], False
    await session.run(
        "INSERT INTO grants (tenant_id, id, space_id, memory_id, principal_id, group_id, rights, granted_by, "
        "created_at) VALUES (%(tenant)s, %(id)s, %(space)s, %(memory)s, %(principal)s, %(group)s, %(rights)s, %(by)s, "
        "%(now)s)",
        keys,
    )
    return made, True


_GRANTS = """
SELECT g.id, g.space_id, sp.name, g.memory_id, p.name, gr.name, g.rights, coalesce(b.name, ''), g.granted_by,
    g.created_at
FROM grants g
JOIN spaces sp ON sp.tenant_id = g.tenant_id AND sp.id = g.space_id
LEFT JOIN principals p ON p.tenant_id = g.tenant_id AND p.id = g.principal_id
LEFT JOIN groups gr ON gr.tenant_id = g.tenant_id AND gr.id = g.group_id
LEFT JOIN principals b ON b.tenant_id = g.tenant_id AND b.id = g.granted_by
WHERE g.tenant_id = %(tenant)s
"""
# Who may take a grant back: who gave it, and who may share what it is on.
_MAY_REVOKE = (
    "(g.granted_by = %(principal)s OR CASE WHEN g.memory_id IS NULL "
    f"THEN {_MAY_GRANT} ELSE (SELECT {_MAY_GRANT_MEMORY} FROM memories m "
    "WHERE m.tenant_id = g.tenant_id AND m.id = g.memory_id) END)"
)


async def list_grants(
    session: ReadSession, *, caller: Caller, when: When, space: str | None, after: GrantId | None, limit: int
) -> list[Grant]:
    """The grants (of the named space) that the caller gave, may take back, or has; in the order of granting."""
    where = [f"coalesce({_MAY_REVOKE} OR {access.IS_GRANTEE}, false)"]
    if space is not None:
        where.append("sp.name = %(space_name)s")
    if after is not None:
        where.append("g.id > %(after)s")
    rows = await session.fetch(
        f"{_GRANTS} AND {' AND '.join(where)} ORDER BY g.id LIMIT %(limit)s",
        {**access.parameters(session, caller, when), "space_name": space, "after": after, "limit": limit},
        tuple_row,
    )
    return [Grant(*row) for row in rows]


async def get_grant(session: ReadSession, grant_id: GrantId, *, caller: Caller, when: When) -> tuple[Grant, bool]:
    """A grant that the caller knows of, and whether he may take it back."""
    rows = await session.fetch(
        f"{_GRANTS.replace('g.created_at', f'g.created_at, coalesce({_MAY_REVOKE}, false)', 1)} AND g.id = %(id)s "
        f"AND coalesce({_MAY_REVOKE} OR {access.IS_GRANTEE}, false)",
        {**access.parameters(session, caller, when), "id": grant_id},
        tuple_row,
    )
    if not rows:
        raise NotFoundError(f"there is no grant {grant_id}", remedy="GET /v1/grants lists those that you may see.")
    *columns, revocable = rows[0]
    return Grant(*columns), bool(revocable)


async def delete_grant(session: WriteSession, grant_id: GrantId) -> None:
    """Take a grant back; it holds no longer for any statement that begins after the commit."""
    await session.run(
        "DELETE FROM grants WHERE tenant_id = %(tenant)s AND id = %(id)s", {**_tenant(session), "id": grant_id}
    )


def _tenant(session: ReadSession) -> dict[str, object]:
    return {"tenant": session.tenant_id}
