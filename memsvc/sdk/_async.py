"""The asynchronous client. The synchronous one is generated from this file by `tools/generate_sync.py`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from time import monotonic
from types import TracebackType
from typing import Self, TypeVar, Unpack
from uuid import UUID

import httpx

from memsvc.sdk import requests, retry
from memsvc.sdk._async_core import AsyncCore
from memsvc.sdk._async_jobs import AsyncJobs
from memsvc.sdk._async_lifecycle import AsyncLifecycle
from memsvc.sdk._async_moving import AsyncMoving
from memsvc.sdk._async_scratch import AsyncScratch
from memsvc.sdk._async_sharing import AsyncSharing
from memsvc.sdk._async_tensors import AsyncTensors
from memsvc.sdk._async_upkeep import AsyncUpkeep
from memsvc.sdk.bulk import BulkResult, ItemLike, Tally, cut, send_concurrently
from memsvc.sdk.connection import resolve
from memsvc.sdk.errors import TimedOut
from memsvc.sdk.requests import (
    Call,
    ListOptions,
    MessageLike,
    Moment,
    PatchFields,
    RecallOptions,
    TextLike,
    WriteOptions,
)
from memsvc.wire import (
    ContextRequest,
    ContextResponse,
    DeleteMode,
    Health,
    Memory,
    MemoryPage,
    Policies,
    RecallRequest,
    RecallResponse,
    Receipt,
    SpaceList,
    SpaceOut,
    WriteResponse,
)

Answer = TypeVar("Answer")


class AsyncMemoryClient:
    """A client of one service and one API key; make it once and share it between tasks.

    `url`: else MEMSVC_URL, else http://127.0.0.1:8377. `api_key`: else MEMSVC_API_KEY, else, for a service on
    this machine, the file `local.key` in MEMSVC_DATA_DIR (or the user's data directory). `timeout`: seconds for
    each phase of one try, None for no limit. `retries`: further tries after a broken connection, a timeout, 429,
    502, 503 or 504; every write carries an Idempotency-Key, so none of them stores anything twice.

    `lifecycle`, `core`, `moving`, `sharing`, `tensors`, `upkeep`, `scratch` and `jobs` hold the methods of those parts
    of the API.

    All methods raise `MemsvcClientError`: an `ApiError` when the service refused, else `ConnectionFailed` or
    `TimedOut`.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float | None = 30.0,
        retries: int = 3,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        connection = resolve(url, api_key)
        self._url = connection.url
        self._retries = retries
        self._http = httpx.AsyncClient(
            base_url=connection.url,
            headers=connection.headers(),
            timeout=timeout,
            transport=transport,
            trust_env=not connection.local,  # HTTP_PROXY cannot reach a service on this machine's loopback
        )
        self.lifecycle = AsyncLifecycle(self._send)
        self.core = AsyncCore(self._send)
        self.sharing = AsyncSharing(self._send)
        self.moving = AsyncMoving(self._send, self._http)
        self.tensors = AsyncTensors(self._send, self._http, retries=retries)
        self.upkeep = AsyncUpkeep(self._send)
        self.scratch = AsyncScratch(self._send)
        self.jobs = AsyncJobs(self._send)

    async def add(
        self,
        *,
        messages: Sequence[MessageLike] = (),
        texts: Sequence[TextLike] | str = (),
        idempotency_key: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> WriteResponse:
        """Store up to 1,000 items in one transaction; when this returns, they are committed.

        `messages` are `MessageIn` or dicts, `texts` are `TextIn`, dicts or plain strings (facts). Options: `space`,
        `session`, `timezone`, `wait` (False: embeddings follow in the background). An `idempotency_key` of your own
        makes the call safe to repeat also after this process is gone. `ValueError` past 1,000 items.
        """
        return await self._send(requests.write(messages, texts, options, idempotency_key))

    async def add_many(
        self,
        items: Iterable[ItemLike],
        *,
        batch_size: int = 200,
        concurrency: int = 4,  # async only
        on_progress: Callable[[int], object] | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> BulkResult:
        """Store any number of items, read from `items` batch by batch.

        A dict with a `role` is a message, any other a text, and so is a string. Each batch is one transaction;
        messages of one session are sent in order. `on_progress` is called with the number of items stored so far.
        An error's note says how many that is and the key with which to go on.
        """
        with Tally(idempotency_key, on_progress) as tally:
            await send_concurrently(
                self._send,
                cut(items, batch_size, options, tally.key),
                tally,
                concurrency,  # async only
            )
        return tally.result()

    async def recall(self, query: str, **options: Unpack[RecallOptions]) -> RecallResponse:
        """The memories that bear on `query`, best first.

        Options, all with the service's defaults: `space` or `spaces`, `k`, `filters` (`Filters` or a dict),
        `as_of_valid`, `as_of_known`, `include_superseded`, `now`, `timezone`, `recipe` ("fast", "balanced", "deep"
        or "temporal"), `token_budget`, `explain`.
        """
        return await self._send(requests.ask("/v1/recall", RecallRequest, query, options, RecallResponse))

    async def context(self, query: str, **options: Unpack[RecallOptions]) -> ContextResponse:
        """A time-ordered, cited block for a prompt, within `token_budget`; the options are those of `recall`."""
        return await self._send(requests.ask("/v1/context", ContextRequest, query, options, ContextResponse))

    async def get(self, memory_id: UUID | str, *, as_of_valid: Moment = None, as_of_known: Moment = None) -> Memory:
        """One memory in its current version, or as it was true, or known, at another time."""
        return await self._send(requests.memory(memory_id, valid=as_of_valid, known=as_of_known))

    async def list(self, **options: Unpack[ListOptions]) -> MemoryPage:
        """One page of memories.

        Options: `space`, `kind`, `role`, `session`, `state`, `name`, `as_of_valid`, `as_of_known`, `limit` (page
        size) and `cursor`, the `next_cursor` of the page before.
        """
        return await self._send(requests.list_page(options))

    async def iterate(self, **options: Unpack[ListOptions]) -> AsyncIterator[Memory]:
        """All memories that `list` would page through."""
        while True:
            page = await self.list(**options)
            for memory in page.items:
                yield memory
            if page.next_cursor is None:
                return
            options["cursor"] = page.next_cursor

    async def update(
        self, memory_id: UUID | str, *, version: int | None = None, **patch: Unpack[PatchFields]
    ) -> Memory:
        """Change the given fields; what is left out stays, and the version before stays in the history.

        With the `version` that was read, `PreconditionFailed` is raised when it is no longer the current one.
        """
        return await self._send(requests.patch(memory_id, patch, version))

    async def delete(
        self,
        memory_id: UUID | str,
        *,
        mode: DeleteMode = "erase",
        at: Moment = None,
        version: int | None = None,
    ) -> None:
        """Take one memory out of recall: "archive" it, let it "expire" (at a time), or "erase" it for good."""
        await self._send(requests.delete(memory_id, mode, at, version))

    async def receipt(self, receipt_id: UUID | str) -> Receipt:
        """How far a write has come."""
        return await self._send(requests.receipt(receipt_id))

    async def wait_searchable(self, receipt_id: UUID | str, *, timeout: float = 60.0) -> Receipt:  # noqa: ASYNC109
        """Poll a receipt until every item's embeddings are stored; `TimedOut` after `timeout` seconds."""
        deadline = monotonic() + timeout
        pause = 0.05
        while True:
            receipt = await self.receipt(receipt_id)
            if receipt.searchable:
                return receipt
            left = deadline - monotonic()
            if left <= 0:
                raise TimedOut(
                    f"After {timeout:g} s, {receipt.pending} items of receipt {receipt.id} wait for their embeddings.\n"
                    "They are stored; wait longer, and see that a worker runs (`memsvc doctor`)."
                )
            await asyncio.sleep(min(pause, left))
            pause = min(1.0, pause * 2)

    async def spaces(self) -> SpaceList:
        """The spaces that this key may read, and what they hold."""
        return await self._send(requests.fetch("/v1/spaces", SpaceList))

    async def set_space(
        self,
        name: str,
        *,
        restricted: bool = False,
        policies: Policies | Mapping[str, object] | None = None,
    ) -> SpaceOut:
        """Set a space's policies; a restricted one is its owner's, and theirs to whom it is granted. Made when new."""
        return await self._send(requests.put_space(name, {"open": not restricted, "policies": policies or {}}))

    async def health(self) -> Health:
        """Whether the process answers; needs no key."""
        return await self._send(requests.fetch("/healthz", Health))

    async def ready(self) -> Health:
        """Whether the service can work: `status` is "unavailable", and `checks` says why, when it cannot."""
        return await self._send(requests.readiness())

    async def aclose(self) -> None:
        """Close the connections; the client cannot be used afterwards."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _send(self, call: Call[Answer]) -> Answer:
        attempt = 0
        while True:
            last = attempt >= self._retries or not call.retried
            try:
                response = await self._http.request(
                    call.method, call.path, content=call.body, params=call.params, headers=call.headers()
                )
            except httpx.RequestError as error:
                delay = retry.delay_s(error, attempt)
                if last or delay is None:
                    raise retry.failure(error, self._url) from error
            else:
                delay = retry.delay_s(response, attempt)
                if last or delay is None:
                    return call.read(response)
            await asyncio.sleep(delay)
            attempt += 1
