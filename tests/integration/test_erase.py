"""Erase: what it takes along, what it rebuilds, what stops it; and the sweep of what has expired."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection, text

from memsvc.consolidation.jobs import embed_pending
from memsvc.consolidation.sweep import sweep_expired
from memsvc.lifecycle.erase import split
from memsvc.lifecycle.receipts import hash_id
from memsvc.lifecycle.signing import canonical, verify
from memsvc.store.erasure import Selected
from memsvc.store.schema import TENANT_TABLES
from tests.integration.conftest import Clock, Service


async def add(service: Service, content: str, space: str = "default", **fields: object) -> str:
    written = await service.add(space=space, texts=[{"content": content, **fields}])
    return written["items"][0]["id"]


async def erase(service: Service, expect: int = 200, **request: object) -> dict:
    response = await service.client.post("/v1/erase", json=request)
    assert response.status_code == expect, response.text
    return response.json()


async def contents(service: Service) -> set[str]:
    return {m["content"] for m in (await service.client.get("/v1/memories", params={"limit": 1000})).json()["items"]}


def rows(owner: Connection, service: Service) -> dict[str, int]:
    """Rows of the tenant, by table."""
    owner.rollback()
    keys = {"tenant": service.caller.tenant_id}
    return {
        table: owner.execute(text(f"SELECT count(*) FROM {table} WHERE tenant_id = :tenant"), keys).scalar_one()
        for table in TENANT_TABLES
    }


async def test_each_way_to_name_what_goes(service: Service) -> None:
    async def refill() -> None:
        await erase(service, space="a")
        await service.add(
            space="a",
            session="s1",
            messages=[
                {"role": "user", "name": "Ana", "content": "one", "timestamp": "2026-01-01T00:00:00Z"},
                {"role": "assistant", "content": "two", "timestamp": "2026-02-01T00:00:00Z"},
            ],
            texts=[{"content": "three", "name": "Ana", "metadata": {"topic": "tea"}}],
        )

    await service.add(space="a", texts=[{"content": "placeholder"}])
    for request, left in (
        ({"space": "a", "session": "s1"}, {"three"}),
        ({"subject": "Ana"}, {"two"}),
        ({"space": "a", "subject": "Ana", "session": "s1"}, {"two", "three"}),
        ({"actor": "tester"}, set()),
        ({"filters": {"metadata": {"topic": "tea"}}}, {"one", "two"}),
        ({"filters": {"roles": ["assistant"]}}, {"one", "three"}),
        ({"filters": {"kinds": ["turn"], "occurred_from": "2026-01-15T00:00:00Z"}}, {"one", "three"}),
        ({"subject": "Nobody"}, {"one", "two", "three"}),
    ):
        await refill()
        preview = await erase(service, **request, dry_run=True)
        assert (preview["done"], preview["receipt"]) == (False, None)
        assert await contents(service) == {"one", "two", "three"}
        done = await erase(service, **request)
        assert done["plan"] == preview["plan"]
        assert await contents(service) == left, request


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({}, "body"),
        ({"session": "s"}, "space"),
        ({"memories": ["01890000-0000-7000-8000-000000000001"], "subject": "x"}, "memories"),
    ],
)
async def test_an_order_that_is_not_clear_is_refused(service: Service, request_: dict, field: str) -> None:
    refused = await erase(service, expect=422, **request_)
    assert refused["errors"][0]["field"] == field


async def test_nothing_is_left_in_any_table(service: Service, owner: Connection) -> None:
    before = rows(owner, service)
    source = await add(service, "origin", session="s")
    await service.client.patch(f"/v1/memories/{source}", json={"content": "edited", "reason": "why not"})
    derived = await add(service, "derived", space="far", derived_from=[source])
    deeper = await add(service, "deeper", space="far", derived_from=[derived])
    done = await erase(service, memories=[source])
    assert set(done["plan"]["derived_ids"]) == {derived, deeper}
    after = rows(owner, service)
    grown = {table for table in after if after[table] > before[table]}
    assert grown == {"spaces", "operations", "tombstones", "erasures", "receipts"}
    owner.rollback()
    keys = {"tenant": service.caller.tenant_id}
    spaces = owner.execute(text("SELECT memories, chunks, terms FROM spaces WHERE tenant_id = :tenant"), keys).all()
    assert [tuple(space) for space in spaces] == [(0, 0, 0), (0, 0, 0)]
    assert (
        owner.execute(
            text("SELECT count(*) FROM operations WHERE tenant_id = :tenant AND reason IS NOT NULL"), keys
        ).scalar_one()
        == 0
    )
    assert owner.execute(text("SELECT items FROM receipts WHERE tenant_id = :tenant"), keys).scalars().all() == [
        [],
        [],
        [],
    ]


async def test_the_index_of_words_keeps_what_others_said(service: Service) -> None:
    gone = await add(service, "zanzibar clove")
    await add(service, "clove and cinnamon")
    await erase(service, memories=[gone])
    hits = (await service.recall("clove zanzibar", explain=True))["results"]
    assert [hit["memory"]["content"] for hit in hits] == ["clove and cinnamon"]
    assert hits[0]["matched_terms"] == ["clove"]
    async with service.services.database.read(service.caller.tenant_id) as session:
        from psycopg.rows import tuple_row

        terms = await session.fetch("SELECT term, octet_length(entries) FROM postings ORDER BY term", {}, tuple_row)
    assert terms == [("cinnamon", 8), ("clove", 8)]


async def test_the_receipt_proves_what_went(service: Service) -> None:
    source = await add(service, "origin")
    derived = await add(service, "derived", derived_from=[source])
    receipt = (await erase(service, memories=[source]))["receipt"]
    assert verify(receipt, service.services.signer.public_key) is None
    from uuid import UUID

    assert receipt["erased_sha256"] == sorted(hash_id(UUID(one)) for one in (source, derived))
    assert (receipt["counts"]["named"], receipt["counts"]["derived"], receipt["counts"]["versions"]) == (1, 1, 2)
    assert receipt["requested_by"] == "tester"
    assert source not in canonical(receipt).decode()
    assert (await service.client.get(f"/v1/erasures/{receipt['id']}")).json() == receipt
    key = (await service.client.get("/v1/signing-key")).json()
    assert key == {"algorithm": "ed25519", "public_key": service.services.signer.public_key}
    assert "was altered" in verify({**receipt, "erased_at": "2020-01-01"}, service.services.signer.public_key)
    assert "was signed with the key" in verify(receipt, "AAAA")
    assert verify({**receipt, "signature": None}) is not None


async def test_a_hold_stops_it_and_names_what_is_held(service: Service) -> None:
    source = await add(service, "origin")
    derived = await add(service, "derived", space="far", derived_from=[source])
    held = await service.client.put(f"/v1/memories/{derived}/hold", json={"on": True, "reason": "a case"})
    assert (held.status_code, held.json()["legal_hold"]) == (200, True)
    preview = await erase(service, memories=[source], dry_run=True)
    assert preview["plan"]["held"] == [derived]
    refused = await erase(service, expect=423, memories=[source])
    assert (refused["code"], derived in refused["detail"], "/hold" in refused["remedy"]) == ("legal_hold", True, True)
    assert (await service.client.delete(f"/v1/memories/{source}")).status_code == 423
    assert await contents(service) == {"origin", "derived"}
    await service.client.put(f"/v1/memories/{derived}/hold", json={"on": False})
    await erase(service, memories=[source])
    assert await contents(service) == set()


async def test_an_erase_cannot_be_undone(service: Service) -> None:
    memory = await add(service, "gone")
    await erase(service, memories=[memory])
    operation = (await service.client.get("/v1/operations")).json()["items"][0]
    assert operation["kind"] == "erase"
    refused = await service.client.post(f"/v1/operations/{operation['id']}/undo")
    assert (refused.status_code, "gone" in refused.json()["remedy"]) == (409, True)
    detail = (await service.client.get(f"/v1/operations/{operation['id']}")).json()
    assert detail["changes"] == [{"memory_id": memory, "version_before": None, "version_after": None, "changed": {}}]


async def test_what_is_not_there_is_not_erased_in_part(service: Service, other: Service) -> None:
    mine = await add(service, "mine")
    theirs = await add(other, "theirs")
    refused = await erase(service, expect=404, memories=[mine, theirs])
    assert theirs in refused["detail"]
    assert await contents(service) == {"mine"}
    assert await contents(other) == {"theirs"}


async def test_a_memory_with_another_source_is_made_again_from_it(service: Service) -> None:
    first = await add(service, "Ana likes tea. Ana lives in Porto.")
    second = await add(service, "Ana lives in Porto. Ana plays the cello.")
    fused = await service.client.post("/v1/fuse", json={"memories": [first, second]})
    if fused.status_code == 404:
        pytest.skip("fusing is not served")
    memory = fused.json()["id"]
    summary = await add(service, "Of Ana.", derived_from=[memory])
    done = await erase(service, memories=[first])
    assert (done["plan"]["rebuilt_ids"], done["plan"]["derived_ids"]) == ([memory], [summary])
    found = (await service.client.get(f"/v1/memories/{memory}")).json()
    assert found["content"] == "Ana lives in Porto.\nAna plays the cello."
    history = (await service.client.get(f"/v1/memories/{memory}/history")).json()["versions"]
    assert [v["memory"]["content"] for v in history] == [found["content"]]
    assert all("tea" not in content for content in await contents(service))
    await embed_pending(service.services.ingest, service.caller.tenant_id, await space_of(service))
    hits = (await service.recall("what does Ana like and play"))["results"]
    assert found["content"] in {hit["memory"]["content"] for hit in hits}
    done = await erase(service, memories=[second])
    assert done["plan"]["derived_ids"] == [memory]
    assert await contents(service) == set()


async def space_of(service: Service) -> object:
    from psycopg.rows import tuple_row

    async with service.services.database.read(service.caller.tenant_id) as session:
        return (await session.fetch("SELECT id FROM spaces WHERE name = 'default'", {}, tuple_row))[0][0]


def test_what_derives_goes_or_is_made_again_in_the_right_order() -> None:
    def one(name: int, origin: str, *sources: int) -> Selected:
        return Selected(name, 0, name, 1, origin, "generated", False, True, tuple(sources))  # type: ignore[arg-type]

    named = [one(1, "user_input")]
    below = [
        one(2, "user_input", 1, 9),  # an agent's own derivation cannot be made again
        one(3, "fused", 1, 9),
        one(4, "fused", 1, 2),  # all its sources go
        one(5, "fused", 3, 8),  # one source is made again, so this is too
        one(6, "user_input", 5),
    ]
    derived, rebuilt = split(named, below)
    assert ([d.id for d in derived], [r.id for r in rebuilt]) == ([2, 4, 6], [3, 5])


async def test_the_sweep_marks_and_then_erases(service: Service, clock: Clock) -> None:
    ingest = service.services.ingest
    await service.client.put("/v1/spaces/default", json={"policies": {"ttl_days": 10, "erase_expired_after_days": 5}})
    old = await add(service, "old news")
    held = await add(service, "old evidence")
    await service.client.put(f"/v1/memories/{held}/hold", json={"on": True})
    kept = await add(service, "elsewhere", space="b", expires_at=(clock.now + timedelta(days=2)).isoformat())
    clock.advance(days=11)
    await sweep_expired(ingest, service.services.signer, now=clock.now)
    operations = (await service.client.get("/v1/operations")).json()["items"]
    assert (operations[0]["kind"], operations[0]["actor"]) == ("expire", "memsvc")
    detail = (await service.client.get(f"/v1/operations/{operations[0]['id']}")).json()
    assert detail["changes"] == []  # an expired memory is nobody's to read
    clock.advance(days=5)
    await sweep_expired(ingest, service.services.signer, now=clock.now)
    await sweep_expired(ingest, service.services.signer, now=clock.now)
    async with service.services.database.read(service.caller.tenant_id) as session:
        from psycopg.rows import tuple_row

        left = await session.fetch("SELECT id::text, state FROM memories ORDER BY number", {}, tuple_row)
    assert sorted(left) == sorted([(held, "expired"), (kept, "expired")])
    assert old not in {memory for memory, _ in left}
