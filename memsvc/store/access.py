"""Who may see and do what, as SQL, so that it is decided inside the statement that reads or changes.

A space is open to every principal of its tenant, or restricted to its owner, to those it was granted to, and to keys
with the scope `admin`. A memory's visibility narrows that (`private`: its author) or widens it (`tenant`: everyone in
the tenant), and a grant on one memory adds to it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg.rows import tuple_row

from memsvc.errors import FieldError, ForbiddenError, NotFoundError
from memsvc.ids import SpaceId
from memsvc.store.database import ReadSession
from memsvc.store.keys import Caller

Right = Literal["read", "write", "share", "erase"]
RIGHTS: tuple[Right, ...] = ("read", "write", "share", "erase")


@dataclass(frozen=True, slots=True)
class When:
    """The moment of a request, and of what it asks: `valid_at` when it held, `known_at` what was known; both UTC."""

    now: datetime
    valid_at: datetime | None = None
    known_at: datetime | None = None

    @property
    def holds_at(self) -> datetime:
        """When a memory must hold: as asked, else at the time of the knowledge, else now."""
        return self.valid_at or self.known_at or self.now


# SQL over `grants g`: is it to the caller, by himself or through a group?
IS_GRANTEE = (
    "(g.principal_id = %(principal)s OR g.group_id IN (SELECT group_id FROM group_members "
    "WHERE tenant_id = %(tenant)s AND principal_id = %(principal)s))"
)


def space_allows(right: Right, space: str) -> str:
    """SQL: may the caller do this in the space that the expression names?"""
    return (
        "(SELECT s.open OR s.owner_id = %(principal)s OR %(admin)s OR EXISTS (SELECT 1 FROM grants g "
        "WHERE g.tenant_id = %(tenant)s AND g.space_id = s.id AND g.memory_id IS NULL "
        f"AND '{right}' = ANY (g.rights) AND {IS_GRANTEE}) "
        f"FROM spaces s WHERE s.tenant_id = %(tenant)s AND s.id = {space})"
    )


def granted(right: Right, space: str) -> str:
    """SQL: the memories of that space on which the caller was granted this by themselves."""
    return (
        "ARRAY(SELECT g.memory_id FROM grants g WHERE g.tenant_id = %(tenant)s "
        f"AND g.space_id = {space} AND g.memory_id IS NOT NULL AND '{right}' = ANY (g.rights) AND {IS_GRANTEE})"
    )


def permitted(right: Right, space: str = "m.space_id") -> str:
    """SQL over `memories m`: may the caller do this with the memory?

    `space` names its space; an expression that does not depend on the row is evaluated once a statement.
    """
    by_all = "(m.visibility = 'tenant' OR m.principal_id = %(principal)s)"
    author = by_all if right == "read" else "m.principal_id = %(principal)s"
    shared = "m.visibility <> 'private'"
    if right == "erase":
        shared = "(m.visibility <> 'private' OR %(admin)s)"
    return f"({author} OR ({shared} AND {space_allows(right, space)}) OR m.id = ANY ({granted(right, space)}))"


# An expired memory is nobody's, whether or not a worker has swept it.
UNEXPIRED = (
    "(m.expires_at IS NULL OR m.expires_at > %(now)s) AND (m.retained_until IS NULL OR m.retained_until > %(now)s)"
)
HOLDS = "(m.valid_from IS NULL OR m.valid_from <= %(holds_at)s) AND (m.valid_to IS NULL OR m.valid_to > %(holds_at)s)"


def visible(space: str = "m.space_id") -> str:
    """SQL over `memories m`: may the caller read it, and has it not expired?"""
    return f"{permitted('read', space)} AND {UNEXPIRED}"


def parameters(session: ReadSession, caller: Caller, when: When) -> dict[str, object]:
    """What the expressions of this module refer to."""
    return {
        "tenant": session.tenant_id,
        "principal": caller.principal_id,
        "admin": caller.admin,
        "now": when.now,
        "holds_at": when.holds_at,
        "known_at": when.known_at,
    }


async def require(session: ReadSession, caller: Caller, space: str, right: Right) -> SpaceId:
    """The space of that name, in which the caller may do this.

    `NotFoundError` when there is none, or none that the caller may read; `ForbiddenError` when only this right is
    missing.
    """
    rows = await session.fetch(
        f"SELECT sp.id, {space_allows('read', 'sp.id')}, {space_allows(right, 'sp.id')} FROM spaces sp "
        "WHERE sp.tenant_id = %(tenant)s AND sp.name = %(name)s",
        {"tenant": session.tenant_id, "principal": caller.principal_id, "admin": caller.admin, "name": space},
        tuple_row,
    )
    if not rows or not (rows[0][1] or rows[0][2]):
        raise NotFoundError(
            f"there is no space {space!r}",
            remedy="Check its name with GET /v1/spaces; a write makes a space.",
        )
    if not rows[0][2]:
        raise missing_right(right, f"the space {space!r}", field="space")
    return SpaceId(rows[0][0])


def missing_right(right: Right, what: str, *, field: str) -> ForbiddenError:
    """The refusal of something that was not granted."""
    remedy = f"Ask its owner for the right `{right}` (POST /v1/grants), or use a key with the scope `admin`."
    return ForbiddenError(
        f"this principal may not {right} {what}",
        fields=(FieldError(field, f"the right `{right}` is missing", remedy),),
        remedy=remedy,
    )
