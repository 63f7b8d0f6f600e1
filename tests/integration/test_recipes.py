"""`/v1/spaces/{space}/recipes`, and recall by a recipe of one's own."""

import pytest
from sqlalchemy import Connection, text

from memsvc.consolidation.jobs import index_space
from memsvc.deployment import Deployment
from memsvc.retrieval.own_recipes import STAGES
from memsvc.store import spaces
from memsvc.store.database import PipelinedSession
from tests.integration.conftest import Service
from tests.integration.people import person, restrict

WORDS_ALONE = {"weights": {"dense": 0, "dense_window": 0, "late": 0}}
VECTORS_ALONE = {"weights": {"lexical": 0, "lexical_window": 0}}


async def put(service: Service, name: str, body: dict, *, space: str = "default", status: int = 200) -> dict:
    response = await service.client.put(f"/v1/spaces/{space}/recipes/{name}", json=body)
    assert response.status_code == status, response.text
    return response.json()


async def get(service: Service, name: str = "", *, space: str = "default", **params: object) -> dict:
    path = f"/v1/spaces/{space}/recipes" + (f"/{name}" if name else "")
    response = await service.client.get(path, params=params)
    assert response.status_code == 200, response.text
    return response.json()


def contents(answer: dict) -> list[str]:
    return [hit["memory"]["content"] for hit in answer["results"]]


def queries(service: Service) -> list[str]:
    return [query for call in service.encoder.calls if call.kind == "queries" for query in call.texts]


# Setting and reading


async def test_a_recipe_is_a_built_in_one_with_settings_of_its_own(service: Service) -> None:
    made = await put(service, "words", {"base": "deep", "description": "No vectors", "window": [1, 0.5], **WORDS_ALONE})
    assert (made["name"], made["version"], made["base"]) == ("words", 1, "deep")
    assert made["changes"] == {"window": [1, 0.5], **WORDS_ALONE}
    assert (made["created_by"], made["created_at"]) == ("tester", "2026-03-01T12:00:00Z")
    settings = made["settings"]
    assert (settings["candidates"], settings["archived"], settings["window"]) == (200, True, [1, 0.5])
    assert set(settings["weights"]) == set(STAGES)
    assert (settings["weights"]["dense"], settings["weights"]["lexical"]) == (0, 3)
    assert await get(service, "words") == made


async def test_the_list_shows_the_built_in_ones_then_the_spaces_own(service: Service) -> None:
    await put(service, "zebra", {})
    await put(service, "ant", {"candidates": 7})
    await put(service, "elsewhere", {}, space="other")
    items = (await get(service))["items"]
    assert [item["name"] for item in items[-2:]] == ["ant", "zebra"]
    assert {"fast", "balanced", "deep"} <= {item["name"] for item in items[:-2]}
    assert all(item["version"] is None and item["description"] for item in items[:-2])
    assert items[-2]["settings"]["candidates"] == 7
    assert await get(service, "balanced") in items


async def test_each_change_is_a_version_and_the_earlier_ones_stay(service: Service) -> None:
    await put(service, "mine", {"candidates": 20})
    assert (await put(service, "mine", {"candidates": 20}))["version"] == 1
    assert (await put(service, "mine", {"candidates": 20, "description": "Twenty."}))["version"] == 2
    assert (await put(service, "mine", {"candidates": 30}))["version"] == 3
    assert (await get(service, "mine"))["settings"]["candidates"] == 30
    assert (await get(service, "mine", version=2))["description"] == "Twenty."
    missing = await service.client.get("/v1/spaces/default/recipes/mine", params={"version": 4})
    assert (missing.status_code, missing.json()["errors"][0]["field"]) == (404, "version")


async def test_if_match_refuses_what_would_be_lost(service: Service) -> None:
    path = "/v1/spaces/default/recipes/mine"
    first = await service.client.put(path, json={"candidates": 5}, headers={"If-Match": '"0"'})
    assert (first.status_code, first.headers["ETag"]) == (200, '"1"')
    assert (await service.client.get(path)).headers["ETag"] == '"1"'
    for method in ("PUT", "DELETE"):
        body = {"json": {"candidates": 6}} if method == "PUT" else {}
        refused = await service.client.request(method, path, headers={"If-Match": '"0"'}, **body)
        assert (refused.status_code, refused.json()["code"]) == (412, "precondition_failed")
    assert (await get(service, "mine"))["settings"]["candidates"] == 5
    assert (await service.client.delete(path, headers={"If-Match": '"1"'})).status_code == 204


