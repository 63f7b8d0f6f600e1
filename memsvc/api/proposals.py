"""`/v1/core/proposals`: what might be added to the core memory of a space."""

from fastapi import APIRouter

from memsvc.api.auth import Reader
from memsvc.api.services import ServicesDep
from memsvc.upkeep.model import Order
from memsvc.upkeep.profile import find_proposals
from memsvc.wire.proposals import CoreProposal, CoreProposals

router = APIRouter(prefix="/v1")


@router.get("/core/proposals", summary="What might be added to the core memory")
async def get_proposals(caller: Reader, services: ServicesDep, space: str = "default") -> CoreProposals:
    """Lasting facts and preferences of the space's main user that its core memory lacks."""
    found = await find_proposals(services.upkeep, Order(caller, space, services.clock()))
    return CoreProposals(
        space=space,
        proposals=[
            CoreProposal(label=one.label, text=one.text, sources=list(one.sources), reason=one.reason) for one in found
        ],
    )
