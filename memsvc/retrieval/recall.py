"""The read path: query -> arms -> FAISS rerank -> fuse -> diversify -> budget.

Two statements decide what may be returned (the memories in scope, then the candidates' records); both apply tenant,
space, permission, state, validity, expiry and the request's filters themselves. What needs no query vector, postings
and scope, is read while the query is encoded.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from memsvc.errors import BusyError, EncoderUnavailableError
from memsvc.ids import MemoryId, SpaceId
from memsvc.inference.batcher import EncoderBatcher
from memsvc.inference.types import QueryEmbedding
from memsvc.retrieval import late
from memsvc.retrieval.accesses import AccessLog
from memsvc.retrieval.bm25 import LexicalScores, LexicalStats, Seen, restrict, score_terms
from memsvc.retrieval.budget import pack
from memsvc.retrieval.confidence import NOT_ASSESSED, WordMatches, assess, find
from memsvc.retrieval.deadline import Ticks, Watch
from memsvc.retrieval.model import Evidence, Floats, ScoreSheet, StageScore
from memsvc.retrieval.own_recipes import find_recipe, is_on
from memsvc.retrieval.plan import Hit, KeyFact, Recalled, RecallPlan
from memsvc.retrieval.query import QueryReading, matched_terms, read_query, spans
from memsvc.retrieval.rank import Shortlist, first_stage, second_stage, select
from memsvc.retrieval.recipes import Recipe
from memsvc.retrieval.spaces import NUMBER_BITS, join_postings, join_tables, shift, timely_memories
from memsvc.store import search
from memsvc.store.database import Database, PipelinedSession
from memsvc.store.memories import Record
from memsvc.store.scope import Scope
from memsvc.store.search import Beside, Candidate, Ground, ScoredChunks
from memsvc.text.analysis import analyze
from memsvc.text.tokens import estimate_tokens

NEIGHBOURS = 1
# The encoder takes longer than the reading beside it, so it goes first: one turn of the event loop brings the query to
# the batcher, the next one starts its lane.
LOOP_TURNS_TO_ENCODER = 2


class Recaller:
    """Answers recalls; safe to use from many tasks at once."""

    def __init__(
        self, database: Database, batcher: EncoderBatcher, accesses: AccessLog, *, ticks: Ticks = time.perf_counter
    ) -> None:
        self._database = database
        self._batcher = batcher
        self._accesses = accesses
        self._ticks = ticks

    async def recall(self, plan: RecallPlan) -> Recalled:
        """The best memories for a plan. Without its encoder, or time for it, it answers by words alone, and says so.

        `InvalidRequestError` for a recipe that the asker has not.
        """
        watch = Watch(self._ticks, plan.deadline_ms)
        recipe, version = await find_recipe(self._database, plan)
        watch.deadline_ms = watch.deadline_ms or recipe.deadline_ms
        query = read_query(plan.query, plan.asked_at.astimezone(plan.zone))
        scope = _scope(plan, recipe)
        # The words that ask for an order stand in no answer.
        asked = query.timeline.topic or plan.query
        encoding = asyncio.create_task(self._encode(asked, recipe, watch))
        try:
            for _ in range(LOOP_TURNS_TO_ENCODER):
                await asyncio.sleep(0)
            async with self._database.pipeline(plan.caller.tenant_id) as session:
                grounds = await search.find_ground(
                    session,
                    scope,
                    plan.spaces,
                    _terms(query, recipe),
                    spans=spans(query) if recipe.weights.date else [],
                    timely=recipe.timely_chunks,
                )
            embedding = await watch.wait_for(encoding, "dense")
        finally:
            encoding.cancel()
        watch.lap("encode")
        vector = None if embedding is None else embedding.vector
        is_blind = vector is None and not is_on(recipe, "lexical")
        if is_blind:
            grounds = []  # nothing is left that could tell one memory from another
        spaces = [ground.space.id for ground in grounds]
        async with self._database.pipeline(plan.caller.tenant_id) as session:
            chunks, lexical, events = await self._score(session, scope, grounds, query, vector, recipe)
            watch.lap("score")
            recipe = _in_time(recipe, watch)
            shortlist = first_stage(chunks, lexical, recipe, k=plan.k, events=events, timely=timely_memories(grounds))
            watch.lap("fuse")
            candidates = await _hydrate(session, scope, spaces, shortlist)
            watch.lap("hydrate")
            recipe = _in_time(recipe, watch)
            interaction = None
            if embedding is not None and recipe.second_stage and recipe.weights.late:
                interaction = await _interact(session, spaces, shortlist, asked, embedding, lexical)
                watch.lap("late")
            chosen = _rank(shortlist, candidates, query, vector, recipe, plan, interaction)
            names = {number: found.name for number, found in candidates.items()}
            findings = find(query, shortlist, lexical, interaction, names)
            assessment = NOT_ASSESSED if is_blind else assess(findings, encoder=self._batcher.encoder.spec.name)
            watch.lap("rerank")
            hits = await _load(session, scope, spaces, chosen, query)
            watch.lap("load")
            if plan.explain and watch.has_time("neighbours"):
                hits = await _with_neighbours(session, scope, spaces, hits)
                watch.lap("neighbours")
        self._accesses.note(plan.caller.tenant_id, (hit.record.id for hit in hits))
        return Recalled(
            hits=tuple(hits),
            recipe=recipe.name,
            recipe_version=version,
            encoder=self._batcher.encoder.spec.name,
            candidates=len(candidates),
            notes=tuple(watch.notes),
            timings_ms=watch.timings_ms,
            assessment=assessment,
        )

    async def _encode(self, query: str, recipe: Recipe, watch: Watch) -> QueryEmbedding | None:
        if not is_on(recipe, "dense") and not (recipe.second_stage and recipe.weights.late):
            return None
        try:
            return await self._batcher.encode_query(query)
        except (EncoderUnavailableError, BusyError) as error:
            watch.notes.append(f"dense: left out, {error.detail[:1].lower()}{error.detail[1:]}")
            return None

    async def _score(
        self,
        session: PipelinedSession,
        scope: Scope,
        grounds: Sequence[Ground],
        query: QueryReading,
        vector: Floats | None,
        recipe: Recipe,
    ) -> tuple[ScoredChunks, LexicalScores, list[LexicalScores]]:
        """Chunks in scope of all spaces, as one table under the recall's own numbers, and their words' worth.

        The last are the words of each event that the query names.
        """
        terms = _terms(query, recipe)
        postings = join_postings([ground.postings for ground in grounds])
        # Through HNSW only some of the chunks are seen: words are then compared with all that the spaces hold.
        overall, stats = None, None
        if any(ground.in_scope is None for ground in grounds):
            chunks = sum(ground.space.chunks for ground in grounds)
            holding = {term: len(entries) for term, entries in postings.items()}
            stats = LexicalStats(chunks, sum(ground.space.terms for ground in grounds) / max(chunks, 1), holding)
            overall = score_terms(terms, postings, stats, recipe.bm25)
        tables = []
        for index, ground in enumerate(grounds):
            if ground.in_scope is None:
                offset = index << NUMBER_BITS
                best = [] if overall is None else overall.best(recipe.lexical_chunks)
                table = await search.score_nearest(
                    session,
                    scope,
                    ground.space.id,
                    vector,
                    dimension=self._batcher.encoder.spec.dimension,
                    limit=recipe.nearest_chunks,
                    lexical=[number - offset for number in best if number >> NUMBER_BITS == index]
                    + ground.timely[:, 1].tolist(),
                    reach=len(recipe.window) - 1,
                )
            else:
                table = await search.score_all(session, ground.space.id, ground.in_scope, vector)
            tables.append(table if index == 0 else shift(table, index))
        joined = tables[0] if len(tables) == 1 else join_tables(tables)
        seen, of_seen = restrict(postings, Seen(joined.chunk, joined.memory, joined.length, joined.share))
        stats = stats or of_seen
        events = [score_terms(analyze(event), seen, stats, recipe.bm25) for event in query.timeline.events]
        return joined, score_terms(terms, seen, stats, recipe.bm25), events


def _terms(query: QueryReading, recipe: Recipe) -> list[str]:
    """The words to look up: none for a recipe in which words weigh nothing."""
    return list(query.terms) if is_on(recipe, "lexical") else []


def _in_time(recipe: Recipe, watch: Watch) -> Recipe:
    """The recipe, without its second stage when there is no time for it."""
    if not recipe.second_stage or watch.has_time("rerank"):
        return recipe
    return replace(recipe, second_stage=False, candidates=0, timely=0)


def _scope(plan: RecallPlan, recipe: Recipe) -> Scope:
    return Scope(
        caller=plan.caller,
        when=plan.when,
        include_superseded=plan.include_superseded,
        include_archived=recipe.archived,
        kinds=plan.kinds,
        roles=plan.roles,
        names=plan.names,
        sessions=plan.sessions,
        metadata=plan.metadata,
        occurred_from=plan.occurred_from,
        occurred_to=plan.occurred_to,
    )


async def _hydrate(
    session: PipelinedSession, scope: Scope, spaces: Sequence[SpaceId], shortlist: Shortlist
) -> dict[int, Candidate]:
    """The shortlist's records by the recall's own memory number."""
    found: dict[int, Candidate] = {}
    for index, space in enumerate(spaces):
        rows_of_space = shortlist.best_chunk >> NUMBER_BITS == index
        if rows_of_space.any():
            offset = index << NUMBER_BITS
            rows = await search.hydrate(session, scope, space, (shortlist.best_chunk[rows_of_space] - offset).tolist())
            found |= {row.number + offset: row for row in rows}
    return found


async def _interact(
    session: PipelinedSession,
    spaces: Sequence[SpaceId],
    shortlist: Shortlist,
    query: str,
    embedding: QueryEmbedding,
    lexical: LexicalScores,
) -> WordMatches | None:
    """The query's tokens and how well the shortlist's memories match them; None when the encoder tells no tokens."""
    if embedding.tokens is None or embedding.spans is None:
        return None
    weights = late.weigh(query, embedding.spans, lexical.idf)
    telling = weights > 0
    codes: dict[int, bytes] = {}
    for index, space in enumerate(spaces):
        offset = index << NUMBER_BITS
        wanted = np.unique(shortlist.windows[shortlist.windows >> NUMBER_BITS == index])
        if len(wanted):
            found = await search.read_codes(session, space, (wanted - offset).tolist())
            codes |= {number + offset: code for number, code in found.items()}
    return WordMatches(weights[telling], late.match(codes, shortlist.windows, embedding.tokens[telling]))


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A memory that ranking chose."""

    space: int
    candidate: Candidate
    key: int
    score: float
    reasons: tuple[StageScore, ...]


