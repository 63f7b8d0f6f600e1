"""Fusing memories and spaces over the API: what stands afterwards, what is refused, and undoing it exactly."""

from uuid import uuid4

from memsvc.deployment import Deployment
from memsvc.store.keys import create_key
from tests.integration.conftest import Service


async def call(service: Service, method: str, path: str, body: dict | None = None, status: int = 200) -> dict:
    response = await service.client.request(method, path, json=body)
    assert response.status_code == status, response.text
    return response.json() if response.content else {}


async def remember(service: Service, *contents: str, space: str = "default", **fields: object) -> list[str]:
    added = await service.add(space=space, texts=[{"content": content, **fields} for content in contents])
    return [item["id"] for item in added["items"]]


async def get(service: Service, memory: str) -> dict:
    return await call(service, "GET", f"/v1/memories/{memory}")


async def contents(service: Service, space: str) -> list[str]:
    page = await call(service, "GET", f"/v1/memories?space={space}&limit=1000")
    return [one["content"] for one in page["items"] if one["state"] not in {"archived", "expired"}]


async def test_two_memories_become_one_and_are_archived_behind_it(service: Service) -> None:
    first, second = await remember(service, "Ana lives in Porto.", "Ana lives in Lisbon. She likes tea.")
    await call(service, "PATCH", f"/v1/memories/{second}", {"importance": 0.8})
    done = await call(service, "POST", "/v1/fuse", {"memories": [second, first], "reason": "same person"})
    assert done["content"] == "Ana lives in Porto.\nAna lives in Lisbon.\nShe likes tea."
    assert (done["archived"], done["frozen"]) == ([first, second], [])
    assert [(one["first_id"], one["second_id"]) for one in done["conflicts"]] == [(first, second)]
    made = await get(service, done["id"])
    assert (made["state"], made["origin"], made["importance"], made["searchable"]) == ("merged", "fused", 0.8, True)
    for source in (first, second):
        found = await get(service, source)
        assert (found["state"], found["superseded_by"]) == ("archived", done["id"])
    lineage = await call(service, "GET", f"/v1/memories/{done['id']}/lineage?direction=up")
    assert {edge["source_id"] for edge in lineage["up"]} == {first, second}
    operation = await call(service, "GET", f"/v1/operations/{done['operation_id']}")
    assert (operation["kind"], operation["reason"]) == ("fuse", "same person")
    found = await service.recall("Where does Ana live?")
    assert [one["memory"]["id"] for one in found["results"]] == [done["id"]]


async def test_undoing_a_fusion_restores_the_sources_exactly(service: Service) -> None:
    ids = await remember(service, "Ana lives in Porto.", "Ana likes tea.", valid_from="2025")
    before = [await get(service, memory) for memory in ids]
    done = await call(service, "POST", "/v1/fuse", {"memories": ids})
    await call(service, "POST", f"/v1/operations/{done['operation_id']}/undo")
    changing = {"version", "updated_at", "operation_id"}
    for memory, old in zip(ids, before, strict=True):
        now = await get(service, memory)
        assert {k: v for k, v in now.items() if k not in changing} == {
            k: v for k, v in old.items() if k not in changing
        }
    assert (await get(service, done["id"]))["state"] == "archived"


async def test_a_frozen_source_stays_as_it_is(service: Service) -> None:
    frozen, other = await remember(service, "Ana lives in Porto.", "Ana likes tea.")
    await call(service, "POST", f"/v1/memories/{frozen}/state", {"state": "frozen"})
    before = await get(service, frozen)
    done = await call(service, "POST", "/v1/fuse", {"memories": [frozen, other]})
    assert (done["frozen"], done["archived"]) == ([frozen], [other])
    assert await get(service, frozen) == before


async def test_a_dry_run_says_the_same_and_does_nothing(service: Service) -> None:
    ids = await remember(service, "Ana lives in Porto.", "Ana likes tea.")
    planned = await call(service, "POST", "/v1/fuse", {"memories": ids, "kind": "summary", "dry_run": True})
    assert (planned["id"], planned["operation_id"], planned["kind"]) == (None, None, "summary")
    assert await contents(service, "default") == ["Ana lives in Porto.", "Ana likes tea."]
    done = await call(service, "POST", "/v1/fuse", {"memories": ids, "kind": "summary"})
    assert (done["content"], done["archived"]) == (planned["content"], planned["archived"])


async def test_what_cannot_be_fused_is_refused_by_name(service: Service) -> None:
    first, second, gone = await remember(service, "One thing.", "Another thing.", "A third.")
    (away,) = await remember(service, "Elsewhere.", space="away")
    await call(service, "DELETE", f"/v1/memories/{gone}?mode=archive", status=204)
    assert (await call(service, "POST", "/v1/fuse", {"memories": [first, gone]}, 409))["code"] == "frozen"
    assert "'away'" in (await call(service, "POST", "/v1/fuse", {"memories": [first, away]}, 409))["detail"]
    missing = str(uuid4())
    assert missing in (await call(service, "POST", "/v1/fuse", {"memories": [first, missing]}, 404))["detail"]
    await call(service, "POST", "/v1/fuse", {"memories": [first, first]}, 422)
    await call(service, "POST", f"/v1/memories/{first}/supersede", {"by": second})
    assert second in (await call(service, "POST", "/v1/fuse", {"memories": [first, second]}, 409))["detail"]


