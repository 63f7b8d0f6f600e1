"""`/v1/erase` and its receipts."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter

from memsvc.api.auth import Reader, Writer
from memsvc.api.services import ServicesDep
from memsvc.errors import NotFoundError
from memsvc.ids import ErasureId, MemoryId
from memsvc.ingest.prepare import UTC_ZONE, to_utc
from memsvc.lifecycle import erase as erasing
from memsvc.lifecycle.erase import EraseOrder
from memsvc.lifecycle.signing import ALGORITHM
from memsvc.store import erasure
from memsvc.store.erasure import Selection
from memsvc.wire.erasing import ErasePlan, EraseRequest, EraseResponse, SigningKey

router = APIRouter(prefix="/v1")
MOST_IDS = 1000


@router.post("/erase", summary="Erase for good, with a signed receipt")
async def erase(request: EraseRequest, caller: Writer, services: ServicesDep) -> EraseResponse:
    """Remove memories, all that was made of them, and every trace of their content; it cannot be undone."""
    selection = _selection(request)
    erasing.check_selection(selection)
    order = EraseOrder(
        caller=caller,
        now=services.clock(),
        selection=selection,
        memories=() if request.memories is None else tuple(MemoryId(one) for one in dict.fromkeys(request.memories)),
    )
    if request.dry_run:
        plan = await erasing.plan_erase(services.ingest, order)
        return EraseResponse(done=False, plan=_plan(plan))
    erased = await erasing.erase(services.ingest, services.signer, order)
    return EraseResponse(done=True, plan=_plan(erased.plan), receipt=dict(erased.receipt))


@router.get("/erasures/{erasure_id}", summary="The signed receipt of an erasure")
async def get_erasure(erasure_id: UUID, caller: Reader, services: ServicesDep) -> dict[str, Any]:
    """The receipt, as it was given."""
    async with services.database.read(caller.tenant_id) as session:
        receipt = await erasure.find_receipt(session, ErasureId(erasure_id))
    if receipt is None:
        raise NotFoundError(f"there is no erasure {erasure_id}")
    return dict(receipt)


@router.get("/signing-key", summary="The key that signs receipts")
async def signing_key(caller: Reader, services: ServicesDep) -> SigningKey:  # noqa: ARG001 - a key is needed
    """What `memsvc verify-receipt --key` trusts."""
    return SigningKey(algorithm=ALGORITHM, public_key=services.signer.public_key)


def _selection(request: EraseRequest) -> Selection:
    filters = request.filters
    start, end = (
        None if moment is None else to_utc(moment, UTC_ZONE) for moment in (filters.occurred_from, filters.occurred_to)
    )
    return Selection(
        memories=None if request.memories is None else tuple(MemoryId(one) for one in request.memories),
        space=request.space,
        session=request.session,
        subject=request.subject,
        actor=request.actor,
        kinds=_tuple(filters.kinds),
        roles=_tuple(filters.roles),
        names=_tuple(filters.names),
        sessions=_tuple(filters.sessions),
        metadata=filters.metadata,
        occurred_from=start,
        occurred_to=end,
    )


def _tuple(values: list[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)


def _plan(plan: erasing.ErasePlan) -> ErasePlan:
    return ErasePlan(
        named=len(plan.named),
        derived=len(plan.derived),
        rebuilt=len(plan.rebuilt),
        scratches=len(plan.scratches),
        held=list(plan.held[:MOST_IDS]),
        named_ids=[one.id for one in plan.named[:MOST_IDS]],
        derived_ids=[one.id for one in plan.derived[:MOST_IDS]],
        rebuilt_ids=[one.id for one in plan.rebuilt[:MOST_IDS]],
    )
