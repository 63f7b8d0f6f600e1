"""Tensors over the asynchronous client. The synchronous one is generated from this file by `tools/generate_sync.py`."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Unpack
from uuid import UUID

import httpx

from memsvc.sdk import requests_tensors as requests
from memsvc.sdk import retry
from memsvc.sdk._async_send import Send
from memsvc.sdk.errors import error_from_response
from memsvc.sdk.requests_tensors import (
    CandidateOptions,
    ChangeOptions,
    MatchOptions,
    Source,
    TensorOptions,
)
from memsvc.wire.tensors import CandidateList, Match, TensorChanges, TensorRecord


class AsyncTensors:
    """`client.tensors`: KV caches, soft prompts and adapters, kept beside the texts they were made from.

    All methods raise what the client's do. All may be repeated: nothing is stored twice.
    """

    def __init__(self, send: Send, http: httpx.AsyncClient, *, retries: int) -> None:
        self._send = send
        self._http = http
        self._retries = retries

    async def upload(self, source: Source) -> str:
        """Store a safetensors file, given by its path or its bytes, and return its SHA-256. It is streamed."""
        sha256, length = requests.measure(source)
        path = requests.blob_path(sha256)
        headers = {**requests.BLOB_HEADERS, "Content-Length": str(length)}
        attempt = 0
        while True:
            try:
                response = await self._http.put(path, content=_pieces(source), headers=headers)
            except httpx.RequestError as error:
                delay = retry.delay_s(error, attempt)
                if attempt >= self._retries or delay is None:
                    raise retry.failure(error, str(self._http.base_url)) from error
            else:
                delay = retry.delay_s(response, attempt)
                if response.is_success:
                    return sha256
                if attempt >= self._retries or delay is None:
                    raise error_from_response(response, now=datetime.now(UTC))
            await asyncio.sleep(delay)
            attempt += 1

    async def download(self, sha256: str, path: str | Path) -> Path:
        """Fetch a blob into a file, streamed. The file appears, or changes, only when the hash of all bytes agrees."""
        target = Path(path)
        attempt = 0
        while True:
            try:
                delay = await self._download_once(sha256, target, attempt)
            except httpx.RequestError as error:
                delay = retry.delay_s(error, attempt)
                if attempt >= self._retries or delay is None:
                    raise retry.failure(error, str(self._http.base_url)) from error
            if delay is None:
                return target
            await asyncio.sleep(delay)
            attempt += 1

    async def create_activation(
        self, blob: str, *, token_ids: Sequence[int] = (), **options: Unpack[TensorOptions]
    ) -> TensorRecord:
        """Keep an uploaded blob as an activation. With `source`, the id of the memory it was made from, it is used

        only as long as that memory is what it was. With 16 `token_ids` or more, `match` finds it.
        """
        return await self._send(requests.activation(blob, token_ids, options))

    async def create_parametric(self, blob: str, **options: Unpack[TensorOptions]) -> TensorRecord:
        """Keep an uploaded blob as adapter weights."""
        return await self._send(requests.parametric(blob, options))

    async def get_activation(self, memory_id: UUID | str) -> TensorRecord:
        """One activation with its tensor header; `tensor.reusable` says whether it may be used now."""
        return await self._send(requests.tensor_record(memory_id, adapter=False))

    async def get_parametric(self, memory_id: UUID | str) -> TensorRecord:
        """One adapter with its tensor header."""
        return await self._send(requests.tensor_record(memory_id, adapter=True))

    async def match(self, **options: Unpack[MatchOptions]) -> Match | None:
        """The reusable activation with the longest prefix in common, None when none shares 16 tokens.

        Give `token_ids`, or `prefix_hashes` as docs/tensors.md makes them. Crop the cache to `matched_tokens`.
        """
        answer = await self._send(requests.match(options))
        return answer.match

    async def candidates(self, model: str, **options: Unpack[CandidateOptions]) -> CandidateList:
        """Plaintext memories that are worth an activation of the model, most used first."""
        return await self._send(requests.candidates(model, options))

    async def invalidate(
        self, model: str, *, keep_revision: str | None = None, **options: Unpack[ChangeOptions]
    ) -> TensorChanges:
        """Expire all tensor records of the model, but those of one revision."""
        return await self._send(requests.invalidate(model, keep_revision, options))

    async def demote(self, *, idle_days: float = 30, **options: Unpack[ChangeOptions]) -> TensorChanges:
        """Archive the activations not used for so many days; the plaintext they came from stays."""
        return await self._send(requests.demote(idle_days, options))

    async def _download_once(self, sha256: str, target: Path, attempt: int) -> float | None:
        """Seconds to wait before the next try; None when the file is there."""
        async with self._http.stream("GET", requests.blob_path(sha256)) as response:
            if not response.is_success:
                await response.aread()
                delay = retry.delay_s(response, attempt)
                if attempt >= self._retries or delay is None:
                    raise error_from_response(response, now=datetime.now(UTC))
                return delay
            with requests.partial(target, sha256) as download:
                async for piece in response.aiter_bytes():
                    download.write(piece)
        return None


async def _pieces(source: Source) -> AsyncIterator[bytes]:
    for piece in requests.pieces(source):
        yield piece
        await asyncio.sleep(0)  # async only
