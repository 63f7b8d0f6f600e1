"""The client's uploads and downloads: streamed, tried again whole, and never half-written."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from memsvc.sdk import AsyncMemoryClient, ConnectionFailed, MemoryClient, NotFound, Unavailable
from memsvc.sdk.requests_tensors import candidates, measure, pieces

BODY = bytes(range(256)) * 10_000
SHA = hashlib.sha256(BODY).hexdigest()
Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have waited."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    return slept


def sync_client(answer: Answer, retries: int = 2) -> MemoryClient:
    return MemoryClient("http://service", "key", retries=retries, transport=httpx.MockTransport(answer))


def test_an_upload_sends_the_file_under_its_hash_with_its_length(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(BODY)
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201)

    with sync_client(answer) as client:
        assert client.tensors.upload(path) == SHA
        assert client.tensors.upload(BODY) == SHA
    assert [request.url.path for request in seen] == [f"/v1/blobs/{SHA}"] * 2
    assert {request.headers["Content-Length"] for request in seen} == {str(len(BODY))}
    assert {request.headers["Content-Type"] for request in seen} == {"application/octet-stream"}
    assert all("Transfer-Encoding" not in request.headers for request in seen)


def test_an_upload_is_tried_again_whole(pauses: list[float]) -> None:
    bodies: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(request.read())
        return httpx.Response(503 if len(bodies) < 3 else 200)

    with sync_client(answer) as client:
        client.tensors.upload(BODY)
    assert bodies == [BODY] * 3
    assert len(pauses) == 2
    bodies.clear()
    with sync_client(answer, retries=1) as client, pytest.raises(Unavailable):
        client.tensors.upload(BODY)


async def test_the_asynchronous_client_does_the_same(tmp_path: Path) -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            assert await request.aread() == BODY
            return httpx.Response(201)
        return httpx.Response(200, content=BODY)

    async with AsyncMemoryClient("http://service", "key", transport=httpx.MockTransport(answer)) as client:
        assert await client.tensors.upload(BODY) == SHA
        path = await client.tensors.download(SHA, tmp_path / "blob")
    assert await asyncio.to_thread(path.read_bytes) == BODY


def test_bytes_with_another_hash_are_not_written(tmp_path: Path) -> None:
    target = tmp_path / "blob"
    target.write_bytes(b"what was there")
    changed = httpx.Response(200, content=BODY[:-1] + b"!")
    with sync_client(lambda _: changed) as client, pytest.raises(ConnectionFailed, match="another hash"):
        client.tensors.download(SHA, target)
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_bytes() == b"what was there"


def test_a_download_that_breaks_off_starts_again(tmp_path: Path, pauses: list[float]) -> None:
    tries = 0

    def broken() -> object:
        yield BODY[:1000]
        raise httpx.RemoteProtocolError("peer closed connection")

    def answer(_: httpx.Request) -> httpx.Response:
        nonlocal tries
        tries += 1
        return httpx.Response(200, content=broken() if tries == 1 else BODY)

    with sync_client(answer) as client:
        assert client.tensors.download(SHA, tmp_path / "blob").read_bytes() == BODY
    assert (tries, len(pauses)) == (2, 1)
    assert list(tmp_path.iterdir()) == [tmp_path / "blob"]


def test_an_error_is_the_services_own(tmp_path: Path) -> None:
    with sync_client(lambda _: httpx.Response(404, json={"detail": "no"})) as client, pytest.raises(NotFound):
        client.tensors.download(SHA, tmp_path / "blob")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", ["", "../keys", "A" * 64, "0" * 63])
def test_what_is_no_hash_is_no_path(wrong: str, tmp_path: Path) -> None:
    with sync_client(lambda _: httpx.Response(200)) as client, pytest.raises(ValueError, match="hex"):
        client.tensors.download(wrong, tmp_path / "blob")


def test_pieces_and_hash_of_a_file_are_those_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(BODY)
    assert [len(piece) for piece in pieces(path)] == [len(piece) for piece in pieces(BODY)]
    assert measure(str(path)) == measure(BODY) == (SHA, len(BODY))


def test_candidates_may_come_from_several_spaces() -> None:
    call = candidates("m", {"spaces": ["a", "b"], "tokens": 5})
    assert str(call.params) == "model=m&tokens=5&space=a&space=b"
