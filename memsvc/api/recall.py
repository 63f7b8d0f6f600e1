"""`/v1/recall` and `/v1/context`: the read path."""

from dataclasses import asdict, replace

from fastapi import APIRouter

from memsvc.api.auth import Reader
from memsvc.api.memories import to_memory
from memsvc.api.services import Services, ServicesDep
from memsvc.errors import FieldError, InvalidRequestError
from memsvc.ingest.prepare import check_text, find_zone, to_utc
from memsvc.retrieval.context import compose
from memsvc.retrieval.plan import RecallPlan
from memsvc.store import core
from memsvc.store.keys import Caller
from memsvc.store.memories import Record
from memsvc.store.search import Beside
from memsvc.wire import (
    Citation,
    ContextRequest,
    ContextResponse,
    KeyFact,
    Neighbour,
    RecallRequest,
    RecallResponse,
    RecallResult,
    StageReason,
)

router = APIRouter(prefix="/v1")


@router.post("/recall", summary="Recall memories")
async def recall(request: RecallRequest, caller: Reader, services: ServicesDep) -> RecallResponse:
    """The memories that bear on the query, best first, each with why it is there."""
    plan = _plan(request, caller, services)
    recalled = await services.recaller.recall(plan)
    results = [
        RecallResult.model_construct(
            rank=hit.rank,
            score=hit.score,
            memory=to_memory(hit.record),
            snippet_start=hit.start,
            snippet_end=hit.end,
            tokens=hit.tokens,
            matched_terms=list(hit.matched_terms),
            key=None if hit.key is None else KeyFact(id=hit.key.id, content=hit.key.content),
            reasons=[StageReason.model_construct(**asdict(reason)) for reason in hit.reasons],
            neighbours=[_neighbour(turn) for turn in hit.neighbours],
        )
        for hit in recalled.hits
    ]
    return RecallResponse.model_construct(
        results=results,
        recipe=recalled.recipe,
        recipe_version=recalled.recipe_version,
        encoder=recalled.encoder,
        tokens=sum(hit.tokens for hit in recalled.hits),
        candidates=recalled.candidates,
        degraded=bool(recalled.notes),
        notes=list(recalled.notes),
        confidence=recalled.assessment.confidence,
        no_evidence=recalled.assessment.no_evidence,
        signals=dict(recalled.assessment.signals) if request.explain else {},
        timings_ms=dict(recalled.timings_ms),
    )


@router.post("/context", summary="Recall as a prompt-ready block")
async def context(request: ContextRequest, caller: Reader, services: ServicesDep) -> ContextResponse:
    """The same memories in the order of time, cited, within the token budget."""
    plan = _plan(request, caller, services)
    # The block applies the budget itself: its headings and citations count too.
    recalled = await services.recaller.recall(replace(plan, token_budget=None))
    sections: list[Record] = []
    async with services.database.read(caller.tenant_id) as session:
        for space in plan.spaces:
            sections += await core.list_sections(session, space, caller=caller, when=plan.when)
    hits = [hit for hit in recalled.hits if hit.record.kind != "core"]  # what the block begins with is not said twice
    block = compose(hits, sections, budget=plan.token_budget, zone=plan.zone)
    return ContextResponse(
        text=block.text,
        citations=[
            Citation(ref=ref, id=hit.record.id, session=hit.record.session, occurred_at=hit.record.occurred_at)
            for ref, hit in enumerate(block.hits, start=1)
        ],
        tokens=block.tokens,
        core=[section.name or "" for section in sections],
        recipe=recalled.recipe,
        recipe_version=recalled.recipe_version,
        degraded=bool(recalled.notes),
        notes=list(recalled.notes),
        confidence=recalled.assessment.confidence,
        no_evidence=recalled.assessment.no_evidence,
    )


def _plan(request: RecallRequest, caller: Caller, services: Services) -> RecallPlan:
    faults: list[FieldError] = []
    check_text("query", request.query, faults)
    zone = find_zone(request.timezone, "timezone", faults)
    filters = request.filters
    start, end = filters.occurred_from, filters.occurred_to
    start, end = (None if moment is None else to_utc(moment, zone) for moment in (start, end))
    if start is not None and end is not None and start > end:
        faults.append(FieldError("filters.occurred_from", "is after `occurred_to`", "Swap them."))
    if faults:
        raise InvalidRequestError(f"{len(faults)} field(s) cannot be used", fields=tuple(faults))
    clock = services.clock()
    return RecallPlan(
        caller=caller,
        query=request.query,
        spaces=tuple(dict.fromkeys(request.spaces)),
        k=request.k,
        recipe=request.recipe,
        deadline_ms=request.deadline_ms,
        token_budget=request.token_budget,
        explain=request.explain,
        clock=clock,
        asked_at=clock if request.now is None else to_utc(request.now, zone),
        zone=zone,
        valid_at=None if request.as_of_valid is None else to_utc(request.as_of_valid, zone),
        known_at=None if request.as_of_known is None else to_utc(request.as_of_known, zone),
        include_superseded=request.include_superseded,
        kinds=None if filters.kinds is None else tuple(filters.kinds),
        roles=None if filters.roles is None else tuple(filters.roles),
        names=None if filters.names is None else tuple(filters.names),
        sessions=None if filters.sessions is None else tuple(filters.sessions),
        metadata=filters.metadata,
        occurred_from=start,
        occurred_to=end,
    )


def _neighbour(turn: Beside) -> Neighbour:
    return Neighbour.model_validate(
        {"id": turn.id, "offset": turn.offset, "role": turn.role, "name": turn.name, "content": turn.content}
    )
