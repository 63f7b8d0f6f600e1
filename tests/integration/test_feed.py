"""The change feed: every change once, in the order of commits, and only what the reader may know of."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from psycopg.rows import tuple_row

from memsvc.api.app import create_app
from memsvc.api.auth import Authenticator
from memsvc.consolidation.deliver import deliver
from memsvc.deployment import Deployment
from memsvc.store import access, feed
from memsvc.store.access import When
from memsvc.store.database import Database
from memsvc.store.feed import Cursor
from tests.integration.conftest import NOW, Clock, Service, open_service
from tests.integration.people import Person, person, restrict


@pytest.fixture
async def ana(service: Service, deployment: Deployment) -> Person:
    return person(service, deployment, "ana")


@pytest.fixture
async def ben(service: Service, deployment: Deployment) -> Person:
    return person(service, deployment, "ben")


async def told(who: Person, since: str = "0", **params: object) -> list[tuple[str, str, int | None]]:
    """(memory, change, version) of all that comes after `since`."""
    page = await who.get("/v1/changes", since=since, limit=1000, **params)
    assert page["more"] is False
    return [(item["memory_id"], item["change"], item["version"]) for item in page["items"]]


async def test_each_change_tells_who_when_and_what(service: Service, ana: Person) -> None:
    memory = await ana.add("Buy milk.")
    await ana.call("PATCH", f"/v1/memories/{memory}", json={"content": "Buy oat milk."})
    await ana.post(f"/v1/memories/{memory}/state", {"state": "archived"})
    await ana.post(f"/v1/memories/{memory}/state", {"state": "activated"})
    await ana.call("DELETE", f"/v1/memories/{memory}")
    page = await ana.get("/v1/changes")
    # What it was until then is gone; a reader who followed all along was told all of it (see below).
    assert [(item["change"], item["operation"]) for item in page["items"]] == [("removed", "erase")]
    erased = page["items"][0]
    assert erased == erased | {
        "number": 5,
        "actor": "ana",
        "recorded_at": "2026-03-01T12:00:00Z",
        "memory_id": memory,
        "version": None,
        "state": None,
        "memory": None,
    }
    assert (page["cursor"], page["more"]) == ("5", False)


async def test_a_reader_who_follows_sees_a_memory_come_change_and_go(service: Service, ana: Person) -> None:
    memory = await ana.add("Buy milk.")
    assert await told(ana) == [(memory, "added", 1)]
    await ana.call("PATCH", f"/v1/memories/{memory}", json={"content": "Buy oat milk."})
    assert await told(ana, "1") == [(memory, "updated", 2)]
    await ana.post(f"/v1/memories/{memory}/state", {"state": "archived"})
    assert await told(ana, "2") == [(memory, "removed", 3)]
    await ana.call("PATCH", f"/v1/memories/{memory}", json={"importance": 0.9})
    assert await told(ana, "3") == []  # it is still gone
    await ana.post(f"/v1/memories/{memory}/state", {"state": "activated"})
    assert await told(ana, "4") == [(memory, "added", 5)]
    await ana.post(f"/v1/memories/{memory}/state", {"state": "quarantined"})
    assert await told(ana, "5") == [(memory, "removed", 6)]
    assert await told(ana) == [
        (memory, "added", 1),
        (memory, "updated", 2),
        (memory, "removed", 3),
        (memory, "added", 5),
        (memory, "removed", 6),
    ]


async def test_what_becomes_private_is_removed_for_others_and_comes_back(
    service: Service, ana: Person, ben: Person
) -> None:
    memory = await ana.add("Buy milk.")
    await ana.call("PATCH", f"/v1/memories/{memory}", json={"visibility": "private"})
    await ana.call("PATCH", f"/v1/memories/{memory}", json={"content": "Buy a ring."})
    assert await told(ben) == [(memory, "removed", 2)]
    assert await told(ben, "1") == [(memory, "removed", 2)]
    assert await told(ben, "2") == []
    assert await told(ana) == [(memory, "added", 1), (memory, "updated", 2), (memory, "updated", 3)]
    await ana.call("PATCH", f"/v1/memories/{memory}", json={"visibility": "space"})
    assert await told(ben, "3") == [(memory, "added", 4)]


async def test_what_expires_is_removed(service: Service, clock: Clock, ana: Person) -> None:
    memory = await ana.add("The offer holds.", expires_at=(NOW + timedelta(hours=1)).isoformat())
    assert await told(ana) == [(memory, "added", 1)]
    await ana.call("DELETE", f"/v1/memories/{memory}", params={"mode": "expire"})
    assert await told(ana, "1") == [(memory, "removed", 2)]
    second = await ana.add("The next offer holds.", expires_at=(NOW + timedelta(hours=1)).isoformat())
    await ana.call("PATCH", f"/v1/memories/{second}", json={"importance": 0.9})
    clock.advance(hours=2)
    assert await told(ana, "3") == [(second, "removed", 2)]  # swept or not


async def test_pages_end_anywhere_and_the_next_goes_on_there(service: Service, ana: Person) -> None:
    batch = {"texts": [{"content": f"fact {number}"} for number in range(25)]}
    await ana.post("/v1/memories", batch, status=201)
    await ana.add("the last one")
    found, cursor, cursors = [], "0", []
    while True:
        page = await ana.get("/v1/changes", since=cursor, limit=10)
        found += [item["memory_id"] for item in page["items"]]
        cursor = page["cursor"]
        cursors.append(cursor)
        if not page["items"]:
            break
    everything = [memory for memory, _, _ in await told(ana)]
    assert found == everything
    assert len(set(found)) == 26
    assert [":" in each for each in cursors] == [True, True, False, False]


async def test_a_page_that_ends_in_an_operation_survives_what_is_erased_meanwhile(
    service: Service, ana: Person
) -> None:
    batch = {"texts": [{"content": f"fact {number}"} for number in range(10)]}
    await ana.post("/v1/memories", batch, status=201)
    first = await ana.get("/v1/changes", limit=4)
    gone = first["items"][1]["memory_id"]
    await ana.call("DELETE", f"/v1/memories/{gone}")
    rest = await ana.get("/v1/changes", since=first["cursor"])
    changes = [(item["memory_id"], item["change"]) for item in (*first["items"], *rest["items"])]
    assert Counter(change for _, change in changes) == {"added": 10, "removed": 1}
    assert changes[-1] == (gone, "removed")


async def test_the_memory_comes_with_the_change_when_asked(service: Service, ana: Person, ben: Person) -> None:
    memory = await ana.add("Buy milk.")
    hidden = await ana.add("Buy a ring.", visibility="private")
    await ana.call("PATCH", f"/v1/memories/{memory}", json={"content": "Buy oat milk."})
    page = await ben.get("/v1/changes", include="memory")
    assert [item["memory"]["content"] for item in page["items"]] == ["Buy oat milk.", "Buy oat milk."]
    assert hidden not in str(page)
    assert page["cursor"] == "3"


async def test_waiting_ends_with_the_first_change(service: Service, ana: Person) -> None:
    first = await ana.add("Buy milk.")
    assert await told(ana, "0", wait=30) == [(first, "added", 1)]
    waiting = asyncio.create_task(ana.get("/v1/changes", since="1", wait=30))
    await asyncio.sleep(0)
    second = await ana.add("Buy bread.")
    page = await waiting
    assert [item["memory_id"] for item in page["items"]] == [second]
    assert (await ana.get("/v1/changes", since="2", wait=0.3)) == {"items": [], "cursor": "2", "more": False}


async def test_what_others_keep_private_does_not_end_the_wait(service: Service, ana: Person, ben: Person) -> None:
    await ana.add("first")
    waiting = asyncio.create_task(ben.get("/v1/changes", since="1", wait=30))
    await ana.add("hidden", visibility="private")
    shown = await ana.add("shown")
    assert [item["memory_id"] for item in (await waiting)["items"]] == [shown]


async def test_the_feed_of_a_restricted_space_is_not_there(service: Service, ana: Person, ben: Person) -> None:
    await restrict(service, "plans", ana)
    await ana.add("Buy a ring.", space="plans")
    assert (await ben.call("GET", "/v1/changes", params={"space": "plans"})).status_code == 404
    assert (await ben.call("GET", "/v1/changes", params={"space": "nowhere"})).status_code == 404


@pytest.mark.parametrize("cursor", ["", "-1", "x", "1:", "1:2", "1.5", "९", "9" * 30, "1:x", ":"])
async def test_a_cursor_that_is_none_is_refused(service: Service, ana: Person, cursor: str) -> None:
    refused = await ana.call("GET", "/v1/changes", params={"since": cursor})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "since")


def test_a_cursor_is_read_as_it_is_written() -> None:
    for text in ("0", "17", "17:0198c0de-0000-7000-8000-000000000001"):
        assert str(Cursor.parse(text)) == text


@asynccontextmanager
async def restarted(service: Service, deployment: Deployment, who: Person) -> AsyncIterator[Person]:
    """The same service in a new process, as far as a test without one can tell: nothing in memory is kept."""
    database = Database(deployment.app_url, pool_size=4)
    services = replace(service.services, database=database, authenticator=Authenticator(database))
    transport = httpx.ASGITransport(create_app(services), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield replace(who, client=client)
    await database.close()


async def test_a_reader_beside_many_writers_misses_and_doubles_nothing(
    service: Service, deployment: Deployment, ana: Person
) -> None:
    written: list[str] = []

    async def write(writer: int) -> None:
        for number in range(12):
            texts = [{"content": f"{writer} {number} {each}"} for each in range(1 + (writer + number) % 7)]
            answer = await ana.post("/v1/memories", {"texts": texts}, status=201)
            written.extend(item["id"] for item in answer["items"])
            if number % 3 == 0:
                await ana.call("PATCH", f"/v1/memories/{answer['items'][0]['id']}", json={"importance": 0.9})

    written.append(await ana.add("the first"))
    cursor, found, done = "0", [], False
    writers = asyncio.gather(*(write(writer) for writer in range(6)))
    while not done:
        async with restarted(service, deployment, ana) as reader:
            for _ in range(20):
                last = writers.done()
                page = await reader.get("/v1/changes", since=cursor, limit=3)
                found += [(item["number"], item["memory_id"], item["change"]) for item in page["items"]]
                cursor = page["cursor"]
                done = last and not page["items"]
    await writers
    assert len(found) == len(set(found))
    assert found == sorted(found)
    assert sorted(memory for _, memory, change in found if change == "added") == sorted(written)
    assert sum(change == "updated" for _, _, change in found) == 6 * 4


async def test_a_page_is_read_by_index_also_before_there_are_statistics(service: Service, ana: Person) -> None:
    memory = await ana.add("Buy milk.")
    await ana.call("PATCH", f"/v1/memories/{memory}", json={"importance": 0.9})
    async with service.services.database.read(service.caller.tenant_id) as session:
        space_id = await access.require(session, service.caller, "default", "read")
        operations = await feed.next_operations(session, space_id, first=1, last=None, memories=100)
        parameters = {
            **access.parameters(session, service.caller, When(NOW)),
            "space": space_id,
            "operations": [operation.id for operation in operations],
            "number": 0,
            "memory": UUID(int=0),
            "last": 9,
            "last_memory": UUID(int=0),
            "limit": 100,
        }
        rows = await session.fetch("EXPLAIN " + feed._ITEMS, parameters, tuple_row)
    plan = "\n".join(row[0] for row in rows)
    assert "Seq Scan" not in plan
    for index in ("ix_memories_operation", "ix_memory_history_operation", "pk_memory_history"):
        assert index in plan


async def deliver_all_of(service: Service) -> None:
    """Run the job that a change of the space `default` enqueues."""
    async with service.services.database.read(service.caller.tenant_id) as session:
        space_id = await access.require(session, service.caller, "default", "read")
    await deliver(service.services.ingest, service.caller.tenant_id, space_id, clock=service.services.clock)


async def test_what_an_import_brings_is_told_of_once(deployment: Deployment, tmp_path: Path) -> None:
    """Also what comes back by operations that the space knows already."""
    async with open_service(deployment, data_dir=tmp_path) as service:
        boss = Person("tester", service.client, dict(service.client.headers))
        await boss.add("(the first)", kind="concept")
        await boss.post("/v1/subscriptions", {"space": "desk", "source": "default", "from_start": True}, status=201)
        first = await boss.add("Buy milk.")
        second = await boss.add("Buy bread.")
        await boss.call("PATCH", f"/v1/memories/{second}", json={"content": "Buy rye bread."})
        bundle = (await boss.call("GET", "/v1/spaces/default/export")).content
        await deliver_all_of(service)
        assert len(await boss.contents("desk")) == 3
        for memory in (first, second):
            await boss.call("DELETE", f"/v1/memories/{memory}")
        assert await boss.contents("desk") == ["(the first)"]
        before = (await boss.get("/v1/changes"))["cursor"]
        imported = await boss.call("POST", "/v1/spaces/default/import", content=bundle)
        assert imported.status_code == 201, imported.text
        page = await boss.get("/v1/changes", since=before, include="memory")
        assert sorted((item["memory_id"], item["change"], item["version"]) for item in page["items"]) == sorted(
            [(first, "added", 1), (second, "added", 2)]
        )
        assert {item["memory"]["content"] for item in page["items"]} == {"Buy milk.", "Buy rye bread."}
        elsewhere = await boss.call("POST", "/v1/spaces/elsewhere/import", content=bundle)
        assert elsewhere.status_code == 201, elsewhere.text
        await deliver_all_of(service)
        assert sorted(await boss.contents("desk")) == ["(the first)", "Buy milk.", "Buy rye bread."]


async def test_what_is_imported_into_a_new_space_is_told_of_as_it_came_about(
    deployment: Deployment, tmp_path: Path
) -> None:
    async with (
        open_service(deployment, data_dir=tmp_path / "here") as service,
        open_service(deployment, data_dir=tmp_path / "there") as other,
    ):
        boss = Person("tester", service.client, dict(service.client.headers))
        memory = await boss.add("Buy milk.")
        await boss.call("PATCH", f"/v1/memories/{memory}", json={"content": "Buy oat milk."})
        bundle = (await boss.call("GET", "/v1/spaces/default/export")).content
        there = Person("tester", other.client, dict(other.client.headers))
        imported = await there.call("POST", "/v1/spaces/default/import", content=bundle)
        assert imported.status_code == 201, imported.text
        assert await told(there) == [(memory, "added", 1), (memory, "updated", 2)]
        await there.call("PATCH", f"/v1/memories/{memory}", json={"importance": 0.9})
        assert await told(there) == [(memory, "added", 1), (memory, "updated", 2), (memory, "updated", 3)]
