"""Stories of changes over the API: what takes the place of what, what ends, what is only said back, and its undoing."""

from conftest import Service


async def say(service: Service, content: str, *, day: int, name: str | None = "Ann", **given: object) -> str:
    """One message of a session of its own, on that day of February 2026; its id."""
    message = {
        "role": given.pop("role", "user"),
        "name": name,
        "content": content,
        "timestamp": f"2026-02-{day:02}T10:00:00Z",
        **({"visibility": given.pop("visibility")} if "visibility" in given else {}),
    }
    added = await service.add(messages=[message], session=f"day {day} {name}", **given)
    return added["items"][0]["id"]


async def run(service: Service, **request: object) -> dict:
    response = await service.client.post("/v1/consolidate", json=request)
    assert response.status_code == 200, response.text
    return response.json()


async def facts(service: Service, **params: object) -> dict[str, dict]:
    response = await service.client.get("/v1/memories", params={"limit": 1000, **params})
    assert response.status_code == 200, response.text
    return {item["content"]: item for item in response.json()["items"] if item["origin"] == "extracted"}


async def current(service: Service, **params: object) -> list[str]:
    return [
        content
        for content, item in (await facts(service, **params)).items()
        if item["superseded_by"] is None and item["state"] in {"generated", "activated"}
    ]


async def conflicts(service: Service) -> list[dict]:
    response = await service.client.get("/v1/conflicts")
    assert response.status_code == 200, response.text
    return response.json()["items"]


async def undo(service: Service, operation_id: str) -> None:
    response = await service.client.post(f"/v1/operations/{operation_id}/undo", json={})
    assert response.status_code == 200, response.text


async def test_an_update_in_other_words(service: Service) -> None:
    await say(service, "best address for invoices: ann@post.example", day=1)
    await run(service)
    await say(service, "New mail address since today, ann@box.example", day=9)
    changes = (await run(service))["changes"]
    assert [(change["action"], change["reason"]) for change in changes] == [
        ("learn", "fact stated"),
        ("supersede", "a later email"),
    ]
    [old] = [item for content, item in (await facts(service)).items() if "post.example" in content]
    [new] = [item for content, item in (await facts(service)).items() if "box.example" in content]
    assert old["superseded_by"] == new["id"]
    found = await service.recall("Ann's mail address", filters={"kinds": ["fact"]})
    assert "ann@box.example" in found["results"][0]["memory"]["content"]
    assert not any("post.example" in hit["memory"]["content"] for hit in found["results"])


async def test_what_the_words_name_as_over_ends_in_a_later_run(service: Service) -> None:
    await say(service, "I'm learning Greek.", day=1)
    await say(service, "My parking spot is B2.", day=2)
    await run(service)
    await say(service, "I gave up Greek.", day=8)
    await say(service, "They moved me from B2 to C9 in the garage.", day=9)
    await run(service)
    standing = await current(service)
    assert not [content for content in standing if "learning Greek" in content or content.endswith("B2")]
    # and what took the place of B2 is a parking spot itself
    await say(service, "My parking spot is D4 now.", day=20)
    await run(service)
    assert [content for content in await current(service) if "C9" in content or "D4" in content] == [
        "Ann's parking spot is D4 now"
    ]


async def test_a_refinement_takes_the_place_without_contradiction(service: Service) -> None:
    await say(service, "Atlas goes live in spring.", day=1)
    await say(service, "Atlas goes live on 10 April, right after the freeze.", day=9)
    answer = await run(service)
    assert "refine" in [change["action"] for change in answer["changes"]]
    assert await current(service) == ["Atlas goes live on 10 April, right after the freeze"]
    assert [item["state"] for content, item in (await facts(service)).items() if "spring" in content] == ["archived"]


async def test_a_negation_leaves_nothing_in_its_place(service: Service) -> None:
    await say(service, "I drive a red Panda.", day=1)
    await run(service)
    await say(service, "I sold my car.", day=9)
    await run(service)
    assert [content for content in await current(service) if "Panda" in content] == []


async def test_a_reversal_counts_for_who_said_it(service: Service) -> None:
    for day, city in ((1, "Graz"), (9, "Linz"), (20, "Graz")):
        await say(service, f"I live in {city} now.", day=day)
        await run(service)
    standing = await current(service)
    assert standing == ["Ann lives in Graz now"]
    items = (await service.client.get("/v1/memories", params={"limit": 100})).json()["items"]
    graz = [item for item in items if item["content"] == "Ann lives in Graz now"]
    assert sorted(item["superseded_by"] is None for item in graz) == [False, True]


