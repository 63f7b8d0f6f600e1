"""The blob store over files: what it accepts, how it reads, what a crash leaves."""

import hashlib
import json
import os
import struct
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from memsvc.blobs.check import Tensor, check_file
from memsvc.blobs.opening import open_blob_store
from memsvc.blobs.store import BlobStore
from memsvc.config import Settings
from memsvc.errors import (
    BlobCorruptError,
    BlobMissingError,
    ConfigurationError,
    InvalidRequestError,
    TooLargeError,
)
from memsvc.ids import TenantId, new_uuid

TENANT = TenantId(new_uuid())
FILE = save({"keys": np.arange(12, dtype=np.float32).reshape(3, 4), "values": np.zeros((2,), np.float16)})


def safetensors(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


async def pieces(body: bytes, size: int = 7) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def store_blob(store: BlobStore, body: bytes, max_bytes: int = 10_000_000) -> bytes:
    digest = hashlib.sha256(body).digest()
    async with store.receive(pieces(body, 100_000), expected=digest, max_bytes=max_bytes) as received:
        await store.put(TENANT, received)
    return digest


def blob_path(root: Path, digest: bytes) -> Path:
    return root / "blobs" / str(TENANT) / digest.hex()[:2] / digest.hex()


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return open_blob_store(Settings(data_dir=tmp_path))


async def test_what_was_put_is_read_back(store: BlobStore, tmp_path: Path) -> None:
    digest = await store_blob(store, FILE)
    assert b"".join([piece async for piece in store.read(TENANT, digest, size=len(FILE))]) == FILE
    assert await store.size(TENANT, digest) == len(FILE)
    assert await store.tensors(TENANT, digest) == {"keys": Tensor("F32", (3, 4)), "values": Tensor("F16", (2,))}
    assert blob_path(tmp_path, digest).read_bytes() == FILE
    assert [blob.hash async for blob in store.find_all(TENANT)] == [digest]


async def test_other_users_of_the_machine_cannot_enter(store: BlobStore, tmp_path: Path) -> None:
    await store_blob(store, FILE)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("blobs", "incoming")] == [0o700, 0o700]


async def test_a_large_blob_goes_through_in_pieces(store: BlobStore) -> None:
    body = save({"w": np.random.default_rng(1).random(1_500_000, np.float32)})
    digest = await store_blob(store, body)
    read = [piece async for piece in store.read(TENANT, digest, size=len(body))]
    assert len(read) > 3
    assert b"".join(read) == body


async def test_nothing_of_a_refused_upload_stays(store: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="not what its hash says") as wrong_hash:
        async with store.receive(pieces(FILE), expected=bytes(32), max_bytes=10_000):
            pass
    assert wrong_hash.value.fields[0].problem == f"the body's SHA-256 is {hashlib.sha256(FILE).hexdigest()}"
    with pytest.raises(TooLargeError, match="larger than 50 bytes"):
        async with store.receive(pieces(FILE), expected=bytes(32), max_bytes=50):
            pass
    assert list((tmp_path / "incoming").iterdir()) == []
    assert [blob async for blob in store.find_all(TENANT)] == []


async def test_a_changed_blob_is_never_read_to_its_end(store: BlobStore, tmp_path: Path) -> None:
    body = save({"w": np.zeros(1_000_000, np.float32)})
    digest = await store_blob(store, body)
    path = blob_path(tmp_path, digest)
    path.write_bytes(body[:-1] + b"\x01")
    got: list[bytes] = []

    async def read() -> None:
        async for piece in store.read(TENANT, digest, size=len(body)):
            got.append(piece)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(BlobCorruptError, match="another hash"):
        await read()
    assert 0 < len(b"".join(got)) < len(body)


async def test_a_shortened_blob_is_refused_before_its_first_byte(store: BlobStore, tmp_path: Path) -> None:
    digest = await store_blob(store, FILE)
    blob_path(tmp_path, digest).write_bytes(FILE[:-4])
    with pytest.raises(BlobCorruptError):
        await anext(store.read(TENANT, digest, size=len(FILE)))


