"""Forgetting, the retention of a memory, and feedback."""

from uuid import UUID

from fastapi import APIRouter

from memsvc.api.auth import Reader, Writer
from memsvc.api.services import ServicesDep
from memsvc.ids import MemoryId
from memsvc.upkeep.feedback import Feedback, give_feedback
from memsvc.upkeep.forecast import AHEAD_DAYS, Retention, find_retention
from memsvc.upkeep.forget import forget
from memsvc.upkeep.model import Order
from memsvc.upkeep.retention import stability
from memsvc.wire.forgetting import (
    FeedbackItem,
    FeedbackRequest,
    FeedbackResponse,
    ForecastPoint,
    ForgetRequest,
    ReinforcementOut,
    RetentionHistory,
    RetentionOut,
    RetentionPoint,
    RetentionPolicy,
    RetentionThreshold,
)
from memsvc.wire.upkeep import UpkeepChange, UpkeepResponse

router = APIRouter(prefix="/v1")


@router.post("/forget", summary="Let a space forget")
async def post_forget(request: ForgetRequest, caller: Writer, services: ServicesDep) -> UpkeepResponse:
    """Archive what the space's policy `forget` lets go, as one operation; without a policy nothing."""
    order = Order(
        caller=caller,
        space=request.space,
        now=services.clock(),
        dry_run=request.dry_run,
        limit=request.limit,
        reason=request.reason,
    )
    run = await forget(services.upkeep, order, share=request.share)
    return UpkeepResponse(
        space=request.space,
        dry_run=request.dry_run,
        operation_id=run.operation_id,
        changes=[UpkeepChange.model_validate(change, from_attributes=True) for change in run.changes],
        more=run.more,
    )


@router.get("/memories/{memory_id}/retention", summary="The forgetting curve of a memory")
async def get_retention(memory_id: UUID, caller: Reader, services: ServicesDep) -> RetentionOut:
    """How its retention went, how it will go on, and what the space's policy makes of that."""
    found = await find_retention(services.upkeep, caller, MemoryId(memory_id), now=services.clock())
    record = found.record
    return RetentionOut.model_validate(
        {
            "id": record.id,
            "kind": record.kind,
            "state": record.state,
            "importance": record.importance,
            "strength": record.strength,
            "stability_days": found.stability_days,
            "since": found.since,
            "retention": found.now,
            "history": _history(found),
            "forecast": [
                ForecastPoint(days=days, at=point.at, retention=point.retention)
                for days, point in zip(AHEAD_DAYS, found.forecast, strict=True)
            ],
            "archive": RetentionThreshold.model_validate(found.archive, from_attributes=True),
            "forget": RetentionThreshold.model_validate(found.forget, from_attributes=True),
            "policy": RetentionPolicy.model_validate(found.outlook, from_attributes=True),
        }
    )


@router.post("/feedback", summary="Say what became of recalled memories")
async def post_feedback(request: FeedbackRequest, caller: Writer, services: ServicesDep) -> FeedbackResponse:
    """Strengthen what was used or helpful, bring it back if it was archived, and trust less what is wrong."""
    report = Feedback(
        caller=caller,
        memories=[MemoryId(memory_id) for memory_id in request.memories],
        verdict=request.verdict,
        episode=request.episode,
        note=request.note,
        now=services.clock(),
    )
    noted = await give_feedback(services.upkeep, report)
    items = [
        FeedbackItem.model_validate(
            {
                "id": one.id,
                "status": "recorded" if one.id in noted.new else "known",
                "state": one.state,
                "revived": one.id in noted.revived,
                "trust": one.trust,
                "strength": one.strength,
            }
        )
        for one in noted.records
    ]
    return FeedbackResponse(items=items, operations=list(noted.operations))


def _history(found: Retention) -> RetentionHistory:
    record = found.record
    return RetentionHistory(
        reinforcements=[
            ReinforcementOut(
                at=one.at,
                cause=one.cause,
                retention=one.retention,
                strength=one.strength,
                stability_days=stability(record.kind, record.importance, one.strength),
            )
            for one in found.reinforcements
        ],
        curve=[RetentionPoint(at=point.at, retention=point.retention) for point in found.past],
    )
