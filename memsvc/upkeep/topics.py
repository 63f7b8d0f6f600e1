"""Summaries of a space: what is known of one subject on one topic, out of many sessions, made of facts.

Facts are put together only where they cohere (`extraction.clusters`): of one subject, each near each, bounded in number
and length. A new fact joins the summary that it fits, as a new version of it, or waits until enough others like it
have been said; one that no longer holds leaves it.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from memsvc.extraction.clusters import COHESION, Statement, Vectors, cluster, cohesive, distinct, nearest_group
from memsvc.extraction.model import Said
from memsvc.extraction.replies import ANSWERS
from memsvc.extraction.summaries import Choice, heading, select
from memsvc.ids import MemoryId, new_uuid
from memsvc.ingest.prepare import content_hash
from memsvc.store import access, topics
from memsvc.store.summaries import Overview
from memsvc.store.topics import KnownFact
from memsvc.text.tokens import estimate_tokens
from memsvc.upkeep.derive import Derivation, derive
from memsvc.upkeep.learning import read_zone
from memsvc.upkeep.model import Order, Run, Upkeep
from memsvc.upkeep.overviews import BY_RULES, standing

# A topic is worth a summary of its own from so many facts on, said on so many occasions.
LEAST_FACTS, LEAST_OCCASIONS = 4, 2
# With fewer facts on a subject it cannot be told what they share from what all of them say of it.
LEAST_KNOWN = 8
# A topic that keeps less than this is none any more.
FEWEST_LEFT = 2
MOST_TOKENS = 160
MOST_OVERVIEWS = 200
# Facts compared with each other at a time: the work is quadratic.
MOST_FACTS = 1000


@dataclass(frozen=True, slots=True)
class Topic:
    """A summary that there is, with those of its facts that hold."""

    overview: Overview
    facts: tuple[KnownFact, ...]


async def summarize_topics(upkeep: Upkeep, order: Order) -> Run:
    """Make and renew the space's summaries of facts as one operation. Raises `NotFoundError` and `ForbiddenError`."""
    ingest, caller = upkeep.ingest, order.caller
    async with ingest.database.read(caller.tenant_id) as session:
        space_id = await access.require(session, caller, order.space, "write")
        keys: Mapping[str, Any] = {"encoder_id": ingest.encoder_id, "now": order.now}
        untold = await topics.read_untold_facts(
            session, space_id, **keys, skipped=ANSWERS, limit=min(order.limit, MOST_FACTS)
        )
        overviews = await topics.read_space_overviews(
            session,
            space_id,
            subjects={fact.subject for fact in untold if fact.subject},
            most_members=COHESION.most_members,
            now=order.now,
            limit=MOST_OVERVIEWS,
        )
        members = {memory_id for overview in overviews for memory_id in overview.members}
        facts = {fact.source.id: fact for fact in await topics.read_facts(session, space_id, members, **keys)}
    known = [Topic(one, tuple(facts[member] for member in one.members if member in facts)) for one in overviews]
    plans = await asyncio.to_thread(plan_topics, untold, known)
    return await derive(upkeep, order, space_id, plans)


def plan_topics(untold: Sequence[KnownFact], known: Sequence[Topic]) -> list[Derivation]:
    """What to make, revise and archive. Pure. Facts without a vector or a subject wait; the order of time decides."""
    ours = [topic for topic in known if standing(topic.overview) == "ours"]
    loose = sorted(
        (fact for fact in untold if fact.vector is not None and fact.subject),
        key=lambda fact: (fact.recorded_at, fact.source.content_number),
    )
    held = [fact for topic in ours for fact in topic.facts if fact.vector is not None]
    compared = [*held, *loose]
    vectors = dict(zip((fact.source.id for fact in compared), _distinct(compared), strict=True))
    joined = {topic.overview.source.id: list(topic.facts) for topic in ours}
    waiting = [fact for fact in loose if not _join(fact, ours, joined, vectors)]
    plans = [plan for topic in ours if (plan := _renew(topic, joined[topic.overview.source.id])) is not None]
    counts = Counter(fact.subject for fact in compared)
    waiting = [fact for fact in waiting if counts[fact.subject] >= LEAST_KNOWN]
    return plans + [_plan(facts, None) for facts in _group(waiting, vectors)]


def _group(waiting: Sequence[KnownFact], vectors: Mapping[MemoryId, Vectors]) -> list[list[KnownFact]]:
    """New topics among facts that fit none, each with all that the next run would put to it."""
    places = cluster([_statement(fact) for fact in waiting], _stack([vectors[fact.source.id] for fact in waiting]))
    groups = [[waiting[place] for place in group] for group in places]
    groups = [facts for facts in groups if len(facts) >= LEAST_FACTS and _occasions(facts) >= LEAST_OCCASIONS]
    taken = {fact.source.id for facts in groups for fact in facts}
    for fact in waiting:
        if fact.source.id not in taken:
            _put(fact, [facts for facts in groups if facts[0].subject == fact.subject], vectors)
    return groups


