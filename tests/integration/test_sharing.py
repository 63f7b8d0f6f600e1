"""Who may see and do what: visibility, grants, groups, on every path that shows or changes something."""

import httpx
import pytest

from memsvc.api.app import create_app
from memsvc.deployment import Deployment
from memsvc.sdk import AsyncMemoryClient, Forbidden
from tests.integration.conftest import Service
from tests.integration.people import Person, person, restrict

SECRET = "Ana plans a surprise party."


@pytest.fixture
async def ana(service: Service, deployment: Deployment) -> Person:
    return person(service, deployment, "ana")


@pytest.fixture
async def ben(service: Service, deployment: Deployment) -> Person:
    return person(service, deployment, "ben")


@pytest.fixture
async def boss(service: Service) -> Person:
    """The principal `tester`, whose key has the scope admin."""
    return Person("tester", service.client, dict(service.client.headers))


async def seen(who: Person, memory: str, space: str = "default") -> dict[str, bool]:
    """On which paths somebody sees a memory, or that there is one."""
    recalled = await who.post("/v1/recall", {"query": SECRET, "spaces": [space], "explain": True})
    block = await who.post("/v1/context", {"query": SECRET, "spaces": [space]})
    operations = (await who.call("GET", "/v1/operations", params={"space": space})).text
    changes = (await who.call("GET", "/v1/changes", params={"space": space, "include": "memory"})).text
    return {
        "recall": memory in str(recalled) or SECRET in str(recalled),
        "context": SECRET in block["text"],
        "get": (await who.call("GET", f"/v1/memories/{memory}")).status_code == 200,
        "list": SECRET in str(await who.get("/v1/memories", space=space)),
        "history": (await who.call("GET", f"/v1/memories/{memory}/history")).status_code == 200,
        "lineage": (await who.call("GET", f"/v1/memories/{memory}/lineage")).status_code == 200,
        "operations": "because of the party" in operations,
        "changes": memory in changes or SECRET in changes,
    }


async def everywhere(who: Person, memory: str, space: str = "default") -> bool:
    """Whether all paths show the memory; that some do and some do not is a fault."""
    found = await seen(who, memory, space)
    assert len(set(found.values())) == 1, found
    return found["get"]


async def test_what_is_private_is_its_authors_alone(service: Service, ana: Person, ben: Person, boss: Person) -> None:
    memory = await ana.add(SECRET, visibility="private")
    await ana.call("PATCH", f"/v1/memories/{memory}", json={"importance": 0.9, "reason": "because of the party"})
    assert await everywhere(ana, memory)
    assert not await everywhere(ben, memory)
    assert not await everywhere(boss, memory)


async def test_a_private_memory_is_shared_with_one_and_taken_back(
    service: Service, ana: Person, ben: Person, boss: Person
) -> None:
    memory = await ana.add(SECRET, visibility="private")
    await ana.call("PATCH", f"/v1/memories/{memory}", json={"importance": 0.9, "reason": "because of the party"})
    grant = await ana.post("/v1/grants", {"memory": memory, "principal": "ben", "rights": ["read"]}, status=201)
    assert await everywhere(ben, memory)
    assert not await everywhere(boss, memory)
    assert (await ben.get("/v1/grants"))["items"] == [grant]
    assert (await ben.call("DELETE", f"/v1/grants/{grant['id']}")).status_code == 403
    assert (await boss.call("DELETE", f"/v1/grants/{grant['id']}")).status_code == 404
    assert (await ana.call("DELETE", f"/v1/grants/{grant['id']}")).status_code == 204
    assert not await everywhere(ben, memory)


async def test_membership_of_a_group_and_its_end_work_at_once(
    service: Service, ana: Person, ben: Person, boss: Person
) -> None:
    await restrict(service, "plans", ana)
    memory = await ana.add(SECRET, space="plans")
    await ana.call("PATCH", f"/v1/memories/{memory}", json={"importance": 0.9, "reason": "because of the party"})
    await boss.post("/v1/groups", {"name": "friends"}, status=201)
    await ana.post("/v1/grants", {"space": "plans", "group": "friends", "rights": ["read"]}, status=201)
    assert not (await seen(ben, memory, "plans"))["get"]
    assert (await ben.call("GET", "/v1/changes", params={"space": "plans"})).status_code == 404
    path = "/v1/groups/friends/members/ben"
    assert (await boss.call("PUT", path)).json()["members"] == ["ben"]
    assert await everywhere(ben, memory, "plans")
    assert (await boss.call("DELETE", path)).json()["members"] == []
    assert not (await seen(ben, memory, "plans"))["get"]
    assert (await boss.call("DELETE", path)).status_code == 404
    await boss.call("PUT", path)
    assert (await boss.call("DELETE", "/v1/groups/friends")).status_code == 204
    assert not (await seen(ben, memory, "plans"))["get"]


