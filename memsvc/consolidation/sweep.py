"""Sweeping what has expired: its state says so, and where the space's policy wants it, it is erased for good.

Activations that nobody used for as long as the policy says are demoted.

Recall does not wait for this: what has expired is not returned from that moment on.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog

from memsvc.errors import LegalHoldError
from memsvc.ids import SpaceId
from memsvc.ingest.operations import record
from memsvc.ingest.write import Ingest
from memsvc.lifecycle import promotion
from memsvc.lifecycle.erase import EraseOrder, erase
from memsvc.lifecycle.promotion import Change
from memsvc.lifecycle.signing import Signer
from memsvc.store import memories, principals, retention, versions
from memsvc.store.database import WriteSession
from memsvc.store.retention import Due

log = structlog.get_logger(__name__)

BATCH = 1000


async def sweep_expired(ingest: Ingest, signer: Signer, *, now: datetime) -> None:
    """Sweep every space, of every tenant, that has something due; a batch a transaction, so that writers get in."""
    for due in await retention.find_due(ingest.database, now):
        expired = erased = 0
        while count := await _expire(ingest, due, now):
            expired += count
        while count := await _erase(ingest, signer, due, now):
            erased += count
        demoted = await _demote(ingest, due, now)
        if expired or erased or demoted:
            log.info("swept", expired=expired, erased=erased, demoted=demoted)


async def _expire(ingest: Ingest, due: Due, now: datetime) -> int:
    async with ingest.database.write(due.tenant_id) as session:
        spaces = await memories.lock_spaces(session, {due.space_id})
        if due.space_id not in spaces:
            return 0
        ids = await retention.expired(session, due.space_id, now=now, limit=BATCH)
        if ids:
            caller = await principals.service_caller(session)
            operation = await record(
                ingest.queue, session, spaces[due.space_id], "expire", caller=caller, now=now, reason="its time is over"
            )
            await versions.revise(session, operation, ids, {"state": "expired"})
        return len(ids)


async def _erase(ingest: Ingest, signer: Signer, due: Due, now: datetime) -> int:
    async with ingest.database.write(due.tenant_id) as session:
        policies = await _policies(session, due.space_id)
        days = policies.get("erase_expired_after_days")
        if days is None:
            return 0
        ids = await retention.erasable(session, due.space_id, before=now - timedelta(days=float(days)), limit=BATCH)
        caller = await principals.service_caller(session)
    if not ids:
        return 0
    try:
        await erase(ingest, signer, EraseOrder(caller=caller, memories=tuple(ids), now=now))
    except LegalHoldError as error:  # something that derives from them is held, and they wait with it
        log.warning("sweep_held", space=str(due.space_id), problem=error.detail)
        return 0
    return len(ids)


async def _demote(ingest: Ingest, due: Due, now: datetime) -> int:
    async with ingest.database.write(due.tenant_id) as session:
        spaces = await memories.lock_spaces(session, {due.space_id})
        space = spaces.get(due.space_id)
        days = None if space is None else space.policies.get("demote_activations_after_days")
        if space is None or days is None:
            return 0
        caller = await principals.service_caller(session)
    change = Change(spaces=[space.name], reason=f"not used for {days:g} days", dry_run=False)
    changed = await promotion.demote(ingest, caller, change, idle_days=float(days), now=now)
    return sum(len(one.ids) for one in changed)


async def _policies(session: WriteSession, space_id: SpaceId) -> Mapping[str, Any]:
    spaces = await memories.lock_spaces(session, {space_id})
    return spaces[space_id].policies if space_id in spaces else {}
