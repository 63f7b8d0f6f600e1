"""Consolidation: what is learned from turns, what becomes of what was known, and that it can be taken back."""

import pytest
from conftest import Clock, Service


async def say(
    service: Service, *turns: tuple[str, str], session: str = "s1", day: int = 1, space: str = "default"
) -> list:
    messages = [
        {"role": "user", "name": name, "content": content, "timestamp": f"2026-02-{day:02}T10:{place:02}:00Z"}
        for place, (name, content) in enumerate(turns)
    ]
    added = await service.add(messages=messages, session=session, space=space)
    return [item["id"] for item in added["items"]]


async def run(service: Service, action: str = "consolidate", **request: object) -> dict:
    response = await service.client.post(f"/v1/{action}", json=request)
    assert response.status_code == 200, response.text
    return response.json()


async def memories(service: Service, **params: object) -> list[dict]:
    response = await service.client.get("/v1/memories", params={"limit": 1000, **params})
    assert response.status_code == 200, response.text
    return response.json()["items"]


async def facts(service: Service, **params: object) -> list[dict]:
    return [item for item in await memories(service, **params) if item["origin"] == "extracted"]


async def test_a_turn_states_a_fact_with_its_source_and_its_place(service: Service) -> None:
    [turn] = await say(service, ("Caroline", "Hi! I live in Berlin. How are you?"))
    answer = await run(service)
    assert [change["action"] for change in answer["changes"]] == ["learn"]
    [fact] = await facts(service)
    assert fact["content"] == "Caroline lives in Berlin"
    assert fact["kind"] == "fact"
    assert fact["metadata"]["source"] == {"id": turn, "start": 4, "end": 20}
    lineage = (await service.client.get(f"/v1/memories/{fact['id']}/lineage")).json()
    assert [edge["source_id"] for edge in lineage["up"]] == [turn]


async def test_a_dry_run_says_what_would_be_done_and_does_nothing(service: Service) -> None:
    await say(service, ("Caroline", "I live in Berlin."), ("Mel", "I work at Siemens."))
    planned = await run(service, dry_run=True)
    assert planned["operation_id"] is None
    assert await facts(service) == []
    done = await run(service)
    assert [(c["action"], c["content"], c["reason"]) for c in planned["changes"]] == [
        (c["action"], c["content"], c["reason"]) for c in done["changes"]
    ]
    assert len(await facts(service)) == len(done["changes"])


async def test_a_second_run_finds_nothing_new(service: Service) -> None:
    await say(service, ("Caroline", "I live in Berlin."))
    await run(service)
    again = await run(service)
    assert again["changes"] == []
    assert again["operation_id"] is None


async def test_a_later_home_takes_the_place_of_an_earlier_one(service: Service) -> None:
    await say(service, ("Caroline", "I live in Berlin."), session="s1", day=1)
    await run(service)
    await say(service, ("Caroline", "I live in Munich now."), session="s2", day=9)
    answer = await run(service)
    assert "supersede" in [change["action"] for change in answer["changes"]]
    by_content = {item["content"]: item for item in await facts(service)}
    berlin = next(item for content, item in by_content.items() if "Berlin" in content)
    munich = next(item for content, item in by_content.items() if "Munich" in content)
    assert berlin["superseded_by"] == munich["id"]
    assert (
        berlin["valid_to"]["at"].startswith("2026-02-09")
        if isinstance(berlin["valid_to"], dict)
        else berlin["valid_to"]
    )
    assert munich["superseded_by"] is None


async def test_both_homes_in_one_run(service: Service) -> None:
    await say(service, ("Caroline", "I live in Berlin."), session="s1", day=1)
    await say(service, ("Caroline", "I live in Munich now."), session="s2", day=9)
    answer = await run(service)
    replaced = [item for item in await facts(service) if item["superseded_by"]]
    assert [item["content"] for item in replaced] == ["Caroline lives in Berlin"]
    undone = await service.client.post(f"/v1/operations/{answer['operation_id']}/undo", json={})
    assert undone.status_code == 200, undone.text
    assert all(item["state"] == "archived" for item in await facts(service))


