"""What the methods on whole spaces send, and the files they read and write; shared by both clients."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from uuid import UUID, uuid4

import httpx
from pydantic import ValidationError

from memsvc.sdk.errors import unexpected_body
from memsvc.sdk.requests import Call, fetch, name_segment, post, read_nothing
from memsvc.wire import TextKind
from memsvc.wire.moving import (
    ForkRequest,
    ForkResponse,
    FuseRequest,
    FuseResponse,
    ImportResponse,
    RollbackRequest,
    RollbackResponse,
    SnapshotList,
    SnapshotOut,
    SnapshotRequest,
    SpaceFuseRequest,
    SpaceFuseResponse,
)

PIECE_BYTES = 1 << 20


def fuse(
    memories: Sequence[UUID | str], *, kind: TextKind | None, dry_run: bool, reason: str | None
) -> Call[FuseResponse]:
    """`POST /v1/fuse`."""
    fields = {"memories": [str(each) for each in memories], "kind": kind, "dry_run": dry_run, "reason": reason}
    return post("/v1/fuse", FuseRequest, fields, FuseResponse, retried=False)


def fuse_spaces(target: str, source: str, *, dry_run: bool, reason: str | None) -> Call[SpaceFuseResponse]:
    """`POST /v1/spaces/{target}/fuse`."""
    fields = {"source": source, "dry_run": dry_run, "reason": reason}
    return post(space_path(target, "fuse"), SpaceFuseRequest, fields, SpaceFuseResponse, retried=False)


def snapshot(space: str, name: str) -> Call[SnapshotOut]:
    """`POST /v1/spaces/{name}/snapshots`."""
    return post(space_path(space, "snapshots"), SnapshotRequest, {"name": name}, SnapshotOut, retried=False)


def snapshots(space: str) -> Call[SnapshotList]:
    """`GET /v1/spaces/{name}/snapshots`."""
    return fetch(space_path(space, "snapshots"), SnapshotList)


def delete_snapshot(space: str, name: str) -> Call[None]:
    """`DELETE /v1/spaces/{name}/snapshots/{snapshot}`."""
    return Call("DELETE", f"{space_path(space, 'snapshots')}/{name_segment(name)}", read_nothing, retried=False)


def rollback(
    space: str, *, snapshot: str | None, position: int | None, dry_run: bool, reason: str | None
) -> Call[RollbackResponse]:
    """`POST /v1/spaces/{name}/rollback`."""
    fields = {"snapshot": snapshot, "position": position, "dry_run": dry_run, "reason": reason}
    return post(space_path(space, "rollback"), RollbackRequest, fields, RollbackResponse, retried=False)


def fork(space: str, to: str, *, snapshot: str | None, reason: str | None) -> Call[ForkResponse]:
    """`POST /v1/spaces/{name}/fork`."""
    fields = {"to": to, "snapshot": snapshot, "reason": reason}
    return post(space_path(space, "fork"), ForkRequest, fields, ForkResponse, retried=False)


def space_path(space: str, action: str) -> str:
    """Where something is done with a space; its name is one segment, whatever is in it."""
    return f"/v1/spaces/{name_segment(space)}/{action}"


def read_import(response: httpx.Response) -> ImportResponse:
    """The answer of an import that succeeded."""
    try:
        return ImportResponse.model_validate_json(response.content, extra="ignore")
    except ValidationError:
        raise unexpected_body(response) from None


def bundle_headers(path: Path) -> dict[str, str]:
    """What announces the file."""
    return {"Content-Type": "application/zip", "Content-Length": str(path.stat().st_size)}


def pieces(path: Path) -> Iterator[bytes]:
    """The bytes of a file, a mebibyte at a time."""
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


@contextmanager
def partial(target: Path) -> Iterator[IO[bytes]]:
    """A file beside the target that takes its place when the block ends well, and is gone otherwise."""
    path = target.with_name(f"{target.name}.{uuid4().hex[:8]}.partial")
    try:
        with path.open("xb") as file:
            yield file
        path.replace(target)
    finally:
        path.unlink(missing_ok=True)
