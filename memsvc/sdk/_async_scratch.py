"""`client.scratch`. The synchronous form is generated from this file by `tools/generate_sync.py`."""

from collections.abc import AsyncIterator, Sequence
from typing import Literal, Unpack

from memsvc.sdk import requests
from memsvc.sdk import requests_upkeep as upkeep
from memsvc.sdk._async_send import Send
from memsvc.sdk.requests_upkeep import DraftLike, EditOptions
from memsvc.wire.scratch import (
    Overflow,
    ScratchPrune,
    ScratchRevision,
    ScratchRevisions,
    ScratchRewrite,
    ScratchState,
    ScratchWrite,
)


class AsyncScratch:
    """The working memory of a session: a few entries within a bound, which the agent itself edits.

    `entries` are `ScratchDraft`, dicts or plain strings. `revision`: with the revision that was read, a change raises
    `PreconditionFailed` when it is no longer the current one. `on_overflow`: what passes the bound is refused
    (`InvalidRequest`), or with "evict" the oldest entries make room. Edits may be repeated: each has an
    `idempotency_key`, yours or a new one. All methods raise what the client's do.
    """

    def __init__(self, send: Send) -> None:
        self._send = send

    async def get(self, session: str, *, space: str = "default", revision: int | None = None) -> ScratchState:
        """The state, now or at an earlier revision; empty before anything was written."""
        params = {"space": space, "revision": revision}
        return await self._send(requests.fetch(upkeep.scratch_path(session), ScratchState, params))

    async def revisions(
        self, session: str, *, space: str = "default", before: int | None = None, limit: int = 50
    ) -> ScratchRevisions:
        """One page of what was done to it, newest first; `next_before` is the `before` of the next page."""
        params = {"space": space, "before": before, "limit": limit}
        return await self._send(requests.fetch(f"{upkeep.scratch_path(session)}/revisions", ScratchRevisions, params))

    async def iterate_revisions(
        self, session: str, *, space: str = "default", limit: int = 50
    ) -> AsyncIterator[ScratchRevision]:
        """All that was done to it, newest first."""
        before: int | None = None
        while True:
            page = await self.revisions(session, space=space, before=before, limit=limit)
            for revision in page.items:
                yield revision
            before = page.next_before
            if before is None:
                return

    async def write(
        self,
        session: str,
        entries: Sequence[DraftLike] | str,
        *,
        on_overflow: Overflow = "refuse",
        **options: Unpack[EditOptions],
    ) -> ScratchState:
        """Append entries. Options: `space`, `revision`, `idempotency_key`."""
        fields = {"entries": upkeep.drafts(entries), "on_overflow": on_overflow}
        return await self._send(upkeep.edit_scratch(session, "write", ScratchWrite, fields, options))

    async def rewrite(
        self,
        session: str,
        entries: Sequence[DraftLike] | str,
        *,
        scope: Literal["all", "named"] = "all",
        on_overflow: Overflow = "refuse",
        **options: Unpack[EditOptions],
    ) -> ScratchState:
        """Replace the whole state, or with the scope "named" the contents of the entries that are named by `id`."""
        fields = {"entries": upkeep.drafts(entries), "scope": scope, "on_overflow": on_overflow}
        return await self._send(upkeep.edit_scratch(session, "rewrite", ScratchRewrite, fields, options))

    async def prune(
        self,
        session: str,
        ids: Sequence[str],
        summary: str,
        *,
        summary_id: str | None = None,
        **options: Unpack[EditOptions],
    ) -> ScratchState:
        """Put one summary, with an id if you like, in the place of entries; earlier revisions hold them."""
        fields = {"ids": list(ids), "summary": summary, "id": summary_id}
        return await self._send(upkeep.edit_scratch(session, "prune", ScratchPrune, fields, options))

    async def set_limit(
        self,
        session: str,
        token_limit: int,
        *,
        on_overflow: Overflow = "refuse",
        space: str = "default",
        revision: int | None = None,
    ) -> ScratchState:
        """Bound how many tokens all entries take together; a scratch is made when it is new."""
        return await self._send(
            upkeep.limit_scratch(session, token_limit, on_overflow=on_overflow, space=space, revision=revision)
        )

    async def delete(self, session: str, *, space: str = "default", revision: int | None = None) -> None:
        """Remove it with all its revisions, for good."""
        await self._send(upkeep.delete_scratch(session, space=space, revision=revision))
