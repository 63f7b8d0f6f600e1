"""What is packed, wherever it goes: to other principals, into forks, bundles and copies, and out of every pack."""

import io
import zipfile
from collections.abc import Callable

import pytest
from psycopg.rows import tuple_row
from sqlalchemy import Connection, text

from memsvc.consolidation.deliver import deliver
from memsvc.deployment import Deployment
from memsvc.ids import MemoryId
from memsvc.store import packs
from tests.integration.conftest import Service
from tests.integration.packed import (
    HOT,
    ODD,
    TIERS,
    archive,
    call,
    compress,
    embed,
    found,
    get,
    holding,
    packed,
    reader,
    say,
    unpacked,
    versions,
)
from tests.integration.people import person


@pytest.fixture
def rows(owner: Connection, service: Service) -> Callable[[str], list[tuple]]:
    return reader(owner, service)


async def test_what_others_keep_private_is_not_packed_or_restored(service: Service, deployment: Deployment) -> None:
    ana, ben = person(service, deployment, "ana"), person(service, deployment, "ben")
    secret = await ana.add("Ana's secret.", visibility="private")
    open_one = await ana.add("What Ana said.")
    for memory in (secret, open_one):
        await ana.call("DELETE", f"/v1/memories/{memory}?mode=archive")
    assert packed(await ben.post("/v1/compress")) == [open_one]
    assert packed(await ana.post("/v1/compress")) == [secret]
    await ben.post(f"/v1/memories/{secret}/restore", status=404)
    assert (await ben.post(f"/v1/memories/{open_one}/restore", {"level": "session"}))["restored"] == [open_one]
    assert (await ana.get(f"/v1/memories/{secret}"))["content"] == "Ana's secret."
    await compress(service, 404, space="nowhere")


async def test_memories_of_two_tenants_share_no_pack(service: Service, other: Service, owner: Connection) -> None:
    for one in (service, other):
        (gone,) = await say(one, "The same words.")
        await archive(one, gone)
        await compress(one)
    owner.rollback()
    holders = owner.execute(
        text("SELECT count(DISTINCT v.tenant_id) FROM contents v JOIN packs p ON p.id = v.pack_id GROUP BY p.id")
    )
    assert set(holders.scalars()) == {1}


async def test_what_is_erased_is_in_no_table_and_no_pack(service: Service, owner: Connection, rows: Callable) -> None:
    secret, kept, edited = await say(
        service, "The code is zyzzyva7.", "The gate is green.", "Now zyzzyva7, later krait."
    )
    await call(service, "PATCH", f"/v1/memories/{edited}", {"content": "The gate needs paint."})
    await archive(service, secret, kept, edited)
    await compress(service)
    assert "zyzzyva7" in unpacked(rows)
    assert holding(owner, service, "zyzzyva7") == []  # compressed: it takes unpacking to see it
    done = await call(service, "POST", "/v1/erase", {"memories": [secret, edited]})
    assert (done["plan"]["named"], done["receipt"]["counts"]["versions"]) == (2, 5)
    assert ("zyzzyva7" in unpacked(rows), "krait" in unpacked(rows)) == (False, False)
    assert holding(owner, service, "zyzzyva7") == []
    assert (unpacked(rows), (await get(service, kept))["content"]) == ("The gate is green.", "The gate is green.")
    await call(service, "DELETE", f"/v1/memories/{kept}", status=204)
    assert (rows(TIERS), rows(HOT)) == ([(0, 0, 0, 0)], [(0, 0, 0)])


async def test_what_is_made_again_forgets_what_was_packed(service: Service, owner: Connection, rows: Callable) -> None:
    first, second = await say(service, "Ana likes zyzzyva7.", "Ana plays the cello.")
    fused = (await call(service, "POST", "/v1/fuse", {"memories": [first, second]}))["id"]
    await archive(service, fused)
    await compress(service)
    assert "zyzzyva7" in unpacked(rows)
    await call(service, "POST", "/v1/erase", {"memories": [first]})
    assert (await get(service, fused))["content"] == "Ana plays the cello."
    assert ("zyzzyva7" in unpacked(rows), holding(owner, service, "zyzzyva7")) == (False, [])


