"""Blobs under `<tenant>/<aa>/<sha256>`: received in bounded memory, put once checked, read with their hash.

A blob is put before the row that names it is committed, so a crash leaves a blob without a row, never the reverse;
`memsvc.lifecycle` sweeps those. Putting the same bytes again is harmless, and repairs a lost or damaged blob.
"""

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from uuid import UUID

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore

from memsvc.blobs.check import LENGTH_BYTES, MAX_HEADER_BYTES, Tensor, check_file, read_header
from memsvc.errors import (
    BlobCorruptError,
    BlobMissingError,
    BlobStoreUnavailableError,
    ConfigurationError,
    FieldError,
    InvalidRequestError,
    TooLargeError,
)
from memsvc.ids import TenantId

log = structlog.get_logger(__name__)

PIECE_BYTES = 1 << 20  # what is hashed and written in one go, off the event loop
PART_BYTES = 8 << 20  # of a multipart upload; S3 takes at most 10,000 parts
PARTS_AT_ONCE = 4
RETRY_AFTER_S = 5.0
TOO_LARGE_REMEDY = "Split it, or have MEMSVC_MAX_BLOB_BYTES raised."


@dataclass(frozen=True, slots=True)
class Received:
    """A complete, checked upload in a temporary file."""

    path: Path
    hash: bytes
    bytes: int
    tensors: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """One object of the store."""

    hash: bytes
    bytes: int
    modified_at: datetime


class BlobStore:
    """`directory`: where the store's files are, when it keeps files; `incoming`: where uploads are collected.

    Both are made at the first use, so that a service which is sent no tensors needs no place for them.
    """

    def __init__(self, store: ObjectStore | None, *, incoming: Path, directory: Path | None = None) -> None:
        self._given = store
        self._incoming = incoming
        self._directory = directory

    @cached_property
    def _store(self) -> ObjectStore:
        if self._given is not None:
            return self._given
        assert self._directory is not None  # noqa: S101 - `opening` gives one of the two
        return LocalStore(_made(self._directory))

    @asynccontextmanager
    async def receive(
        self, pieces: AsyncIterable[bytes], *, expected: bytes, max_bytes: int
    ) -> AsyncIterator[Received]:
        """Collect an upload and check size, hash and format; the file is gone when the block ends.

        Raises `TooLargeError` as soon as `max_bytes` are passed, and `InvalidRequestError` for bytes of another hash
        or that are no safetensors.
        """
        incoming = await asyncio.to_thread(_made, self._incoming)
        folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="upload-", dir=incoming))
        try:
            path = folder / "blob"
            with _translated():
                found, size = await _collect(pieces, path, max_bytes)
            if found != expected:
                fault = FieldError("sha256", f"the body's SHA-256 is {found.hex()}", "Send the bytes that were hashed.")
                raise InvalidRequestError("the body is not what its hash says", fields=(fault,))
            yield Received(path, found, size, await asyncio.to_thread(check_file, path))
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def put(self, tenant_id: TenantId, received: Received) -> None:
        """Store the upload; when this returns it survives a crash."""
        key = _key(tenant_id, received.hash)
        try:
            with _translated(received.hash):
                await obstore.put_async(
                    self._store, key, received.path, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE
                )
        except BlobMissingError:  # not the blob, but the bucket
            raise BlobStoreUnavailableError(retry_after_s=RETRY_AFTER_S) from None
        if self._directory is not None:
            await asyncio.to_thread(_sync, self._directory / key, self._directory)

    async def size(self, tenant_id: TenantId, blob_hash: bytes) -> int | None:
        """Bytes of the blob, None when the store does not hold it."""
        try:
            with _translated(blob_hash):
                return (await obstore.head_async(self._store, _key(tenant_id, blob_hash)))["size"]
        except BlobMissingError:
            return None

    async def tensors(self, tenant_id: TenantId, blob_hash: bytes) -> Mapping[str, Tensor]:
        """The tensors that the blob's header names."""
        key = _key(tenant_id, blob_hash)
        with _translated(blob_hash):
            prefix = await obstore.get_range_async(self._store, key, start=0, length=LENGTH_BYTES)
            length = int.from_bytes(bytes(prefix), "little")
            if length > MAX_HEADER_BYTES:
                raise _corrupt(blob_hash)
            header = await obstore.get_range_async(self._store, key, start=LENGTH_BYTES, length=length)
        try:
            return read_header(bytes(header))
        except InvalidRequestError:
            raise _corrupt(blob_hash) from None

    async def read(self, tenant_id: TenantId, blob_hash: bytes, *, size: int) -> AsyncIterator[bytes]:
        """The blob's bytes, piece by piece. Raises `BlobCorruptError` before the last piece unless the hash agrees:

        a reader that was told the length never takes a damaged blob for a whole one.
        """
        with _translated(blob_hash):
            found = await obstore.get_async(self._store, _key(tenant_id, blob_hash))
        if found.meta["size"] != size:
            raise _corrupt(blob_hash)
        digest = hashlib.sha256()
        held: bytes | None = None
        with _translated(blob_hash):
            async for piece in found.stream(min_chunk_size=PIECE_BYTES):
                if held is not None:
                    yield held
                held = bytes(piece)
                await asyncio.to_thread(digest.update, held)
        if digest.digest() != blob_hash:
            raise _corrupt(blob_hash)
        if held is not None:
            yield held

    async def delete(self, tenant_id: TenantId, hashes: Sequence[bytes]) -> None:
        """Remove these blobs; one that is not there is no error."""
        for blob_hash in hashes:
            try:
                with _translated(blob_hash):
                    await obstore.delete_async(self._store, _key(tenant_id, blob_hash))
            except BlobMissingError:
                continue

    async def find_all(self, tenant_id: TenantId) -> AsyncIterator[StoredBlob]:
        """Every blob of the tenant, whether a row names it or not."""
        with _translated():
            async for batch in obstore.list(self._store, str(tenant_id), chunk_size=500):
                for meta in batch:
                    name = meta["path"].rpartition("/")[2]
                    if len(name) == 64:
                        yield StoredBlob(bytes.fromhex(name), meta["size"], meta["last_modified"])

    async def tenants(self) -> list[TenantId]:
        """Whose blobs there are."""
        with _translated():
            found = await obstore.list_with_delimiter_async(self._store)
        return [TenantId(UUID(prefix.strip("/"))) for prefix in sorted(found["common_prefixes"])]

    async def sweep_partial(self, before: datetime) -> int:
        """Remove what uploads that a crash cut off left behind before that time; returns how many."""
        return await asyncio.to_thread(self._sweep_partial, before.timestamp())

    def _sweep_partial(self, before: float) -> int:
        left = list(self._incoming.glob("upload-*"))
        if self._directory is not None:
            left += self._directory.glob("*/*/*#*")  # where the library collects a file before it is named
        swept = 0
        for path in left:
            try:
                if path.stat().st_mtime >= before:
                    continue
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            except FileNotFoundError:  # its own upload ended just now
                continue
            swept += 1
        return swept