async def test_what_is_visible_to_the_tenant_leaves_a_restricted_space(
    service: Service, ana: Person, ben: Person
) -> None:
    await restrict(service, "plans", ana)
    memory = await ana.add(SECRET, space="plans", visibility="tenant")
    assert (await ben.call("GET", f"/v1/memories/{memory}")).status_code == 200
    recalled = await ben.post("/v1/recall", {"query": SECRET, "spaces": ["plans"]})
    assert [hit["memory"]["id"] for hit in recalled["results"]] == [memory]
    assert (await ben.call("PATCH", f"/v1/memories/{memory}", json={"importance": 1})).status_code == 403
    assert (await ben.call("DELETE", f"/v1/memories/{memory}")).status_code == 403


async def try_all(who: Person, memory: str, space: str) -> dict[str, int]:
    """The answers to one request for each right, on a memory or for a memory of a restricted space."""
    grant = {"memory": memory, "principal": "cleo", "rights": ["read"]}
    return {
        "read": (await who.call("GET", f"/v1/memories/{memory}")).status_code,
        "write": (await who.call("PATCH", f"/v1/memories/{memory}", json={"metadata": {"by": who.name}})).status_code,
        "share": (await who.call("POST", "/v1/grants", json=grant)).status_code,
        "erase": (await who.call("DELETE", f"/v1/memories/{memory}")).status_code,
    }


@pytest.mark.parametrize("target", ["space", "memory"])
async def test_each_right_is_needed_for_what_it_names(
    service: Service, deployment: Deployment, ana: Person, ben: Person, target: str
) -> None:
    person(service, deployment, "cleo")
    await restrict(service, "plans", ana)
    memory = await ana.add(SECRET, space="plans")
    on = {"space": "plans"} if target == "space" else {"memory": memory}
    assert await try_all(ben, memory, "plans") == {"read": 404, "write": 404, "share": 404, "erase": 404}
    first = await ana.post("/v1/grants", {**on, "principal": "ben", "rights": ["read"]}, status=201)
    assert await try_all(ben, memory, "plans") == {"read": 200, "write": 403, "share": 403, "erase": 403}
    again = await ana.post("/v1/grants", {**on, "principal": "ben", "rights": ["write", "read"]})
    assert (again["id"], again["rights"]) == (first["id"], ["read", "write"])
    assert await try_all(ben, memory, "plans") == {"read": 200, "write": 200, "share": 403, "erase": 403}
    await ana.post("/v1/grants", {**on, "principal": "ben", "rights": ["read", "share"]})
    assert await try_all(ben, memory, "plans") == {"read": 200, "write": 403, "share": 201, "erase": 403}
    await ana.post("/v1/grants", {**on, "principal": "ben", "rights": ["read", "erase"]})
    assert await try_all(ben, memory, "plans") == {"read": 200, "write": 403, "share": 403, "erase": 204}


async def test_nobody_grants_what_he_does_not_have(service: Service, ana: Person, ben: Person) -> None:
    await restrict(service, "plans", ana)
    memory = await ana.add(SECRET, space="plans")
    await ana.post("/v1/grants", {"space": "plans", "principal": "ben", "rights": ["read", "share"]}, status=201)
    for on in ({"space": "plans"}, {"memory": memory}):
        refused = await ben.call("POST", "/v1/grants", json={**on, "principal": "ben", "rights": ["read", "erase"]})
        assert refused.status_code == 403
        assert refused.json()["errors"][0]["field"] == "rights"


async def test_that_a_space_is_open_lets_nobody_prepare_for_when_it_is_not(
    service: Service, ana: Person, ben: Person
) -> None:
    memory = await ana.add(SECRET, space="plans")
    for on in ({"space": "plans"}, {"memory": memory}):
        refused = await ben.call("POST", "/v1/grants", json={**on, "principal": "ben", "rights": ["read"]})
        assert refused.status_code == 403
    await ana.post("/v1/grants", {"space": "plans", "principal": "ben", "rights": ["read"]}, status=201)


