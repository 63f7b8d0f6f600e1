"""Changes that no key shows: an assertion takes the place of an earlier one of its speaker by what both say."""

import pytest
from conftest import Service

OLD = "The raised bed is full of Charlotte potatoes."
NEW = "The raised bed is full of Marketmore cucumbers now, no more Charlotte potatoes."


async def say(service: Service, name: str, content: str, day: int, session: str | None = None, **item: object) -> str:
    message = {"role": "user", "name": name, "content": content, "timestamp": f"2026-02-{day:02}T10:00:00Z"} | item
    added = await service.add(messages=[message], session=session or f"s{day}")
    return added["items"][0]["id"]


async def consolidate(service: Service, **request: object) -> dict:
    response = await service.client.post("/v1/consolidate", json=request)
    assert response.status_code == 200, response.text
    return response.json()


async def memories(service: Service) -> dict[str, dict]:
    response = await service.client.get("/v1/memories", params={"limit": 1000})
    assert response.status_code == 200, response.text
    return {item["id"]: item for item in response.json()["items"]}


async def superseded(service: Service) -> list[tuple[str, str]]:
    """(old, new) contents."""
    found = await memories(service)
    return [
        (item["content"], found[item["superseded_by"]]["content"]) for item in found.values() if item["superseded_by"]
    ]


@pytest.mark.parametrize("apart", [True, False])
async def test_what_names_what_it_ends_takes_its_place(service: Service, apart: bool) -> None:
    first = await say(service, "Ana", OLD, 1)
    if apart:
        await consolidate(service)
    second = await say(service, "Ana", NEW, 9)
    run = await consolidate(service)
    [(old, new)] = await superseded(service)
    assert "Charlotte" in old
    assert "Marketmore" in new
    assert [change["reason"] for change in run["changes"] if change["action"] == "supersede"] == [
        "said otherwise later"
    ]
    found = await memories(service)
    [over] = [item for item in found.values() if item["superseded_by"]]
    assert over["metadata"]["source"]["id"] == first
    assert over["valid_to"] == "2026-02-09T10:00:00Z"
    assert found[over["superseded_by"]]["metadata"]["source"]["id"] == second
    assert found[first]["superseded_by"] is None, "what was said stays said"


async def test_a_log_that_arrives_late_is_the_older_one(service: Service) -> None:
    await say(service, "Ana", NEW, 9)
    await consolidate(service)
    await say(service, "Ana", OLD, 1)
    await consolidate(service)
    [(old, new)] = await superseded(service)
    assert "Charlotte" in old
    assert "Marketmore" in new


async def test_one_after_another(service: Service) -> None:
    await say(service, "Ana", "The raised bed is full of Charlotte potatoes.", 1)
    await say(service, "Ana", "The raised bed is full of Marketmore cucumbers now.", 5)
    await say(service, "Ana", "The raised bed is full of Nantes carrots now.", 9)
    await consolidate(service)
    found = [(old.split("full of ")[1], new.split("full of ")[1]) for old, new in await superseded(service)]
    assert found == [
        ("Charlotte potatoes", "Marketmore cucumbers now"),
        ("Marketmore cucumbers now", "Nantes carrots now"),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("Ben", NEW),
        ("Ana", "Is the raised bed full of Marketmore cucumbers now, no more Charlotte potatoes?"),
        ("Ana", "I wish the raised bed was full of Marketmore cucumbers, no more Charlotte potatoes."),
        ("Ana", "My sister's raised bed is full of Marketmore cucumbers now."),
        ("Ana", "The cellar is full of Marketmore jars."),
        ("Ana", "Box 2 is full of Marketmore cucumbers now."),
        ("Ana", OLD),
    ],
)
async def test_what_ends_nothing(service: Service, name: str, content: str) -> None:
    await say(service, "Ana", OLD, 1)
    await say(service, name, content, 9)
    await consolidate(service)
    assert await superseded(service) == []


async def test_what_is_private_ends_nothing_that_all_see(service: Service) -> None:
    await say(service, "Ana", OLD, 1)
    await say(service, "Ana", NEW, 9, visibility="private")
    await consolidate(service)
    assert await superseded(service) == []


async def test_another_space_is_another_matter(service: Service) -> None:
    await say(service, "Ana", OLD, 1)
    message = {"role": "user", "name": "Ana", "content": NEW, "timestamp": "2026-02-09T10:00:00Z"}
    await service.add(messages=[message], session="s1", space="other")
    await consolidate(service, space="other")
    await consolidate(service)
    assert await superseded(service) == []


async def test_it_is_undone_with_its_run_and_not_done_again(service: Service) -> None:
    await say(service, "Ana", OLD, 1)
    await say(service, "Ana", NEW, 9)
    run = await consolidate(service)
    assert len(await superseded(service)) == 1
    for operation in [*run["further"][::-1], run["operation_id"]]:
        response = await service.client.post(f"/v1/operations/{operation}/undo")
        assert response.status_code == 200, response.text
    assert await learned(service) == []
    await consolidate(service)
    assert await learned(service) == []


async def learned(service: Service) -> list[str]:
    found = (await memories(service)).values()
    return [item["content"] for item in found if item["origin"] == "extracted" and item["state"] != "archived"]


async def test_a_fact_that_is_known_is_ended_and_not_made_twice(service: Service) -> None:
    await say(service, "Ana", "I live in Berlin.", 1)
    await consolidate(service)
    before = await learned(service)
    await say(service, "Ana", "We gave up on Berlin, our flat is in Bergamo these days.", 9)
    await consolidate(service)
    [(old, _)] = await superseded(service)
    assert [old] == before


async def test_what_says_otherwise_since_comes_first(service: Service) -> None:
    query = {"query": "What is the raised bed full of?", "k": 2}
    old = await say(service, "Ana", OLD, 1)
    new = await say(service, "Ana", "The raised bed is full of Marketmore cucumbers now.", 9)

    async def ranked(**asked: object) -> list[str]:
        response = await service.client.post("/v1/recall", json=query | asked)
        assert response.status_code == 200, response.text
        return [result["memory"]["id"] for result in response.json()["results"]]

    assert await ranked() == [old, new]
    run = await consolidate(service)
    assert await ranked() == [new, old]
    assert await ranked(as_of_valid="2026-02-03T00:00:00Z") == [old, new]
    for operation in [*run["further"][::-1], run["operation_id"]]:
        await service.client.post(f"/v1/operations/{operation}/undo")
    assert await ranked() == [old, new]