async def test_putting_the_same_bytes_again_repairs_a_damaged_blob(store: BlobStore, tmp_path: Path) -> None:
    digest = await store_blob(store, FILE)
    blob_path(tmp_path, digest).write_bytes(b"?" * len(FILE))
    await store_blob(store, FILE)
    assert b"".join([piece async for piece in store.read(TENANT, digest, size=len(FILE))]) == FILE


async def test_what_is_not_there_is_said_to_be_missing(store: BlobStore) -> None:
    assert await store.size(TENANT, bytes(32)) is None
    with pytest.raises(BlobMissingError):
        await anext(store.read(TENANT, bytes(32), size=1))
    with pytest.raises(BlobMissingError):
        await store.tensors(TENANT, bytes(32))


async def test_deleting_twice_is_no_error(store: BlobStore) -> None:
    digest = await store_blob(store, FILE)
    await store.delete(TENANT, [digest])
    await store.delete(TENANT, [digest])
    assert await store.size(TENANT, digest) is None


async def test_what_a_crash_left_is_swept_once_old(store: BlobStore, tmp_path: Path) -> None:
    digest = await store_blob(store, FILE)
    cut_off = tmp_path / "incoming" / "upload-x"
    cut_off.mkdir()
    (cut_off / "blob").write_bytes(b"half")
    unnamed = blob_path(tmp_path, digest).with_name(digest.hex() + "#1")
    unnamed.write_bytes(b"half")
    now = datetime.now(UTC)
    assert await store.sweep_partial(now - timedelta(hours=1)) == 0
    for path in (cut_off, unnamed):
        os.utime(path, (0, 0))
    assert await store.sweep_partial(now - timedelta(hours=1)) == 2
    assert await store.size(TENANT, digest) == len(FILE)


ONE = {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x80\x04K\x01.",  # a pickle
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 100) + b"{}",
        safetensors(b"{not json", b"1234"),
        safetensors([], b""),
        safetensors({}, b""),
        safetensors({"__metadata__": {"a": "b"}}),
        safetensors(ONE, b"123"),
        safetensors(ONE, b"12345"),
        safetensors({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"1234"),
        safetensors({"w": {"dtype": "F33", "shape": [1], "data_offsets": [0, 4]}}, b"1234"),
        safetensors({"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"1234"),
        safetensors({"w": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}}, b"1234"),
        safetensors({"w": [1]}, b"1234"),
        safetensors({"w": {"dtype": "F32", "shape": [1] * 17, "data_offsets": [0, 4]}}, b"1234"),
    ],
)
def test_what_is_no_safetensors_file_is_refused(body: bytes, tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(body)
    with pytest.raises(InvalidRequestError, match="not a well-formed safetensors file"):
        check_file(path)


@given(st.binary(max_size=200))
def test_no_bytes_at_all_crash_the_check(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(body)
    with pytest.raises(InvalidRequestError):
        check_file(path)


def test_bfloat16_is_accepted_though_numpy_has_none(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(safetensors({"k": {"dtype": "BF16", "shape": [1, 2], "data_offsets": [0, 4]}}, b"1234"))
    assert check_file(path) == {"k": Tensor("BF16", (1, 2))}


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"blob_url": "ftp://host/x"}, "MEMSVC_BLOB_URL"),
        ({"blob_url": "bucket/prefix"}, "MEMSVC_BLOB_URL"),
        ({"blob_url": "gs://bucket", "blob_endpoint": "http://127.0.0.1:1"}, "MEMSVC_BLOB_ENDPOINT"),
    ],
)
def test_an_unusable_address_stops_the_start(settings: dict[str, str], problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        open_blob_store(Settings(data_dir=tmp_path, **settings))


def test_a_service_without_tensors_makes_no_folders(tmp_path: Path) -> None:
    open_blob_store(Settings(data_dir=tmp_path))
    assert list(tmp_path.iterdir()) == []


async def test_a_file_url_names_another_folder(tmp_path: Path) -> None:
    store = open_blob_store(Settings(data_dir=tmp_path / "data", blob_url=f"file://{tmp_path}/else where"))
    digest = await store_blob(store, FILE)
    assert (tmp_path / "else where" / str(TENANT) / digest.hex()[:2] / digest.hex()).exists()
