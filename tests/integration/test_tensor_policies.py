"""Promotion, demotion and invalidation by policy: each names what it would change, and can be taken back."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from memsvc.deployment import Deployment
from memsvc.lifecycle import promotion
from memsvc.lifecycle.blobs import open_tensor_store
from memsvc.lifecycle.promotion import Change, PromotionPolicy
from tests.integration.conftest import NOW, Service, open_service
from tests.integration.tensor_samples import TOKENS, keep, match, remember


@pytest.fixture
async def service(deployment: Deployment, tmp_path: Path) -> AsyncIterator[Service]:
    async with open_service(deployment, data_dir=tmp_path) as opened:
        yield opened


async def test_a_changed_model_expires_all_but_the_kept_revision(service: Service) -> None:
    old = await keep(service.client, TOKENS, number=1)
    new = await keep(service.client, TOKENS, number=2, model_revision="r2")
    foreign = await keep(service.client, TOKENS, number=3, model="another")
    order = {"model": "tiny-llama", "keep_revision": "r2", "reason": "weights were replaced"}
    dry = (await service.client.post("/v1/activations/invalidate", json={**order, "dry_run": True})).json()
    assert dry == {
        "changes": [{"space": "default", "operation_id": None, "ids": [old["memory"]["id"]]}],
        "changed": 1,
        "dry_run": True,
    }
    assert await match(service.client, TOKENS) is not None
    done = (await service.client.post("/v1/activations/invalidate", json=order)).json()
    assert done["changed"] == 1
    assert await match(service.client, TOKENS) is None
    for kept, key in ((new, {"model_revision": "r2"}), (foreign, {"model": "another"})):
        assert (await match(service.client, TOKENS, **key))["id"] == kept["memory"]["id"]
    undone = await service.client.post(f"/v1/operations/{done['changes'][0]['operation_id']}/undo")
    assert undone.status_code == 200, undone.text
    assert (await match(service.client, TOKENS))["id"] == old["memory"]["id"]


async def test_an_idle_activation_is_archived_and_its_source_stays(service: Service) -> None:
    source = await remember(service, "Ana lives in Porto.")
    idle = await keep(service.client, TOKENS, source=source, number=1)
    used = await keep(service.client, [*range(700, 740)], number=2)
    store = open_tensor_store(service.services.settings, service.services.ingest)
    change = Change(spaces=["default"], reason=None, dry_run=False)
    [early] = await promotion.demote(store.ingest, service.caller, change, idle_days=30, now=NOW + timedelta(days=29))
    assert (early.operation_id, list(early.ids)) == (None, [])
    await match(service.client, [*range(700, 740)])
    [late] = await promotion.demote(store.ingest, service.caller, change, idle_days=0, now=NOW - timedelta(seconds=1))
    assert list(late.ids) == []
    dry = Change(spaces=["default"], reason=None, dry_run=True)
    [planned] = await promotion.demote(store.ingest, service.caller, dry, idle_days=30, now=NOW + timedelta(days=31))
    assert {str(each) for each in planned.ids} == {idle["memory"]["id"], used["memory"]["id"]}
    done = (await service.client.post("/v1/activations/demote", json={"idle_days": 0})).json()
    assert done["changed"] == 2
    assert await match(service.client, TOKENS) is None
    got = (await service.client.get(f"/v1/activations/{idle['memory']['id']}")).json()
    assert got["memory"]["state"] == "archived"
    assert (await service.client.get(f"/v1/memories/{source}")).json()["state"] == "generated"


async def test_hot_stable_long_plaintext_without_a_cache_is_a_candidate(service: Service) -> None:
    content = "Ana lives in Porto, near the river. " * 30
    hot = await remember(service, content)
    await remember(service, "Ana lives in Porto, cold. " * 30)
    recalled = await service.recall("Where does Ana live, near the river?", k=1)
    assert recalled["results"][0]["memory"]["id"] == hot
    await service.services.recaller._accesses.flush()
    store = open_tensor_store(service.services.settings, service.services.ingest)

    async def candidates(**changes: object) -> list[tuple[str, int]]:
        policy = {
            "spaces": ["default"],
            "model": "tiny-llama",
            "revision": None,
            "accesses": 1,
            "stable_days": 0,
            "tokens": 200,
            "limit": 10,
        }
        found = await promotion.candidates(
            store.ingest, service.caller, PromotionPolicy(**{**policy, **changes}), now=NOW
        )
        return [(str(record.id), tokens) for record, tokens in found]

    assert await candidates() == [(hot, 270)]
    assert await candidates(accesses=2) == []
    assert await candidates(stable_days=1) == []
    assert await candidates(tokens=271) == []
    listed = await service.client.get(
        "/v1/activations/candidates", params={"model": "tiny-llama", "accesses": 1, "stable_days": 0}
    )
    assert [(item["memory"]["id"], item["tokens"]) for item in listed.json()["items"]] == [(hot, 270)]
    await keep(service.client, TOKENS, source=hot)
    assert await candidates() == []
    assert await candidates(revision="r2") == [(hot, 270)]
    assert await candidates(model="another") == [(hot, 270)]


async def test_a_promotion_is_an_operation_that_can_be_undone(service: Service) -> None:
    source = await remember(service, "Ana lives in Porto.")
    made = await keep(service.client, TOKENS, source=source, reason="hot and stable")
    operation = (await service.client.get(f"/v1/operations/{made['memory']['operation_id']}")).json()
    assert (operation["kind"], operation["reason"]) == ("promote", "hot and stable")
    undone = await service.client.post(f"/v1/operations/{made['memory']['operation_id']}/undo")
    assert undone.status_code == 200, undone.text
    assert await match(service.client, TOKENS) is None