async def test_a_removed_recipe_is_gone_with_its_versions(service: Service) -> None:
    await put(service, "mine", {"candidates": 5})
    await put(service, "mine", {"candidates": 6})
    path = "/v1/spaces/default/recipes/mine"
    assert (await service.client.delete(path)).status_code == 204
    for response in (await service.client.get(path, params={"version": 1}), await service.client.delete(path)):
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert (await put(service, "mine", {}))["version"] == 1


async def test_a_name_may_hold_what_other_names_may(service: Service) -> None:
    made = await put(service, "team%2Fours%20%3F", {})
    assert made["name"] == "team/ours ?"
    assert (await service.recall("x", recipe="team/ours ?"))["recipe"] == "team/ours ?"


BAD = [
    ({"weights": {"dnse": 1}}, "weights.dnse", "dense_window"),
    ({"weights": {"dense": -1}}, "weights.dense", "0"),
    ({"weights": {"dense": 101}}, "weights.dense", "100"),
    ({"base": "brisk"}, "base", "fast, balanced, deep"),
    ({"window": [0, 1]}, "window[0]", "above 0"),
    ({"window": []}, "window", ""),
    ({"candidates": 1001}, "candidates", "1000"),
    ({"bm25": {"k1": 1}}, "bm25.b", "Add this field"),
    ({"diversity": {"threshold": 1, "penalty": 1}}, "diversity.threshold", "1"),
    ({"deadline_ms": 0}, "deadline_ms", "1"),
    ({"arms": ["dense"]}, "arms", "Remove this field"),
    ({"weights": {"dense": 0, "dense_window": 0, "lexical": 0, "lexical_window": 0}}, "weights", "lexical_window"),
]


@pytest.mark.parametrize(("body", "at", "said"), BAD, ids=lambda value: str(value)[:40])
async def test_what_cannot_be_used_is_named_with_a_remedy(service: Service, body: dict, at: str, said: str) -> None:
    fault = (await put(service, "mine", body, status=422))["errors"][0]
    assert fault["field"] == at
    assert said in fault["remedy"]
    assert (await service.client.get("/v1/spaces")).json()["items"] == []


async def test_all_faults_of_value_are_named_at_once(service: Service) -> None:
    body = {"base": "brisk", "weights": {"a": 1, "b": 1}, "window": [0]}
    faults = (await put(service, "mine", body, status=422))["errors"]
    assert [fault["field"] for fault in faults] == ["base", "weights.a", "weights.b", "window[0]"]


async def test_a_number_that_is_none_is_refused(service: Service) -> None:
    path = "/v1/spaces/default/recipes/mine"
    for number in ("NaN", "Infinity"):
        body = f'{{"weights": {{"dense": {number}}}}}'
        response = await service.client.put(path, content=body, headers={"Content-Type": "application/json"})
        assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "weights.dense")


async def test_the_built_in_ones_stay_what_they_are(service: Service) -> None:
    refused = await put(service, "balanced", {"candidates": 5}, status=409)
    assert refused["errors"][0]["field"] == "name"
    assert '"base": "balanced"' in refused["remedy"]
    assert (await service.client.delete("/v1/spaces/default/recipes/balanced")).status_code == 409


