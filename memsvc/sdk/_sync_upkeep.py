# ruff: noqa: UP028 - `yield from` has no asynchronous form
"""Synchronous: generated from `_async_upkeep.py` by `tools/generate_sync.py`; change that file."""

from collections.abc import Iterator, Sequence
from typing import Literal, Unpack
from uuid import UUID

from memsvc.sdk import requests
from memsvc.sdk import requests_upkeep as upkeep
from memsvc.sdk._sync_send import Send
from memsvc.sdk.requests_upkeep import CompressOptions, ForgetOptions, UpkeepOptions
from memsvc.wire.compressing import RestoreResponse
from memsvc.wire.conflicts import ConflictOut, ConflictPage, Resolution
from memsvc.wire.forgetting import FeedbackResponse, RetentionOut, Verdict
from memsvc.wire.proposals import CoreProposals
from memsvc.wire.upkeep import UpkeepResponse
from memsvc.wire.usage import UsageResponse


class Upkeep:
    """What a service does with its memories by itself, done now: learning, forgetting, packing; and feedback.

    A run changes its space in operations that `lifecycle.undo` undoes; `dry_run` only lists what it would do, `limit`
    bounds it, and `more` says that there is more. Runs can take longer than the client's time-out: what one did after
    that is in `lifecycle.operations`. All methods raise what the client's do.
    """

    def __init__(self, send: Send) -> None:
        self._send = send

    def consolidate(self, **options: Unpack[UpkeepOptions]) -> UpkeepResponse:
        """Learn from what was written to a space. Options: `space`, `dry_run`, `limit`, `reason`."""
        return self._send(upkeep.consolidate(options))

    def forget(self, **options: Unpack[ForgetOptions]) -> UpkeepResponse:
        """Archive what the space's policy lets go, or with `share` that share of the turns in recall."""
        return self._send(upkeep.forget(options))

    def compress(self, **options: Unpack[CompressOptions]) -> UpkeepResponse:
        """Pack away what is out of recall: what was archived `archived_days` ago, with `superseded` what has ended."""
        return self._send(upkeep.compress(options))

    def restore(
        self,
        memory_id: UUID | str,
        *,
        level: Literal["memory", "topic", "session"] = "memory",
        dry_run: bool = False,
        reason: str | None = None,
    ) -> RestoreResponse:
        """Bring a packed memory, its topic or its session back, in the state that it has."""
        fields = {"level": level, "dry_run": dry_run, "reason": reason}
        return self._send(upkeep.restore(memory_id, fields))

    def retention(self, memory_id: UUID | str) -> RetentionOut:
        """The forgetting curve of a memory: what moved it, how it goes on, and what the policy makes of that."""
        return self._send(requests.fetch(f"{requests.memory_path(memory_id)}/retention", RetentionOut))

    def feedback(
        self,
        memories: Sequence[UUID | str],
        verdict: Verdict,
        *,
        episode: str | None = None,
        note: str | None = None,
    ) -> FeedbackResponse:
        """Say what became of memories that were recalled, 100 at most.

        `verdict`: "used", "helpful" or "wrong"; "success" and "failure" say how an `episode`, your name for the task,
        ended. The same again counts once: its `status` is "known".
        """
        fields = {"verdict": verdict, "episode": episode, "note": note}
        return self._send(upkeep.feedback(memories, fields))

    def conflicts(
        self,
        *,
        space: str = "default",
        state: Literal["open", "settled"] | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> ConflictPage:
        """One page of the pairs of memories of which it is not certain which holds, oldest first."""
        params = {"space": space, "state": state, "limit": limit, "cursor": cursor}
        return self._send(requests.fetch("/v1/conflicts", ConflictPage, params))

    def iterate_conflicts(
        self, *, space: str = "default", state: Literal["open", "settled"] | None = None, limit: int = 100
    ) -> Iterator[ConflictOut]:
        """All conflicts of a space, oldest first."""
        cursor: str | None = None
        while True:
            page = self.conflicts(space=space, state=state, limit=limit, cursor=cursor)
            for conflict in page.items:
                yield conflict
            cursor = page.next_cursor
            if cursor is None:
                return

    def settle(self, conflict_id: UUID | str, keep: Resolution, *, reason: str | None = None) -> ConflictOut:
        """Keep the "first" or the "second", which supersedes the other, or "both". `Conflict` when it is settled."""
        return self._send(upkeep.settle(conflict_id, {"keep": keep, "reason": reason}))

    def proposals(self, *, space: str = "default") -> CoreProposals:
        """What might be added to the core memory; `core.append` of a `label` and its `text` takes it over."""
        return self._send(requests.fetch("/v1/core/proposals", CoreProposals, {"space": space}))

    def usage(self, *, days: int = 30) -> UsageResponse:
        """Calls and tokens of the language model over the last `days` UTC days, and the budget."""
        return self._send(requests.fetch("/v1/usage", UsageResponse, {"days": days}))
