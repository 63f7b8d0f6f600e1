"""The read path: query -> arms -> FAISS rerank -> fuse -> diversify -> budget.

Two statements decide what may be returned (the memories in scope, then the candidates' records); both apply tenant,
space, permission, state, validity, expiry and the request's filters themselves. What needs no query vector, postings
and scope, is read while the query is encoded.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Histogram

from memsvc.errors import BusyError, EncoderUnavailableError
from memsvc.ids import MemoryId, SpaceId
from memsvc.inference.batcher import EncoderBatcher
from memsvc.retrieval.accesses import AccessLog
from memsvc.retrieval.bm25 import LexicalScores, LexicalStats, Seen, restrict, score_terms
from memsvc.retrieval.budget import pack
from memsvc.retrieval.model import Evidence, Floats, ScoreSheet, StageScore
from memsvc.retrieval.query import QueryReading, matched_terms, read_query, spans
from memsvc.retrieval.rank import Shortlist, first_stage, second_stage, select
from memsvc.retrieval.recipes import RECIPES, Recipe
from memsvc.store import search
from memsvc.store.access import When
from memsvc.store.database import Database, PipelinedSession
from memsvc.store.keys import Caller
from memsvc.store.memories import Record
from memsvc.store.scope import Scope
from memsvc.store.search import Beside, Candidate, Ground, ScoredChunks
from memsvc.text.analysis import analyze
from memsvc.text.tokens import estimate_tokens

STAGE_SECONDS = Histogram(
    "memsvc_recall_stage_seconds",
    "Time of each stage of recall.",
    ["stage"],
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1),
)

# Numbers are counted in each space; these shifts make them unique over the spaces of one recall.
NUMBER_BITS = 40
SESSION_BITS = 24
NEIGHBOURS = 1
# The encoder takes longer than the reading beside it, so it goes first: one turn of the event loop brings the query to
# the batcher, the next one starts its lane.
LOOP_TURNS_TO_ENCODER = 2
WIDE = np.dtype([("chunk", "<i8"), ("tf", "<u2"), ("length", "<u2")])


@dataclass(frozen=True, slots=True)
class RecallPlan:
    """A valid request. `clock` is the service's time, `asked_at` the asker's; both UTC."""

    caller: Caller
    query: str
    spaces: tuple[str, ...]
    k: int
    recipe: str
    token_budget: int | None
    explain: bool
    clock: datetime
    asked_at: datetime
    zone: ZoneInfo
    valid_at: datetime | None = None
    known_at: datetime | None = None
    include_superseded: bool = False
    kinds: tuple[str, ...] | None = None
    roles: tuple[str, ...] | None = None
    names: tuple[str, ...] | None = None
    sessions: tuple[str, ...] | None = None
    metadata: Mapping[str, Any] | None = None
    occurred_from: datetime | None = None
    occurred_to: datetime | None = None

    @property
    def when(self) -> When:
        """The moment of the request, and of what it asks."""
        return When(self.clock, self.valid_at, self.known_at)


@dataclass(frozen=True, slots=True)
class KeyFact:
    """A fact that was extracted from a memory, and the query found it by."""

    id: MemoryId
    content: str


@dataclass(frozen=True, slots=True)
class Hit:
    """One result; characters [start, end) of its content are the chunk that speaks for it."""

    rank: int
    score: float
    record: Record
    start: int
    end: int
    tokens: int
    matched_terms: tuple[str, ...]
    key: KeyFact | None = None
    reasons: tuple[StageScore, ...] = ()
    neighbours: tuple[Beside, ...] = ()


@dataclass(frozen=True, slots=True)
class Recalled:
    """Results, best first. `notes` names what was left out; empty when nothing was."""

    hits: tuple[Hit, ...]
    recipe: str
    encoder: str
    candidates: int
    notes: tuple[str, ...]
    timings_ms: Mapping[str, float]


@dataclass(slots=True)
class _Stopwatch:
    """Milliseconds by stage, and what had to be left out, of one recall."""

    timings_ms: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _last: float = field(default_factory=time.perf_counter)

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.timings_ms[stage] = round((now - self._last) * 1000, 2)
        STAGE_SECONDS.labels(stage).observe(now - self._last)
        self._last = now


class Recaller:
    """Answers recalls; safe to use from many tasks at once."""

    def __init__(self, database: Database, batcher: EncoderBatcher, accesses: AccessLog) -> None:
        self._database = database
        self._batcher = batcher
        self._accesses = accesses

    async def recall(self, plan: RecallPlan) -> Recalled:
        """The best memories for a plan. Without its encoder it answers by words alone, and says so."""
        recipe, watch = RECIPES[plan.recipe], _Stopwatch()
        query = read_query(plan.query, plan.asked_at.astimezone(plan.zone))
        scope = _scope(plan, recipe)
        encoding = asyncio.create_task(self._encode(query.timeline.topic or plan.query, watch))
        try:
            for _ in range(LOOP_TURNS_TO_ENCODER):
                await asyncio.sleep(0)
            async with self._database.pipeline(plan.caller.tenant_id) as session:
                grounds = await search.find_ground(
                    session, scope, plan.spaces, list(query.terms), spans=spans(query), timely=recipe.timely_chunks
                )
            vector = await encoding
        finally:
            encoding.cancel()
        watch.lap("encode")
        spaces = [ground.space.id for ground in grounds]
        async with self._database.pipeline(plan.caller.tenant_id) as session:
            chunks, lexical, events = await self._score(session, scope, grounds, query, vector, recipe)
            watch.lap("score")
            shortlist = first_stage(chunks, lexical, recipe, k=plan.k, events=events, timely=_timely(grounds))
            watch.lap("fuse")
            candidates = await _hydrate(session, scope, spaces, shortlist)
            watch.lap("hydrate")
            chosen = _rank(shortlist, candidates, query, vector, recipe, plan)
            watch.lap("rerank")
            hits = await _load(session, scope, spaces, chosen, query)
            watch.lap("load")
            if plan.explain:
                hits = await _with_neighbours(session, scope, spaces, hits)
                watch.lap("neighbours")
        self._accesses.note(plan.caller.tenant_id, (hit.record.id for hit in hits))
        return Recalled(
            hits=tuple(hits),
            recipe=recipe.name,
            encoder=self._batcher.encoder.spec.name,
            candidates=len(candidates),
            notes=tuple(watch.notes),
            timings_ms=watch.timings_ms,
        )

    async def _encode(self, query: str, watch: _Stopwatch) -> Floats | None:
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
        terms = list(query.terms)
        postings = _join_postings([ground.postings for ground in grounds])
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
            tables.append(table if index == 0 else _shift(table, index))
        joined = tables[0] if len(tables) == 1 else _join_tables(tables)
        seen, of_seen = restrict(postings, Seen(joined.chunk, joined.memory, joined.length, joined.share))
        stats = stats or of_seen
        events = [score_terms(analyze(event), seen, stats, recipe.bm25) for event in query.timeline.events]
        return joined, score_terms(terms, seen, stats, recipe.bm25), events


def _timely(grounds: Sequence[Ground]) -> list[int]:
    """The memories of the time asked for, under the recall's own numbers."""
    return [
        number + (index << NUMBER_BITS)
        for index, ground in enumerate(grounds)
        for number in ground.timely[:, 0].tolist()
    ]


