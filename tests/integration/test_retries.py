"""A job that is run again while another of its kind waits gives way to it, and its space is not held up."""

import pytest
from sqlalchemy import Connection, text

from memsvc.consolidation.jobs import register
from memsvc.lifecycle.blobs import open_tensor_store
from memsvc.queue import enqueue
from memsvc.store import spaces
from tests.integration.conftest import Service

JOBS = text("SELECT id, status::text, attempts FROM procrastinate_jobs WHERE args->>'tenant_id' = :tenant ORDER BY id")


async def enqueue_embed(service: Service) -> None:
    async with service.services.database.write(service.caller.tenant_id) as session:
        space_id = await spaces.find_space(session, "default")
        assert space_id is not None
        await enqueue(service.services.ingest.queue, session, "embed", space_id)


async def run_again(service: Service, job: int) -> None:
    manager = service.services.ingest.queue.job_manager
    (found,) = await manager.list_jobs_async(id=job)
    await manager.retry_job(found)


@pytest.fixture
async def running(service: Service, owner: Connection) -> int:
    """A job that a worker runs, which may be dead."""
    await service.add(texts=[{"content": "first"}])
    await enqueue_embed(service)
    tenant = {"tenant": str(service.caller.tenant_id)}
    job = owner.execute(JOBS, tenant).one().id
    owner.execute(text("UPDATE procrastinate_jobs SET status = 'doing' WHERE id = :id"), {"id": job})
    owner.commit()
    return job


async def test_a_job_is_run_again(service: Service, owner: Connection, running: int) -> None:
    await run_again(service, running)
    tenant = {"tenant": str(service.caller.tenant_id)}
    assert owner.execute(JOBS, tenant).all() == [(running, "todo", 1)]


async def test_a_job_gives_way_to_one_that_waits(service: Service, owner: Connection, running: int) -> None:
    await enqueue_embed(service)
    await run_again(service, running)
    tenant = {"tenant": str(service.caller.tenant_id)}
    (waiting,) = owner.execute(JOBS, tenant).all()
    assert waiting.id != running
    assert waiting.status == "todo"


async def test_an_outage_during_which_more_is_written_ends_with_everything_embedded(
    service: Service, owner: Connection
) -> None:
    owner.execute(text("DELETE FROM procrastinate_jobs"))  # what other tests left would be run as well
    owner.commit()
    services, queue = service.services, service.services.ingest.queue
    register(queue, services.upkeep, open_tensor_store(services.settings, services.ingest), services.signer)
    await service.add(wait=False, texts=[{"content": "first"}])
    real = services.ingest.batcher.encode_documents

    async def encode(texts: list[str], **options: object) -> object:
        if service.encoder.fail:  # the job runs: what is written now enqueues another
            await service.add(wait=False, texts=[{"content": "second"}])
        return await real(texts, **options)

    service.encoder.fail = True
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(services.ingest.batcher, "encode_documents", encode)
        await queue.run_worker_async(wait=False, install_signal_handlers=False, listen_notify=False)
    service.encoder.fail = False
    tenant = {"tenant": str(service.caller.tenant_id)}
    assert "doing" not in [job.status for job in owner.execute(JOBS, tenant)]
    owner.execute(text("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo'"))
    owner.commit()
    await queue.run_worker_async(wait=False, install_signal_handlers=False, listen_notify=False)
    listed = (await service.client.get("/v1/memories")).json()["items"]
    assert [memory["searchable"] for memory in listed] == [True, True]
