"""`/v1/compress`, and restoring what it packed."""

from uuid import UUID

from fastapi import APIRouter

from memsvc.api.auth import Writer
from memsvc.api.services import ServicesDep
from memsvc.api.upkeep import to_response
from memsvc.ids import MemoryId
from memsvc.upkeep.compress import Choice, RestoreOrder, compress, restore
from memsvc.upkeep.model import Order
from memsvc.wire.compressing import CompressRequest, RestoreRequest, RestoreResponse
from memsvc.wire.upkeep import UpkeepResponse

router = APIRouter(prefix="/v1")


@router.post("/compress", summary="Pack away what is out of recall")
async def post_compress(request: CompressRequest, caller: Writer, services: ServicesDep) -> UpkeepResponse:
    """Take archived memories out of the hot tier, byte for byte restorable, as one operation."""
    order = Order(
        caller=caller,
        space=request.space,
        now=services.clock(),
        dry_run=request.dry_run,
        limit=request.limit,
        reason=request.reason,
    )
    choice = Choice(request.archived_days, superseded=request.superseded)
    return to_response(await compress(services.upkeep, order, choice), order)


@router.post("/memories/{memory_id}/restore", summary="Bring a packed memory back")
async def post_restore(
    memory_id: UUID, caller: Writer, services: ServicesDep, request: RestoreRequest | None = None
) -> RestoreResponse:
    """Bring it, its topic or its session back into the hot tier; to recall it, activate it as well."""
    request = request or RestoreRequest.model_validate({})
    order = RestoreOrder(
        caller=caller,
        memory=MemoryId(memory_id),
        level=request.level,
        now=services.clock(),
        dry_run=request.dry_run,
        reason=request.reason,
    )
    done = await restore(services.upkeep, order)
    return RestoreResponse(
        dry_run=request.dry_run, operation_id=done.operation_id, restored=list(done.ids), more=done.more
    )
