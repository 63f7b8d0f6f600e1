"""Who may do what: granting rights on spaces and memories, taking them back, and the groups they go to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from memsvc.errors import ConflictError, FieldError, NotFoundError
from memsvc.ids import GrantId, GroupId, MemoryId, PrincipalId
from memsvc.ingest.write import Ingest
from memsvc.store import sharing
from memsvc.store.access import RIGHTS, Right, When, missing_right
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.keys import Caller
from memsvc.store.sharing import Grant, Grantee, Group, Shareable


@dataclass(frozen=True, slots=True)
class GrantOrder:
    """Rights on a space or a memory, for a principal or a group; exactly one of each pair is given."""

    space: str | None
    memory: MemoryId | None
    principal: str | None
    group: str | None
    rights: Sequence[Right]


async def grant(ingest: Ingest, caller: Caller, order: GrantOrder, *, now: datetime) -> tuple[Grant, bool]:
    """Let somebody have exactly these rights on a target, and whether he had none on it before.

    `ForbiddenError` unless the caller may share the target, and holds himself what he grants.
    """
    async with ingest.database.write(caller.tenant_id) as session:
        target = await _find_target(session, caller, order, now)
        what, field = (f"memory {order.memory}", "memory") if order.memory else (f"the space {order.space!r}", "space")
        if not target.may_grant:
            raise missing_right("share", what, field=field)
        for right in order.rights:
            if right not in target.rights:
                raise missing_right(right, what, field="rights")
        grantee = await _find_grantee(session, order)
        rights = [right for right in RIGHTS if right in order.rights]
        grant_id, new = await sharing.set_grant(session, target, grantee, rights, caller=caller, now=now)
        found, _ = await sharing.get_grant(session, grant_id, caller=caller, when=When(now))
        return found, new


async def _find_target(session: WriteSession, caller: Caller, order: GrantOrder, now: datetime) -> Shareable:
    if order.memory is not None:
        target = await sharing.shareable_memory(session, caller, order.memory, When(now))
        what = f"memory {order.memory}"
    else:
        target = await sharing.shareable_space(session, caller, str(order.space))
        what = f"space {order.space!r}"
    if target is None or not (target.readable or target.may_grant):
        raise NotFoundError(f"there is no {what}")
    return target


async def _find_grantee(session: ReadSession, order: GrantOrder) -> Grantee:
    if order.group is not None:
        return Grantee(group_id=await _group(session, order.group, field="group"))
    return Grantee(principal_id=await _principal(session, str(order.principal), field="principal"))


async def _principal(session: ReadSession, name: str, *, field: str) -> PrincipalId:
    found = await sharing.find_principal(session, name)
    if found is None:
        raise _unknown(field, f"principal {name!r}", "GET /v1/principals lists them; `memsvc keys create` makes one.")
    return found


async def _group(session: ReadSession, name: str, *, field: str) -> GroupId:
    found = await sharing.find_group(session, name)
    if found is None:
        raise _unknown(field, f"group {name!r}", "GET /v1/groups lists them; POST /v1/groups makes one.")
    return found


def _unknown(field: str, what: str, remedy: str) -> NotFoundError:
    return NotFoundError(
        f"there is no {what}", fields=(FieldError(field, f"there is no {what}", remedy),), remedy=remedy
    )


async def revoke(ingest: Ingest, caller: Caller, grant_id: GrantId, *, now: datetime) -> None:
    """Take a grant back: who gave it may, and who may share what it is on. It holds at once."""
    async with ingest.database.write(caller.tenant_id) as session:
        found, revocable = await sharing.get_grant(session, grant_id, caller=caller, when=When(now))
        if not revocable:
            what = f"the space {found.space!r}" if found.memory_id is None else f"memory {found.memory_id}"
            raise missing_right("share", what, field="id")
        await sharing.delete_grant(session, grant_id)


async def make_group(ingest: Ingest, caller: Caller, name: str, *, now: datetime) -> Group:
    """A new group, without members; `ConflictError` when there is one of that name."""
    async with ingest.database.write(caller.tenant_id) as session:
        if not await sharing.insert_group(session, name, now=now):
            problem = f"there is a group {name!r} already"
            raise ConflictError(problem, fields=(FieldError("name", problem, "Use it, or choose another name."),))
        return (await sharing.list_groups(session, name))[0]


async def remove_group(ingest: Ingest, caller: Caller, name: str) -> None:
    """Remove a group; what was granted to it ends with it."""
    async with ingest.database.write(caller.tenant_id) as session:
        await sharing.delete_group(session, await _group(session, name, field="name"))


async def set_member(ingest: Ingest, caller: Caller, group: str, principal: str, *, member: bool) -> Group:
    """Put a principal into a group, or take it out; what is granted to the group follows at once."""
    async with ingest.database.write(caller.tenant_id) as session:
        group_id = await _group(session, group, field="name")
        principal_id = await _principal(session, principal, field="principal")
        if member:
            await sharing.add_member(session, group_id, principal_id)
        elif not await sharing.remove_member(session, group_id, principal_id):
            raise _unknown("principal", f"member {principal!r} of group {group!r}", "GET /v1/groups lists the members.")
        return (await sharing.list_groups(session, group))[0]
