"""Compose, fuse, fork, move: whole spaces and several memories at a time."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from memsvc.api.auth import Admin, Reader, Writer
from memsvc.api.services import ServicesDep
from memsvc.api.tensors import TensorsDep
from memsvc.errors import FieldError, InvalidRequestError
from memsvc.ids import MemoryId
from memsvc.lifecycle import branches, fusing
from memsvc.lifecycle.blobs import TensorStore, upload
from memsvc.lifecycle.branches import Point
from memsvc.lifecycle.bundle.export import export
from memsvc.lifecycle.bundle.load import ImportOrder, import_bundle
from memsvc.lifecycle.fuse import Conflict
from memsvc.lifecycle.fusing import FuseOrder
from memsvc.store import access
from memsvc.store import branches as stored
from memsvc.store.keys import Caller
from memsvc.wire import Reason
from memsvc.wire.moving import (
    ConflictOut,
    ForkRequest,
    ForkResponse,
    FuseRequest,
    FuseResponse,
    ImportResponse,
    KeptMemory,
    RefusedMemory,
    RollbackRequest,
    RollbackResponse,
    SnapshotList,
    SnapshotOut,
    SnapshotRequest,
    SpaceFuseRequest,
    SpaceFuseResponse,
)

router = APIRouter(prefix="/v1")

BUNDLE_TYPE = "application/zip"
PIECE_BYTES = 1 << 20


@router.post("/fuse", summary="Fuse several memories into one")
async def fuse_memories(request: FuseRequest, caller: Writer, services: ServicesDep) -> FuseResponse:
    """Sentences said twice are kept once, contradictions side by side; the sources are archived behind the new one."""
    order = FuseOrder(
        caller=caller,
        memories=[MemoryId(each) for each in request.memories],
        kind=request.kind,
        reason=request.reason,
        now=services.clock(),
    )
    done = await fusing.fuse(services.ingest, order, dry_run=request.dry_run)
    return FuseResponse(
        id=done.id,
        operation_id=done.operation_id,
        kind=done.plan.kind,
        content=done.plan.fused.text,
        archived=list(done.plan.archived),
        frozen=list(done.plan.frozen),
        conflicts=[_conflict(conflict) for conflict in done.plan.fused.conflicts],
    )


@router.post("/spaces/{target}/fuse", summary="Fuse another space into this one")
async def fuse_spaces(
    target: str, request: SpaceFuseRequest, caller: Writer, services: ServicesDep
) -> SpaceFuseResponse:
    """Copy what the caller may read there and this space does not have word for word; the source does not change."""
    done = await fusing.fuse_spaces(
        services.ingest,
        caller,
        target,
        request.source,
        reason=request.reason,
        dry_run=request.dry_run,
        now=services.clock(),
    )
    return SpaceFuseResponse(
        operation_id=done.operation_id,
        copied=list(done.copied),
        duplicates=len(done.duplicates),
        conflicts=[_conflict(conflict) for conflict in done.conflicts],
    )


@router.post("/spaces/{name}/snapshots", status_code=201, summary="Take a snapshot")
async def take_snapshot(name: str, request: SnapshotRequest, caller: Writer, services: ServicesDep) -> SnapshotOut:
    """Name the space's present state. It costs nothing: every version is kept anyway."""
    made = await branches.snapshot(services.ingest, caller, name, request.name, now=services.clock())
    return SnapshotOut(**asdict(made))


@router.get("/spaces/{name}/snapshots", summary="List snapshots")
async def list_snapshots(name: str, caller: Reader, services: ServicesDep) -> SnapshotList:
    """Oldest first."""
    async with services.database.read(caller.tenant_id) as session:
        space_id = await access.require(session, caller, name, "read")
        found = await stored.list_snapshots(session, space_id)
    return SnapshotList(items=[SnapshotOut(**asdict(one)) for one in found])


@router.delete("/spaces/{name}/snapshots/{snapshot:path}", status_code=204, summary="Forget a snapshot")
async def delete_snapshot(name: str, snapshot: str, caller: Writer, services: ServicesDep) -> None:
    """The name goes; the versions it stood for stay in the history."""
    await branches.delete_snapshot(services.ingest, caller, name, snapshot)


