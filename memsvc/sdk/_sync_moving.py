# ruff: noqa: UP028 - `yield from` has no asynchronous form
"""Synchronous: generated from `_async_moving.py` by `tools/generate_sync.py`; change that file."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import httpx

from memsvc.sdk import requests_moving as requests
from memsvc.sdk import retry
from memsvc.sdk._sync_send import Send
from memsvc.sdk.errors import error_from_response
from memsvc.wire import TextKind
from memsvc.wire.moving import (
    ForkResponse,
    FuseResponse,
    ImportResponse,
    RollbackResponse,
    SnapshotList,
    SnapshotOut,
    SpaceFuseResponse,
)


class Moving:
    """Fusing memories and spaces; snapshots, rollbacks and forks of a space; bundles in and out.

    All methods raise what the client's do. None is sent twice by itself.
    """

    def __init__(self, send: Send, http: httpx.Client) -> None:
        self._send = send
        self._http = http

    def fuse(
        self,
        memories: Sequence[UUID | str],
        *,
        kind: TextKind | None = None,
        dry_run: bool = False,
        reason: str | None = None,
    ) -> FuseResponse:
        """Make one memory of 2 to 100 of one space; they are archived behind it, but for frozen ones."""
        return self._send(requests.fuse(memories, kind=kind, dry_run=dry_run, reason=reason))

    def fuse_spaces(
        self, target: str, source: str, *, dry_run: bool = False, reason: str | None = None
    ) -> SpaceFuseResponse:
        """Copy what the space `source` holds into `target`, but for what is there word for word."""
        return self._send(requests.fuse_spaces(target, source, dry_run=dry_run, reason=reason))

    def snapshot(self, space: str, name: str) -> SnapshotOut:
        """Name the space's present state; `Conflict` when the name is taken."""
        return self._send(requests.snapshot(space, name))

    def snapshots(self, space: str) -> SnapshotList:
        """The space's snapshots, oldest first."""
        return self._send(requests.snapshots(space))

    def delete_snapshot(self, space: str, name: str) -> None:
        """Forget a snapshot's name; what it named stays in the history."""
        self._send(requests.delete_snapshot(space, name))

    def rollback(
        self,
        space: str,
        *,
        snapshot: str | None = None,
        position: int | None = None,
        dry_run: bool = False,
        reason: str | None = None,
    ) -> RollbackResponse:
        """Give every memory its version of then, and archive what was made since; it can be undone."""
        call = requests.rollback(space, snapshot=snapshot, position=position, dry_run=dry_run, reason=reason)
        return self._send(call)

    def fork(self, space: str, to: str, *, snapshot: str | None = None, reason: str | None = None) -> ForkResponse:
        """Copy a space, as it is or as of a snapshot, into a new one that may change without changing the first."""
        return self._send(requests.fork(space, to, snapshot=snapshot, reason=reason))

    def export_bundle(self, space: str, path: str | Path, *, embeddings: bool = True) -> Path:
        """Write the space into a bundle file, streamed; the file appears, or changes, only when it is whole."""
        target = Path(path)
        address = requests.space_path(space, "export")
        try:
            with self._http.stream("GET", address, params={"embeddings": str(embeddings).lower()}) as response:
                if not response.is_success:
                    response.read()
                    raise error_from_response(response, now=datetime.now(UTC))
                with requests.partial(target) as file:
                    for piece in response.iter_bytes():
                        file.write(piece)
        except httpx.RequestError as error:
            raise retry.failure(error, str(self._http.base_url)) from error
        return target

    def import_bundle(self, space: str, path: str | Path, *, reason: str | None = None) -> ImportResponse:
        """Bring a bundle file's memories into the space, streamed; what is there already stays as it is."""
        source = Path(path)
        headers = requests.bundle_headers(source)
        params = {} if reason is None else {"reason": reason}
        address = requests.space_path(space, "import")
        try:
            response = self._http.post(address, content=_pieces(source), params=params, headers=headers)
        except httpx.RequestError as error:
            raise retry.failure(error, str(self._http.base_url)) from error
        if not response.is_success:
            raise error_from_response(response, now=datetime.now(UTC))
        return requests.read_import(response)


def _pieces(path: Path) -> Iterator[bytes]:
    for piece in requests.pieces(path):
        yield piece
