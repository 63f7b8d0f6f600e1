# ruff: noqa: UP028 - `yield from` has no asynchronous form
"""Synchronous: generated from `_async_lifecycle.py` by `tools/generate_sync.py`; change that file."""

from collections.abc import Iterator, Sequence
from typing import Literal, Unpack
from uuid import UUID

from memsvc.sdk import requests
from memsvc.sdk._sync_send import Send
from memsvc.sdk.requests import EraseOptions
from memsvc.wire import Memory, State
from memsvc.wire.erasing import EraseRequest, EraseResponse, SigningKey
from memsvc.wire.lifecycle import (
    History,
    Hold,
    Lineage,
    OperationDetail,
    OperationOut,
    OperationPage,
    StateChange,
    Supersede,
    UndoRequest,
    UndoResponse,
)


class Lifecycle:
    """States, versions, operations and lineage of memories, and erasing them for good.

    `version`: with the version of a memory that was read, a change raises `PreconditionFailed` when it is no longer the
    current one. All methods raise what the client's do.
    """

    def __init__(self, send: Send) -> None:
        self._send = send

    def set_state(
        self, memory_id: UUID | str, state: State, *, reason: str | None = None, version: int | None = None
    ) -> Memory:
        """Move a memory to another state; `Conflict` names the states it may go to."""
        fields = {"state": state, "reason": reason}
        path = f"{requests.memory_path(memory_id)}/state"
        return self._send(requests.post(path, StateChange, fields, Memory, version=version, retried=False))

    def supersede(
        self,
        memory_id: UUID | str,
        by: UUID | str,
        *,
        at: str | None = None,
        timezone: str = "UTC",
        reason: str | None = None,
        version: int | None = None,
    ) -> Memory:
        """End a memory's validity (`at`: a year, month, day or moment), and link it to what holds from then on."""
        fields = {"by": by, "at": at, "timezone": timezone, "reason": reason}
        path = f"{requests.memory_path(memory_id)}/supersede"
        return self._send(requests.post(path, Supersede, fields, Memory, version=version, retried=False))

    def set_hold(
        self, memory_id: UUID | str, *, on: bool, reason: str | None = None, version: int | None = None
    ) -> Memory:
        """Place or lift a legal hold; needs the scope `admin`."""
        return self._send(requests.hold(memory_id, Hold(on=on, reason=reason), version))

    def history(self, memory_id: UUID | str) -> History:
        """Every version of a memory, oldest first, with who made it, when and why."""
        return self._send(requests.fetch(f"{requests.memory_path(memory_id)}/history", History))

    def lineage(
        self, memory_id: UUID | str, *, direction: Literal["up", "down", "both"] = "both", depth: int = 10
    ) -> Lineage:
        """What a memory was derived from, and what derives from it, up to `depth` steps away."""
        params = {"direction": direction, "depth": depth}
        return self._send(requests.fetch(f"{requests.memory_path(memory_id)}/lineage", Lineage, params))

    def operations(self, *, space: str = "default", limit: int = 100, cursor: str | None = None) -> OperationPage:
        """One page of a space's operations, newest first."""
        params = {"space": space, "limit": limit, "cursor": cursor}
        return self._send(requests.fetch("/v1/operations", OperationPage, params))

    def iterate_operations(self, *, space: str = "default", limit: int = 100) -> Iterator[OperationOut]:
        """All operations of a space, newest first."""
        cursor: str | None = None
        while True:
            page = self.operations(space=space, limit=limit, cursor=cursor)
            for operation in page.items:
                yield operation
            cursor = page.next_cursor
            if cursor is None:
                return

    def operation(self, operation_id: UUID | str) -> OperationDetail:
        """One operation and what it did, before and after."""
        return self._send(requests.fetch(requests.operation_path(operation_id), OperationDetail))

    def undo(self, operation_id: UUID | str, *, reason: str | None = None) -> UndoResponse:
        """Undo an operation; `Conflict` when later changes stand on it. The undo is an operation too."""
        path = f"{requests.operation_path(operation_id)}/undo"
        return self._send(requests.post(path, UndoRequest, {"reason": reason}, UndoResponse, retried=False))

    def erase(
        self,
        memories: Sequence[UUID | str] | None = None,
        *,
        dry_run: bool = False,
        **conditions: Unpack[EraseOptions],
    ) -> EraseResponse:
        """Erase memories and all that was made of them, for good.

        Either `memories`, or conditions that must all hold: `space` (alone: the whole space), `session`, `subject` (the
        `name` of memories), `actor` (the principal that wrote them), `filters`. With `dry_run` nothing is erased.
        `LegalHold` when any of it is held. The answer's `receipt` is signed; `memsvc verify-receipt` checks it.
        """
        fields: dict[str, object] = {**conditions, "dry_run": dry_run}
        if memories is not None:
            fields["memories"] = list(memories)
        return self._send(requests.post("/v1/erase", EraseRequest, fields, EraseResponse, retried=False))

    def erasure(self, erasure_id: UUID | str) -> dict[str, object]:
        """The signed receipt of an erasure."""
        return self._send(requests.erasure(erasure_id))

    def signing_key(self) -> SigningKey:
        """The public key of the service's receipts."""
        return self._send(requests.fetch("/v1/signing-key", SigningKey))