async def _collect(pieces: AsyncIterable[bytes], path: Path, max_bytes: int) -> tuple[bytes, int]:
    digest = hashlib.sha256()
    size = 0
    waiting = bytearray()

    def write() -> None:
        digest.update(waiting)
        file.write(waiting)
        waiting.clear()

    file = await asyncio.to_thread(path.open, "wb")
    try:
        async for piece in pieces:
            size += len(piece)
            if size > max_bytes:
                raise TooLargeError(
                    f"the blob is larger than {max_bytes} bytes",
                    remedy="Split it, or have MEMSVC_MAX_BLOB_BYTES raised.",
                )
            waiting += piece
            if len(waiting) >= PIECE_BYTES:
                await asyncio.to_thread(write)
        await asyncio.to_thread(write)
    finally:
        await asyncio.to_thread(file.close)
    return digest.digest(), size


def _made(directory: Path) -> Path:
    """Blobs are memory content: nobody else may enter."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{directory} cannot be made: {error.strerror or error}") from error
    return directory


def _key(tenant_id: TenantId, blob_hash: bytes) -> str:
    name = blob_hash.hex()
    return f"{tenant_id}/{name[:2]}/{name}"


def _sync(path: Path, root: Path) -> None:
    """Make a new file durable, with its name: the library only hands both to the system."""
    for each in (path, *(parent for parent in path.parents if parent.is_relative_to(root))):
        descriptor = os.open(each, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _translated(blob_hash: bytes | None = None) -> Iterator[None]:
    """The library's errors as ours. Their text names paths, buckets and hosts, so it goes to the log alone."""
    try:
        yield
    except FileNotFoundError:
        name = "" if blob_hash is None else f" {blob_hash.hex()}"
        raise BlobMissingError(f"the blob store does not hold blob{name}") from None
    except (BaseError, OSError) as error:
        log.warning("blob_store_failed", error=str(error).split("\n", 1)[0][:300])
        raise BlobStoreUnavailableError(retry_after_s=RETRY_AFTER_S) from error


def _corrupt(blob_hash: bytes) -> BlobCorruptError:
    log.error("blob_corrupt", blob=blob_hash.hex())
    return BlobCorruptError(f"the stored bytes of blob {blob_hash.hex()} have another hash")