def _rank(
    shortlist: Shortlist,
    candidates: Mapping[int, Candidate],
    query: QueryReading,
    vector: Floats | None,
    recipe: Recipe,
    plan: RecallPlan,
    interaction: WordMatches | None,
) -> list[_Chosen]:
    numbers = [number for number in shortlist.sheet.memory.tolist() if number in candidates]
    if not numbers:
        return []
    evidence = [_evidence(number, candidates[number]) for number in numbers]
    if recipe.second_stage:
        scores = None if interaction is None else late.score(interaction.matches, interaction.weights)
        sheet = second_stage(shortlist, evidence, query, vector, recipe, late=scores)
    else:
        sheet = shortlist.sheet.take(np.flatnonzero(np.isin(shortlist.sheet.memory, numbers)))
    # Only a memory that is one chunk can be a copy of another; a long one says more than its best chunk.
    whole = [item if _is_whole(candidates[item.memory]) else replace(item, vectors=None) for item in evidence]
    session_of = dict(zip(shortlist.sheet.memory.tolist(), shortlist.session.tolist(), strict=True))
    sessions = np.array([session_of[number] for number in numbers], np.int64) if query.develops else None
    rows = select(sheet, whole, recipe, k=plan.k, sessions=sessions).tolist()
    best_key = dict(zip(shortlist.sheet.memory.tolist(), shortlist.best_key.tolist(), strict=True))
    kept = pack([estimate_tokens(evidence[row].content) for row in rows], plan.token_budget)
    total = sheet.total
    return [
        _Chosen(
            space=numbers[row] >> NUMBER_BITS,
            candidate=candidates[numbers[row]],
            key=best_key[numbers[row]],
            score=float(total[row]),
            reasons=_reasons(sheet, row) if plan.explain else (),
        )
        for row in (rows[place] for place in kept)
    ]


