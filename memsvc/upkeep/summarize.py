"""Summarising the sessions of a space that have become quiet, at the levels of topic and session.

Read, think with no transaction open, then apply inside the caller's transaction and operation.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from memsvc.extraction.model import Said
from memsvc.extraction.summaries import summarize
from memsvc.ids import MemoryId, SessionId, SpaceId, TenantId
from memsvc.store import access, summaries
from memsvc.store.database import ReadSession
from memsvc.text.chunking import sentences
from memsvc.upkeep import thinking
from memsvc.upkeep.derive import derive
from memsvc.upkeep.model import Order, Run, Upkeep
from memsvc.upkeep.overviews import History, Passage, as_said, find_passages, plan_summaries

# A session without a new turn for so long is taken to have ended; one with fewer turns is its own summary.
IDLE = timedelta(minutes=30)
LEAST_TURNS = 6
# Turns for each passage that a model is asked to summarise, with two calls: the longest passages of a run.
TURNS_A_PASSAGE = 200

Texts = Mapping[tuple[MemoryId, MemoryId], str]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a run works from. `later`: when the next session that is still being written will be quiet."""

    histories: tuple[History, ...]
    later: datetime | None
    more: bool


async def summarize_sessions(upkeep: Upkeep, order: Order, *, idle: timedelta = IDLE) -> Run:
    """Make and renew the summaries of the space's quiet sessions as one operation, reading at most `order.limit` turns.

    A summary of what changed meanwhile is left for the next run. Raises `NotFoundError` and `ForbiddenError`.
    """
    ingest, caller = upkeep.ingest, order.caller
    async with ingest.database.read(caller.tenant_id) as session:
        space_id = await access.require(session, caller, order.space, "write")
        reading = await read_histories(upkeep, session, space_id, now=order.now, idle=idle, limit=order.limit)
    texts = {} if order.dry_run else await write_texts(upkeep, caller.tenant_id, reading.histories)
    # Long enough to hold up whoever shares the event loop.
    plans = await asyncio.to_thread(plan_summaries, reading.histories, write=lambda passage: texts.get(passage.key))
    return await derive(upkeep, order, space_id, plans, more=reading.more)


async def read_histories(
    upkeep: Upkeep, session: ReadSession, space_id: SpaceId, *, now: datetime, idle: timedelta, limit: int
) -> Reading:
    """The quiet sessions whose summaries are out of date, with at most `limit` turns together, at least one session."""
    found = await summaries.find_stale_sessions(
        session, space_id, now=now, quiet_since=now - idle, least_turns=LEAST_TURNS, limit=limit + 1
    )
    quiet = [one for one in found if one.recorded_at is None or one.recorded_at <= now - idle]
    recorded = [one.recorded_at for one in found if one.recorded_at is not None and one.recorded_at > now - idle]
    overviews, changed = await summaries.read_overviews(
        session, space_id, sessions=[one.name for one in quiet], now=now
    )
    told: dict[str, list[summaries.Overview]] = {}
    for overview in overviews:
        told.setdefault(overview.metadata["session"], []).append(overview)
    histories = [History(state, tuple(told.get(state.name, ())), frozenset(changed)) for state in quiet]
    ranges = [(history.state.id, first, last) for history in histories for first, last in history.unsettled]
    turns = await summaries.read_turns(session, ranges, encoder_id=upkeep.ingest.encoder_id, now=now, limit=limit + 1)
    return Reading(
        tuple(_with_turns(histories, turns, limit)),
        min(recorded) + idle if recorded else None,
        len(turns) > limit,
    )


async def write_texts(upkeep: Upkeep, tenant_id: TenantId, histories: Sequence[History]) -> Texts:
    """What the model, if there is one, writes of the longest passages, one for every 200 turns that were read.

    Only what its sources bear out is among it. No transaction may be open.
    """
    if upkeep.llm is None:
        return {}
    passages = await asyncio.to_thread(lambda: [one for history in histories for one in find_passages(history)])
    most = sum(len(passage.turns) for passage in passages) // TURNS_A_PASSAGE
    texts = {}
    for passage in sorted(passages, key=_length, reverse=True)[:most]:
        sources = [as_said(turn) for turn in passage.turns]
        written = await thinking.summarize(upkeep.llm, tenant_id, sources, extractive=_extractive)
        if written.writer == "model":
            texts[passage.key] = "\n".join(sentences(written.text))
    return texts


def _with_turns(histories: Sequence[History], turns: Sequence[summaries.Turn], limit: int) -> list[History]:
    """Each with its turns; of the one at which the limit was reached the first ones, and none after it."""
    own: dict[SessionId, list[summaries.Turn]] = {}
    for turn in turns[:limit]:
        own.setdefault(turn.session_id, []).append(turn)
    cut = turns[limit].session_id if len(turns) > limit else None
    kept: list[History] = []
    for history in histories:
        is_cut = history.state.id == cut
        read = tuple(own.get(history.state.id, ()))
        if read or not is_cut:
            kept.append(replace(history, turns=read, complete=not is_cut))
        if is_cut:
            break
    return kept


def _extractive(sources: Sequence[Said]) -> str:
    return "\n".join(line.text for line in summarize(sources))


def _length(passage: Passage) -> int:
    return sum(len(turn.content) for turn in passage.turns)
