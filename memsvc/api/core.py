"""`/v1/core`: the small block of a space that every context begins with."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response

from memsvc.api.auth import Reader, Writer
from memsvc.api.etags import IfMatch, expected_version, set_etag
from memsvc.api.memories import AsOfKnown, AsOfValid
from memsvc.api.services import ServicesDep
from memsvc.ingest.prepare import UTC_ZONE, to_utc
from memsvc.lifecycle.core import CoreOrder, edit_section, remove_section
from memsvc.store import core
from memsvc.store.access import When
from memsvc.store.memories import Record
from memsvc.text.tokens import estimate_tokens
from memsvc.wire import Policies
from memsvc.wire.core import CoreEdit, CoreMemory, CoreSection

router = APIRouter(prefix="/v1")
Label = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


@router.get("/core", summary="The core memory of a space")
async def get_core(
    caller: Reader,
    services: ServicesDep,
    space: str = "default",
    as_of_valid: AsOfValid = None,
    as_of_known: AsOfKnown = None,
) -> CoreMemory:
    """Its labelled sections, as they are or were."""
    when = When(services.clock(), _utc(as_of_valid), _utc(as_of_known))
    async with services.database.read(caller.tenant_id) as session:
        sections = await core.list_sections(session, space, caller=caller, when=when)
        limit = await core.token_limit(session, space)
    return CoreMemory(
        space=space,
        sections=[_section(one) for one in sections],
        tokens=sum(estimate_tokens(one.content) for one in sections),
        limit=Policies().core_tokens if limit is None else limit,
    )


@router.post("/core/{label}", summary="Edit a section of the core memory")
async def post_core(
    label: Label,
    request: CoreEdit,
    caller: Writer,
    services: ServicesDep,
    response: Response,
    space: str = "default",
    if_match: IfMatch = None,
) -> CoreSection:
    """Append, replace or rewrite; a section that does not exist is made."""
    order = CoreOrder(
        caller=caller,
        space=space,
        label=label,
        edit=request,
        version=expected_version(if_match),
        now=services.clock(),
    )
    record = await edit_section(services.ingest, order)
    set_etag(response, record.version)
    return _section(record)


@router.delete("/core/{label}", status_code=204, summary="Remove a section of the core memory")
async def delete_core(
    label: Label, caller: Writer, services: ServicesDep, space: str = "default", if_match: IfMatch = None
) -> None:
    """Archive the section; undoing the operation brings it back."""
    await remove_section(
        services.ingest, caller, space, label, version=expected_version(if_match), now=services.clock()
    )


def _section(record: Record) -> CoreSection:
    return CoreSection(
        label=record.name or "",
        id=record.id,
        content=record.content,
        tokens=estimate_tokens(record.content),
        version=record.version,
        updated_at=record.updated_at,
    )


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else to_utc(moment, UTC_ZONE)
