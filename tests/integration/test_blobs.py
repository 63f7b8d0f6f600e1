"""Blobs over HTTP: checked in and out, within the quota, in files and in S3, swept when nothing needs them."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest
from moto.server import ThreadedMotoServer
from safetensors.numpy import save
from sqlalchemy import Connection, text

from memsvc.consolidation.jobs import register
from memsvc.deployment import Deployment
from memsvc.errors import NotFoundError
from memsvc.ids import MemoryId
from memsvc.lifecycle import blobs
from memsvc.lifecycle.blobs import TensorStore, open_tensor_store
from memsvc.queue import enqueue_blob_deletion, make_app
from memsvc.sdk import AsyncMemoryClient, ConnectionFailed, MemoryClient
from memsvc.sdk._async_tensors import AsyncTensors
from memsvc.sdk._sync_tensors import Tensors
from memsvc.store import blobs as rows
from tests.integration.conftest import SIGNER, Service, open_service
from tests.integration.tensor_samples import (
    MODEL,
    blob_of,
    colleague,
    files,
    keep,
    key_of,
    listening,
    match,
    put,
    remember,
    sha,
)

LARGE = save({"w": np.random.default_rng(3).random(1_000_000, np.float32)})  # 4 MB: several pieces


@pytest.fixture
async def service(deployment: Deployment, tmp_path: Path) -> AsyncIterator[Service]:
    async with open_service(deployment, data_dir=tmp_path) as opened:
        yield opened


@pytest.fixture
def store(service: Service) -> TensorStore:
    return open_tensor_store(service.services.settings, service.services.ingest)


def path_of(root: Path, service: Service, body: bytes) -> Path:
    return root / "blobs" / str(service.caller.tenant_id) / sha(body)[:2] / sha(body)


async def test_a_blob_comes_back_as_it_was_sent(service: Service, tmp_path: Path) -> None:
    first = await service.client.put(f"/v1/blobs/{sha(LARGE)}", content=LARGE)
    assert first.status_code == 201
    assert first.json() == {
        "sha256": sha(LARGE),
        "bytes": len(LARGE),
        "tensors": 1,
        "used_bytes": len(LARGE),
        "quota_bytes": 20 * 1024**3,
    }
    assert (await service.client.put(f"/v1/blobs/{sha(LARGE)}", content=LARGE)).status_code == 200
    got = await service.client.get(f"/v1/blobs/{sha(LARGE)}")
    assert got.status_code == 200
    assert got.content == LARGE
    assert got.headers["Content-Length"] == str(len(LARGE))
    assert got.headers["ETag"] == f'"{sha(LARGE)}"'
    assert files(tmp_path) == [path_of(tmp_path, service, LARGE)]


async def test_what_is_not_what_it_says_is_refused(service: Service, tmp_path: Path) -> None:
    wrong = await service.client.put(f"/v1/blobs/{'0' * 64}", content=blob_of(1))
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["problem"] == f"the body's SHA-256 is {sha(blob_of(1))}"
    pickled = b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07builtin\x94."
    unsafe = await service.client.put(f"/v1/blobs/{sha(pickled)}", content=pickled)
    assert unsafe.status_code == 422
    assert "safetensors" in unsafe.json()["detail"]
    assert (await service.client.put("/v1/blobs/xyz", content=b"x")).status_code == 422
    assert files(tmp_path) == []


async def test_the_size_limit_is_the_blobs_own(deployment: Deployment, tmp_path: Path) -> None:
    async with open_service(deployment, data_dir=tmp_path, max_request_bytes=1000, max_blob_bytes=5_000) as service:
        await put(service.client, blob_of(1, size=50))  # larger than other requests may be
        large = blob_of(1, size=100)
        said = await service.client.put(f"/v1/blobs/{sha(large)}", content=large)
        assert said.status_code == 413

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(large), 1000):
                yield large[start : start + 1000]

        unsaid = await service.client.put(f"/v1/blobs/{sha(large)}", content=pieces())
        assert unsaid.status_code == 413
        other = await service.client.post("/v1/memories", json={"texts": [{"content": "x" * 2000}]})
        assert other.status_code == 413
    assert len(files(tmp_path)) == 1


async def test_past_the_quota_nothing_is_stored(deployment: Deployment, tmp_path: Path) -> None:
    body, more = blob_of(1), blob_of(2)
    async with open_service(deployment, data_dir=tmp_path, blob_quota_bytes=len(body) + 10) as service:
        await put(service.client, body)
        for content in (more, _chunked(more)):
            refused = await service.client.put(f"/v1/blobs/{sha(more)}", content=content)
            assert refused.status_code == 507
            assert refused.json()["code"] == "quota_exceeded"
            assert "MEMSVC_BLOB_QUOTA_BYTES" in refused.json()["remedy"]
        await put(service.client, body, status=200)  # what is there costs nothing more
        assert files(tmp_path) == [path_of(tmp_path, service, body)]


async def test_uploads_at_once_stay_within_the_quota(deployment: Deployment, tmp_path: Path) -> None:
    bodies = [blob_of(number) for number in range(6)]
    async with open_service(deployment, data_dir=tmp_path, blob_quota_bytes=3 * len(bodies[0])) as service:
        answers = await asyncio.gather(
            *(service.client.put(f"/v1/blobs/{sha(body)}", content=_chunked(body)) for body in bodies)
        )
        assert sorted(answer.status_code for answer in answers) == [201, 201, 201, 507, 507, 507]
        assert len(files(tmp_path)) == 3


async def test_two_uploads_of_one_blob_at_once_store_it_once(service: Service, tmp_path: Path) -> None:
    answers = await asyncio.gather(*(service.client.put(f"/v1/blobs/{sha(LARGE)}", content=LARGE) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 201]
    assert (await service.client.get(f"/v1/blobs/{sha(LARGE)}")).content == LARGE
    assert files(tmp_path) == [path_of(tmp_path, service, LARGE)]


async def test_a_lost_or_damaged_blob_says_so_and_is_repaired_by_its_upload(service: Service, tmp_path: Path) -> None:
    body = blob_of(1)
    blob = await put(service.client, body)
    path = path_of(tmp_path, service, body)
    path.write_bytes(body[:-1] + b"!")
    damaged = await service.client.get(f"/v1/blobs/{blob}")
    assert (damaged.status_code, damaged.json()["code"]) == (500, "blob_corrupt")
    path.unlink()
    lost = await service.client.get(f"/v1/blobs/{blob}")
    assert (lost.status_code, lost.json()["code"]) == (500, "blob_missing")
    assert "PUT /v1/blobs/{sha256}" in lost.json()["remedy"]
    refused = await service.client.post("/v1/activations", json={**MODEL, "blob": blob})
    assert refused.json()["code"] == "blob_missing"
    await put(service.client, body, status=200)
    assert (await service.client.get(f"/v1/blobs/{blob}")).content == body


async def test_a_large_damaged_blob_breaks_the_connection_before_its_end(service: Service, tmp_path: Path) -> None:
    blob = await put(service.client, LARGE)
    path = path_of(tmp_path, service, LARGE)
    path.write_bytes(LARGE[:-1] + b"!")
    async with listening(service) as url:
        headers = {"Authorization": f"Bearer {key_of(service)}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(f"/v1/blobs/{blob}")
        async with AsyncMemoryClient(url, key_of(service), retries=0) as client:
            tensors = AsyncTensors(client._send, client._http, retries=0)
            with pytest.raises(ConnectionFailed):
                await tensors.download(blob, tmp_path / "out")
    assert files(tmp_path) == [path]


async def test_the_client_streams_both_ways(service: Service, tmp_path: Path) -> None:
    source = tmp_path / "in.safetensors"
    source.write_bytes(LARGE)
    memory = await remember(service, "Ana lives in Porto.")
    async with listening(service) as url, AsyncMemoryClient(url, key_of(service)) as client:
        tensors = AsyncTensors(client._send, client._http, retries=1)
        blob = await tensors.upload(source)
        assert blob == sha(LARGE)
        made = await tensors.create_activation(blob, token_ids=range(20), source=memory, **MODEL)
        assert (await tensors.get_activation(made.memory.id)) == made
        found = await tensors.match(token_ids=[*range(18), 99], **MODEL)
        assert found is not None
        assert (found.id, found.matched_tokens) == (made.memory.id, 18)
        assert await tensors.match(token_ids=range(15), **MODEL) is None
        out = await tensors.download(blob, tmp_path / "out.safetensors")
        assert out.read_bytes() == LARGE
        adapter = await tensors.create_parametric(blob, **MODEL)
        assert (await tensors.get_parametric(adapter.memory.id)).memory.payload_type == "parametric"
        found = await tensors.candidates("other", accesses=0, stable_days=0, tokens=1, spaces=["default"])
        assert [str(item.memory.id) for item in found.items] == [memory]
        assert (await tensors.demote(idle_days=0, dry_run=True)).changed == 1
        assert (await tensors.invalidate("tiny-llama", keep_revision="r1")).changed == 0
        assert (await tensors.invalidate("tiny-llama")).changed == 2

        def in_a_thread() -> bytes:
            with MemoryClient(url, key_of(service)) as plain:
                sync = Tensors(plain._send, plain._http, retries=1)
                assert sync.upload(blob_of(5)) == sha(blob_of(5))
                return sync.download(sha(blob_of(5)), tmp_path / "sync").read_bytes()

        assert await asyncio.to_thread(in_a_thread) == blob_of(5)


async def test_a_blob_is_read_by_who_sent_it_or_may_read_a_record_of_it(
    service: Service, deployment: Deployment, owner: Connection
) -> None:
    blob = await put(service.client, blob_of(1))
    async with colleague(service, deployment, owner) as client:
        assert (await client.get(f"/v1/blobs/{blob}")).status_code == 404
        await keep(service.client, number=1)
        assert (await client.get(f"/v1/blobs/{blob}")).status_code == 200


async def test_a_read_key_uploads_nothing(service: Service, deployment: Deployment, owner: Connection) -> None:
    async with colleague(service, deployment, owner, scopes=("read",)) as client:
        assert (await client.put(f"/v1/blobs/{sha(blob_of(1))}", content=blob_of(1))).status_code == 403


async def test_a_blob_goes_with_the_last_record_that_refers_to_it(
    service: Service, store: TensorStore, tmp_path: Path
) -> None:
    one = await keep(service.client, range(20), number=1)
    two = await keep(service.client, range(30), number=1)
    tenant = service.caller.tenant_id
    for record, left in ((one, []), (two, [bytes.fromhex(sha(blob_of(1)))])):
        async with service.services.database.write(tenant) as session:
            released = await rows.release_blobs(session, [MemoryId(record["memory"]["id"])])
        assert released == left
    assert files(tmp_path) != []
    assert await blobs.delete_released(store, tenant, released) == 1
    assert files(tmp_path) == []
    await put(service.client, blob_of(1), status=201)
    assert await blobs.delete_released(store, tenant, released) == 0  # it was uploaded again
    assert len(files(tmp_path)) == 1


async def test_the_job_deletes_what_was_released(
    service: Service, store: TensorStore, deployment: Deployment, tmp_path: Path
) -> None:
    made = await keep(service.client, range(20), number=1)
    app = make_app(deployment.app_url)
    register(app, service.services.upkeep, store, SIGNER)
    async with app.open_async():
        async with service.services.database.write(service.caller.tenant_id) as session:
            released = await rows.release_blobs(session, [MemoryId(made["memory"]["id"])])
            await enqueue_blob_deletion(app, session, released)
        assert len(files(tmp_path)) == 1
        await app.run_worker_async(wait=False, install_signal_handlers=False, listen_notify=False)
    assert files(tmp_path) == []


async def test_only_what_nothing_needs_is_swept(service: Service, store: TensorStore, tmp_path: Path) -> None:
    tenant = service.caller.tenant_id
    await keep(service.client, range(20), number=1)
    await put(service.client, blob_of(2))  # never referred to
    orphan = path_of(tmp_path, service, blob_of(3))  # its upload was cut off before its row
    orphan.parent.mkdir(parents=True, exist_ok=True)
    orphan.write_bytes(blob_of(3))
    now = datetime.now(UTC)
    assert await store.blobs.tenants() == [tenant]
    assert await blobs.sweep_all(store, now=service.services.clock()) == 0
    long_ago = (now - timedelta(hours=2)).timestamp()
    os.utime(orphan, (long_ago, long_ago))
    assert await blobs.sweep(store, tenant, now=service.services.clock()) == 0
    # Files have the time of this machine, rows that of the test.
    assert await blobs.sweep(store, tenant, now=now) == 2
    assert files(tmp_path) == [path_of(tmp_path, service, blob_of(1))]
    with pytest.raises(NotFoundError):
        await blobs.open_blob(store, service.caller, bytes.fromhex(sha(blob_of(2))), now=now)


async def test_an_upload_after_a_sweep_of_the_same_bytes_is_whole(
    service: Service, store: TensorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep deletes the file between its being put and its row."""
    original = store.blobs.put
    calls = []

    async def put_and_lose(*arguments: object) -> None:
        await original(*arguments)
        calls.append(arguments)
        if len(calls) == 1:
            await store.blobs.delete(service.caller.tenant_id, [bytes.fromhex(sha(LARGE))])

    monkeypatch.setattr(store.blobs, "put", put_and_lose)

    async def body() -> AsyncIterator[bytes]:
        yield LARGE

    digest = bytes.fromhex(sha(LARGE))
    await blobs.upload(store, service.caller, digest, body(), announced_bytes=len(LARGE), now=service.services.clock())
    assert len(calls) == 2
    assert (await service.client.get(f"/v1/blobs/{sha(LARGE)}")).content == LARGE


