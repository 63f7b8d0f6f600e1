"""One run: each conversation is ingested over HTTP, then its questions are asked over HTTP."""

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Literal
from uuid import NAMESPACE_URL, UUID, uuid5

from evals import longmemeval_official, metrics
from evals.corpus import Conversation, Question, Suite, Turn, limited
from evals.records import ConversationRecord, Hit, Log, QuestionRecord
from memsvc.sdk import MemoryClient
from memsvc.wire import RecallResponse

Recipe = Literal["fast", "balanced", "deep", "temporal"]

CONTEXT_BUDGET = 2000
_BATCH_TURNS = 200
_BATCH_CHARS = 1_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. `contexts` questions, drawn with `seed`, are also asked of /v1/context."""

    suite: Suite
    k: int
    recipe: Recipe = "balanced"
    limit: int | None = None
    seed: int = 0
    contexts: int = 50

    @property
    def settings_hash(self) -> str:
        """Equal for runs whose answers may be mixed; 16 hex digits."""
        parts = [self.suite.name, self.suite.digest, self.k, self.recipe, self.limit, self.seed, self.contexts]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def conversations(self) -> Iterator[Conversation]:
        """The suite's conversations up to `limit`."""
        return limited(self.suite.conversations(), self.limit)


@dataclass(frozen=True, slots=True)
class Haystack:
    """A conversation in its space; `turns` finds a turn by the id of its memory."""

    conversation: Conversation
    space: str
    turns: dict[UUID, Turn]


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who is told what goes on: a line of text, and questions done."""

    say: Callable[[str], object]
    advance: Callable[[int], object]


def run(
    plan: Plan, client: MemoryClient, log: Log, *, resume: bool, watcher: Watcher
) -> tuple[list[QuestionRecord], list[ConversationRecord]]:
    """Run the plan and return the records of every question and conversation, those of before included."""
    questions, conversations = log.begin(resume=resume)
    finished = {record.conversation for record in conversations}
    watcher.advance(len(questions))
    sample = context_sample(plan)
    for conversation in plan.conversations():
        if conversation.id in finished:
            continue
        haystack = place(plan, conversation)
        watcher.say(f"{conversation.id}: storing {len(conversation.turns)} turns")
        ingested = ingest(plan, client, haystack)
        watcher.say(f"{conversation.id}: asking")
        _warm_up(plan, client, haystack)
        for question in conversation.questions:
            record = ask(plan, client, haystack, question, with_context=question.id in sample)
            log.add_question(record)
            questions.append(record)
            watcher.advance(1)
        log.add_conversation(ingested)
        conversations.append(ingested)
    return questions, conversations


def place(plan: Plan, conversation: Conversation) -> Haystack:
    """The space is the same for the same content: a second run on a service finds it there, and never mixes two."""
    content = hashlib.sha256()
    for turn in conversation.turns:
        content.update(f"{turn.id}\0{turn.timestamp}\0{turn.content}\0".encode())
    space = f"eval-{plan.suite.name}-{conversation.id}-{content.hexdigest()[:8]}"
    return Haystack(conversation, space, {memory_id(space, turn): turn for turn in conversation.turns})


def memory_id(space: str, turn: Turn) -> UUID:
    """The id that a turn is stored under."""
    return uuid5(NAMESPACE_URL, f"memsvc:evals:{space}:{turn.id}")


def context_sample(plan: Plan) -> set[str]:
    """Ids of the questions whose context is measured: `contexts` of those that are asked, drawn with the seed."""
    asked = [question.id for found in plan.conversations() for question in found.questions if question.skip is None]
    return set(random.Random(plan.seed).sample(asked, min(plan.contexts, len(asked))))  # noqa: S311 - a sample


def ingest(plan: Plan, client: MemoryClient, haystack: Haystack) -> ConversationRecord:
    """Store all turns, in order; the clock runs until they are searchable. Turns without text are left out."""
    conversation, space = haystack.conversation, haystack.space
    turns = [turn for turn in conversation.turns if turn.content.strip()]
    created = 0
    started = perf_counter()
    for batch in batches(turns):
        written = client.add(messages=[_message(space, turn) for turn in batch], space=space, timezone="UTC", wait=True)
        if not written.receipt.searchable:
            client.wait_searchable(written.receipt.id, timeout=600.0)
        created += written.receipt.created
    return ConversationRecord(
        settings=plan.settings_hash,
        conversation=conversation.id,
        turns=len(turns),
        created=created,
        seconds=perf_counter() - started,
        empty=len(conversation.turns) - len(turns),
        questions=len(conversation.questions),
    )


def batches(turns: Sequence[Turn]) -> Iterator[list[Turn]]:
    """Consecutive turns, at most 200 and about a million characters at a time."""
    batch: list[Turn] = []
    size = 0
    for turn in turns:
        if batch and (len(batch) == _BATCH_TURNS or size + len(turn.content) > _BATCH_CHARS):
            yield batch
            batch, size = [], 0
        batch.append(turn)
        size += len(turn.content)
    if batch:
        yield batch


def ask(
    plan: Plan, client: MemoryClient, haystack: Haystack, question: Question, *, with_context: bool = False
) -> QuestionRecord:
    """Ask one question and score the answer; one with a reason to skip it is recorded unasked."""
    conversation, space = haystack.conversation, haystack.space
    hits: tuple[Hit, ...] = ()
    found: dict[str, float] | None = None
    latency_ms: float | None = None
    answer: RecallResponse | None = None
    tokens: int | None = None
    if question.skip is None:
        started = perf_counter()
        answer = client.recall(question.text, space=space, k=plan.k, now=question.now, recipe=plan.recipe)
        latency_ms = (perf_counter() - started) * 1000
        hits = tuple(_hits(answer, haystack.turns))
        found = score(hits, question, conversation, official=plan.suite.official)
        if with_context:
            tokens = client.context(
                question.text, space=space, now=question.now, recipe=plan.recipe, token_budget=CONTEXT_BUDGET
            ).tokens
    return QuestionRecord(
        settings=plan.settings_hash,
        conversation=conversation.id,
        id=question.id,
        type=question.type,
        question=question.text,
        headline=question.headline,
        skip=question.skip,
        gold_turns=question.gold_turns,
        gold_sessions=question.gold_sessions,
        repaired=question.repaired,
        dropped=question.dropped,
        ranked=hits,
        metrics=found,
        latency_ms=latency_ms,
        context_tokens=tokens,
        degraded=answer.degraded if answer else False,
        encoder=answer.encoder if answer else None,
    )


def score(
    hits: Sequence[Hit], question: Question, conversation: Conversation, *, official: bool = False
) -> dict[str, float]:
    """All metrics of one ranking. What is not a turn holds its rank, and can be no evidence."""
    found = metrics.score("turn", [hit.id for hit in hits], question.gold_turns)
    sessions = metrics.first_hits(hit.session for hit in hits if hit.session is not None)
    found |= metrics.score("session", sessions, question.gold_sessions)
    if official:
        named = {turn.id: turn.official_id for turn in conversation.turns}
        ranked = [name for hit in hits if (name := named.get(hit.id)) is not None]
        found |= longmemeval_official.score(ranked, longmemeval_official.corpus_ids(conversation.turns))
    return found


def _hits(answer: RecallResponse, by_id: dict[UUID, Turn]) -> Iterator[Hit]:
    for result in answer.results:
        turn = by_id.get(result.memory.id)
        if turn is None:
            yield Hit(str(result.memory.id), result.memory.session, result.score)
        else:
            yield Hit(turn.id, turn.session, result.score)


def _message(space: str, turn: Turn) -> dict[str, object]:
    return {
        "id": memory_id(space, turn),
        "role": turn.role,
        "name": turn.name,
        "content": turn.content,
        "timestamp": turn.timestamp,
        "session": turn.session,
    }


def _warm_up(plan: Plan, client: MemoryClient, haystack: Haystack) -> None:
    """What a space does once, at its first query, is not the latency of its queries."""
    client.recall("What did we talk about first?", space=haystack.space, k=plan.k, recipe=plan.recipe)
