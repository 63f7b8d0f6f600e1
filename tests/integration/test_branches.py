"""Snapshots, rollback and fork: what comes back, what stays, and that the source of a fork never changes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from memsvc.deployment import Deployment
from tests.integration.conftest import Service, open_service
from tests.integration.tensor_samples import keep, match
from tests.integration.test_bundles import furnish
from tests.integration.test_fuse import call, contents, get, remember


@pytest.fixture
async def service(deployment: Deployment, tmp_path: Path) -> AsyncIterator[Service]:
    async with open_service(deployment, data_dir=tmp_path) as opened:
        yield opened


async def everything(service: Service, space: str) -> dict[str, dict]:
    """All memories of a space as they are now, without what names the version."""
    page = await call(service, "GET", f"/v1/memories?space={space}&limit=1000")
    changing = {"version", "updated_at", "operation_id"}
    return {one["id"]: {k: v for k, v in one.items() if k not in changing} for one in page["items"]}


async def test_a_snapshot_is_a_position_with_a_name(service: Service) -> None:
    await remember(service, "One.", space="home")
    made = await call(service, "POST", "/v1/spaces/home/snapshots", {"name": "before"}, 201)
    assert (made["name"], made["position"], made["actor"]) == ("before", 1, "tester")
    await remember(service, "Two.", space="home")
    await call(service, "POST", "/v1/spaces/home/snapshots", {"name": "after"}, 201)
    listed = (await call(service, "GET", "/v1/spaces/home/snapshots"))["items"]
    assert [(one["name"], one["position"]) for one in listed] == [("before", 1), ("after", 2)]
    assert (await call(service, "POST", "/v1/spaces/home/snapshots", {"name": "after"}, 409))["code"] == "conflict"
    await call(service, "DELETE", "/v1/spaces/home/snapshots/before", status=204)
    await call(service, "DELETE", "/v1/spaces/home/snapshots/before", status=404)
    await call(service, "POST", "/v1/spaces/home/rollback", {"snapshot": "before"}, 404)
    await call(service, "POST", "/v1/spaces/nowhere/snapshots", {"name": "x"}, 404)


async def test_a_rollback_brings_back_every_version_and_archives_what_is_newer(service: Service) -> None:
    edited, archived, same = await remember(service, "Tea.", "Coffee.", "Water.", space="home")
    await call(service, "POST", "/v1/spaces/home/snapshots", {"name": "monday"}, 201)
    before = await everything(service, "home")
    await call(service, "PATCH", f"/v1/memories/{edited}", {"content": "Green tea.", "importance": 1})
    await call(service, "PATCH", f"/v1/memories/{edited}", {"metadata": {"a": 1}})
    await call(service, "DELETE", f"/v1/memories/{archived}?mode=archive", status=204)
    (made,) = await remember(service, "Juice.", space="home")
    after = await everything(service, "home")
    planned = await call(service, "POST", "/v1/spaces/home/rollback", {"snapshot": "monday", "dry_run": True})
    assert await everything(service, "home") == after
    done = await call(service, "POST", "/v1/spaces/home/rollback", {"snapshot": "monday", "reason": "a mistake"})
    assert {**done, "operation_id": None} == planned
    assert (set(done["restored"]), done["archived"]) == ({edited, archived}, [made])
    now = await everything(service, "home")
    assert now.pop(made)["state"] == "archived"
    assert now == before
    assert same not in done["restored"]
    found = await service.recall("green tea juice", spaces=["home"])
    assert {one["memory"]["content"] for one in found["results"]} <= {"Tea.", "Coffee.", "Water."}
    again = await call(service, "POST", "/v1/spaces/home/rollback", {"snapshot": "monday"})
    assert (again["operation_id"], again["restored"], again["archived"]) == (None, [], [])
    await call(service, "POST", f"/v1/operations/{done['operation_id']}/undo")
    assert await everything(service, "home") == after


async def test_a_rollback_leaves_frozen_held_and_quarantined_memories_and_what_was_erased(service: Service) -> None:
    frozen, held, suspect, erased = await remember(service, "A b.", "C d.", "E f.", "G h.", space="home")
    for memory in (frozen, held, suspect):
        await call(service, "PATCH", f"/v1/memories/{memory}", {"importance": 1})
    await call(service, "POST", f"/v1/memories/{frozen}/state", {"state": "frozen"})
    await call(service, "PUT", f"/v1/memories/{held}/hold", {"on": True})
    await call(service, "POST", f"/v1/memories/{suspect}/state", {"state": "quarantined"})
    await call(service, "DELETE", f"/v1/memories/{erased}", status=204)
    before = await everything(service, "home")
    done = await call(service, "POST", "/v1/spaces/home/rollback", {"position": 1})
    assert {one["id"]: one["reason"] for one in done["kept"]} == {
        frozen: "frozen",
        held: "legal_hold",
        suspect: "quarantined",
    }
    assert (done["operation_id"], done["erased"]) == (None, [erased])
    assert await everything(service, "home") == before


async def test_a_rollback_to_the_start_archives_all_and_to_the_future_is_refused(service: Service) -> None:
    await remember(service, "One.", "Two.", space="home")
    done = await call(service, "POST", "/v1/spaces/home/rollback", {"position": 0})
    assert len(done["archived"]) == 2
    assert (await call(service, "POST", "/v1/spaces/home/rollback", {"position": 99}, 422))["errors"][0]["field"] == (
        "position"
    )
    await call(service, "POST", "/v1/spaces/home/rollback", {}, 422)
    await call(service, "POST", "/v1/spaces/home/rollback", {"snapshot": "a", "position": 1}, 422)


async def test_a_fork_is_the_same_and_lives_by_itself(service: Service) -> None:
    ids = await furnish(service)
    before = await everything(service, "home")
    calls = len(service.encoder.calls)
    made = await call(service, "POST", "/v1/spaces/home/fork", {"to": "what-if"}, 201)
    assert len(service.encoder.calls) == calls
    assert made["memories"] == len(before)
    copies = await everything(service, "what-if")
    own = {"id", "space", "superseded_by", "legal_hold", "actor"}
    told = [[{k: v for k, v in one.items() if k not in own} for one in each.values()] for each in (before, copies)]
    assert told[0] == told[1]
    by_content = {one["content"]: one for one in copies.values()}
    assert by_content["The code is 4711."]["state"] == "frozen"
    assert by_content["Ana lives in Lisbon."]["superseded_by"] == by_content["Ana lives in Porto."]["id"]
    for query in ("green tea", "dentist 木曜日", "Where does Ana live?"):
        here, there = [(await service.recall(query, spaces=[space]))["results"] for space in ("home", "what-if")]
        assert here[0]["memory"]["content"] == there[0]["memory"]["content"]
        assert {one["memory"]["content"] for one in here} == {one["memory"]["content"] for one in there}
    up = await call(service, "GET", f"/v1/memories/{by_content['Ana moved.']['id']}/lineage?direction=up&depth=1")
    assert {edge["source_id"] for edge in up["up"]} == {
        ids["summary"],
        by_content["I moved to Porto 🎉. It has a balcony."]["id"],
    }
    before = await everything(service, "home")
    tea = by_content["Ana moved."]["id"]
    await call(service, "PATCH", f"/v1/memories/{tea}", {"content": "Ana stayed."})
    await call(service, "POST", "/v1/spaces/what-if/rollback", {"position": 0})
    await call(service, "POST", "/v1/erase", {"space": "what-if"})
    assert await everything(service, "home") == before
    await call(service, "POST", "/v1/spaces/home/fork", {"to": "home"}, 409)


async def test_a_frozen_copy_can_be_thawed_in_the_fork_alone(service: Service) -> None:
    (memory,) = await remember(service, "The code is 4711.", space="home")
    await call(service, "POST", f"/v1/memories/{memory}/state", {"state": "frozen"})
    await call(service, "POST", "/v1/spaces/home/fork", {"to": "what-if"}, 201)
    (copy,) = await everything(service, "what-if")
    await call(service, "PATCH", f"/v1/memories/{copy}", {"content": "Other."}, 409)
    await call(service, "POST", f"/v1/memories/{copy}/state", {"state": "activated"})
    await call(service, "PATCH", f"/v1/memories/{copy}", {"content": "The code is 0815."})
    assert (await get(service, memory))["content"] == "The code is 4711."
    assert (await get(service, memory))["state"] == "frozen"


async def test_a_fork_as_of_a_snapshot_has_the_versions_of_then(service: Service) -> None:
    edited, gone = await remember(service, "Tea.", "Coffee.", space="home")
    await call(service, "POST", "/v1/spaces/home/snapshots", {"name": "monday"}, 201)
    await call(service, "PATCH", f"/v1/memories/{edited}", {"content": "Green tea."})
    await call(service, "DELETE", f"/v1/memories/{gone}?mode=archive", status=204)
    await remember(service, "Juice.", space="home")
    made = await call(service, "POST", "/v1/spaces/home/fork", {"to": "then", "snapshot": "monday"}, 201)
    assert (made["memories"], made["position"]) == (2, 1)
    assert await contents(service, "then") == ["Tea.", "Coffee."]
    found = (await service.recall("green tea", spaces=["then"]))["results"]
    assert found[0]["memory"]["content"] == "Tea."
    assert "green" not in found[0]["matched_terms"]


async def test_erasing_at_the_source_reaches_the_fork(service: Service) -> None:
    (memory, other) = await remember(service, "Ana lives in Porto.", "Ana likes tea.", space="home")
    await call(service, "POST", "/v1/spaces/home/fork", {"to": "what-if"}, 201)
    await call(service, "DELETE", f"/v1/memories/{memory}", status=204)
    assert await contents(service, "what-if") == ["Ana likes tea."]
    assert await contents(service, "home") == ["Ana likes tea."]
    assert other


async def test_a_cached_tensor_of_a_copy_is_bound_to_the_copy(service: Service) -> None:
    tokens = list(range(1, 41))
    (source,) = await remember(service, "Ana lives in Porto.", space="home")
    await keep(service.client, tokens, source=source, space="home")
    await call(service, "POST", "/v1/spaces/home/fork", {"to": "what-if"}, 201)
    await call(service, "PATCH", f"/v1/memories/{source}", {"content": "Ana lives in Lisbon."})
    assert await match(service.client, tokens, spaces=["home"]) is None
    found = await match(service.client, tokens, spaces=["what-if"])
    assert found is not None
    copy = found["record"]["tensor"]["source"]
    assert (await get(service, copy))["space"] == "what-if"
    await call(service, "PATCH", f"/v1/memories/{copy}", {"content": "Ana lives in Faro."})
    assert await match(service.client, tokens, spaces=["what-if"]) is None