async def test_a_grant_names_what_there_is(service: Service, ana: Person, boss: Person) -> None:
    await ana.add(SECRET, space="plans")
    missing = "0198c0de-0000-7000-8000-000000000001"
    for body, status, field in (
        ({"space": "plans", "principal": "nobody", "rights": ["read"]}, 404, "principal"),
        ({"space": "plans", "group": "nobody", "rights": ["read"]}, 404, "group"),
        ({"space": "nowhere", "principal": "ana", "rights": ["read"]}, 404, None),
        ({"memory": missing, "principal": "ana", "rights": ["read"]}, 404, None),
        ({"space": "plans", "memory": missing, "principal": "ana", "rights": ["read"]}, 422, "body"),
        ({"space": "plans", "rights": ["read"]}, 422, "body"),
        ({"space": "plans", "principal": "ana", "rights": []}, 422, "rights"),
        ({"space": "plans", "principal": "ana", "rights": ["own"]}, 422, "rights[0]"),
    ):
        refused = await ana.call("POST", "/v1/grants", json=body)
        assert refused.status_code == status, refused.text
        assert refused.json()["remedy"]
        assert field is None or refused.json()["errors"][0]["field"] == field


async def test_grants_are_listed_to_whom_they_concern(service: Service, ana: Person, ben: Person, boss: Person) -> None:
    await restrict(service, "plans", ana)
    memory = await ana.add(SECRET, space="plans", visibility="private")
    grants = [
        (await ana.post("/v1/grants", {**on, "principal": who, "rights": ["read"]}, status=201))["id"]
        for on in ({"space": "plans"}, {"memory": memory})
        for who in ("ben", "tester")
    ]
    listed = {
        who.name: [grant["id"] for grant in (await who.get("/v1/grants", space="plans"))["items"]]
        for who in (ana, ben, boss)
    }
    # An admin manages the space, not what others keep private in it.
    assert listed == {"ana": grants, "ben": [grants[0], grants[2]], "tester": [grants[0], grants[1], grants[3]]}
    first = await ana.get("/v1/grants", space="plans", limit=3)
    rest = await ana.get("/v1/grants", space="plans", limit=3, cursor=first["next_cursor"])
    assert [grant["id"] for grant in (*first["items"], *rest["items"])] == grants
    assert rest["next_cursor"] is None


async def test_groups_are_for_admins(service: Service, ana: Person, boss: Person) -> None:
    assert (await ana.call("POST", "/v1/groups", json={"name": "friends"})).status_code == 403
    assert (await ana.call("GET", "/v1/groups")).status_code == 403
    await boss.post("/v1/groups", {"name": "friends"}, status=201)
    assert (await boss.call("POST", "/v1/groups", json={"name": "friends"})).status_code == 409
    assert (await boss.call("PUT", "/v1/groups/friends/members/nobody")).status_code == 404
    assert (await boss.call("PUT", "/v1/groups/enemies/members/ana")).status_code == 404
    assert (await ana.call("PUT", "/v1/groups/friends/members/ana")).status_code == 403
    assert (await ana.get("/v1/principals"))["items"] == ["ana", "tester"]
    assert [group["name"] for group in (await boss.get("/v1/groups"))["items"]] == ["friends"]


async def test_another_tenant_knows_of_nothing(service: Service, other: Service, ana: Person, boss: Person) -> None:
    await boss.post("/v1/groups", {"name": "friends"}, status=201)
    memory = await ana.add(SECRET, space="plans")
    grant = await ana.post("/v1/grants", {"space": "plans", "principal": "tester", "rights": ["read"]}, status=201)
    assert (await other.client.get("/v1/groups")).json()["items"] == []
    assert (await other.client.get("/v1/principals")).json()["items"] == ["tester"]
    assert (await other.client.get("/v1/grants")).json()["items"] == []
    assert (await other.client.delete(f"/v1/grants/{grant['id']}")).status_code == 404
    body = {"memory": memory, "principal": "tester", "rights": ["read"]}
    assert (await other.client.post("/v1/grants", json=body)).status_code == 404
    assert (await other.client.get("/v1/changes", params={"space": "plans"})).status_code == 404


async def test_a_receipt_is_its_writers_own(service: Service, ana: Person, ben: Person) -> None:
    written = await ana.post("/v1/memories", {"texts": [{"content": SECRET}]}, status=201)
    path = f"/v1/receipts/{written['receipt']['id']}"
    assert (await ana.call("GET", path)).status_code == 200
    assert (await ben.call("GET", path)).status_code == 404