async def test_row_level_security_hides_the_tables(service: Service, other: Service) -> None:
    await keep(service.client, range(20))
    async with other.services.database.read(other.caller.tenant_id) as session:
        for table in ("blobs", "tensors", "tensor_prefixes"):
            assert (await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() == 0


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture
async def in_s3(
    deployment: Deployment, tmp_path: Path, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Service]:
    for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    async with httpx.AsyncClient(trust_env=False) as client:
        (await client.put(f"{s3_url}/tensors")).raise_for_status()
    async with open_service(
        deployment, data_dir=tmp_path, blob_url="s3://tensors/memsvc", blob_endpoint=s3_url
    ) as opened:
        yield opened


async def test_blobs_live_in_s3_as_they_do_in_files(in_s3: Service, s3_url: str, tmp_path: Path) -> None:
    parts = save({"w": np.random.default_rng(5).random(5_000_000, np.float32)})  # 20 MB: a multipart upload
    tenant = in_s3.caller.tenant_id
    store = open_tensor_store(in_s3.services.settings, in_s3.services.ingest)
    await put(in_s3.client, parts, status=201)
    await put(in_s3.client, parts, status=200)
    stored = f"{s3_url}/tensors/memsvc/{tenant}/{sha(parts)[:2]}/{sha(parts)}"
    assert files(tmp_path) == []
    assert (await in_s3.client.get(f"/v1/blobs/{sha(parts)}")).content == parts
    made = await keep(in_s3.client, range(20), number=1)
    assert (await match(in_s3.client, range(20)))["id"] == made["memory"]["id"]
    async with httpx.AsyncClient(trust_env=False) as s3:
        assert (await s3.get(stored)).content == parts
        await s3.put(stored, content=b"?" + parts[1:])
    async with listening(in_s3) as url, AsyncMemoryClient(url, key_of(in_s3), retries=0) as client:
        with pytest.raises(ConnectionFailed):
            await AsyncTensors(client._send, client._http, retries=0).download(sha(parts), tmp_path / "out")
    await store.blobs.delete(tenant, [bytes.fromhex(sha(parts))])
    lost = await in_s3.client.get(f"/v1/blobs/{sha(parts)}")
    assert (lost.status_code, lost.json()["code"]) == (500, "blob_missing")
    assert [blob.hash.hex() async for blob in store.blobs.find_all(tenant)] == [sha(blob_of(1))]
    assert tenant in await store.blobs.tenants()


async def test_a_store_without_its_bucket_is_unavailable(
    deployment: Deployment, tmp_path: Path, s3_url: str, in_s3: Service
) -> None:
    settings = {"data_dir": tmp_path, "blob_url": "s3://nothing-here", "blob_endpoint": s3_url}
    async with open_service(deployment, **settings) as service:
        refused = await service.client.put(f"/v1/blobs/{sha(blob_of(1))}", content=blob_of(1))
        assert (refused.status_code, refused.json()["code"]) == (503, "blob_store_unavailable")
        assert refused.headers["Retry-After"] == "5"


async def _chunked(body: bytes) -> AsyncIterator[bytes]:
    yield body