def _join_postings(postings: Sequence[Mapping[str, NDArray[Any]]]) -> Mapping[str, NDArray[Any]]:
    if len(postings) == 1:
        return postings[0]
    joined: dict[str, list[NDArray[Any]]] = {}
    for index, of_space in enumerate(postings):
        for term, entries in of_space.items():
            wide = entries.astype(WIDE)
            wide["chunk"] += index << NUMBER_BITS
            joined.setdefault(term, []).append(wide)
    return {term: np.concatenate(parts) for term, parts in joined.items()}


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


def _join_tables(tables: Sequence[ScoredChunks]) -> ScoredChunks:
    empty = np.empty(0, np.int64)
    return ScoredChunks(
        chunk=np.concatenate([empty, *(table.chunk for table in tables)]),
        memory=np.concatenate([empty, *(table.memory for table in tables)]),
        session=np.concatenate([empty.astype(np.int32), *(table.session for table in tables)]),
        position=np.concatenate([empty.astype(np.int32), *(table.position for table in tables)]),
        dense=np.concatenate([empty.astype(np.float32), *(table.dense for table in tables)]),
        length=np.concatenate([empty.astype(np.int32), *(table.length for table in tables)]),
        share=np.concatenate([empty.astype(np.float32), *(table.share for table in tables)]),
    )


def _shift(table: ScoredChunks, index: int) -> ScoredChunks:
    session = np.where(table.session < 0, table.session, table.session + np.int32(index << SESSION_BITS))
    return replace(
        table,
        chunk=table.chunk + (index << NUMBER_BITS),
        memory=table.memory + (index << NUMBER_BITS),
        session=session.astype(np.int32),
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
) -> list[_Chosen]:
    numbers = [number for number in shortlist.sheet.memory.tolist() if number in candidates]
    if not numbers:
        return []
    evidence = [_evidence(number, candidates[number]) for number in numbers]
    if recipe.second_stage:
        sheet = second_stage(shortlist, evidence, query, vector, recipe)
    else:
        sheet = shortlist.sheet.take(np.flatnonzero(np.isin(shortlist.sheet.memory, numbers)))
    # Only a memory that is one chunk can be a copy of another; a long one says more than its best chunk.
    whole = [item if _is_whole(candidates[item.memory]) else replace(item, vectors=None) for item in evidence]
    rows = select(sheet, whole, recipe, k=plan.k).tolist()
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