def _join(
    fact: KnownFact,
    known: Sequence[Topic],
    joined: Mapping[MemoryId, list[KnownFact]],
    vectors: Mapping[MemoryId, Vectors],
) -> bool:
    """Whether a fact was put to one of the topics of its subject."""
    near = [topic.overview for topic in known if topic.overview.metadata.get("subject") == fact.subject]
    return _put(fact, [joined[overview.source.id] for overview in near], vectors)


def _put(fact: KnownFact, topics: Sequence[list[KnownFact]], vectors: Mapping[MemoryId, Vectors]) -> bool:
    """Add a fact to the topic whose facts it is all near to, if they still cohere with it."""
    rows = [_stack([vectors[one.source.id] for one in facts if one.source.id in vectors]) for facts in topics]
    place = nearest_group(vectors[fact.source.id], rows)
    if place is None:
        return False
    every = [one for one in [*topics[place], fact] if one.source.id in vectors]
    if cohesive([_statement(one) for one in every], _stack([vectors[one.source.id] for one in every])):
        return False
    topics[place].append(fact)
    return True


def _renew(topic: Topic, facts: Sequence[KnownFact]) -> Derivation | None:
    """Its next version; None when its facts are those it was made of."""
    overview = topic.overview
    if len(facts) < FEWEST_LEFT:
        return Derivation(
            id=overview.source.id,
            version=overview.version,
            kind="summary",
            content=None,
            metadata=overview.metadata,
            parents=(),
            sources=(overview.source,),
            checks={},
            reason="too little is left of what it told of",
            retired=True,
        )
    plan = _plan(facts, overview)
    is_same = plan.content is None and dict(plan.metadata) == dict(overview.metadata)
    return None if is_same else plan


def _plan(facts: Sequence[KnownFact], before: Overview | None) -> Derivation:
    ordered = sorted(facts, key=lambda fact: (fact.source.occurred_at or fact.recorded_at, fact.source.content_number))
    texts = [_dated(fact) for fact in ordered]
    choices = [Choice(text, fact.content, place) for place, (text, fact) in enumerate(zip(texts, ordered, strict=True))]
    chosen = select(choices, most_tokens=MOST_TOKENS, vectors=_distinct(ordered)) or [0]
    content = "\n".join(texts[place] for place in chosen)
    metadata: Mapping[str, Any] = {
        "level": "space",
        "subject": ordered[0].subject,
        "facts": len(ordered),
        "lines": [_place(ordered[place]) for place in chosen],
        "by": BY_RULES,
        "made": content_hash(content).hex()[:16],
    }
    same_text = before is not None and before.content == content
    return Derivation(
        id=MemoryId(new_uuid()) if before is None else before.source.id,
        version=None if before is None else before.version,
        kind="summary",
        name=next((fact.name for fact in ordered if fact.name), None),
        content=None if same_text else content,
        metadata=metadata,
        parents=tuple(fact.source.id for fact in ordered),
        sources=tuple(fact.source for fact in ordered),
        checks={fact.source.id: fact.source.content_number for fact in ordered},
        reason=f"{len(ordered)} facts on one topic of one subject",
    )


def _place(fact: KnownFact) -> list[object] | None:
    return None if fact.position is None else [fact.session, fact.position, fact.start, fact.end]


def _dated(fact: KnownFact) -> str:
    """A fact with the day in front, unless it tells it itself."""
    at, content = fact.source.occurred_at, " ".join(fact.content.split())
    day = "" if at is None else heading(Said("", None, None, at=at.astimezone(read_zone(fact.source.occurred_zone))))
    return content if day.rstrip(": ") in content else day + content


def _occasions(facts: Sequence[KnownFact]) -> int:
    return len({fact.session or str(fact.said_in) for fact in facts})


def _statement(fact: KnownFact) -> Statement:
    return Statement(fact.subject, estimate_tokens(fact.content))


def _distinct(facts: Sequence[KnownFact]) -> Vectors:
    """float32[n, d]; a row of zeros for a fact without a vector."""
    dimension = next((len(fact.vector) for fact in facts if fact.vector is not None), 1)
    missing = np.zeros(dimension, np.float32)
    rows = _stack([missing if fact.vector is None else fact.vector for fact in facts])
    return distinct([_statement(fact) for fact in facts], rows)


def _stack(rows: Sequence[Vectors]) -> Vectors:
    return np.stack(rows) if rows else np.empty((0, 1), np.float32)
