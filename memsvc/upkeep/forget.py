"""Forgetting by a space's policy: what has faded, and what is worth the least when a budget is exceeded, is archived.

Archived memories are out of recall but for a deep one, and come back once they prove useful (`upkeep.feedback`).
Nothing is removed here; `forgotten_candidates` names what may be packed away.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from memsvc.ids import MemoryId, SpaceId
from memsvc.ingest.operations import record
from memsvc.store import access, forgetting, memories, principals, versions
from memsvc.store.database import Database, ReadSession, WriteSession
from memsvc.store.forgetting import Amount, Look, Standing
from memsvc.store.keys import Caller
from memsvc.store.retention import Due
from memsvc.text.analysis import analyze
from memsvc.upkeep.model import Change, Order, Run, Upkeep
from memsvc.upkeep.retention import Worth, expected_value, informativeness, uniqueness
from memsvc.upkeep.selection import Evidence, Going, Rules, Weighed, choose, exceeded, read_rules, spare, with_share
from memsvc.wire import Policies

# Memories read, and weighed, at a time.
READ_AT_ONCE = 2000
# A text of so many characters has told what it can tell; the rest of a long document is not read for this.
MOST_READ = 20_000
# Memories that a periodic run archives in one transaction, which holds the space's lock.
ARCHIVED_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a run would do, as it was when it looked."""

    look: Look
    rules: Rules
    going: tuple[Going, ...]
    more: bool


async def forget(upkeep: Upkeep, order: Order, *, share: float | None = None) -> Run:
    """Archive what the space's policy lets go, at most `order.limit` memories, as one operation.

    `share`: instead of the policy's thresholds and budgets, this share (0 to 1) of the turns in recall, those of the
    lowest expected value. What is touched between reading and applying stays. A budget is weighed over the whole space
    however small the limit, a batch at a time. Raises `NotFoundError` and `ForbiddenError`.
    """
    plan = await _plan(upkeep, order, share)
    if order.dry_run or not plan.going:
        return Run(plan.look.space_id, _changes(plan.going), None, plan.more)
    async with upkeep.ingest.database.write(order.caller.tenant_id) as session:
        spaces = await memories.lock_spaces(session, {plan.look.space_id})
        going = await _still_going(session, plan)
        if plan.look.space_id not in spaces or not going:
            return Run(plan.look.space_id, (), None, plan.more)
        operation = await record(
            upkeep.ingest.queue,
            session,
            spaces[plan.look.space_id],
            "forget",
            caller=order.caller,
            now=order.now,
            reason=order.reason,
            details={"archived": len(going)},
        )
        await versions.revise(session, operation, [one.standing.id for one in going], {"state": "archived"})
    return Run(plan.look.space_id, _changes(going), operation.id, plan.more)


async def forget_due(upkeep: Upkeep, due: Due, *, now: datetime) -> Run | None:
    """Forget a batch of what a space's policy lets go, as the service itself; None when the space is gone."""
    async with upkeep.ingest.database.write(due.tenant_id) as session:
        space = (await memories.lock_spaces(session, {due.space_id})).get(due.space_id)
        caller = await principals.service_caller(session)
    if space is None:
        return None
    order = Order(caller, space.name, now, limit=ARCHIVED_AT_ONCE, reason="by the space's policy")
    return await forget(upkeep, order)


async def forgotten_candidates(
    session: ReadSession, space_id: SpaceId, policies: Mapping[str, Any], *, caller: Caller, now: datetime, limit: int
) -> list[MemoryId]:
    """Archived memories that have faded so far that the policies let their content be packed away, oldest first.

    Those that a keep-rule protects, and those that are packed already, are none.
    """
    rules = rules_of(policies)
    look = Look(space_id, caller, now, rules.protection, rules.forget_below)
    return await forgetting.forgotten(session, look, limit=limit) if rules.forget_below else []


def rules_of(policies: Mapping[str, Any]) -> Rules:
    """What a space's policies, as they are stored, say of forgetting."""
    return read_rules(Policies.model_validate(policies).forget)


def pack_after_of(policies: Mapping[str, Any]) -> timedelta | None:
    """For how long something is archived and unused before it is packed away; None: that is no reason to."""
    forget = Policies.model_validate(policies).forget
    return None if forget is None or forget.pack_after_days is None else timedelta(days=forget.pack_after_days)