def _reasons(sheet: ScoreSheet, row: int) -> tuple[StageScore, ...]:
    reasons = [reason for reason in sheet.explain(row) if reason.contribution]
    return tuple(sorted(reasons, key=lambda reason: -abs(reason.contribution)))


async def _load(
    session: PipelinedSession,
    scope: Scope,
    spaces: Sequence[SpaceId],
    chosen: Sequence[_Chosen],
    query: QueryReading,
) -> list[Hit]:
    """The chosen memories as whole records; one that vanished since it was ranked is left out."""
    records: dict[MemoryId, Record] = {}
    keys: dict[int, KeyFact] = {}
    for index, space in enumerate(spaces):
        ids = [item.candidate.id for item in chosen if item.space == index]
        if ids:
            records |= await search.find_records(session, scope, space, ids)
        offset = index << NUMBER_BITS
        chunks = [item.key - offset for item in chosen if item.space == index and item.key >= 0]
        if chunks:
            found = await search.find_keys(session, scope, space, chunks)
            keys |= {chunk + offset: KeyFact(*fact) for chunk, fact in found.items()}
    there = [item for item in chosen if item.candidate.id in records]
    return [
        Hit(
            rank=rank,
            score=item.score,
            record=records[item.candidate.id],
            start=item.candidate.start,
            end=item.candidate.end,
            tokens=estimate_tokens(item.candidate.content),
            matched_terms=tuple(matched_terms(query, _passage(item.candidate))),
            key=keys.get(item.key),
            reasons=item.reasons,
        )
        for rank, item in enumerate(there, start=1)
    ]