async def test_what_is_stored_later_but_was_said_earlier_is_over(service: Service) -> None:
    await say(service, "My locker code is 8812.", day=20)
    await run(service)
    await say(service, "My locker code is 3310.", day=3)
    answer = await run(service)
    assert "supersede" in [change["action"] for change in answer["changes"]]
    assert await current(service) == ["Ann's locker code is 8812"]
    found = await facts(service)
    old, new = found["Ann's locker code is 3310"], found["Ann's locker code is 8812"]
    assert old["superseded_by"] == new["id"]
    await undo(service, answer["operation_id"])
    assert await current(service) == ["Ann's locker code is 8812"]


async def test_an_echo_is_no_news_and_revives_nothing(service: Service) -> None:
    await say(service, "Atlas is blocked.", day=1)
    await run(service)
    await say(service, "Atlas is on hold now.", day=5)
    await run(service)
    await say(service, "So Atlas is blocked, cool.", day=9, name="Bob")
    await say(service, "Atlas is blocked.", day=10, name="Bob")
    await say(service, "Atlas is blocked.", day=11, name=None, role="assistant")
    changes = (await run(service))["changes"]
    assert {change["action"] for change in changes} <= {"link"}
    assert await current(service) == ["Atlas is on hold now"]
    assert await conflicts(service) == []


async def test_others_keep_theirs(service: Service) -> None:
    await say(service, "I live in Graz.", day=1)
    await say(service, "My sister moved to Linz.", day=2)
    await say(service, "I live in Wels.", day=3, name="Bob")
    await say(service, "I live in Oslo.", day=4, space="elsewhere")
    await run(service)
    await run(service, space="elsewhere")
    assert "Ann lives in Graz" in await current(service)
    assert not [item for item in (await facts(service)).values() if item["superseded_by"]]
    assert await conflicts(service) == []


async def test_what_is_private_and_what_is_shared_stay_apart(service: Service) -> None:
    await say(service, "My locker code is 3310.", day=1)
    await say(service, "My locker code is 8812.", day=9, visibility="private")
    await run(service)
    assert sorted(await current(service)) == ["Ann's locker code is 3310", "Ann's locker code is 8812"]
    await say(service, "My locker code is 9021.", day=20, visibility="private")
    await run(service)
    assert sorted(await current(service)) == ["Ann's locker code is 3310", "Ann's locker code is 9021"]


async def test_a_fact_that_somebody_edited_is_replaced_as_it_stands(service: Service) -> None:
    await say(service, "My locker code is 3310.", day=1)
    await run(service)
    fact = (await facts(service))["Ann's locker code is 3310"]
    edited = await service.client.patch(
        f"/v1/memories/{fact['id']}", json={"content": "Ann's locker code is 3310, on the second floor"}
    )
    assert edited.status_code == 200, edited.text
    await say(service, "I changed my locker code to 8812.", day=9)
    answer = await run(service)
    assert await current(service) == ["Ann changed Ann's locker code to 8812"]
    await undo(service, answer["operation_id"])
    assert await current(service) == ["Ann's locker code is 3310, on the second floor"]


async def test_a_frozen_fact_stays_as_a_conflict(service: Service) -> None:
    await say(service, "My locker code is 3310.", day=1)
    await run(service)
    fact = (await facts(service))["Ann's locker code is 3310"]
    for state in ("activated", "frozen"):
        moved = await service.client.post(f"/v1/memories/{fact['id']}/state", json={"state": state})
        assert moved.status_code == 200, moved.text
    await say(service, "My locker code is 8812.", day=9)
    await run(service)
    assert (await facts(service))["Ann's locker code is 3310"]["superseded_by"] is None
    assert [item["state"] for item in await conflicts(service)] == ["open"]


async def test_undoing_brings_everything_back(service: Service) -> None:
    await say(service, "I work for Helvar.", day=1)
    await say(service, "My manager is Per Lund.", day=2)
    await run(service)
    before = await facts(service)
    recalled = await service.recall("Ann's work and manager", explain=True)
    await say(service, "I quit Helvar and started at Nordlicht.", day=9)
    await say(service, "Ida Holm took over from Per Lund as my boss.", day=10)
    answer = await run(service)
    assert len([change for change in answer["changes"] if change["action"] == "supersede"]) == 2
    await undo(service, answer["operation_id"])
    after = await facts(service)
    assert {content: after[content]["superseded_by"] for content in before} == dict.fromkeys(before)
    again = await service.recall("Ann's work and manager", explain=True)
    known = {hit["memory"]["id"] for hit in recalled["results"]}
    assert [hit["memory"]["id"] for hit in again["results"] if hit["memory"]["id"] in known] == [
        hit["memory"]["id"] for hit in recalled["results"]
    ]
    assert (await run(service))["changes"] == []
