"""Core memory: sections with versions, bounded, first in every context."""

from tests.integration.conftest import Clock, Service


async def edit(service: Service, label: str, expect: int = 200, headers: dict | None = None, **body: object) -> dict:
    response = await service.client.post(f"/v1/core/{label}", json=body, params={"space": "home"}, headers=headers)
    assert response.status_code == expect, response.text
    return response.json()


async def core(service: Service, **params: object) -> dict:
    response = await service.client.get("/v1/core", params={"space": "home", **params})
    return response.json()


async def test_append_replace_rewrite_and_versions(service: Service, clock: Clock) -> None:
    first = await edit(service, "human", text="Name: Ana.")
    assert (first["label"], first["content"], first["version"]) == ("human", "Name: Ana.", 1)
    before = clock.now
    clock.advance(hours=1)
    await edit(service, "human", text="Lives in Porto.")
    assert (await edit(service, "human", mode="replace", old="Porto", text="Faro"))["content"] == (
        "Name: Ana.\nLives in Faro."
    )
    await edit(service, "persona", mode="rewrite", text="Be brief.", reason="as asked")
    found = await core(service)
    assert [(s["label"], s["content"]) for s in found["sections"]] == [
        ("human", "Name: Ana.\nLives in Faro."),
        ("persona", "Be brief."),
    ]
    assert found["tokens"] == sum(s["tokens"] for s in found["sections"])
    assert found["limit"] == 1000
    then = await core(service, as_of_known=before.isoformat())
    assert [(s["label"], s["content"]) for s in then["sections"]] == [("human", "Name: Ana.")]
    history = (await service.client.get(f"/v1/memories/{first['id']}/history")).json()["versions"]
    assert [v["memory"]["content"] for v in history] == [
        "Name: Ana.",
        "Name: Ana.\nLives in Porto.",
        "Name: Ana.\nLives in Faro.",
    ]


async def test_what_cannot_be_done_says_so_and_changes_nothing(service: Service) -> None:
    await edit(service, "human", text="tea, tea")
    for body, field in (
        ({"mode": "replace", "old": "tea", "text": "coffee"}, "old"),
        ({"mode": "replace", "text": "coffee"}, "old"),
        ({"mode": "replace", "old": "tea, tea", "text": " "}, "text"),
        ({"mode": "append", "text": "  "}, "text"),
        ({"mode": "append", "text": "x", "old": "tea"}, "old"),
        ({"mode": "append", "text": "a\u0000b"}, "text"),
        ({"mode": "append", "text": "word " * 2000}, "text"),
    ):
        refused = await edit(service, "human", expect=422, **body)
        assert refused["errors"][0]["field"] == field, body
    assert "core_tokens" in refused["remedy"]
    await edit(service, "human", expect=412, headers={"If-Match": '"7"'}, text="late")
    await edit(service, "new", expect=412, headers={"If-Match": '"1"'}, text="late")
    assert [s["content"] for s in (await core(service))["sections"]] == ["tea, tea"]
    await service.client.put("/v1/spaces/home", json={"policies": {"core_tokens": 5000}})
    await edit(service, "human", text="word " * 2000)


async def test_a_context_begins_with_it(service: Service) -> None:
    await edit(service, "human", text="Ana is vegetarian.")
    await service.add(space="home", texts=[{"content": f"Dinner idea {n}: lentils."} for n in range(20)])
    request = {"query": "what to cook for dinner, is Ana vegetarian", "spaces": ["home"], "token_budget": 60}
    answer = (await service.client.post("/v1/context", json=request)).json()
    assert answer["text"].startswith("## Core: human\nAna is vegetarian.\n\n## ")
    assert answer["text"].count("vegetarian") == 1
    assert answer["core"] == ["human"]
    assert answer["tokens"] <= 60
    assert "[1]" in answer["text"]
    tiny = (await service.client.post("/v1/context", json={**request, "token_budget": 1})).json()
    assert (tiny["text"], tiny["citations"]) == ("## Core: human\nAna is vegetarian.", [])


async def test_removing_archives_and_undo_brings_back(service: Service) -> None:
    await edit(service, "human", text="Ana.")
    response = await service.client.delete("/v1/core/human", params={"space": "home"})
    assert response.status_code == 204
    assert (await core(service))["sections"] == []
    operation = (await service.client.get("/v1/operations", params={"space": "home"})).json()["items"][0]
    assert operation["kind"] == "core"
    assert (await service.client.post(f"/v1/operations/{operation['id']}/undo")).status_code == 200
    assert [s["content"] for s in (await core(service))["sections"]] == ["Ana."]
    missing = await service.client.delete("/v1/core/none", params={"space": "home"})
    assert missing.status_code == 404


async def test_writers_at_once_lose_nothing(service: Service) -> None:
    import asyncio

    await edit(service, "list", text="start")
    answers = await asyncio.gather(
        *(service.client.post("/v1/core/list", json={"text": f"line {n}"}, params={"space": "home"}) for n in range(4))
    )
    stored = (await core(service))["sections"][0]["content"].splitlines()
    done = [n for n, answer in enumerate(answers) if answer.status_code == 200]
    assert all(answer.status_code in {200, 412} for answer in answers)
    assert sorted(stored) == sorted(["start", *(f"line {n}" for n in done)])
    assert len(done) >= 1