def _passage(candidate: Candidate) -> str:
    return candidate.content[candidate.start : candidate.end]


def _evidence(number: int, candidate: Candidate) -> Evidence:
    return Evidence(
        memory=number,
        content=candidate.content,
        passage=_passage(candidate),
        role=candidate.role,
        name=candidate.name,
        occurred_at=candidate.occurred_at,
        vectors=None if candidate.vector is None else candidate.vector.reshape(1, -1),
        later=tuple(later + (number >> NUMBER_BITS << NUMBER_BITS) for later in candidate.later),
    )


def _is_whole(candidate: Candidate) -> bool:
    content = candidate.content
    return not content[: candidate.start].strip() and not content[candidate.end :].strip()


async def _with_neighbours(
    session: PipelinedSession, scope: Scope, spaces: Sequence[SpaceId], hits: Sequence[Hit]
) -> list[Hit]:
    beside: dict[object, list[Beside]] = {}
    for space in spaces:
        ids = [hit.record.id for hit in hits if hit.record.space_id == space]
        if ids:
            for turn in await search.beside(session, scope, space, ids, reach=NEIGHBOURS):
                beside.setdefault(turn.of, []).append(turn)
    return [replace(hit, neighbours=tuple(beside.get(hit.record.id, ()))) for hit in hits]
