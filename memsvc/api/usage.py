"""`/v1/usage`: what a tenant's calls of the language model took."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from memsvc.api.auth import Reader
from memsvc.api.services import ServicesDep
from memsvc.store import llm_usage
from memsvc.wire.usage import UsageDay, UsageResponse

router = APIRouter(prefix="/v1")


@router.get("/usage", summary="Calls and tokens of the language model")
async def get_usage(
    caller: Reader, services: ServicesDep, days: Annotated[int, Query(ge=1, le=366)] = 30
) -> UsageResponse:
    """The tenant's, by day, purpose and model, over the last `days` UTC days, today's included."""
    today = services.clock().date()
    async with services.database.read(caller.tenant_id) as session:
        found = await llm_usage.list_usage(session, since=today - timedelta(days=days - 1))
        spent = await llm_usage.spent_tokens(session, today)
    llm = services.upkeep.llm
    return UsageResponse(
        model=None if llm is None else llm.calls.model.name,
        tokens_a_day=services.settings.llm_tokens_a_day or None,
        tokens_today=spent,
        days=[
            UsageDay(
                day=one.day,
                purpose=one.purpose,
                model=one.model,
                calls=one.calls,
                failures=one.failures,
                input_tokens=one.input_tokens,
                output_tokens=one.output_tokens,
            )
            for one in found
        ],
    )
