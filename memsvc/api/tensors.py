"""`/v1/blobs`, `/v1/activations`, `/v1/parametrics`: tensors kept beside the texts they were made from."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from memsvc.api.auth import Reader, Writer
from memsvc.api.memories import to_memory
from memsvc.api.services import Services, ServicesDep
from memsvc.errors import FieldError, InvalidRequestError, NotFoundError
from memsvc.ids import MemoryId
from memsvc.ingest.prepare import check_text, to_utc
from memsvc.lifecycle import promotion, tensors
from memsvc.lifecycle.blobs import TensorStore, open_blob, upload
from memsvc.lifecycle.promotion import Change, Changed, PromotionPolicy
from memsvc.lifecycle.tensors import MatchOrder, PayloadType, TensorOrder
from memsvc.store import memories
from memsvc.store.access import When
from memsvc.store.keys import Caller
from memsvc.store.tensors import ModelKey, StoredTensor, find_tensors
from memsvc.wire.tensors import (
    ActivationIn,
    BlobOut,
    Candidate,
    CandidateList,
    DemoteRequest,
    InvalidateRequest,
    Match,
    MatchRequest,
    MatchResponse,
    ParametricIn,
    SpaceChange,
    TensorChanges,
    TensorModel,
    TensorOut,
    TensorRecord,
)

router = APIRouter(prefix="/v1")
BLOB_TYPE = "application/octet-stream"
Sha256 = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the blob, in hex.")]


async def get_tensor_store(request: Request) -> TensorStore:
    """The tensor store of this process."""
    store: TensorStore = request.app.state.tensors
    return store


TensorsDep = Annotated[TensorStore, Depends(get_tensor_store)]


@router.put("/blobs/{sha256}", summary="Upload a safetensors file", responses={201: {"model": BlobOut}})
async def put_blob(
    sha256: Sha256, request: Request, caller: Writer, services: ServicesDep, store: TensorsDep, response: Response
) -> BlobOut:
    """The body is the file's bytes, streamed. 201 when the tenant did not have them; both answers follow COMMIT."""
    announced = request.headers.get("content-length", "0")
    stored = await upload(
        store,
        caller,
        bytes.fromhex(sha256),
        _body(request),
        announced_bytes=int(announced) if announced.isdigit() else 0,
        now=services.clock(),
    )
    response.status_code = 201 if stored.created else 200
    return BlobOut(
        sha256=sha256,
        bytes=stored.bytes,
        tensors=stored.tensors,
        used_bytes=stored.used_bytes,
        quota_bytes=store.quota_bytes,
    )


@router.get("/blobs/{sha256}", summary="Download a blob", response_class=StreamingResponse)
async def get_blob(sha256: Sha256, caller: Reader, services: ServicesDep, store: TensorsDep) -> StreamingResponse:
    """The bytes, streamed. Damaged ones are never sent to their end: the connection breaks before `Content-Length`."""
    size, pieces = await open_blob(store, caller, bytes.fromhex(sha256), now=services.clock())
    headers = {"Content-Length": str(size), "ETag": f'"{sha256}"', "Cache-Control": "private, immutable"}
    return StreamingResponse(pieces, media_type=BLOB_TYPE, headers=headers)


@router.post("/activations", status_code=201, summary="Keep a KV cache or soft prompt")
async def add_activation(
    request: ActivationIn, caller: Writer, services: ServicesDep, store: TensorsDep, response: Response
) -> TensorRecord:
    """A memory of payload type `activation` over an uploaded blob. The same request again answers 200."""
    order = _order("activation", request, token_ids=request.token_ids, now=services.clock())
    return await _create(store, caller, order, services, response)


@router.post("/parametrics", status_code=201, summary="Keep adapter weights")
async def add_parametric(
    request: ParametricIn, caller: Writer, services: ServicesDep, store: TensorsDep, response: Response
) -> TensorRecord:
    """A memory of payload type `parametric` over an uploaded blob. The same request again answers 200."""
    order = _order("parametric", request, token_ids=(), now=services.clock())
    return await _create(store, caller, order, services, response)


@router.post("/activations/match", summary="Find the longest cached prefix")
async def match(request: MatchRequest, caller: Reader, services: ServicesDep, store: TensorsDep) -> MatchResponse:
    """The best reusable activation for these tokens; being found counts as an access."""
    if (request.token_ids is None) == (request.prefix_hashes is None):
        fault = FieldError("token_ids", "is needed, or `prefix_hashes`, and not both", "Send exactly one of the two.")
        raise InvalidRequestError("there must be one thing to match", fields=(fault,))
    order = MatchOrder(
        key=_key(request),
        spaces=request.spaces,
        token_ids=request.token_ids,
        prefix_hashes=[bytes.fromhex(each) for each in request.prefix_hashes or ()],
    )
    found = await tensors.match(store, caller, order, now=services.clock())
    if found is None:
        return MatchResponse(match=None)
    record = await _record(found.id, "activation", caller, services)
    return MatchResponse(
        match=Match(id=found.id, matched_tokens=found.matched, stored_tokens=record.tensor.tokens, record=record)
    )


