"""Learning from what was heard: by a model, a topic segment a call, where one is configured; else by rules."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from memsvc.extraction.model import Fact
from memsvc.extraction.segments import buffers, segment
from memsvc.ids import MemoryId, TenantId, new_uuid
from memsvc.store import learning
from memsvc.store.writes import Vectors
from memsvc.text.tokens import estimate_tokens
from memsvc.upkeep.learning import RULES, Draft, Heard, facts_of, replies_of
from memsvc.upkeep.model import Upkeep
from memsvc.upkeep.thinking import extract_facts

# How a fact begins that quotes the question which it answers.
QUOTED = "Asked "
# Tokens of turns that a model is given at a time.
CALL_TOKENS = 2500


async def find_drafts(upkeep: Upkeep, tenant_id: TenantId, heard: Sequence[Heard]) -> list[Draft]:
    """The facts of these memories, in their order. No transaction may be open."""
    by_model = await _ask(upkeep, tenant_id, heard)
    return await asyncio.to_thread(_drafts, heard, by_model)


def _drafts(heard: Sequence[Heard], by_model: Mapping[MemoryId, tuple[Sequence[Fact], str]]) -> list[Draft]:
    """What the model found, and by rules what it did not."""
    drafts = []
    for one in heard:
        told, extractor = by_model.get(one.read.id) or (facts_of(one), RULES)
        drafts += [
            Draft(
                id=one.read.id if one.own else MemoryId(new_uuid()),
                source=one.read,
                fact=fact,
                extractor=extractor,
                own=one.own,
                asked=one.asked if fact.text.startswith(QUOTED) else None,
            )
            for fact in told
        ]
        if not any(fact.text.startswith(QUOTED) for fact in told):
            drafts += [
                Draft(id=MemoryId(new_uuid()), source=one.read, fact=fact, extractor=RULES, own=False, asked=one.asked)
                for fact in replies_of(one)
            ]
    return drafts


async def _ask(
    upkeep: Upkeep, tenant_id: TenantId, heard: Sequence[Heard]
) -> Mapping[MemoryId, tuple[Sequence[Fact], str]]:
    """What the model finds, by turn; turns in which it finds nothing, or for which it failed, are left out."""
    if upkeep.llm is None:
        return {}
    found: dict[MemoryId, tuple[list[Fact], str]] = {}
    for part in await _segments(upkeep, tenant_id, heard):
        answer = await extract_facts(upkeep.llm, tenant_id, [one.said for one in part])
        if answer is None:
            continue
        # Where it finds nothing the rules may: a lazy model must not make the service worse.
        for fact in answer:
            found.setdefault(part[fact.turn].read.id, ([], upkeep.llm.extractor))[0].append(fact.fact)
    return found


async def _segments(upkeep: Upkeep, tenant_id: TenantId, heard: Sequence[Heard]) -> list[list[Heard]]:
    """The turns of each session cut by topic, neighbouring topics together as far as one call takes them."""
    sessions: dict[object, list[Heard]] = {}
    for one in heard:
        if one.read.kind == "turn":
            sessions.setdefault(one.read.session_id, []).append(one)
    async with upkeep.ingest.database.read(tenant_id) as session:
        vectors = await learning.read_vectors(session, [one.read.id for one in heard])
    return await asyncio.to_thread(_cut, sessions.values(), vectors, upkeep.ingest.batcher.encoder.spec.dimension)


def _cut(sessions: Iterable[list[Heard]], vectors: Mapping[MemoryId, Vectors], dimension: int) -> list[list[Heard]]:
    missing = np.full(dimension, np.nan, np.float32)
    parts = []
    for turns in sessions:
        rows = np.array([vectors.get(one.read.id, missing) for one in turns], np.float32)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        tokens = [estimate_tokens(one.read.content) for one in turns]
        cut = segment((rows / np.where(norms > 0, norms, 1)).astype(np.float32), tokens, [one.said.at for one in turns])
        parts += [turns[group[0].start : group[-1].end] for group in buffers(cut, tokens, most_tokens=CALL_TOKENS)]
    return _joined(parts)


def _joined(parts: Sequence[list[Heard]]) -> list[list[Heard]]:
    """Short sessions share a call, as far as one takes them."""
    calls: list[list[Heard]] = []
    left = 0
    for part in parts:
        size = sum(estimate_tokens(one.read.content) for one in part)
        if calls and size <= left:
            calls[-1] += part
            left -= size
        else:
            calls.append(list(part))
            left = CALL_TOKENS - size
    return calls
