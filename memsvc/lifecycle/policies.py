"""A space's policies: who may use it, how long it keeps what, how large its core memory may be."""

from memsvc.ingest.write import Ingest
from memsvc.store import retention, spaces
from memsvc.store.keys import Caller
from memsvc.wire import SpacePolicies


async def set_policies(ingest: Ingest, caller: Caller, name: str, wanted: SpacePolicies) -> None:
    """Set them, for what is stored already too; a space that does not exist is made. Needs the right to share."""
    async with ingest.database.write(caller.tenant_id) as session:
        space = await spaces.lock_space(session, caller, name, right="share")
        policies = wanted.policies.model_dump(mode="json", exclude_none=True)
        await spaces.set_policies(session, space.id, policies, open_to_all=wanted.open)
        await retention.apply(session, space.id, policies)
