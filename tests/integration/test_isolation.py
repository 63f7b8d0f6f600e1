"""No row of another tenant is readable, whatever the request: row-level security holds with the application's role."""

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from memsvc.store.schema import TENANT_TABLES
from tests.integration.conftest import Service


async def test_another_tenants_memories_are_not_there(service: Service, other: Service) -> None:
    written = await service.add(texts=[{"content": "The vault is behind the painting."}])
    path = f"/v1/memories/{written['items'][0]['id']}"
    assert (await other.client.get(path)).status_code == 404
    assert (await other.client.patch(path, json={"importance": 1})).status_code == 404
    assert (await other.client.delete(path)).status_code == 404
    assert (await other.client.get("/v1/memories")).json()["items"] == []
    assert (await other.recall("vault painting"))["results"] == []
    assert (await other.client.get(f"/v1/receipts/{written['receipt']['id']}")).status_code == 404
    assert (await other.client.get("/v1/spaces")).json()["items"] == []
    assert (await service.client.get(path)).status_code == 200


@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_the_database_shows_no_row_without_its_tenant(service: Service, other: Service, table: str) -> None:
    written = await service.add(session="s", messages=[{"role": "user", "content": "hidden"}])
    await service.client.patch(f"/v1/memories/{written['items'][0]['id']}", json={"importance": 0.1})
    database = service.services.database
    async with database.untenanted() as connection:
        assert (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() == 0
    async with database.read(other.caller.tenant_id) as session:
        count = await session.execute(
            text(f"SELECT count(*) FROM {table} WHERE tenant_id <> :tenant"), {"tenant": other.caller.tenant_id}
        )
        assert count.scalar_one() == 0


async def test_a_row_for_another_tenant_cannot_be_written(service: Service, other: Service) -> None:
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with service.services.database.write(service.caller.tenant_id) as session:
            await session.execute(
                text("INSERT INTO spaces (tenant_id, id, name) VALUES (:tenant, gen_random_uuid(), 'mine')"),
                {"tenant": other.caller.tenant_id},
            )


HOSTILE = "x' OR '1'='1'; DROP TABLE memories; --"


async def test_hostile_values_stay_values(service: Service, other: Service) -> None:
    await other.add(texts=[{"content": "secret of the other tenant"}])
    await service.add(space=HOSTILE, session=HOSTILE, messages=[{"role": "user", "name": HOSTILE, "content": HOSTILE}])
    listed = await service.client.get("/v1/memories", params={"space": HOSTILE, "session": HOSTILE, "name": HOSTILE})
    assert [memory["content"] for memory in listed.json()["items"]] == [HOSTILE]
    for filters in (
        {"names": [HOSTILE]},
        {"sessions": [HOSTILE]},
        {"metadata": {HOSTILE: HOSTILE}},
        {"metadata": {"%(tenant)s": "{where}"}},
    ):
        found = await service.recall(HOSTILE, spaces=[HOSTILE], filters=filters)
        assert all(hit["memory"]["content"] == HOSTILE for hit in found["results"])
    assert (await other.client.get("/v1/memories")).json()["items"][0]["content"] == "secret of the other tenant"


def test_every_table_with_a_tenant_is_under_row_level_security(owner: Connection) -> None:
    unprotected = owner.execute(
        text(
            "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' "
            "WHERE c.relkind = 'r' AND NOT (c.relrowsecurity AND EXISTS "
            "(SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polqual IS NOT NULL "
            "AND p.polwithcheck IS NOT NULL))"
        )
    )
    assert unprotected.scalars().all() == []


def test_tenant_id_leads_every_key(owner: Connection) -> None:
    others = owner.execute(
        text(
            "SELECT con.conname FROM pg_constraint con JOIN pg_attribute t ON t.attrelid = con.conrelid "
            "AND t.attname = 'tenant_id' WHERE con.contype IN ('p', 'f') AND con.conkey[1] <> t.attnum "
            "AND con.conname <> 'fk_chunks_encoder_id'"
        )
    )
    assert others.scalars().all() == []


async def test_scopes_bound_what_a_key_may_do(service: Service, deployment) -> None:
    from memsvc.store.keys import create_key

    key = create_key(deployment.owner_url, tenant=service.caller.tenant, principal="reader", scopes=("read",))
    headers = {"Authorization": f"Bearer {key.key}"}
    body = {"texts": [{"content": "x"}]}
    refused = await service.client.post("/v1/memories", json=body, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert (await service.client.get("/v1/memories", headers=headers)).status_code == 200
    assert (await service.client.get("/v1/admin/storage", headers=headers)).status_code == 403


@pytest.mark.parametrize("header", [None, "Bearer ", "Basic abc", "Bearer msk_000000_000000", "Bearer nonsense"])
async def test_without_a_valid_key_nothing_opens(service: Service, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    service.client.headers.pop("Authorization")
    response = await service.client.get("/v1/memories", headers=headers)
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "memsvc keys create" in response.json()["remedy"]


async def test_only_a_slow_hash_of_a_key_is_stored(service: Service, owner: Connection) -> None:
    hashes = owner.execute(text("SELECT secret_hash FROM api_keys")).scalars().all()
    assert hashes
    assert all(value.startswith("$argon2id$") for value in hashes)