async def test_what_somebody_keeps_private_is_nobody_elses_duplicate(
    service: Service, ana: Person, ben: Person
) -> None:
    first = await ana.add(SECRET, visibility="private")
    second = await ben.add(SECRET)
    assert first != second
    assert await ben.contents() == [SECRET]
    assert await ana.add(SECRET, visibility="private") == first


async def test_writing_in_a_space_undoes_nothing_that_is_private(service: Service, ana: Person, ben: Person) -> None:
    both = {"texts": [{"content": SECRET, "visibility": "private"}, {"content": "Bring a cake."}]}
    await ana.post("/v1/memories", both, status=201)
    operation = (await ben.get("/v1/operations"))["items"][0]["id"]
    assert (await ben.call("POST", f"/v1/operations/{operation}/undo")).status_code == 403
    detail = await ben.get(f"/v1/operations/{operation}")
    assert len(detail["changes"]) == 1
    assert (await ana.call("POST", f"/v1/operations/{operation}/undo")).status_code == 200


async def test_an_operation_on_what_is_private_is_not_there_for_others(
    service: Service, ana: Person, ben: Person
) -> None:
    memory = await ana.add(SECRET, visibility="private")
    operation = (await ana.get("/v1/operations"))["items"][0]["id"]
    assert (await ben.get("/v1/operations"))["items"] == []
    assert (await ben.call("GET", f"/v1/operations/{operation}")).status_code == 404
    await ana.call("DELETE", f"/v1/memories/{memory}")
    assert (await ben.get("/v1/changes"))["items"] == []
    erased = (await ana.get("/v1/changes"))["items"]
    assert [(item["memory_id"], item["change"], item["version"]) for item in erased] == [(memory, "removed", None)]
    assert memory not in (await ben.call("GET", "/v1/operations")).text


async def test_erasing_a_space_leaves_what_the_eraser_could_not_see(
    service: Service, ana: Person, ben: Person, boss: Person
) -> None:
    hidden = await ana.add(SECRET, visibility="private", space="plans")
    await ben.add("Bring a cake.", space="plans")
    await ben.post("/v1/erase", {"space": "plans"})
    assert await ana.contents("plans") == [SECRET]
    assert (await ana.call("GET", f"/v1/memories/{hidden}")).status_code == 200
    await boss.post("/v1/erase", {"space": "plans"})
    assert await ana.contents("plans") == []
    assert (await ana.get("/v1/spaces"))["items"] == []


async def test_a_guest_who_erases_what_he_wrote_does_not_remove_the_space(
    service: Service, ana: Person, ben: Person
) -> None:
    await restrict(service, "plans", ana)
    await ana.add(SECRET, space="plans")
    grant = await ana.post("/v1/grants", {"space": "plans", "principal": "ben", "rights": ["write"]}, status=201)
    await ben.add("Bring a cake.", space="plans")
    await ana.call("DELETE", f"/v1/grants/{grant['id']}")
    await ben.post("/v1/erase", {"space": "plans"})
    assert await ana.contents("plans") == [SECRET]


async def test_the_client_shares_and_follows(
    service: Service, deployment: Deployment, ana: Person, ben: Person
) -> None:
    def client_of(who: Person) -> AsyncMemoryClient:
        transport = httpx.ASGITransport(create_app(service.services))
        return AsyncMemoryClient("http://service", who.headers["Authorization"].split()[1], transport=transport)

    await restrict(service, "plans", ana)
    async with client_of(ana) as mine, client_of(ben) as his:
        memory = (await mine.add(space="plans", texts="Bring a cake.")).items[0].id
        grant = await mine.sharing.grant(["read"], space="plans", principal="ben")
        assert [each.id for each in (await his.sharing.grants("plans")).items] == [grant.id]
        with pytest.raises(Forbidden):
            await his.sharing.grant(["read"], space="plans", principal="ben")
        async for change in his.sharing.follow("plans", include_memory=True):
            assert (change.memory_id, change.change) == (memory, "added")
            assert change.memory is not None
            assert change.memory.content == "Bring a cake."
            assert (await his.sharing.changes("plans", change.cursor)).items == []
            break
        made = await his.sharing.subscribe("plans", space="own", filters={"kinds": ["fact"]}, from_start=True)
        assert [each.id for each in (await his.sharing.subscriptions()).items] == [made.id]
        assert (await his.sharing.resume_subscription(made.id)).behind == 1
        await his.sharing.unsubscribe(made.id)
        await mine.sharing.revoke(grant.id)
        assert (await mine.sharing.principals()).items == ["ana", "ben", "tester"]
