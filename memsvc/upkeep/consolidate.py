"""Consolidating a space: what was written since the last run is read, and the facts that it states are learned.

A run reads (one snapshot), thinks (no transaction open), and applies what it decided in one transaction, as one
operation that can be undone. When something that it looked at changed meanwhile, it looks again. What was learned from
a content is never learned from it again, so that a run that is repeated doubles nothing, and an undone one stays
undone.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from memsvc.errors import BusyError
from memsvc.extraction.model import Said
from memsvc.ids import SpaceId
from memsvc.store import access, learning
from memsvc.store.learning import EXTRACTED, Extract, Known, Progress, Read
from memsvc.upkeep import thinking
from memsvc.upkeep.applying import ChangedError, Decided, apply_plan
from memsvc.upkeep.concepts import learn_concepts
from memsvc.upkeep.deciding import Plan, decide
from memsvc.upkeep.hearing import find_drafts
from memsvc.upkeep.learning import REACH, TOLD_KINDS, Draft, listen, wanted_by
from memsvc.upkeep.model import Change, Order, Run, Upkeep
from memsvc.upkeep.shifting import find_shifts
from memsvc.upkeep.summarize import summarize_sessions
from memsvc.upkeep.topics import summarize_topics

TRIES = 3
# Calls of a model that judges, in one run.
MOST_JUDGED = 4


@dataclass(frozen=True, slots=True)
class Reading:
    """What a run works from: `fresh` is to be learned from; of `withdrawn` facts the source says so no more."""

    space_id: SpaceId
    progress: Progress
    pending: tuple[Read, ...]
    context: tuple[Read, ...]
    fresh: tuple[Read, ...]
    withdrawn: tuple[Extract, ...]
    complete: bool

    @property
    def cursor(self) -> tuple[int, int]:
        """Where the next run begins: behind that operation, and in the one after it behind that memory."""
        return (self.progress.head, 0) if self.complete else (self.pending[-1].operation - 1, self.pending[-1].number)


async def consolidate(upkeep: Upkeep, order: Order) -> Run:
    """Learn facts from what was written; once all is read, summarise sessions and topics, and learn concepts.

    Each of these is an operation of its own. A dry run shows the first one with anything to do, for the others work on
    what that one does. Raises as `learn` does; what was done before stays done.
    """
    run = await learn(upkeep, order)
    for step in (_summarize, summarize_topics, learn_concepts):
        if run.more or (order.dry_run and run.changes):
            return run
        run += await step(upkeep, order)
    return run


async def _summarize(upkeep: Upkeep, order: Order) -> Run:
    """A space is consolidated when it is idle, or when somebody asks for it: its sessions are taken as they are."""
    return await summarize_sessions(upkeep, order, idle=timedelta(0))


async def learn(upkeep: Upkeep, order: Order) -> Run:
    """Read up to `order.limit` memories from where the last run stopped, and learn what they state.

    Raises `NotFoundError` and `ForbiddenError`, `BusyError` when the space changes faster than it can be read, and
    `EncoderUnavailableError`; then nothing was done.
    """
    for _ in range(TRIES):
        reading = await _read(upkeep, order)
        plan = await _think(upkeep, order, reading)
        changes = _changes(reading, plan, order)
        if order.dry_run:
            return Run(reading.space_id, changes, None, not reading.complete)
        decided = Decided(reading.space_id, reading.progress, reading.cursor, reading.fresh, reading.withdrawn, plan)
        try:
            operation_id = await apply_plan(upkeep.ingest, order, decided)
        except ChangedError:
            continue
        return Run(reading.space_id, changes, operation_id, not reading.complete)
    raise BusyError("the space changes faster than it can be consolidated", retry_after_s=5.0)


async def _read(upkeep: Upkeep, order: Order) -> Reading:
    async with upkeep.ingest.database.read(order.caller.tenant_id) as session:
        space_id = await access.require(session, order.caller, order.space, "write")
        progress = await learning.find_progress(session, space_id)
        pending = await learning.read_pending(session, space_id, progress, limit=order.limit)
        extracts = await learning.find_extracts(session, [read.id for read in pending])
        told = [read for read in pending if _is_told(read)]
        context = await learning.read_before(session, told, reach=REACH)
    reads = {read.id: read for read in pending}
    known = {one.source_id for one in extracts if reads[one.source_id].content_number == one.content_number}
    return Reading(
        space_id=space_id,
        progress=progress,
        pending=tuple(pending),
        context=tuple(context),
        fresh=tuple(read for read in told if read.id not in known),
        withdrawn=tuple(one for one in extracts if _is_withdrawn(one, reads[one.source_id])),
        complete=len(pending) < order.limit,
    )


def _is_told(read: Read) -> bool:
    """Whether there is something to learn from it: a current text that somebody wrote."""
    return (
        read.current
        and read.payload_type == "plaintext"
        and read.origin != EXTRACTED
        and (read.kind == "turn" or (read.kind in TOLD_KINDS and read.origin == "user_input"))
    )


def _is_withdrawn(extract: Extract, source: Read) -> bool:
    """Its source was edited, or is held true no more; what was only archived is still true, and its facts stand."""
    if extract.state not in {"generated", "activated", "merged"}:
        return False
    stands = source.current or (source.state == "archived" and not source.superseded)
    return not stands or source.content_number != extract.content_number


async def _think(upkeep: Upkeep, order: Order, reading: Reading) -> Plan:
    # Each of these is long enough, for a large batch, to hold up whoever shares the event loop.
    heard = await asyncio.to_thread(listen, reading.fresh, reading.context)
    drafts = await find_drafts(upkeep, order.caller.tenant_id, heard)
    wanted = await asyncio.to_thread(wanted_by, drafts)
    async with upkeep.ingest.database.read(order.caller.tenant_id) as session:
        known = await learning.find_known(session, reading.space_id, wanted, now=order.now)
        past = await learning.find_past(session, reading.space_id, wanted.fingerprints)
    gone = {one.id for one in reading.withdrawn}
    held = [one for one in known if one.id not in gone]
    over = [one for one in past if one.id not in gone]
    plan = await asyncio.to_thread(decide, drafts, held, over)
    plan = await find_shifts(upkeep, order, reading.space_id, reading.fresh, plan)
    return await _judge(upkeep, order, plan, known)


async def _judge(upkeep: Upkeep, order: Order, plan: Plan, known: Sequence[Known]) -> Plan:
    """Let a model look at what the rules are not certain of. What it holds to be about other things is no conflict."""
    if upkeep.llm is None or not plan.conflicts:
        return plan
    said = {one.id: Said(one.content, one.speaker, None, at=one.said_at) for one in known}
    said |= {one.id: Said(one.fact.text, one.claim.speaker, None, at=one.claim.said_at) for one in plan.new}
    kept = list(plan.conflicts[MOST_JUDGED:])
    for conflict in plan.conflicts[:MOST_JUDGED]:
        old, new = said[conflict.old_id], said[conflict.new_id]
        if await thinking.judge(upkeep.llm, order.caller.tenant_id, old, new) != "unrelated":
            kept.append(conflict)
    return replace(plan, conflicts=tuple(kept))


def _changes(reading: Reading, plan: Plan, order: Order) -> tuple[Change, ...]:
    """What the run does, in words; the content of what is private to somebody else is not shown."""

    def shown(draft: Draft) -> str | None:
        hidden = draft.source.visibility == "private" and draft.source.principal_id != order.caller.principal_id
        return None if hidden else draft.fact.text

    changes = [
        Change("archive", one.id, (one.source_id,), None, "its source says so no more") for one in reading.withdrawn
    ]
    changes += [
        Change("learn", one.id, (one.source.id,), shown(one), f"{one.metadata['type']} stated")
        for one in plan.new
        if not one.own
    ]
    changes += [
        Change("link", one.known_id, (one.draft.source.id,), None, "repeated" if one.echo else "said again")
        for one in plan.links
    ]
    changes += [Change("refine", one.new_id, (one.old_id,), None, one.finding.reason) for one in plan.refined]
    changes += [Change("supersede", one.new_id, (one.old_id,), None, one.finding.reason) for one in plan.replaced]
    changes += [Change("conflict", one.new_id, (one.old_id,), None, one.finding.reason) for one in plan.conflicts]
    return tuple(changes)
