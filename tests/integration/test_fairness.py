"""Tenants take turns, whatever one of them has waiting; and what is urgent goes first, but not for ever."""

from itertools import pairwise

import pytest
from sqlalchemy import Connection

from memsvc.consolidation import jobs as background_jobs
from memsvc.consolidation import tend
from memsvc.ids import TenantId
from memsvc.queue import OPEN_TURN
from tests.integration.background import Reader, employ, forget_jobs, work
from tests.integration.conftest import Service

MANY = 100


@pytest.fixture(autouse=True)
def at_once(owner: Connection, service: Service, other: Service) -> None:
    """Spaces are consolidated as soon as they are written, and `service` runs everybody's jobs."""
    forget_jobs(owner)
    for one in (service, other):
        one.services.ingest.queue.consolidate_after_s = 0.0
    employ(service)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    found = Reader()
    monkeypatch.setattr(tend, "consolidate", found.consolidate)
    return found


@pytest.fixture
def encoded(service: Service, monkeypatch: pytest.MonkeyPatch) -> list[TenantId]:
    """Whose chunks were encoded, a slice of two at a time, in order."""
    order: list[TenantId] = []
    real = background_jobs.embed_pending

    async def embed(ingest: object, tenant_id: TenantId, space_id: object) -> int:
        order.append(tenant_id)
        return await real(ingest, tenant_id, space_id)

    monkeypatch.setattr(background_jobs, "EMBED_CHUNKS", 2)
    monkeypatch.setattr(background_jobs, "embed_pending", embed)
    return order


async def fill(service: Service, *, spaces: int, **request: object) -> None:
    for number in range(spaces):
        await service.add(space=f"space {number}", texts=[{"content": f"Gate {number} is open."}], **request)


async def test_one_space_does_not_wait_for_a_hundred(service: Service, other: Service, reader: Reader) -> None:
    await fill(service, spaces=MANY)
    await fill(other, spaces=1)
    await work(service)
    turns = [tenant for tenant, _ in reader.reads]
    assert turns == [service.caller.tenant_id, other.caller.tenant_id] + [service.caller.tenant_id] * (MANY - 1)


async def test_who_has_long_work_takes_turns_slice_by_slice(service: Service, other: Service, reader: Reader) -> None:
    reader.slices = 4
    await fill(service, spaces=5)
    await fill(other, spaces=1)
    await work(service)
    one, two = service.caller.tenant_id, other.caller.tenant_id
    assert [tenant for tenant, _ in reader.reads] == [one, two] * 4 + [one] * 16


async def test_the_spaces_of_a_tenant_take_turns_too(service: Service, reader: Reader) -> None:
    reader.slices = 2
    await fill(service, spaces=3)
    await work(service)
    assert [space for _, space in reader.reads] == ["space 0", "space 1", "space 2"] * 2


async def test_embeddings_are_made_a_slice_a_turn(service: Service, other: Service, encoded: list[TenantId]) -> None:
    for one in (service, other):
        one.services.ingest.queue.consolidate_after_s = None
    await service.add(wait=False, space="large", texts=[{"content": f"Box {number}"} for number in range(9)])
    await service.add(wait=False, space="small", texts=[{"content": "Lid"}])
    await other.add(wait=False, texts=[{"content": f"Crate {number}"} for number in range(3)])
    await work(service)
    one, two = service.caller.tenant_id, other.caller.tenant_id
    assert encoded == [one, two, one, two, one, one, one, one]
    for each in (service, other):
        listed = (await each.client.get("/v1/memories")).json()["items"]
        assert all(memory["searchable"] for memory in listed)


async def test_the_urgent_goes_first(
    service: Service, reader: Reader, encoded: list[TenantId], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The space is written before its embeddings are asked for, so its consolidation was enqueued first."""
    order: list[str] = []
    reader.before = lambda: note("consolidate")

    async def note(name: str) -> None:
        order.append(name)

    async def deliver(*_: object, **__: object) -> None:
        order.append("deliver")

    monkeypatch.setattr(background_jobs, "deliver_changes", deliver)
    await service.add(texts=[{"content": "The bell is new."}])
    watch = {"space": "default", "url": "http://127.0.0.1:9/hook"}
    assert (await service.client.post("/v1/webhooks", json=watch)).status_code == 201
    await service.add(wait=False, texts=[{"content": "The rope is old."}])
    monkeypatch.setattr(service.encoder, "calls", Noted(order, "embed"))
    await work(service)
    assert order == ["embed", "deliver", "consolidate"]


class Noted(list[object]):
    """A list that says when something is added to it."""

    def __init__(self, order: list[str], name: str) -> None:
        super().__init__()
        self._order, self._name = order, name

    def append(self, one: object) -> None:
        self._order.append(self._name)
        super().append(one)


async def test_a_flood_of_urgent_work_does_not_hold_up_the_rest_for_ever(
    service: Service, other: Service, reader: Reader, encoded: list[TenantId]
) -> None:
    queue = service.services.ingest.queue
    queue.consolidate_after_s = None
    await service.add(wait=False, texts=[{"content": f"Box {number}"} for number in range(60)])
    queue.consolidate_after_s = 0.0
    await other.add(texts=[{"content": "The door is green."}])
    when: list[int] = []

    async def note() -> None:
        when.append(len(encoded))

    reader.before = note
    await work(service)
    assert when == [OPEN_TURN - 1]
    assert len(encoded) == 31  # and the flood is dealt with, its last slice empty


async def test_a_worker_forgets_whom_it_served_long_ago(
    service: Service, other: Service, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps no more tenants than `MOST_TURNS`, and one that it forgot is served as one that is new."""
    monkeypatch.setattr("memsvc.queue.MOST_TURNS", 1)
    reader.slices = 3
    await fill(service, spaces=1)
    await fill(other, spaces=1)
    await work(service)
    turns = [tenant for tenant, _ in reader.reads]
    assert all(first != second for first, second in pairwise(turns))
    assert len(turns) == 6
    assert len(service.services.ingest.queue.job_manager._turns) == 1