@router.get("/activations/candidates", summary="What is worth an activation")
async def list_candidates(
    caller: Reader,
    services: ServicesDep,
    model: Annotated[str, Query(min_length=1, max_length=500)],
    model_revision: Annotated[str | None, Query(min_length=1, max_length=500)] = None,
    space: Annotated[list[str] | None, Query(max_length=50)] = None,
    accesses: Annotated[int, Query(ge=0)] = 5,
    stable_days: Annotated[float, Query(ge=0, le=36_500)] = 7,
    tokens: Annotated[int, Query(ge=1)] = 200,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> CandidateList:
    """Plaintext used `accesses` times, unchanged for `stable_days`, of `tokens` or more, and not cached yet."""
    policy = PromotionPolicy(
        spaces=space or ["default"],
        model=model,
        revision=model_revision,
        accesses=accesses,
        stable_days=stable_days,
        tokens=tokens,
        limit=limit,
    )
    found = await promotion.candidates(services.ingest, caller, policy, now=services.clock())
    return CandidateList(items=[Candidate(memory=to_memory(record), tokens=size) for record, size in found])


@router.post("/activations/invalidate", summary="A model has changed")
async def invalidate(request: InvalidateRequest, caller: Writer, services: ServicesDep) -> TensorChanges:
    """Expire the activations and parametrics of the model, but those of `keep_revision`: one operation a space."""
    change = Change(spaces=request.spaces, reason=request.reason, dry_run=request.dry_run)
    changed = await promotion.invalidate(
        services.ingest, caller, change, model=request.model, keep_revision=request.keep_revision, now=services.clock()
    )
    return _changes(changed, dry_run=request.dry_run)


@router.post("/activations/demote", summary="Archive what is not used")
async def demote(request: DemoteRequest, caller: Writer, services: ServicesDep) -> TensorChanges:
    """Archive the activations not used for `idle_days`; their plaintext sources stay: one operation a space."""
    change = Change(spaces=request.spaces, reason=request.reason, dry_run=request.dry_run)
    changed = await promotion.demote(services.ingest, caller, change, idle_days=request.idle_days, now=services.clock())
    return _changes(changed, dry_run=request.dry_run)


@router.get("/activations/{memory_id}", summary="Get one activation")
async def get_activation(memory_id: UUID, caller: Reader, services: ServicesDep) -> TensorRecord:
    """The memory with its tensor header."""
    return await _record(MemoryId(memory_id), "activation", caller, services)


@router.get("/parametrics/{memory_id}", summary="Get one adapter")
async def get_parametric(memory_id: UUID, caller: Reader, services: ServicesDep) -> TensorRecord:
    """The memory with its tensor header."""
    return await _record(MemoryId(memory_id), "parametric", caller, services)


async def _body(request: Request) -> AsyncIterator[bytes]:
    try:
        async for piece in request.stream():
            yield piece
    except ClientDisconnect:
        fault = FieldError("body", "ended before its length", "Send the whole file again.")
        raise InvalidRequestError("the upload broke off", fields=(fault,)) from None


async def _create(
    store: TensorStore, caller: Caller, order: TensorOrder, services: Services, response: Response
) -> TensorRecord:
    memory_id, created = await tensors.create(store, caller, order, now=services.clock())
    if not created:
        response.status_code = 200
    return await _record(memory_id, order.payload_type, caller, services)


async def _record(memory_id: MemoryId, payload_type: PayloadType, caller: Caller, services: Services) -> TensorRecord:
    when = When(services.clock())
    async with services.database.read(caller.tenant_id) as session:
        record = await memories.get_record(session, memory_id, caller=caller, when=when)
        found = await find_tensors(session, [memory_id], caller=caller, when=when)
    if record.payload_type != payload_type or memory_id not in found:
        raise NotFoundError(f"memory {memory_id} is no {payload_type}", remedy="GET /v1/memories/{id} gets any memory.")
    return TensorRecord(memory=to_memory(record), tensor=_tensor_out(found[memory_id]))


def _tensor_out(tensor: StoredTensor) -> TensorOut:
    return TensorOut(
        model=tensor.key.model,
        model_revision=tensor.key.revision,
        tokenizer_hash=tensor.key.tokenizer_hash,
        position_scheme=tensor.key.position_scheme,
        blob=tensor.blob_hash.hex(),
        bytes=tensor.bytes,
        source=tensor.source_id,
        source_version=tensor.source_version,
        layers=tensor.layers,
        heads=tensor.heads,
        dtype=tensor.dtype,
        shape=[int(size) for size in tensor.shape],
        tokens=tensor.tokens,
        reusable=tensor.reusable,
    )


def _order(
    payload_type: PayloadType, request: ActivationIn | ParametricIn, *, token_ids: Sequence[int], now: datetime
) -> TensorOrder:
    faults: list[FieldError] = []
    content = f"{payload_type} of {request.model}" if request.content is None else request.content
    check_text("content", content, faults)
    expires_at = None if request.expires_at is None else to_utc(request.expires_at, ZoneInfo("UTC"))
    if expires_at is not None and expires_at <= now:
        faults.append(FieldError("expires_at", "has passed", "Send a moment in the future."))
    if faults:
        raise InvalidRequestError(f"{len(faults)} field(s) cannot be used", fields=tuple(faults))
    return TensorOrder(
        payload_type=payload_type,
        id=None if request.id is None else MemoryId(request.id),
        space=request.space,
        kind=request.kind,
        name=request.name,
        content=content,
        blob_hash=bytes.fromhex(request.blob),
        source_id=None if request.source is None else MemoryId(request.source),
        key=_key(request),
        layers=request.layers,
        heads=request.heads,
        dtype=request.dtype,
        shape=request.shape,
        token_ids=token_ids,
        importance=request.importance,
        sensitivity=request.sensitivity,
        visibility=request.visibility,
        expires_at=expires_at,
        metadata=request.metadata,
        reason=request.reason,
    )


def _key(request: TensorModel) -> ModelKey:
    return ModelKey(request.model, request.model_revision, request.tokenizer_hash, request.position_scheme)


def _changes(changed: Sequence[Changed], *, dry_run: bool) -> TensorChanges:
    return TensorChanges(
        changes=[SpaceChange(space=each.space, operation_id=each.operation_id, ids=list(each.ids)) for each in changed],
        changed=sum(len(each.ids) for each in changed),
        dry_run=dry_run,
    )