async def test_a_fork_has_packs_of_its_own(service: Service, rows: Callable) -> None:
    gone, kept = await say(service, "The gate was red.", "The gate is green.")
    await call(service, "POST", "/v1/spaces/default/snapshots", {"name": "then"}, 201)
    await archive(service, gone)
    await compress(service)
    await call(service, "POST", "/v1/spaces/default/fork", {"to": "what-if"}, 201)
    await call(service, "POST", "/v1/spaces/default/fork", {"to": "as-it-was", "snapshot": "then"}, 201)
    await embed(service)
    copies = (await call(service, "GET", "/v1/memories", space="what-if"))["items"]
    assert [(one["content"], one["packed"]) for one in copies] == [
        ("The gate was red.", True),
        ("The gate is green.", False),
    ]
    assert [content for content, *_ in await found(service, "gate", spaces=["what-if"])] == ["The gate is green."]
    assert {content for content, *_ in await found(service, "gate", spaces=["as-it-was"])} == {
        "The gate was red.",
        "The gate is green.",
    }
    assert rows("SELECT count(DISTINCT space_id) FROM packs WHERE tenant_id = :tenant") == [(2,)]
    await call(service, "POST", "/v1/erase", {"space": "default"})
    assert (rows(TIERS)[0][3], kept in str(await call(service, "GET", "/v1/memories"))) == (0, False)


async def test_a_bundle_carries_what_is_packed(service: Service, other: Service) -> None:
    gone, edited = await say(service, *ODD[:2])
    await say(service, "The gate is green.")
    await archive(service, gone, edited)
    await compress(service)
    await call(service, "PATCH", f"/v1/memories/{edited}", {"content": "Edited after."})
    bundle = (await service.client.get("/v1/spaces/default/export?embeddings=true")).content
    lines = zipfile.ZipFile(io.BytesIO(bundle)).read("contents.jsonl").decode().splitlines()
    assert len(lines) == 4
    done = await other.client.post("/v1/spaces/default/import", content=bundle)
    assert done.status_code == 201, done.text
    assert (done.json()["memories"], done.json()["pending"]) == (3, 0)
    for memory in (gone, edited):
        assert await get(other, memory) == await get(service, memory)
        assert await versions(other, memory) == await versions(service, memory)
    assert ((await get(other, gone))["packed"], (await get(other, edited))["packed"]) == (True, False)
    assert (await other.client.get("/v1/spaces/default/export?embeddings=true")).content == bundle
    await call(other, "POST", f"/v1/memories/{gone}/state", {"state": "activated"})
    assert (await found(other, ODD[0]))[0][0] == ODD[0]


async def test_a_copy_follows_its_source_in_and_out_of_packs(service: Service) -> None:
    await say(service, "Of something else.", space="team")
    await call(service, "POST", "/v1/subscriptions", {"space": "mine", "source": "team"}, 201)
    (source,) = await say(service, "The gate is green.", space="team")

    async def follow() -> dict:
        async with service.services.database.read(service.caller.tenant_id) as session:
            spaces = await session.fetch("SELECT id FROM spaces WHERE name = 'team'", {}, tuple_row)
        await deliver(service.services.ingest, service.caller.tenant_id, spaces[0][0], clock=service.services.clock)
        return (await call(service, "GET", "/v1/memories", space="mine"))["items"][0]

    assert (await follow())["state"] == "generated"
    await archive(service, source)
    assert (await follow())["state"] == "archived"
    assert len(packed(await compress(service, space="mine"))) == 1
    await compress(service, space="team")
    await call(service, "POST", f"/v1/memories/{source}/state", {"state": "activated"})
    copy = await follow()
    assert (copy["state"], copy["packed"]) == ("activated", False)
    await embed(service)
    assert [content for content, *_ in await found(service, "gate", spaces=["mine"])] == ["The gate is green."]


async def test_reading_many_packed_memories_reads_each_pack_once(service: Service, rows: Callable) -> None:
    ids = await say(service, *[f"Remark number {n} on the matter of the gate." for n in range(40)])
    await archive(service, *ids)
    await compress(service)
    assert rows(TIERS)[0][3] == 1
    async with service.services.database.read(service.caller.tenant_id) as session:
        numbers = await session.fetch("SELECT memory_id, number FROM contents", {}, tuple_row)
        texts = await packs.read_texts(session, [(MemoryId(one), number) for one, number in numbers])
    assert sorted(texts.values()) == sorted(f"Remark number {n} on the matter of the gate." for n in range(40))
