"""`/v1/scratch`: the working memory of a session."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response

from memsvc.api.auth import Reader, Writer
from memsvc.api.etags import IfMatch, expected_version, set_etag
from memsvc.api.segments import SegmentRoute
from memsvc.api.services import Services, ServicesDep
from memsvc.errors import FieldError, InvalidRequestError
from memsvc.ingest.prepare import check_text
from memsvc.store.scratch import Entry, ScratchOperation
from memsvc.text.tokens import estimate_tokens
from memsvc.upkeep import scratch as model
from memsvc.upkeep import working_memory
from memsvc.upkeep.scratch import Draft
from memsvc.upkeep.working_memory import Apply, EditOrder, Past, Place, View
from memsvc.wire import Model
from memsvc.wire.scratch import (
    ScratchDraft,
    ScratchEntry,
    ScratchLimit,
    ScratchPrune,
    ScratchRevision,
    ScratchRevisions,
    ScratchRewrite,
    ScratchState,
    ScratchWrite,
)

router = APIRouter(prefix="/v1", route_class=SegmentRoute)
SessionName = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=255)]


@router.get("/scratch/{session}", summary="The scratch state of a session")
async def get_scratch(
    session: SessionName,
    caller: Reader,
    services: ServicesDep,
    response: Response,
    space: str = "default",
    revision: Annotated[int | None, Query(ge=0, description="As of an earlier revision.")] = None,
) -> ScratchState:
    """Its entries, and how much of the bound they take; empty where nothing was written yet."""
    place = Place(caller, space, session)
    return _state(place, await working_memory.read_scratch(services.upkeep, place, revision=revision), response)


@router.get("/scratch/{session}/revisions", summary="What was done to a scratch")
async def get_revisions(
    session: SessionName,
    caller: Reader,
    services: ServicesDep,
    space: str = "default",
    before: Annotated[int | None, Query(ge=1)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> ScratchRevisions:
    """Every revision, newest first, with its difference to the one before."""
    found = await working_memory.list_revisions(
        services.upkeep, Place(caller, space, session), before=before, count=limit
    )
    last = found[-1].revision.revision if found else 1
    return ScratchRevisions(items=[_revision(one) for one in found], next_before=last if last > 1 else None)


@router.post("/scratch/{session}/write", summary="Append to a scratch")
async def post_write(
    session: SessionName,
    request: ScratchWrite,
    caller: Writer,
    services: ServicesDep,
    response: Response,
    space: str = "default",
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> ScratchState:
    """Entries go to the end; what would pass the bound is refused, unless the oldest may make room."""
    drafts = _drafts(request.entries, services)

    def apply(state: model.State) -> model.Step:
        return model.write(state, drafts, evict=request.on_overflow == "evict")

    order = _order(Place(caller, space, session), "write", apply, request, services, if_match, idempotency_key)
    return _state(order.place, await working_memory.edit_scratch(services.upkeep, order), response)


@router.post("/scratch/{session}/rewrite", summary="Rewrite a scratch")
async def post_rewrite(
    session: SessionName,
    request: ScratchRewrite,
    caller: Writer,
    services: ServicesDep,
    response: Response,
    space: str = "default",
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> ScratchState:
    """Replace the whole state, or the contents of the entries that are named."""
    drafts = _drafts(request.entries, services)

    def apply(state: model.State) -> model.Step:
        return model.rewrite(state, drafts, whole=request.scope == "all", evict=request.on_overflow == "evict")

    order = _order(Place(caller, space, session), "rewrite", apply, request, services, if_match, idempotency_key)
    return _state(order.place, await working_memory.edit_scratch(services.upkeep, order), response)


@router.post("/scratch/{session}/prune", summary="Prune a scratch")
async def post_prune(
    session: SessionName,
    request: ScratchPrune,
    caller: Writer,
    services: ServicesDep,
    response: Response,
    space: str = "default",
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> ScratchState:
    """Put one summary in the place of entries; it remembers their ids, and earlier revisions hold them."""
    faults: list[FieldError] = []
    check_text("summary", request.summary, faults, max_bytes=services.settings.max_content_bytes)
    _raise(faults)
    summary = Draft(request.summary, request.id)

    def apply(state: model.State) -> model.Step:
        return model.prune(state, request.ids, summary)

    order = _order(Place(caller, space, session), "prune", apply, request, services, if_match, idempotency_key)
    return _state(order.place, await working_memory.edit_scratch(services.upkeep, order), response)


@router.put("/scratch/{session}", summary="Bound a scratch")
async def put_scratch(
    session: SessionName,
    request: ScratchLimit,
    caller: Writer,
    services: ServicesDep,
    response: Response,
    space: str = "default",
    if_match: IfMatch = None,
) -> ScratchState:
    """Set how many tokens it may hold. A smaller bound than it holds is refused, unless the oldest may make room."""
    place = Place(caller, space, session)
    view = await working_memory.set_token_limit(
        services.upkeep,
        place,
        request.token_limit,
        evict=request.on_overflow == "evict",
        revision=expected_version(if_match),
        now=services.clock(),
    )
    return _state(place, view, response)


@router.delete("/scratch/{session}", status_code=204, summary="Remove a scratch")
async def delete_scratch(
    session: SessionName, caller: Writer, services: ServicesDep, space: str = "default", if_match: IfMatch = None
) -> None:
    """Remove it with all its revisions, for good."""
    await working_memory.delete_scratch(
        services.upkeep, Place(caller, space, session), revision=expected_version(if_match), now=services.clock()
    )


def _order(
    place: Place,
    operation: ScratchOperation,
    apply: Apply,
    request: Model,
    services: Services,
    if_match: str | None,
    key: str | None,
) -> EditOrder:
    return EditOrder(
        place=place,
        operation=operation,
        apply=apply,
        revision=expected_version(if_match),
        now=services.clock(),
        key=key,
        request=f"{operation} {place.space} {place.session} {request.model_dump_json()}".encode(),
    )


def _drafts(entries: list[ScratchDraft], services: Services) -> list[Draft]:
    faults: list[FieldError] = []
    for place, entry in enumerate(entries):
        check_text(f"entries[{place}].content", entry.content, faults, max_bytes=services.settings.max_content_bytes)
    _raise(faults)
    return [Draft(entry.content, entry.id, entry.pinned) for entry in entries]


def _raise(faults: list[FieldError]) -> None:
    if faults:
        raise InvalidRequestError(f"{len(faults)} field(s) cannot be used", fields=tuple(faults))


def _state(place: Place, view: View, response: Response) -> ScratchState:
    state = view.state
    set_etag(response, state.revision)
    if view.replayed:
        response.headers["Idempotent-Replay"] = "true"
    return ScratchState(
        space=place.space,
        session=place.session,
        revision=state.revision,
        parent=state.revision - 1 if state.revision else None,
        tokens=state.tokens,
        token_limit=state.token_limit,
        entries=[_entry(entry) for entry in state.entries],
        evicted=list(view.evicted),
        recorded_at=view.recorded_at,
    )


def _entry(entry: Entry) -> ScratchEntry:
    return ScratchEntry(
        id=entry.id,
        content=entry.content,
        tokens=estimate_tokens(entry.content),
        pinned=entry.pinned,
        pruned=list(entry.pruned),
        revision=entry.revision,
    )


def _revision(past: Past) -> ScratchRevision:
    revision = past.revision
    return ScratchRevision(
        revision=revision.revision,
        parent=revision.revision - 1,
        operation=revision.operation,
        actor=revision.actor,
        recorded_at=revision.recorded_at,
        tokens=revision.tokens,
        pruned=list(past.pruned),
        evicted=list(past.evicted),
        added=[_entry(entry) for entry in past.difference.added],
        changed=[_entry(entry) for entry in past.difference.changed],
        removed=list(past.difference.removed),
    )
