"""Blobs and their rows, kept in step: uploads within the quota, downloads of what the caller may read, sweeping."""

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from memsvc.blobs.opening import open_blob_store
from memsvc.blobs.store import BlobStore
from memsvc.config import Settings
from memsvc.errors import NotFoundError, QuotaExceededError
from memsvc.ids import TenantId
from memsvc.ingest.write import Ingest
from memsvc.store import blobs as rows
from memsvc.store.access import When
from memsvc.store.database import ReadSession
from memsvc.store.keys import Caller

log = structlog.get_logger(__name__)

# An upload is put before its row is committed: a file without a row may be one of those, for this long.
ORPHAN_AFTER = timedelta(hours=1)
# An upload that no record has referred to for this long will not be.
ABANDONED_AFTER = timedelta(days=1)
SWEEP_BATCH = 200


@dataclass(frozen=True, slots=True)
class TensorStore:
    """What the functions on tensors work with."""

    ingest: Ingest
    blobs: BlobStore
    max_blob_bytes: int
    quota_bytes: int


def open_tensor_store(settings: Settings, ingest: Ingest) -> TensorStore:
    """The tensor store that the settings ask for; nothing is made or sent before its first use."""
    return TensorStore(
        ingest=ingest,
        blobs=open_blob_store(settings),
        max_blob_bytes=settings.max_blob_bytes,
        quota_bytes=settings.blob_quota_bytes,
    )


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """An upload that is committed; `created` is false when the tenant had the same bytes."""

    bytes: int
    tensors: int
    used_bytes: int
    created: bool


async def upload(
    store: TensorStore,
    caller: Caller,
    blob_hash: bytes,
    pieces: AsyncIterable[bytes],
    *,
    announced_bytes: int,
    now: datetime,
) -> StoredUpload:
    """Store a blob; when this returns, its bytes and its row are durable.

    Raises `InvalidRequestError` (another hash, or no safetensors), `TooLargeError`, and `QuotaExceededError`, also
    before anything is read when the announced size (0: unknown) does not fit.
    """
    tenant_id, database = caller.tenant_id, store.ingest.database
    async with database.read(tenant_id) as session:
        await _check_quota(store, session, blob_hash, announced_bytes)
    async with store.blobs.receive(pieces, expected=blob_hash, max_bytes=store.max_blob_bytes) as received:
        async with database.read(tenant_id) as session:
            await _check_quota(store, session, blob_hash, received.bytes)
        await store.blobs.put(tenant_id, received)
        async with database.write(tenant_id) as session:
            await rows.lock_blobs(session)
            try:
                used = await _check_quota(store, session, blob_hash, received.bytes)
            except QuotaExceededError:
                await store.blobs.delete(tenant_id, [blob_hash])
                raise
            if await store.blobs.size(tenant_id, blob_hash) != received.bytes:  # a sweep was between
                await store.blobs.put(tenant_id, received)
            created = await rows.insert_blob(session, blob_hash, received.bytes, caller=caller, now=now)
        return StoredUpload(received.bytes, len(received.tensors), used, created)


async def _check_quota(store: TensorStore, session: ReadSession, blob_hash: bytes, size: int) -> int:
    """What the tenant's blobs will take with this one."""
    used = await rows.used_bytes(session)
    if await rows.named_hashes(session, [blob_hash]):
        return used
    if used + size > store.quota_bytes:
        raise QuotaExceededError(f"the tenant's blobs take {used} bytes of {store.quota_bytes}; {size} more do not fit")
    return used + size


async def open_blob(
    store: TensorStore, caller: Caller, blob_hash: bytes, *, now: datetime
) -> tuple[int, AsyncIterator[bytes]]:
    """The size of a blob and its bytes. What is missing or shortened is said here, before the first byte is sent."""
    async with store.ingest.database.read(caller.tenant_id) as session:
        blob = await rows.find_blob(session, blob_hash, caller=caller, when=When(now))
    if blob is None:
        raise NotFoundError(f"there is no blob {blob_hash.hex()}")
    pieces = store.blobs.read(caller.tenant_id, blob_hash, size=blob.bytes)
    return blob.bytes, _chain(await anext(pieces), pieces)


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


async def delete_released(store: TensorStore, tenant_id: TenantId, hashes: Sequence[bytes]) -> int:
    """Delete the files of blobs whose rows are gone; a hash that a row names by now stays. Returns how many."""
    deleted = 0
    for start in range(0, len(hashes), SWEEP_BATCH):
        batch = hashes[start : start + SWEEP_BATCH]
        async with store.ingest.database.write(tenant_id) as session:
            await rows.lock_blobs(session)
            named = await rows.named_hashes(session, batch)
            unnamed = [blob_hash for blob_hash in batch if blob_hash not in named]
            await store.blobs.delete(tenant_id, unnamed)
            deleted += len(unnamed)
    return deleted


async def sweep(store: TensorStore, tenant_id: TenantId, *, now: datetime) -> int:
    """Remove what uploads left: files that never got a row, and blobs that no record came to refer to."""
    async with store.ingest.database.write(tenant_id) as session:
        await rows.lock_blobs(session)
        abandoned = await rows.abandon_blobs(session, now - ABANDONED_AFTER)
    orphans = list(abandoned)
    batch: list[bytes] = []
    async for blob in store.blobs.find_all(tenant_id):
        if blob.modified_at < now - ORPHAN_AFTER:
            batch.append(blob.hash)
        if len(batch) == SWEEP_BATCH:
            orphans += await _without_row(store, tenant_id, batch)
            batch = []
    orphans += await _without_row(store, tenant_id, batch)
    deleted = await delete_released(store, tenant_id, list(dict.fromkeys(orphans)))
    await store.blobs.sweep_partial(now - ORPHAN_AFTER)
    if deleted:
        log.info("blobs_swept", blobs=deleted)
    return deleted


async def sweep_all(store: TensorStore, *, now: datetime) -> int:
    """`sweep` of every tenant that has blobs, also of one that is gone."""
    return sum([await sweep(store, tenant_id, now=now) for tenant_id in await store.blobs.tenants()])


async def _without_row(store: TensorStore, tenant_id: TenantId, hashes: Sequence[bytes]) -> list[bytes]:
    async with store.ingest.database.read(tenant_id) as session:
        named = await rows.named_hashes(session, hashes)
    return [blob_hash for blob_hash in hashes if blob_hash not in named]