async def _plan(upkeep: Upkeep, order: Order, share: float | None) -> _Plan:
    database, tenant = upkeep.ingest.database, order.caller.tenant_id
    async with database.read(tenant) as session:
        space_id = await access.require(session, order.caller, order.space, "write")
        rules = rules_of(await forgetting.read_policies(session, space_id))
        held = await forgetting.measure(session, space_id, now=order.now)
    if share is not None:
        rules = with_share(rules, share, held)
    look = Look(space_id, order.caller, order.now, rules.protection, rules.archive_below)
    going: list[Going] = []
    if exceeded(rules, held):
        weighed = await _weigh_all(database, look)
        evidence: Evidence = {}
        if rules.keep_facts:
            async with database.read(tenant) as session:
                evidence = await forgetting.evidence(session, space_id, now=order.now)
        going = await asyncio.to_thread(_first, choose(rules, weighed, evidence, held=held), order.limit + 1)
    elif rules.archive_below:
        going = await _choose_faded(database, look, rules, held, order.limit + 1)
    return _Plan(look, rules, tuple(going[: order.limit]), len(going) > order.limit)


async def _weigh_all(database: Database, look: Look) -> list[Weighed]:
    """Everything in recall that the caller may change, with its expected value; nothing is open while it is weighed."""
    async with database.read(look.caller.tenant_id) as session:
        counts, texts = await forgetting.frequencies(session, look.space_id)
    weighed: list[Weighed] = []
    after = 0
    while True:
        async with database.read(look.caller.tenant_id) as session:
            page = await forgetting.read_standings(session, look, after=after, limit=READ_AT_ONCE, characters=MOST_READ)
        if not page:
            return weighed
        weighed += await asyncio.to_thread(_weigh, page, counts, texts)
        after = page[-1].number


async def _choose_faded(
    database: Database, look: Look, rules: Rules, held: Mapping[str, Amount], limit: int
) -> list[Going]:
    """The oldest of what has faded; no more is read than is needed to find so many."""
    weighed: list[Weighed] = []
    evidence: dict[MemoryId, set[MemoryId]] = {}
    after, going = 0, list[Going]()
    while len(going) < limit:
        async with database.read(look.caller.tenant_id) as session:
            page = await forgetting.read_standings(
                session, look, after=after, limit=READ_AT_ONCE, characters=0, faded_only=True
            )
            if not page:
                break
            if rules.keep_facts:
                ids = [one.id for one in page]
                evidence |= await forgetting.evidence(session, look.space_id, now=look.now, touching=ids)
        weighed += [Weighed(one) for one in page]
        after = page[-1].number
        going = await asyncio.to_thread(_first, choose(rules, weighed, evidence, held=held), limit)
    return going


def _first(going: Iterable[Going], limit: int) -> list[Going]:
    return list(islice(going, limit))


def _weigh(page: Sequence[Standing], counts: Mapping[str, int], texts: int) -> list[Weighed]:
    return [Weighed(replace(one, content=""), expected_value(_worth(one, counts, texts))) for one in page]


def _worth(one: Standing, counts: Mapping[str, int], texts: int) -> Worth:
    terms = set(analyze(one.content))
    return Worth(
        retained=one.retention,
        importance=one.importance,
        kind=one.kind,
        role=one.role,
        useful=one.useful,
        told=one.told,
        stood_for=one.stood_for,
        unique=uniqueness([counts.get(term, 1) for term in terms], texts),
        informative=informativeness(one.content, terms),
    )


async def _still_going(session: WriteSession, plan: _Plan) -> list[Going]:
    """Without what was changed, used, protected or left alone with a fact since the run looked."""
    ids = [one.standing.id for one in plan.going]
    found = await forgetting.untouched(session, plan.look, ids)
    going = [one for one in plan.going if found.get(one.standing.id) == (one.standing.version, one.standing.in_use_at)]
    if not plan.rules.keep_facts:
        return going
    ids = [one.standing.id for one in going]
    return spare(going, await forgetting.evidence(session, plan.look.space_id, now=plan.look.now, touching=ids))


def _changes(going: Sequence[Going]) -> tuple[Change, ...]:
    return tuple(Change("archive", one.standing.id, reason=one.reason) for one in going)
