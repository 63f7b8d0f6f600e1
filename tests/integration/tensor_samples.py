"""What the tests of tensors share: small safetensors files, a service with a blob store of its own, its callers."""

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import numpy as np
import uvicorn
from safetensors.numpy import save
from sqlalchemy import Connection, text

from memsvc.deployment import Deployment
from memsvc.store.keys import create_key
from tests.integration.conftest import Service

TOKENS = list(range(1, 41))
MODEL = {"model": "tiny-llama", "model_revision": "r1", "tokenizer_hash": "t1"}


def blob_of(number: int, size: int = 4) -> bytes:
    """A safetensors file with one tensor; each number makes other bytes."""
    return save({"layers.0000.key": np.full((1, 2, size, 8), number, np.float32)})


def sha(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


async def put(client: httpx.AsyncClient, body: bytes, status: int | None = None) -> str:
    """Upload and return the hash."""
    response = await client.put(f"/v1/blobs/{sha(body)}", content=body)
    assert response.status_code in ({200, 201} if status is None else {status}), response.text
    return sha(body)


async def keep(client: httpx.AsyncClient, tokens: Sequence[int] = (), number: int = 0, **fields: object) -> dict:
    """Upload a blob and keep it as an activation."""
    blob = await put(client, blob_of(number))
    response = await client.post("/v1/activations", json={**MODEL, "blob": blob, "token_ids": list(tokens), **fields})
    assert response.status_code == 201, response.text
    return response.json()


async def match(client: httpx.AsyncClient, tokens: Sequence[int], **fields: object) -> dict | None:
    response = await client.post("/v1/activations/match", json={**MODEL, "token_ids": list(tokens), **fields})
    assert response.status_code == 200, response.text
    return response.json()["match"]


async def remember(service: Service, content: str, **fields: object) -> str:
    """Store one fact and return its id."""
    added = await service.add(texts=[{"content": content, **fields}])
    return added["items"][0]["id"]


@asynccontextmanager
async def colleague(
    service: Service, deployment: Deployment, owner: Connection, scopes: Sequence[str] = ("read", "write")
) -> AsyncIterator[httpx.AsyncClient]:
    """Another principal of the same tenant, without the scope `admin`."""
    name = owner.execute(
        text("SELECT name FROM tenants WHERE tenant_id = :tenant"), {"tenant": service.caller.tenant_id}
    ).scalar_one()
    key = create_key(deployment.owner_url, tenant=name, principal="colleague", scopes=scopes)
    headers = {"Authorization": f"Bearer {key.key}"}
    async with httpx.AsyncClient(transport=service.client._transport, base_url="http://service", headers=headers) as c:
        yield c


def files(root: Path) -> list[Path]:
    """Every blob on disk."""
    return sorted(path for path in root.rglob("*") if path.is_file() and "postgres" not in path.parts)


@asynccontextmanager
async def listening(service: Service) -> AsyncIterator[str]:
    """The service's application on a real socket, whose connections can break."""
    config = uvicorn.Config(service.client._transport.app, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await task


def key_of(service: Service) -> str:
    """The API key that the service's client sends."""
    return service.client.headers["Authorization"].removeprefix("Bearer ")
