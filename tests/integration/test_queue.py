"""Jobs are enqueued in the caller's transaction, and a clash with a waiting job costs the caller nothing."""

import pytest
from sqlalchemy import Connection, text

from memsvc.ids import SpaceId, new_uuid
from memsvc.queue import enqueue
from memsvc.store import spaces
from tests.integration.conftest import Service

JOBS = text("SELECT count(*) FROM procrastinate_jobs WHERE args->>'tenant_id' = :tenant AND status = 'todo'")


class UndoneError(Exception):
    """Ends a transaction."""


async def test_a_job_of_a_transaction_that_fails_never_was(service: Service, owner: Connection) -> None:
    tenant = service.caller.tenant_id

    async def fail() -> None:
        async with service.services.database.write(tenant) as session:
            await enqueue(service.services.ingest.queue, session, "embed", SpaceId(new_uuid()))
            raise UndoneError

    with pytest.raises(UndoneError):
        await fail()
    assert owner.execute(JOBS, {"tenant": str(tenant)}).scalar_one() == 0


async def test_a_clash_with_a_waiting_job_keeps_the_callers_rows(service: Service, owner: Connection) -> None:
    """The savepoint trap: fetched outside the savepoint, the driver's connection takes the whole transaction along."""
    tenant = service.caller.tenant_id
    queue = service.services.ingest.queue
    for name in ("first", "second"):
        async with service.services.database.write(tenant) as session:
            await spaces.lock_space(session, service.caller, name)
            await enqueue(queue, session, "embed", SpaceId(tenant))
    async with service.services.database.read(tenant) as session:
        assert [space.name for space in await spaces.list_spaces(session, service.caller)] == ["first", "second"]
    assert owner.execute(JOBS, {"tenant": str(tenant)}).scalar_one() == 1


async def test_jobs_name_rows_and_carry_no_content(service: Service, owner: Connection) -> None:
    await service.add(wait=False, texts=[{"content": "a very secret sentence"}])
    args = owner.execute(
        text("SELECT args::text FROM procrastinate_jobs WHERE args->>'tenant_id' = :tenant"),
        {"tenant": str(service.caller.tenant_id)},
    ).scalar_one()
    assert "secret" not in args
