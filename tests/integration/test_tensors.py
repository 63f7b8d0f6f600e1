"""Tensor records: made from blobs and sources, found by their longest prefix, invalid as soon as their source is."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Connection

from memsvc.deployment import Deployment
from memsvc.ids import SpaceId, new_uuid
from memsvc.store import tensors
from memsvc.store.access import When
from memsvc.store.database import ReadSession
from memsvc.text.prefixes import chain, seed
from tests.integration.conftest import NOW, Service, open_service
from tests.integration.tensor_samples import MODEL, TOKENS, blob_of, colleague, keep, match, put, remember


@pytest.fixture
async def service(deployment: Deployment, tmp_path: Path) -> AsyncIterator[Service]:
    async with open_service(deployment, data_dir=tmp_path) as opened:
        yield opened


async def test_an_activation_states_its_header_and_its_source(service: Service) -> None:
    source = await remember(service, "Ana lives in Porto.")
    made = await keep(
        service.client,
        TOKENS,
        source=source,
        layers=1,
        heads=2,
        position_scheme="rope:10000",
        content="cache of Ana's flat",
        metadata={"by": "test"},
        reason="hot",
    )
    assert made["memory"]["payload_type"] == "activation"
    assert made["memory"]["content"] == "cache of Ana's flat"
    assert made["memory"]["metadata"] == {"by": "test"}
    assert made["tensor"] == {
        **MODEL,
        "position_scheme": "rope:10000",
        "blob": made["tensor"]["blob"],
        "bytes": len(blob_of(0)),
        "source": source,
        "source_version": 1,
        "layers": 1,
        "heads": 2,
        "dtype": "F32",
        "shape": [1, 2, 4, 8],
        "tokens": 40,
        "reusable": True,
    }
    got = await service.client.get(f"/v1/activations/{made['memory']['id']}")
    assert got.json() == made
    plain = await service.client.get(f"/v1/memories/{made['memory']['id']}")
    assert plain.json()["payload_type"] == "activation"


async def test_a_parametric_is_an_adapter_and_no_activation(service: Service) -> None:
    blob = await put(service.client, blob_of(1))
    response = await service.client.post("/v1/parametrics", json={**MODEL, "blob": blob})
    assert response.status_code == 201, response.text
    made = response.json()
    assert (made["memory"]["payload_type"], made["memory"]["kind"]) == ("parametric", "procedure")
    assert (await service.client.get(f"/v1/parametrics/{made['memory']['id']}")).json() == made
    assert (await service.client.get(f"/v1/activations/{made['memory']['id']}")).status_code == 404


async def test_the_same_request_again_makes_nothing_new(service: Service) -> None:
    source = await remember(service, "Ana lives in Porto.")
    made = await keep(service.client, TOKENS, source=source)
    fields = {**MODEL, "blob": made["tensor"]["blob"], "token_ids": TOKENS}
    again = await service.client.post("/v1/activations", json={**fields, "source": source})
    assert again.status_code == 200
    assert again.json()["memory"]["id"] == made["memory"]["id"]
    other = await service.client.post("/v1/activations", json={**fields, "token_ids": TOKENS[:20]})
    assert other.status_code == 201


async def test_an_id_of_ones_own_is_stored_once(service: Service) -> None:
    chosen = str(new_uuid())
    made = await keep(service.client, TOKENS, id=chosen)
    assert made["memory"]["id"] == chosen
    fields = {**MODEL, "blob": made["tensor"]["blob"], "id": chosen}
    assert (await service.client.post("/v1/activations", json={**fields, "token_ids": TOKENS})).status_code == 200
    taken = await service.client.post("/v1/activations", json=fields)
    assert taken.status_code == 409
    assert taken.json()["errors"][0]["field"] == "id"


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"blob": "0" * 64}, 404, "blob"),
        ({"blob": "xyz"}, 422, "blob"),
        ({"source": str(new_uuid())}, 404, "source"),
        ({"dtype": "BF16"}, 422, "dtype"),
        ({"shape": [1, 2, 5, 8]}, 422, "shape"),
        ({"content": " "}, 422, "content"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 422, "expires_at"),
        ({"token_ids": [-1]}, 422, "token_ids[0]"),
        ({"token_ids": [2**31]}, 422, "token_ids[0]"),
        ({"model": ""}, 422, "model"),
    ],
)
async def test_a_wrong_field_is_named(service: Service, fields: dict, status: int, field: str) -> None:
    blob = await put(service.client, blob_of(1))
    response = await service.client.post("/v1/activations", json={**MODEL, "blob": blob, **fields})
    assert response.status_code == status, response.text
    assert response.json()["errors"][0]["field"] == field


async def test_the_longest_prefix_is_what_comparing_every_token_finds(service: Service) -> None:
    generator = np.random.default_rng(7)
    trunk = generator.integers(50, size=200).tolist()

    def sequence() -> list[int]:
        branch = trunk[: int(generator.integers(130))]
        return branch + generator.integers(50, size=int(generator.integers(60))).tolist()

    def shared(query: list[int], tokens: list[int]) -> int:
        return max(n for n in range(len(query) + 1) if query[:n] == tokens[:n])

    stored = [sequence() for _ in range(30)]
    for number, tokens in enumerate(stored):
        await keep(service.client, tokens, number=number)
    for _ in range(60):
        query = sequence() or [1]
        expected = max(shared(query, tokens) for tokens in stored)
        found = await match(service.client, query)
        assert (found["matched_tokens"] if found else 0) == (expected if expected >= 16 else 0)
        if found:
            assert found["stored_tokens"] == found["record"]["tensor"]["tokens"] >= found["matched_tokens"]


async def test_hashes_alone_match_whole_blocks(service: Service) -> None:
    made = await keep(service.client, TOKENS)
    hashes = [each.hex() for each in chain(seed("tiny-llama", "r1", "t1", None), [*TOKENS[:35], *range(900, 930)])]
    assert len(hashes) == 4
    response = await service.client.post("/v1/activations/match", json={**MODEL, "prefix_hashes": hashes})
    found = response.json()["match"]
    assert (found["id"], found["matched_tokens"], found["stored_tokens"]) == (made["memory"]["id"], 32, 40)


async def test_of_equal_matches_the_smallest_cache_is_given(service: Service) -> None:
    await keep(service.client, [*TOKENS, *range(500, 540)], number=1)
    small = await keep(service.client, TOKENS, number=2)
    found = await match(service.client, [*TOKENS, 999])
    assert (found["id"], found["matched_tokens"]) == (small["memory"]["id"], 40)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"model_revision": "r2"},
        {"tokenizer_hash": "t2"},
        {"position_scheme": "rope:500000"},
        {"spaces": ["elsewhere"]},
    ],
)
async def test_caches_of_another_model_or_space_do_not_match(service: Service, change: dict) -> None:
    await keep(service.client, TOKENS)
    await service.add(space="elsewhere", texts=[{"content": "so that the space exists"}])
    assert (await match(service.client, TOKENS))["matched_tokens"] == 40
    assert await match(service.client, TOKENS, **change) is None


async def test_a_match_asks_for_exactly_one_thing(service: Service) -> None:
    for wrong in ({}, {"token_ids": [1], "prefix_hashes": ["0" * 64]}):
        response = await service.client.post("/v1/activations/match", json={**MODEL, **wrong})
        assert response.status_code == 422
        assert response.json()["errors"][0]["field"] == "token_ids"


async def test_a_match_counts_as_an_access(service: Service) -> None:
    made = await keep(service.client, TOKENS)
    await match(service.client, TOKENS)
    await match(service.client, TOKENS)
    got = (await service.client.get(f"/v1/activations/{made['memory']['id']}")).json()
    assert got["memory"]["access_count"] == 2
    assert got["memory"]["last_accessed_at"] == NOW.isoformat().replace("+00:00", "Z")


async def test_an_edit_of_the_source_invalidates(service: Service) -> None:
    source = await remember(service, "Ana lives in Porto.")
    made = await keep(service.client, TOKENS, source=source)
    edited = await service.client.patch(f"/v1/memories/{source}", json={"content": "Ana lives in Lisbon."})
    assert edited.status_code == 200, edited.text
    assert await match(service.client, TOKENS) is None
    got = (await service.client.get(f"/v1/activations/{made['memory']['id']}")).json()
    assert got["tensor"]["reusable"] is False
    assert got["memory"]["state"] == "expired"
    assert got["memory"]["operation_id"] == edited.json()["operation_id"]
    undone = await service.client.post(f"/v1/operations/{edited.json()['operation_id']}/undo")
    assert undone.status_code == 200, undone.text
    assert (await match(service.client, TOKENS))["id"] == made["memory"]["id"]


async def test_an_edit_that_leaves_the_content_invalidates_nothing(service: Service) -> None:
    source = await remember(service, "Ana lives in Porto.")
    await keep(service.client, TOKENS, source=source)
    edited = await service.client.patch(f"/v1/memories/{source}", json={"importance": 0.9})
    assert edited.json()["version"] == 2
    assert (await match(service.client, TOKENS))["matched_tokens"] == 40


async def test_an_edit_invalidates_what_was_made_in_another_space(service: Service) -> None:
    source = await remember(service, "Ana lives in Porto.")
    await keep(service.client, TOKENS, source=source, space="caches")
    assert await match(service.client, TOKENS, spaces=["caches"]) is not None
    await service.client.patch(f"/v1/memories/{source}", json={"content": "Ana lives in Lisbon."})
    assert await match(service.client, TOKENS, spaces=["caches"]) is None


@pytest.mark.parametrize("state", ["archived", "quarantined", "expired"])
async def test_a_source_out_of_use_takes_its_cache_with_it(service: Service, state: str) -> None:
    source = await remember(service, "Ana lives in Porto.")
    await keep(service.client, TOKENS, source=source)
    moved = await service.client.post(f"/v1/memories/{source}/state", json={"state": state})
    assert moved.status_code == 200, moved.text
    assert await match(service.client, TOKENS) is None
    late = await service.client.post(
        "/v1/activations", json={**MODEL, "blob": await put(service.client, blob_of(9)), "source": source}
    )
    assert late.status_code == 409


async def test_a_source_that_no_longer_holds_is_not_reused(service: Service) -> None:
    source = await remember(service, "Ana lives in Porto.")
    await keep(service.client, TOKENS, source=source)
    ended = await service.client.patch(f"/v1/memories/{source}", json={"valid_to": "2026-02-01"})
    assert ended.status_code == 200, ended.text
    assert await match(service.client, TOKENS) is None


async def test_an_erased_source_leaves_neither_record_nor_blob(service: Service, tmp_path: Path) -> None:
    source = await remember(service, "Ana lives in Porto.")
    made = await keep(service.client, TOKENS, source=source)
    assert (await service.client.delete(f"/v1/memories/{source}")).is_success
    assert await match(service.client, TOKENS) is None
    assert (await service.client.get(f"/v1/activations/{made['memory']['id']}")).status_code == 404
    assert (await service.client.get(f"/v1/blobs/{made['tensor']['blob']}")).status_code == 404


async def test_a_private_memory_is_no_source_for_others_and_its_cache_no_match(
    service: Service, deployment: Deployment, owner: Connection
) -> None:
    secret = await remember(service, "Ana's PIN is 1234.", visibility="private")
    made = await keep(service.client, TOKENS, source=secret)  # the record itself is open to the space
    async with colleague(service, deployment, owner) as client:
        assert await match(client, TOKENS) is None
        blob = await put(client, blob_of(3))
        theirs = await client.post("/v1/activations", json={**MODEL, "blob": blob, "source": secret})
        assert theirs.status_code == 404
        assert theirs.json()["errors"][0]["field"] == "source"
        got = await client.get(f"/v1/activations/{made['memory']['id']}")
        assert got.json()["tensor"]["reusable"] is False


async def test_a_private_cache_is_its_authors_alone_with_its_blob(
    service: Service, deployment: Deployment, owner: Connection
) -> None:
    made = await keep(service.client, TOKENS, visibility="private")
    blob = made["tensor"]["blob"]
    async with colleague(service, deployment, owner) as client:
        assert await match(client, TOKENS) is None
        assert (await client.get(f"/v1/blobs/{blob}")).status_code == 404
        assert (await client.post("/v1/activations", json={**MODEL, "blob": blob})).status_code == 404
        assert (await client.get(f"/v1/activations/{made['memory']['id']}")).status_code == 404


async def test_another_tenant_sees_nothing(service: Service, other: Service) -> None:
    made = await keep(service.client, TOKENS)
    await other.add(texts=[{"content": "so that the space exists"}])
    assert await match(other.client, TOKENS) is None
    assert (await other.client.get(f"/v1/blobs/{made['tensor']['blob']}")).status_code == 404
    assert (await other.client.get(f"/v1/activations/{made['memory']['id']}")).status_code == 404
    stolen = await other.client.post("/v1/activations", json={**MODEL, "blob": made["tensor"]["blob"]})
    assert stolen.status_code == 404


class Explaining(ReadSession):
    """A session that says how its statements would be run, and runs none."""

    async def fetch(self, sql: str, parameters: object, rows: object) -> list:
        driver = await self.driver()
        cursor = await driver.execute(f"EXPLAIN {sql}".encode(), parameters)
        plans.append("\n".join(row[0] for row in await cursor.fetchall()))
        return []


plans: list[str] = []


async def test_a_look_up_goes_from_the_hashes_to_the_records_by_their_keys(service: Service) -> None:
    for number in range(3):
        await keep(service.client, TOKENS[number:], number=number)
    plans.clear()
    caller, when = service.caller, When(NOW)
    spaces = [SpaceId(new_uuid())]
    async with service.services.database.read(caller.tenant_id) as session:
        explaining = Explaining(session.connection, session.tenant_id)
        await tensors.find_deepest(explaining, spaces, [bytes(32)] * 500, caller=caller, when=when)
        await tensors.find_longest(explaining, spaces, bytes(32), [1, 2], block=16, caller=caller, when=when)
    for plan in plans:
        used = re.findall(r"(?:using|Bitmap Index Scan on) (\w+)", plan)
        assert "Seq Scan" not in plan
        assert {"pk_tensor_prefixes", "pk_tensors", "pk_memories"} <= set(used)
        assert re.search(r"Index Cond: \(\(tenant_id = .*\) AND \(hash = ", plan)
        assert re.search(r"Index Cond: \(\(tenant_id = .*\) AND \(memory_id = \w+\.memory_id", plan)
        assert re.search(r"Index Cond: \(\(tenant_id = .*\) AND \(id = \w+\.memory_id", plan)


async def test_a_cache_is_not_among_the_results_of_recall(service: Service) -> None:
    await keep(service.client, TOKENS, content="Ana lives in Porto.")
    assert (await service.recall("Where does Ana live?"))["results"] == []