async def test_somebody_elses_home_is_another_matter(service: Service) -> None:
    await say(service, ("Caroline", "I live in Berlin."), session="s1", day=1)
    await say(service, ("Melanie", "I live in Munich."), session="s2", day=9)
    await say(service, ("Caroline", "I live in Oslo."), session="s3", day=10, space="elsewhere")
    await run(service)
    await run(service, space="elsewhere")
    assert not [item for item in await facts(service) if item["superseded_by"]]
    assert not listed(await service.client.get("/v1/conflicts"))


def listed(response: object) -> list[dict]:
    assert response.status_code == 200, response.text  # type: ignore[attr-defined]
    return response.json()["items"]  # type: ignore[attr-defined]


async def test_what_is_said_again_is_linked_and_not_learned_twice(service: Service) -> None:
    await say(service, ("Caroline", "I live in Berlin."), session="s1", day=1)
    await run(service)
    [again] = await say(service, ("Caroline", "As I said, I live in Berlin."), session="s2", day=2)
    answer = await run(service)
    assert [change["action"] for change in answer["changes"]] == ["link"]
    [fact] = await facts(service)
    lineage = (await service.client.get(f"/v1/memories/{fact['id']}/lineage")).json()
    assert again in [edge["source_id"] for edge in lineage["up"]]


async def test_undo_brings_the_same_recall_back_to_the_digit(service: Service) -> None:
    await say(
        service, ("Caroline", "I live in Berlin."), ("Mel", "Where do you work?"), ("Caroline", "At Siemens, sadly.")
    )
    before = await service.recall("where does Caroline live and work", explain=True)
    done = await run(service)
    changed = await service.recall("where does Caroline live and work", explain=True)
    assert [hit["score"] for hit in changed["results"]] != [hit["score"] for hit in before["results"]]
    undone = await service.client.post(f"/v1/operations/{done['operation_id']}/undo", json={})
    assert undone.status_code == 200, undone.text
    after = await service.recall("where does Caroline live and work", explain=True)
    assert [(hit["memory"]["id"], hit["score"], hit["reasons"]) for hit in after["results"]] == [
        (hit["memory"]["id"], hit["score"], hit["reasons"]) for hit in before["results"]
    ]
    # and what was taken back is not learned again
    assert (await run(service))["changes"] == []


async def test_a_fact_speaks_for_its_turn_and_is_not_listed_beside_it(service: Service) -> None:
    [turn] = await say(service, ("Caroline", "I live in Berlin. I love it here."))
    await run(service)
    answer = await service.recall("Berlin")
    assert [hit["memory"]["id"] for hit in answer["results"]] == [turn]
    asked_for = await service.recall("Berlin", filters={"kinds": ["fact", "preference"]})
    assert {hit["memory"]["kind"] for hit in asked_for["results"]} <= {"fact", "preference"}
    assert asked_for["results"]


async def test_when_its_turn_is_archived_a_fact_stands_for_itself(service: Service) -> None:
    [turn] = await say(service, ("Caroline", "I live in Berlin."))
    await run(service)
    archived = await service.client.delete(f"/v1/memories/{turn}", params={"mode": "archive"})
    assert archived.status_code in {200, 204}, archived.text
    answer = await service.recall("Berlin")
    assert [hit["memory"]["content"] for hit in answer["results"]] == ["Caroline lives in Berlin"]
    await run(service)
    assert [item["state"] for item in await facts(service)] == ["generated"]
    deep = await service.recall("Berlin", recipe="deep")
    assert turn in [hit["memory"]["id"] for hit in deep["results"]]


async def test_an_edited_turn_is_learned_from_anew(service: Service) -> None:
    [turn] = await say(service, ("Caroline", "I live in Berlin."))
    await run(service)
    edited = await service.client.patch(f"/v1/memories/{turn}", json={"content": "I live in Hamburg."})
    assert edited.status_code == 200, edited.text
    await run(service)
    standing = [item["content"] for item in await facts(service) if item["state"] != "archived"]
    assert standing == ["Caroline lives in Hamburg"]


async def test_what_is_quarantined_takes_its_facts_out_of_recall(service: Service) -> None:
    [turn] = await say(service, ("Caroline", "I live in Berlin."))
    await run(service)
    moved = await service.client.post(f"/v1/memories/{turn}/state", json={"state": "quarantined"})
    assert moved.status_code == 200, moved.text
    await run(service)
    assert (await service.recall("Berlin"))["results"] == []


