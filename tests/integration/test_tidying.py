"""Forgetting and packing by policy: each space by a job of its own, which fails, goes on and waits by itself."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection

from memsvc.consolidation import jobs as background_jobs
from memsvc.consolidation import tidying
from memsvc.consolidation.tidying import enqueue_tidying
from memsvc.ids import TenantId
from memsvc.store.retention import Due
from memsvc.upkeep import forget as forgetting
from memsvc.upkeep.forget import forget_due
from memsvc.upkeep.model import Run, Upkeep
from tests.integration.background import employ, forget_jobs, jobs_of, work
from tests.integration.conftest import NOW, Service

MUCH = 6


@pytest.fixture(autouse=True)
def employed(owner: Connection, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """`service` runs everybody's jobs, half a year later, two memories at a time."""
    forget_jobs(owner)
    employ(service)
    monkeypatch.setattr(background_jobs, "_now", lambda: NOW + timedelta(days=200))
    monkeypatch.setattr(forgetting, "ARCHIVED_AT_ONCE", 2)


async def fill(service: Service, count: int, *, space: str = "default", forget: dict | None = None) -> None:
    await service.add(
        space=space, messages=[{"role": "user", "content": f"Gate {number} is open."} for number in range(count)]
    )
    if forget is not None:
        answer = await service.client.put(f"/v1/spaces/{space}", json={"policies": {"forget": forget}})
        assert answer.status_code == 200, answer.text


async def hot(service: Service, space: str = "default") -> int:
    answer = await service.client.get("/v1/memories", params={"space": space, "state": "generated", "limit": 1000})
    return len(answer.json()["items"])


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[TenantId]:
    """Whose batches were archived, in order."""
    order: list[TenantId] = []

    async def forget(upkeep: Upkeep, due: Due, **options: object) -> Run | None:
        order.append(due.tenant_id)
        return await forget_due(upkeep, due, **options)

    monkeypatch.setattr(tidying, "RUNS", {"forget_space": forget})
    return order


async def test_a_large_space_does_not_hold_up_another_tenants(
    service: Service, other: Service, turns: list[TenantId]
) -> None:
    await fill(service, MUCH, forget={"after": {}})
    await fill(other, 1, forget={"after": {}})
    await enqueue_tidying(service.services.upkeep, "forget_space")
    await work(service)
    ours = [tenant for tenant in turns if tenant in {service.caller.tenant_id, other.caller.tenant_id}]
    assert ours.count(service.caller.tenant_id) == 3
    assert ours.index(other.caller.tenant_id) <= 1
    assert (await hot(service), await hot(other)) == (0, 0)


async def test_a_space_whose_job_fails_is_tried_again_alone(
    service: Service, other: Service, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(service, 2, forget={"after": {}})
    await fill(other, 2, forget={"after": {}})

    async def forget(upkeep: Upkeep, due: Due, **options: object) -> Run | None:
        if due.tenant_id == service.caller.tenant_id:
            raise RuntimeError("broken")
        return await forget_due(upkeep, due, **options)

    monkeypatch.setattr(tidying, "RUNS", {"forget_space": forget})
    await enqueue_tidying(service.services.upkeep, "forget_space")
    await work(service)
    assert jobs_of(owner, service, "forget_space") == [("todo", 1, True)]
    assert jobs_of(owner, other, "forget_space") == []
    assert (await hot(service), await hot(other)) == (2, 0)


async def test_a_space_has_one_job_that_waits_and_none_without_a_policy(service: Service, owner: Connection) -> None:
    await fill(service, 1, forget={"after": {}})
    await fill(service, 1, space="kept")
    for _ in range(2):
        await enqueue_tidying(service.services.upkeep, "forget_space")
        await enqueue_tidying(service.services.upkeep, "compress_space")
    assert jobs_of(owner, service, "forget_space") == [("todo", 0, False)]
    assert jobs_of(owner, service, "compress_space") == [("todo", 0, False)]


async def test_what_was_forgotten_is_packed_by_the_next_job(service: Service, owner: Connection) -> None:
    await fill(service, 3, forget={"after": {"archive_below": 0.9, "forget_below": 0.8}})
    for job in ("forget_space", "compress_space"):
        await enqueue_tidying(service.services.upkeep, job)
        await work(service)
        assert jobs_of(owner, service, job) == []
    listed = (await service.client.get("/v1/memories", params={"state": "archived"})).json()["items"]
    assert [item["packed"] for item in listed] == [True, True, True]


async def test_the_hourly_jobs_only_hand_out_work(service: Service, owner: Connection) -> None:
    await fill(service, 1, forget={"after": {}})
    queue = service.services.ingest.queue
    await queue.tasks["forget"].defer_async(timestamp=0)
    await queue.tasks["compress"].defer_async(timestamp=0)
    await work(service)
    assert await hot(service) == 0
    listed = (await service.client.get("/v1/operations")).json()["items"]
    assert (listed[0]["kind"], listed[0]["actor"]) == ("forget", "memsvc")
    jobs = await service.client.get("/v1/jobs", params={"job": "forget_space"})
    assert (jobs.status_code, jobs.json()["items"]) == (200, [])