@router.post("/spaces/{name}/rollback", summary="Roll a space back")
async def rollback(name: str, request: RollbackRequest, caller: Writer, services: ServicesDep) -> RollbackResponse:
    """Give what changed since its version of then, and archive what was made since. It is an operation: undo it."""
    if (request.snapshot is None) == (request.position is None):
        fault = FieldError("snapshot", "is needed, or `position`, and not both", "Send exactly one of the two.")
        raise InvalidRequestError("there must be one place to go back to", fields=(fault,))
    done = await branches.rollback(
        services.ingest,
        caller,
        name,
        Point(request.snapshot, request.position),
        reason=request.reason,
        dry_run=request.dry_run,
        now=services.clock(),
    )
    return RollbackResponse(
        operation_id=done.operation_id,
        position=done.position,
        restored=list(done.restored),
        archived=list(done.archived),
        kept=[KeptMemory(id=memory, reason=why) for memory, why in done.kept],
        erased=list(done.erased),
    )


@router.post("/spaces/{name}/fork", status_code=201, summary="Fork a space")
async def fork(name: str, request: ForkRequest, caller: Writer, services: ServicesDep) -> ForkResponse:
    """A new space with copies of all that the caller may read; nothing done there changes this one."""
    done = await branches.fork(
        services.ingest,
        caller,
        name,
        request.to,
        at=request.snapshot,
        reason=request.reason,
        now=services.clock(),
    )
    return ForkResponse(**asdict(done))


@router.get("/spaces/{name}/export", summary="Export a space as a bundle", response_class=StreamingResponse)
async def export_bundle(
    name: str,
    caller: Reader,
    services: ServicesDep,
    store: TensorsDep,
    embeddings: Annotated[
        bool, Query(description="With the vectors, which spares the importer from encoding.")
    ] = False,
) -> StreamingResponse:
    """A zip of JSONL and safetensors (docs/bundle.md), streamed. The same content gives the same bytes."""

    def source(blob_hash: bytes, size: int) -> AsyncIterator[bytes]:
        return store.blobs.read(caller.tenant_id, blob_hash, size=size)

    pieces = export(services.ingest, caller, name, embeddings=embeddings, blob_source=source, now=services.clock())
    first = await anext(pieces)  # what is refused is refused before the answer begins
    headers = {"Content-Disposition": 'attachment; filename="space.memsvc.zip"'}
    return StreamingResponse(_chain(first, pieces), media_type=BUNDLE_TYPE, headers=headers)


@router.post("/spaces/{name}/import", status_code=201, summary="Import a bundle")
async def import_(
    name: str,
    request: Request,
    caller: Admin,
    services: ServicesDep,
    store: TensorsDep,
    reason: Annotated[Reason | None, Query(description="Why, for the history.")] = None,
) -> ImportResponse:
    """The body is the bundle, streamed. It is checked whole; then all of it is stored in one operation, or nothing.

    It needs the scope `admin`: a bundle says who wrote what, and places legal holds.
    """
    now = services.clock()
    async with _received(request) as path:
        order = ImportOrder(
            caller=caller,
            space=name,
            path=path,
            max_content_bytes=services.settings.max_content_bytes,
            blob_sink=_Uploads(store, caller, now),
            reason=reason,
            now=now,
        )
        done = await import_bundle(services.ingest, order)
    values: dict[str, Any] = asdict(done)
    values["conflicts"] = [RefusedMemory(id=one.id, reason=one.reason) for one in done.conflicts]
    return ImportResponse(**values)


class _Uploads:
    """Stores the blobs of a bundle as if each had been uploaded by the caller."""

    def __init__(self, store: TensorStore, caller: Caller, now: Any) -> None:
        self._store = store
        self._caller = caller
        self._now = now

    async def __call__(self, blob_hash: bytes, size: int, pieces: AsyncIterator[bytes]) -> None:
        await upload(self._store, self._caller, blob_hash, pieces, announced_bytes=size, now=self._now)


@asynccontextmanager
async def _received(request: Request) -> AsyncIterator[Path]:
    """The body in a file that nobody else may read, gone when the block ends."""
    with tempfile.TemporaryDirectory(prefix="memsvc-import-") as folder:
        path = Path(folder) / "bundle.zip"
        with path.open("wb") as file:
            waiting = bytearray()
            async for piece in request.stream():
                waiting += piece
                if len(waiting) >= PIECE_BYTES:
                    await asyncio.to_thread(file.write, waiting)
                    waiting = bytearray()
            await asyncio.to_thread(file.write, waiting)
        yield path


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _conflict(conflict: Conflict) -> ConflictOut:
    return ConflictOut(
        first_id=conflict.first_id,
        first=conflict.first,
        second_id=conflict.second_id,
        second=conflict.second,
        terms=list(conflict.terms),
    )
