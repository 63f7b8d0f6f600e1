"""A migrated database for the whole run, a tenant of its own for every test, and the API over both."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection

from memsvc.api.app import create_app
from memsvc.api.auth import Authenticator
from memsvc.api.services import Services
from memsvc.config import Settings
from memsvc.deployment import DATABASE, Deployment
from memsvc.ids import new_uuid
from memsvc.inference.batcher import EncoderBatcher
from memsvc.inference.fake import FakeEncoder
from memsvc.ingest.write import Ingest
from memsvc.lifecycle.signing import Signer
from memsvc.queue import make_app
from memsvc.retrieval.accesses import AccessLog
from memsvc.retrieval.recall import Recaller
from memsvc.store.database import Database
from memsvc.store.embedded import ServerAddress
from memsvc.store.encoders import claim_encoder
from memsvc.store.keys import Caller, create_key, find_caller
from memsvc.store.migrate import migrate, owner_engine
from memsvc.upkeep.model import Upkeep

SIGNER = Signer(Ed25519PrivateKey.generate())
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass
class Clock:
    """A time that stands still until it is told to go on."""

    now: datetime

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass(frozen=True)
class Service:
    """The API of one test, without a socket: `client` sends the key of a fresh tenant."""

    client: httpx.AsyncClient
    caller: Caller
    services: Services
    encoder: FakeEncoder

    async def add(self, **request: object) -> dict:
        response = await self.client.post("/v1/memories", json=request)
        assert response.status_code == 201, response.text
        return response.json()

    async def recall(self, query: str, **request: object) -> dict:
        response = await self.client.post("/v1/recall", json={"query": query, **request})
        assert response.status_code == 200, response.text
        return response.json()


@pytest.fixture(scope="session")
def deployment(postgres_server: ServerAddress) -> Deployment:
    found = Deployment(postgres_server.app_url(DATABASE), postgres_server.owner_url(DATABASE), embedded=True)
    migrate(found.owner_url, application_role=found.app_role)
    return found


@pytest.fixture
def owner(deployment: Deployment) -> Iterator[Connection]:
    with owner_engine(deployment.owner_url).connect() as connection:
        yield connection


@asynccontextmanager
async def open_service(
    deployment: Deployment,
    *,
    clock: Callable[[], datetime] = lambda: NOW,
    ticks: Callable[[], float] = time.perf_counter,
    encoder: FakeEncoder | None = None,
    **overrides: object,
) -> AsyncIterator[Service]:
    settings = Settings(**{"exact_scan_limit": 1000, "encoder_queue_texts": 5000, **overrides})
    database = Database(deployment.app_url, pool_size=6)
    encoder = encoder or FakeEncoder(dimension=256)  # one that the schema has an HNSW index for
    batcher = EncoderBatcher.from_settings(encoder, settings)
    queue = make_app(deployment.app_url)
    await queue.open_async()
    try:
        ingest = Ingest(
            database=database,
            batcher=batcher,
            queue=queue,
            encoder_id=await claim_encoder(database, encoder.spec),
            exact_scan_limit=settings.exact_scan_limit,
            write_wait_s=settings.write_wait_s,
        )
        services = Services(
            settings=settings,
            clock=clock,
            database=database,
            authenticator=Authenticator(database),
            ingest=ingest,
            upkeep=Upkeep(ingest),
            recaller=Recaller(database, batcher, AccessLog(database), ticks=ticks),
            signer=SIGNER,
        )
        key = create_key(
            deployment.owner_url, tenant=f"t-{new_uuid()}", principal="tester", scopes=("read", "write", "admin")
        )
        caller = await find_caller(database, key.key)
        assert caller is not None
        transport = httpx.ASGITransport(create_app(services), raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {key.key}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://service", headers=headers) as client:
            yield Service(client, caller, services, encoder)
    finally:
        await queue.close_async()
        await batcher.close()
        await database.close()


@pytest.fixture
def clock() -> Clock:
    """The time of `service`."""
    return Clock(NOW)


@pytest.fixture
async def service(deployment: Deployment, clock: Clock) -> AsyncIterator[Service]:
    async with open_service(deployment, clock=lambda: clock.now) as opened:
        yield opened


@pytest.fixture
async def other(deployment: Deployment) -> AsyncIterator[Service]:
    """The same database, another tenant."""
    async with open_service(deployment) as opened:
        yield opened
