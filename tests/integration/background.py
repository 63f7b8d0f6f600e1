"""Running background jobs in a test: one at a time, nothing periodic, and nothing that other tests left."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, text

from memsvc.consolidation.jobs import register
from memsvc.consolidation.tidying import Tidying, tidy_space
from memsvc.ids import SpaceId, TenantId
from memsvc.lifecycle.blobs import open_tensor_store
from memsvc.store import forgetting, memories, spaces
from memsvc.store.access import require
from memsvc.upkeep.model import Order, Run, Upkeep
from tests.integration.conftest import Service


def forget_jobs(owner: Connection) -> None:
    """What other tests left would be run as well."""
    owner.execute(text("DELETE FROM procrastinate_jobs"))
    owner.commit()


def employ(service: Service) -> None:
    """Let the service's queue run jobs."""
    services, queue = service.services, service.services.ingest.queue
    register(queue, services.upkeep, open_tensor_store(services.settings, services.ingest), services.signer)
    queue.periodic_registry.periodic_tasks.clear()


async def work(service: Service, *, jobs: int = 1) -> None:
    """Run what may run, and what that enqueues, until nothing may."""
    await service.services.ingest.queue.run_worker_async(
        wait=False,
        concurrency=jobs,
        install_signal_handlers=False,
        listen_notify=False,
        delete_jobs="successful",
    )


def hurry(owner: Connection) -> None:
    """Let jobs for later run now."""
    owner.execute(text("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo'"))
    owner.commit()


def jobs_of(owner: Connection, service: Service, job: str = "consolidate") -> list[tuple[str, int, bool]]:
    """State, attempts and whether it is for later, of the tenant's jobs of that name."""
    owner.rollback()
    rows = owner.execute(
        text(
            "SELECT status::text, attempts, scheduled_at IS NOT NULL AS later FROM procrastinate_jobs "
            "WHERE args->>'tenant_id' = :tenant AND task_name = :job ORDER BY id"
        ),
        {"tenant": str(service.caller.tenant_id), "job": job},
    )
    return [tuple(row) for row in rows]


async def tidy(service: Service, job: Tidying, *, now: datetime) -> None:
    """Do what the hourly jobs do, for everybody's spaces, until nothing is left."""
    upkeep = service.services.upkeep
    for due in await forgetting.find_forgetting(upkeep.ingest.database):
        while (run := await tidy_space(upkeep, job, due.tenant_id, due.space_id, now=now)) is not None and run.more:
            assert run.operation_id is not None


async def say(service: Service, content: str = "The lamp is on.", **request: object) -> None:
    """Write one memory."""
    await service.add(texts=[{"content": content}], **request)


async def progress(service: Service) -> dict:
    """How far the upkeep of the space `default` is."""
    answer = await service.client.get("/v1/spaces/default/upkeep")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def id_of(service: Service, space: str = "default") -> SpaceId:
    """The id of a space that is there."""
    async with service.services.database.read(service.caller.tenant_id) as session:
        found = await spaces.find_space(session, space)
    assert found is not None
    return found


@dataclass
class Reader:
    """In the place of consolidation: reads a space in `slices` runs, of one memory each but for the last."""

    slices: int = 1
    reads: list[tuple[TenantId, str]] = field(default_factory=list)
    before: Callable[[], object] | None = None

    async def consolidate(self, upkeep: Upkeep, order: Order) -> Run:
        """Move the cursor as the real one does."""
        self.reads.append((order.caller.tenant_id, order.space))
        if self.before is not None:
            await self.before()
        async with upkeep.ingest.database.write(order.caller.tenant_id) as session:
            space_id = await require(session, order.caller, order.space, "write")
            space = (await memories.lock_spaces(session, {space_id}))[space_id]
            more = space.tended_memory + 1 < self.slices
            if more:
                await spaces.set_tended(session, space_id, space.tended_operation, memory=space.tended_memory + 1)
            else:
                await spaces.set_tended(session, space_id, space.next_operation - 1)
        return Run(space_id, (), None, more)