async def test_a_failing_encoder_only_delays_the_vectors(service: Service) -> None:
    ids = await remember(service, "Ana lives in Porto.", "Ana likes tea.")
    service.encoder.fail = True
    done = await call(service, "POST", "/v1/fuse", {"memories": ids})
    assert (await get(service, done["id"]))["searchable"] is False


async def test_erasing_a_source_makes_the_fused_memory_again(service: Service) -> None:
    first, second = await remember(service, "Ana lives in Porto.", "Ana likes tea.")
    done = await call(service, "POST", "/v1/fuse", {"memories": [first, second]})
    await call(service, "DELETE", f"/v1/memories/{first}", status=204)
    assert (await get(service, done["id"]))["content"] == "Ana likes tea."


async def test_a_space_is_fused_into_another(service: Service) -> None:
    await service.add(
        space="phone",
        session="monday",
        messages=[
            {"role": "user", "name": "Ana", "content": "I moved to Porto."},
            {"role": "assistant", "content": "Congratulations!"},
        ],
    )
    fact, derived = (
        *await remember(service, "Ana lives in Porto.", space="phone"),
        *await remember(service, "Ana likes tea.", space="phone"),
    )
    await remember(service, "Ana moved house.", space="phone", kind="summary", derived_from=[fact])
    await remember(service, "Ana likes tea.", "Ana lives in Lisbon.", space="home")
    await service.add(space="home", session="monday", messages=[{"role": "user", "content": "Good morning."}])
    calls = len(service.encoder.calls)
    planned = await call(service, "POST", "/v1/spaces/home/fuse", {"source": "phone", "dry_run": True})
    assert (planned["operation_id"], len(planned["copied"]), planned["duplicates"]) == (None, 4, 1)
    done = await call(service, "POST", "/v1/spaces/home/fuse", {"source": "phone"})
    assert len(service.encoder.calls) == calls
    assert (done["copied"], done["duplicates"]) == (planned["copied"], 1)
    assert derived not in done["copied"]
    assert [(one["first"], one["second"]) for one in done["conflicts"]] == [
        ("Ana lives in Porto.", "Ana lives in Lisbon.")
    ]
    assert await contents(service, "home") == [
        "Ana likes tea.",
        "Ana lives in Lisbon.",
        "Good morning.",
        "I moved to Porto.",
        "Congratulations!",
        "Ana lives in Porto.",
        "Ana moved house.",
    ]
    page = (await call(service, "GET", "/v1/memories?space=home&session=monday"))["items"]
    assert [(one["content"], one["position"]) for one in page] == [
        ("Good morning.", 0),
        ("I moved to Porto.", 1),
        ("Congratulations!", 2),
    ]
    copy = next(one for one in (await service.recall("moved house", spaces=["home"]))["results"])
    assert copy["memory"]["content"] == "Ana moved house."
    up = (await call(service, "GET", f"/v1/memories/{copy['memory']['id']}/lineage?direction=up&depth=1"))["up"]
    assert len(up) == 2
    assert done["conflicts"][0]["first_id"] in {edge["source_id"] for edge in up}
    again = await call(service, "POST", "/v1/spaces/home/fuse", {"source": "phone"})
    assert (again["operation_id"], again["copied"], again["duplicates"]) == (None, [], 5)
    assert len(await contents(service, "phone")) == 5


async def test_a_fused_space_can_be_taken_back_and_fused_again(service: Service) -> None:
    await remember(service, "Ana lives in Porto.", space="phone")
    await remember(service, "Ana likes tea.", space="home")
    done = await call(service, "POST", "/v1/spaces/home/fuse", {"source": "phone"})
    await call(service, "POST", f"/v1/operations/{done['operation_id']}/undo")
    assert await contents(service, "home") == ["Ana likes tea."]
    again = await call(service, "POST", "/v1/spaces/home/fuse", {"source": "phone"})
    assert len(again["copied"]) == 1


async def test_only_what_the_caller_may_read_is_copied(service: Service, deployment: Deployment) -> None:
    await remember(service, "Ana's secret.", space="phone", visibility="private")
    await remember(service, "Ana likes tea.", space="phone")
    await remember(service, "Something.", space="home")
    key = create_key(deployment.owner_url, tenant=service.caller.tenant, principal="guest", scopes=("read", "write"))
    headers = {"Authorization": f"Bearer {key.key}"}
    done = await service.client.post("/v1/spaces/home/fuse", json={"source": "phone"}, headers=headers)
    assert len(done.json()["copied"]) == 1
    assert await contents(service, "home") == ["Something.", "Ana likes tea."]
    await call(service, "PUT", "/v1/spaces/phone", {"open": False})
    refused = await service.client.post("/v1/spaces/home/fuse", json={"source": "phone"}, headers=headers)
    assert refused.status_code == 404
    assert (await call(service, "POST", "/v1/spaces/home/fuse", {"source": "home"}, 422))["code"] == "invalid_request"