async def test_a_space_has_so_many_recipes_and_no_more(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memsvc.lifecycle.recipes.MOST_RECIPES", 2)
    await put(service, "a", {})
    await put(service, "b", {})
    assert (await put(service, "c", {}, status=409))["code"] == "conflict"
    assert (await put(service, "b", {"candidates": 9}))["version"] == 2


async def test_who_may_set_a_spaces_policies_may_set_its_recipes(service: Service, deployment: Deployment) -> None:
    ana, bo = person(service, deployment, "ana"), person(service, deployment, "bo")
    await ana.add("The kettle is blue.", space="ana")
    path = "/v1/spaces/ana/recipes/hers"
    refused = await bo.call("PUT", path, json={})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (403, "space")
    assert (await ana.call("PUT", path, json={})).status_code == 200
    assert (await bo.get(path))["created_by"] == "ana"  # the space is open
    assert (await bo.post("/v1/recall", {"query": "kettle", "spaces": ["ana"], "recipe": "hers"}))["recipe"] == "hers"
    assert (await bo.call("DELETE", path)).status_code == 403
    reader = person(service, deployment, "cy", scopes=("read",))
    assert (await reader.call("PUT", "/v1/spaces/cy/recipes/x", json={})).status_code == 403
    await bo.post("/v1/memories", {"space": "ana", "texts": [{"content": "One more."}]}, status=201)


async def test_a_restricted_spaces_recipes_are_not_there_for_others(service: Service, deployment: Deployment) -> None:
    ana, bo = person(service, deployment, "ana"), person(service, deployment, "bo")
    await restrict(service, "ana", ana)
    await ana.call("PUT", "/v1/spaces/ana/recipes/hers", json={})
    for method, path in (("GET", ""), ("GET", "/hers"), ("DELETE", "/hers")):
        assert (await bo.call(method, f"/v1/spaces/ana/recipes{path}")).status_code == 404
    refused = await bo.post("/v1/recall", {"query": "x", "spaces": ["ana"], "recipe": "hers"}, status=422)
    assert "hers;" not in refused["errors"][0]["remedy"]


async def test_another_tenants_recipes_are_not_there(service: Service, other: Service) -> None:
    await put(service, "mine", {})
    await put(other, "theirs", {})
    assert [item["name"] for item in (await get(other))["items"]][-1] == "theirs"
    answer = await other.client.post("/v1/recall", json={"query": "x", "recipe": "mine"})
    assert answer.status_code == 422


async def test_recipes_go_with_their_space_and_into_its_forks(service: Service, owner: Connection) -> None:
    await service.add(texts=[{"content": "The kettle is blue."}])
    await put(service, "mine", {"candidates": 5})
    await put(service, "mine", WORDS_ALONE)
    forked = await service.client.post("/v1/spaces/default/fork", json={"to": "whatif"})
    assert forked.status_code == 201, forked.text
    assert await get(service, "mine", space="whatif") == await get(service, "mine")
    assert (await get(service, "mine", space="whatif", version=1))["settings"]["candidates"] == 5
    erased = await service.client.post("/v1/erase", json={"space": "default"})
    assert erased.status_code == 200, erased.text
    counted = text("SELECT count(*) FROM recipes WHERE tenant_id = :tenant")
    assert owner.execute(counted, {"tenant": service.caller.tenant_id}).scalar_one() == 2


# Recall


async def test_the_weights_of_a_recipe_change_the_order(service: Service) -> None:
    said = [
        {"role": "user", "content": "The lighthouse keeper plays chess.", "timestamp": "2026-02-10T10:00:00Z"},
        {"role": "user", "content": "It was a foggy day.", "timestamp": "2025-06-10T10:00:00Z"},
    ]
    for number, message in enumerate(said):
        await service.add(session=f"s{number}", messages=[message])
    question = "Which lighthouse keeper was it in June 2025?"
    before = await service.recall(question)
    assert contents(before) == ["The lighthouse keeper plays chess.", "It was a foggy day."]
    assert (before["recipe"], before["recipe_version"]) == ("balanced", None)
    await put(service, "by-date", {"weights": {"date": 60, "lexical_window": 0}})
    found = await service.recall(question, recipe="by-date", explain=True)
    assert contents(found) == ["It was a foggy day.", "The lighthouse keeper plays chess."]
    assert (found["recipe"], found["recipe_version"], found["degraded"]) == ("by-date", 1, False)
    parts = [{reason["stage"]: reason["contribution"] for reason in hit["reasons"]} for hit in found["results"]]
    assert parts[0]["date"] > 25
    assert "lexical" in parts[1]
    assert "lexical_window" not in parts[0] | parts[1]


async def test_a_recipe_without_vectors_never_asks_the_encoder(service: Service) -> None:
    await service.add(texts=[{"content": "The umbrella is in the car."}, {"content": "The cellar is damp."}])
    await put(service, "words", WORDS_ALONE)
    service.encoder.fail = True
    found = await service.recall("umbrella", recipe="words", explain=True)
    assert contents(found)[0] == "The umbrella is in the car."
    assert (found["degraded"], found["notes"]) == (False, [])
    assert {reason["stage"] for reason in found["results"][0]["reasons"]} == {"lexical", "lexical_window"}
    assert queries(service) == []
    await put(service, "words", {"weights": {"dense": 0}})  # dense_window has its weight still
    service.encoder.fail = False
    assert (await service.recall("umbrella", recipe="words"))["recipe_version"] == 2
    assert queries(service) == ["umbrella"]


async def test_a_recipe_without_words_reads_no_postings(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    await service.add(texts=[{"content": "The umbrella is in the car."}, {"content": "The cellar is damp."}])
    await put(service, "vectors", VECTORS_ALONE)
    asked: list[object] = []
    send = PipelinedSession.send

    async def watched(self: PipelinedSession, sql: str, parameters: dict, rows: object) -> object:
        if "FROM postings" in sql:
            asked.append(parameters["terms"])
        return await send(self, sql, parameters, rows)

    monkeypatch.setattr(PipelinedSession, "send", watched)
    found = await service.recall("umbrella", recipe="vectors", explain=True)
    assert asked == [[]]
    assert contents(found)[0] == "The umbrella is in the car."
    assert found["results"][0]["matched_terms"] == ["umbrella"]
    stages = {reason["stage"] for hit in found["results"] for reason in hit["reasons"]}
    assert stages == {"dense", "dense_window"}


@pytest.mark.parametrize("arm", [WORDS_ALONE, VECTORS_ALONE], ids=["words", "vectors"])
async def test_one_arm_alone_finds_in_a_large_space_too(service: Service, arm: dict) -> None:
    await service.add(texts=[{"content": f"Shelf number {n} holds jar{n}."} for n in range(30)])
    async with service.services.database.read(service.caller.tenant_id) as session:
        space = (await spaces.list_spaces(session, service.caller))[0]
    await index_space(service.services.ingest, service.caller.tenant_id, space.id)
    await put(service, "one", {**arm, "nearest_chunks": 3, "lexical_chunks": 3, "second_stage": False})
    found = await service.recall("jar17", recipe="one", k=10)
    assert contents(found)[0] == "Shelf number 17 holds jar17."
    assert found["candidates"] <= 3
    assert len(queries(service)) == (arm is VECTORS_ALONE)


async def test_without_words_and_without_the_encoder_nothing_is_found(service: Service) -> None:
    await service.add(texts=[{"content": "The umbrella is in the car."}])
    await put(service, "vectors", VECTORS_ALONE)
    service.encoder.fail = True
    found = await service.recall("umbrella", recipe="vectors")
    assert (found["results"], found["degraded"]) == ([], True)
    assert found["notes"][0].startswith("dense: left out")


async def test_the_first_space_asked_that_has_the_recipe_gives_it(service: Service) -> None:
    for space in ("one", "two", "three"):
        await service.add(space=space, texts=[{"content": f"The bicycle of {space}."}])
    await put(service, "ours", {"candidates": 1}, space="two")
    await put(service, "ours", WORDS_ALONE, space="three")
    await put(service, "ours", {"candidates": 2}, space="three")
    found = await service.recall("bicycle", spaces=["one", "three", "two"], recipe="ours")
    assert (found["recipe_version"], len(found["results"])) == (2, 3)
    assert (await service.recall("bicycle", spaces=["one", "two", "three"], recipe="ours"))["recipe_version"] == 1


async def test_an_unknown_recipe_is_refused_with_those_that_there_are(service: Service) -> None:
    await put(service, "mine", {})
    await put(service, "yours", {}, space="other")
    for path in ("/v1/recall", "/v1/context"):
        body = {"query": "x", "spaces": ["default", "nowhere"], "recipe": "theirs"}
        response = await service.client.post(path, json=body)
        assert response.status_code == 422
        fault = response.json()["errors"][0]
        assert (fault["field"], fault["problem"]) == ("recipe", "there is no recipe 'theirs' in the spaces asked")
        assert "fast, balanced, deep" in fault["remedy"]
        assert ", mine;" in fault["remedy"]
        assert "yours" not in fault["remedy"]


async def test_a_context_is_by_a_recipe_too(service: Service) -> None:
    await service.add(texts=[{"content": "The umbrella is in the car."}])
    await put(service, "words", WORDS_ALONE)
    response = await service.client.post("/v1/context", json={"query": "umbrella", "recipe": "words"})
    assert (response.json()["recipe"], response.json()["recipe_version"]) == ("words", 1)
    assert queries(service) == []


async def test_a_built_in_recipe_costs_no_look_up(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    plans: list[str] = []
    send = PipelinedSession.send

    async def watched(self: PipelinedSession, sql: str, parameters: dict, rows: object) -> object:
        sent.append(sql)
        if "FROM unnest" in sql and "recipes" in sql:
            explained = await send(self, "EXPLAIN " + sql, parameters, rows)
            plans.append("\n".join(row[0] for row in await explained.fetchall()))
        return await send(self, sql, parameters, rows)

    await put(service, "mine", {})
    monkeypatch.setattr(PipelinedSession, "send", watched)
    await service.recall("x")
    built_in = len(sent)
    assert not any("recipes" in sql for sql in sent)
    sent.clear()
    await service.recall("x", recipe="mine")
    assert (len(sent), len(plans)) == (built_in + 1, 1)
    assert "pk_recipes" in plans[0]
    assert "Seq Scan" not in plans[0]
