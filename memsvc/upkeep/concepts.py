"""Learning concepts from episodes whose outcome callers reported, and procedures from what worked repeatedly.

A concept is a memory with its parts in its metadata. It is there as soon as one episode has shown it, and told in full,
and `activated`, once it has proved itself. Of one that somebody edited only the counts go on.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from memsvc.errors import BusyError, EncoderUnavailableError
from memsvc.extraction.concepts import Concept, Parameter, Step, alike, count, learn, merge, procedure, render
from memsvc.extraction.model import Said
from memsvc.ids import MemoryId, new_uuid
from memsvc.ingest.prepare import content_hash
from memsvc.ingest.write import Ingest
from memsvc.store import access, episodes
from memsvc.store.episodes import Episode, Used
from memsvc.store.summaries import LEARNED, Overview, Source
from memsvc.upkeep.derive import Derivation, derive
from memsvc.upkeep.learning import read_zone
from memsvc.upkeep.model import Order, Run, Upkeep
from memsvc.upkeep.overviews import standing

MOST_LESSONS = 500
# A concept names its episodes; with so many it learns from no more.
MOST_EPISODES = 500

Similarity = Callable[[str, str], float | None]


def unknown(_one: str, _other: str) -> float | None:
    """The similarity where no encoder tells it."""
    return None


@dataclass(slots=True)
class _Lesson:
    """A concept while episodes are read; `before` is the memory that holds it, if there is one."""

    concept: Concept
    before: Overview | None
    used: dict[MemoryId, Source] = field(default_factory=dict)
    is_changed: bool = False


async def learn_concepts(upkeep: Upkeep, order: Order) -> Run:
    """Learn from at most `order.limit` new episodes, as one operation. Raises `NotFoundError` and `ForbiddenError`."""
    async with upkeep.ingest.database.read(order.caller.tenant_id) as session:
        space_id = await access.require(session, order.caller, order.space, "write")
        found = await episodes.read_episodes(session, space_id, now=order.now, limit=order.limit)
        lessons = await episodes.read_lessons(session, space_id, limit=MOST_LESSONS) if found else []
    similarity = await compare_situations(upkeep.ingest, found, lessons)
    plans = await asyncio.to_thread(plan_concepts, found, lessons, similarity)
    return await derive(upkeep, order, space_id, plans)


def plan_concepts(
    found: Sequence[Episode], lessons: Sequence[Overview], similarity: Similarity = unknown
) -> list[Derivation]:
    """What to make and revise of new episodes, oldest first, and the lessons there are. Pure.

    `similarity` is the cosine of two situations, or None where it is not known.
    """
    known = [
        _Lesson(concept, one)
        for one in lessons
        if one.metadata.get("level") == "concept" and (concept := read_concept(one.metadata)) is not None
    ]
    for episode in found:
        _learn_from(episode, known, similarity)
    procedures = {
        str(one.metadata.get("situation")): one for one in lessons if one.metadata.get("level") == "procedure"
    }
    plans: list[Derivation] = []
    for lesson in known:
        if lesson.is_changed and (lesson.before is None or lesson.before.state != "frozen"):
            plan = _plan(lesson)
            plans.append(plan)
            of_steps = _plan_procedure(lesson, plan, procedures)
            plans += [of_steps] if of_steps is not None else []
    return plans


def read_concept(metadata: Mapping[str, Any]) -> Concept | None:
    """The concept that the metadata of a memory holds; None when it was edited to something else."""
    try:
        concept = Concept(
            situation=str(metadata["situation"]),
            steps=tuple(Step(str(step["text"]), int(step["seen"])) for step in metadata["suggestion"]),
            cues=tuple(map(str, metadata["cues"])),
            caution=metadata["caution"] is True,
            used_in=tuple(map(str, metadata["used_in"])),
            parameters=tuple(
                Parameter(str(one["name"]), tuple(map(str, one["examples"]))) for one in metadata["parameters"]
            ),
            successes=int(metadata["successes"]),
            failures=int(metadata["failures"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
    return concept if concept.steps else None


async def compare_situations(ingest: Ingest, found: Sequence[Episode], lessons: Sequence[Overview]) -> Similarity:
    """Cosines of the situations of these episodes and lessons; none when the encoder cannot tell."""
    told = await asyncio.to_thread(lambda: [learn(one.name, one.outcome, _turns(one)) for one in found])
    texts = {one.situation for one in told if one is not None}
    if texts:
        texts |= {str(one.metadata.get("situation")) for one in lessons}
    ordered = sorted(texts)
    try:
        vectors = (await ingest.batcher.encode_documents(ordered, within_s=ingest.write_wait_s)).vectors
    except (BusyError, EncoderUnavailableError, ValueError):  # ValueError: edited to more than the encoder reads
        return unknown
    rows = {text: vectors[place] for place, text in enumerate(ordered) if not np.isnan(vectors[place]).any()}
    return lambda one, other: float(rows[one] @ rows[other]) if one in rows and other in rows else None


def _learn_from(episode: Episode, known: list[_Lesson], similarity: Similarity) -> None:
    """Merge what the episode shows into the first lesson of its situation, and count it for the concepts it used."""
    told = learn(episode.name, episode.outcome, _turns(episode))
    if told is not None:
        lesson = next(
            (
                one
                for one in known
                if alike(one.concept, told, similarity(one.concept.situation, told.situation))
                and len(one.concept.used_in) < MOST_EPISODES
            ),
            None,
        )
        if lesson is None:
            lesson = _Lesson(told, None)
            known.append(lesson)
        else:
            lesson.concept = merge(lesson.concept, told)
        lesson.used |= {used.source.id: used.source for used in episode.memories if used.kind == "turn"}
        lesson.is_changed = True
    used_ids = {used.source.id for used in episode.memories if used.kind == "concept"}
    for lesson in known:
        if lesson.before is not None and lesson.before.source.id in used_ids:
            counted = count(lesson.concept, episode.name, episode.outcome)
            lesson.is_changed |= counted != lesson.concept
            lesson.concept = counted


def _plan(lesson: _Lesson) -> Derivation:
    before, concept = lesson.before, lesson.concept
    content = render(concept)
    metadata = {"level": "concept", **_parts(concept), "made": _made(content)}
    same_text = before is not None and before.content == content
    if before is not None and standing(before) == "kept":
        counts = {"used_in": list(concept.used_in), "successes": concept.successes, "failures": concept.failures}
        metadata, same_text = {**before.metadata, **counts}, True
    is_new = before is None or before.state == "generated"
    return Derivation(
        id=MemoryId(new_uuid()) if before is None else before.source.id,
        version=None if before is None else before.version,
        kind="concept",
        content=None if same_text else content,
        metadata=metadata,
        parents=tuple(lesson.used),
        sources=(*lesson.used.values(), *([] if before is None else [before.source])),
        checks={source.id: source.content_number for source in lesson.used.values()},
        reason=f"{'a caution' if concept.caution else 'a concept'} from {len(concept.used_in)} episodes",
        state="activated" if concept.is_proved and is_new else None,
        origin=LEARNED,
    )


def _plan_procedure(lesson: _Lesson, plan: Derivation, procedures: Mapping[str, Overview]) -> Derivation | None:
    """The procedure of a concept; None where there is none, or it says so already, or somebody edited it."""
    content = procedure(lesson.concept)
    situation = lesson.concept.situation if lesson.before is None else str(lesson.before.metadata.get("situation"))
    before = procedures.get(situation)
    is_theirs = before is not None and standing(before) != "ours"
    if content is None or is_theirs or (before is not None and before.content == content):
        return None
    return Derivation(
        id=MemoryId(new_uuid()) if before is None else before.source.id,
        version=None if before is None else before.version,
        kind="procedure",
        content=content,
        metadata={"level": "procedure", "situation": lesson.concept.situation, "made": _made(content)},
        parents=(plan.id, *plan.parents),
        sources=(*plan.sources, *([] if before is None else [before.source])),
        checks=plan.checks,
        reason=f"steps that {lesson.concept.successes} episodes share",
        state="activated" if before is None else None,
        origin=LEARNED,
    )


def _parts(concept: Concept) -> dict[str, Any]:
    return {
        "situation": concept.situation,
        "suggestion": [{"text": step.text, "seen": step.seen} for step in concept.steps],
        "cues": list(concept.cues),
        "caution": concept.caution,
        "parameters": [{"name": one.name, "examples": list(one.examples)} for one in concept.parameters],
        "used_in": list(concept.used_in),
        "successes": concept.successes,
        "failures": concept.failures,
    }


def _turns(episode: Episode) -> list[Said]:
    return [_said(used) for used in episode.memories if used.kind == "turn"]


def _said(used: Used) -> Said:
    at = used.source.occurred_at
    zoned = None if at is None else at.astimezone(read_zone(used.source.occurred_zone))
    return Said(used.content, used.name, used.role, at=zoned)


def _made(content: str) -> str:
    return content_hash(content).hex()[:16]
