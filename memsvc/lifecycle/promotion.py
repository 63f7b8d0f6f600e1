"""Moving between payload types by policy, and out of use: what is worth an activation, and what no longer is.

The service runs no language model, so promotion has two halves: it names the candidates, and whoever runs the model
builds their activations and sends them with `source`, which is the recorded operation. Demotion archives; the plaintext
source was never touched, and serves again.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from memsvc.ids import MemoryId, OperationId, SpaceId
from memsvc.ingest.operations import record
from memsvc.ingest.write import Ingest
from memsvc.store import access, memories, tensors, versions
from memsvc.store.access import When
from memsvc.store.database import WriteSession
from memsvc.store.keys import Caller
from memsvc.store.memories import Record
from memsvc.store.tensors import Wanted

Choose = Callable[[WriteSession, SpaceId], Awaitable[list[MemoryId]]]


@dataclass(frozen=True, slots=True)
class PromotionPolicy:
    """What is worth an activation of the model: hot after `accesses`, stable when unchanged for `stable_days`, long
    from `tokens`. `revision` None: an activation of any revision serves."""

    spaces: Sequence[str]
    model: str
    revision: str | None
    accesses: int
    stable_days: float
    tokens: int
    limit: int


@dataclass(frozen=True, slots=True)
class Change:
    """In which spaces something is to be changed, and why; a dry run only says what would be."""

    spaces: Sequence[str]
    reason: str | None
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Changed:
    """What one space's operation changed; there is none when nothing was, or in a dry run."""

    space: str
    operation_id: OperationId | None
    ids: Sequence[MemoryId]


async def candidates(
    ingest: Ingest, caller: Caller, policy: PromotionPolicy, *, now: datetime
) -> list[tuple[Record, int]]:
    """Plaintext that the policy would promote and that has no reusable activation of the model, with its tokens."""
    when = When(now)
    async with ingest.database.read(caller.tenant_id) as session:
        wanted = Wanted(
            spaces=[await access.require(session, caller, name, "read") for name in dict.fromkeys(policy.spaces)],
            model=policy.model,
            revision=policy.revision,
            accesses=policy.accesses,
            unchanged_since=now - timedelta(days=policy.stable_days),
            tokens=policy.tokens,
            limit=policy.limit,
        )
        found = await tensors.find_candidates(session, wanted, caller=caller, when=when)
        records = await memories.get_records(session, list(found), caller=caller, when=when)
    return [(records[each], tokens) for each, tokens in found.items() if each in records]


async def invalidate(
    ingest: Ingest, caller: Caller, change: Change, *, model: str, keep_revision: str | None, now: datetime
) -> list[Changed]:
    """Expire the tensor records of a model, but those of the kept revision: one operation a space."""

    async def choose(session: WriteSession, space_id: SpaceId) -> list[MemoryId]:
        return await tensors.find_of_model(
            session, space_id, model=model, keep_revision=keep_revision, caller=caller, when=When(now)
        )

    step = _Step("invalidate", "expired", choose)
    return [await _apply(ingest, caller, name, change, step, now) for name in dict.fromkeys(change.spaces)]


async def demote(ingest: Ingest, caller: Caller, change: Change, *, idle_days: float, now: datetime) -> list[Changed]:
    """Archive the activations that nobody used for so long: one operation a space."""

    async def choose(session: WriteSession, space_id: SpaceId) -> list[MemoryId]:
        before = now - timedelta(days=idle_days)
        return await tensors.find_idle(session, space_id, before=before, caller=caller, when=When(now))

    step = _Step("demote", "archived", choose)
    return [await _apply(ingest, caller, name, change, step, now) for name in dict.fromkeys(change.spaces)]


@dataclass(frozen=True, slots=True)
class _Step:
    kind: str
    state: str
    choose: Choose


async def _apply(ingest: Ingest, caller: Caller, name: str, change: Change, step: _Step, now: datetime) -> Changed:
    async with ingest.database.write(caller.tenant_id) as session:
        space_id = await access.require(session, caller, name, "write")
        space = (await memories.lock_spaces(session, {space_id}))[space_id]
        ids = await step.choose(session, space_id)
        if change.dry_run or not ids:
            return Changed(name, None, ids)
        operation = await record(
            ingest.queue,
            session,
            space,
            step.kind,
            caller=caller,
            now=now,
            reason=change.reason,
            details={"memories": len(ids)},
        )
        await versions.revise(session, operation, ids, {"state": step.state})
    return Changed(name, operation.id, ids)
