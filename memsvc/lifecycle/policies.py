"""A space's policies: who may use it, how long it keeps what, how large its core memory may be."""

from memsvc.ingest.write import Ingest
from memsvc.store import retention, sharing, spaces
from memsvc.store.access import missing_right
from memsvc.store.database import WriteSession
from memsvc.store.keys import Caller
from memsvc.store.spaces import Space
from memsvc.wire import SpacePolicies


async def set_policies(ingest: Ingest, caller: Caller, name: str, wanted: SpacePolicies) -> None:
    """Set them, for what is stored already too; a space that does not exist is made."""
    async with ingest.database.write(caller.tenant_id) as session:
        space = await lock_to_set(session, caller, name)
        policies = wanted.policies.model_dump(mode="json", exclude_none=True)
        await spaces.set_policies(session, space.id, policies, open_to_all=wanted.open)
        await retention.apply(session, space.id, policies)


async def lock_to_set(session: WriteSession, caller: Caller, name: str) -> Space:
    """The space, made when it is new, locked by one who may change what holds for all its users.

    Its owner may, whom he granted the right to share, and an admin: that a space is open to all does not let all close
    it, or shorten what it keeps.
    """
    space = await spaces.lock_space(session, caller, name)
    held = await sharing.shareable_space(session, caller, name)
    if held is None or not held.may_grant:
        raise missing_right("share", f"the space {name!r}", field="space")
    return space