async def test_a_reply_is_found_by_its_question(service: Service) -> None:
    _, reply = await say(service, ("Mel", "What instrument do you play?"), ("Caroline", "The cello, since I was six."))
    await run(service)
    answer = await service.recall("instrument")
    assert reply in [hit["memory"]["id"] for hit in answer["results"]]
    keyed = next(hit for hit in answer["results"] if hit["memory"]["id"] == reply)
    assert "What instrument do you play?" in keyed["key"]["content"]


async def test_an_erased_turn_takes_its_facts_along(service: Service) -> None:
    first, _ = await say(service, ("Mel", "What instrument do you play?"), ("Caroline", "The cello."))
    await run(service)
    assert await facts(service)
    assert (await service.client.delete(f"/v1/memories/{first}")).status_code in {200, 204}
    assert not [item for item in await facts(service) if "instrument" in item["content"]]


async def test_a_private_turn_gives_private_facts(service: Service) -> None:
    await service.add(
        messages=[{"role": "user", "name": "Caroline", "content": "I live in Berlin.", "visibility": "private"}],
        session="s1",
    )
    await run(service)
    [fact] = await facts(service)
    assert fact["visibility"] == "private"


@pytest.mark.parametrize("keep", ["first", "second", "both"])
async def test_a_conflict_is_listed_and_settled(service: Service, clock: Clock, keep: str) -> None:
    for name in ("one", "two"):
        await service.add(
            texts=[
                {
                    "kind": "fact",
                    "content": f"The standup is at {'9:30' if name == 'one' else '10:15'}.",
                    "timestamp": "2026-02-01T10:00:00Z",
                }
            ]
        )
    await run(service)
    [conflict] = listed(await service.client.get("/v1/conflicts"))
    assert conflict["state"] == "open"
    settled = await service.client.post(f"/v1/conflicts/{conflict['id']}/settle", json={"keep": keep})
    assert settled.status_code == 200, settled.text
    assert settled.json()["state"] == "settled"
    assert settled.json()["resolution"] == keep
    superseded = [item["id"] for item in await memories(service) if item["superseded_by"]]
    expected = {"first": [conflict["second"]["id"]], "second": [conflict["first"]["id"]], "both": []}
    assert superseded == expected[keep]
    again = await service.client.post(f"/v1/conflicts/{conflict['id']}/settle", json={"keep": keep})
    assert again.status_code == 409
    undone = await service.client.post(f"/v1/operations/{settled.json()['settled_by']}/undo", json={})
    if keep != "both":
        assert undone.status_code == 200, undone.text
        [reopened] = listed(await service.client.get("/v1/conflicts", params={"state": "open"}))
        assert reopened["id"] == conflict["id"]


async def test_a_run_stops_at_its_limit_and_goes_on_from_there(service: Service) -> None:
    await say(service, *[("Caroline", f"My sister number {n} lives in town {n}.") for n in range(5)])
    seen = 0
    for _ in range(10):
        answer = await run(service, limit=2)
        seen += len(answer["changes"])
        if not answer["more"]:
            break
    whole = len(await facts(service))
    assert seen == whole
    assert (await run(service))["changes"] == []


async def test_all_operations_of_some_runs_are_undone_newest_first(service: Service) -> None:
    """Topics that a later run extended are those of the earlier run again, and stand in nobody's way."""
    operations = []
    for part in range(3):
        turns = [("Caroline", f"I painted a {thing} for the spring show.") for thing in THINGS[part::3]]
        await say(service, *turns, session=f"s{part}", day=part + 1)
        answer = await run(service)
        operations += [answer["operation_id"], *answer["further"]]
    assert len(operations) > 3
    for operation in reversed(operations):
        response = await service.client.post(f"/v1/operations/{operation}/undo")
        assert response.status_code == 200, response.text
    left = [item for item in await memories(service, origin="any") if item["state"] != "archived"]
    assert {item["kind"] for item in left} == {"turn"}


THINGS = (
    "heron", "harbour", "lighthouse", "meadow", "windmill", "bridge", "valley", "harvest", "storm", "village", "castle",
    "forest", "garden", "market", "river", "ship", "tower", "vineyard",
)  # fmt: skip
