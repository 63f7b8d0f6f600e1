"""States, operations, undo, ETags, two times, lineage and supersession, over the API on a real Postgres."""

from datetime import UTC, datetime, timedelta

import pytest

from memsvc.lifecycle.states import EDITABLE, TRANSITIONS
from tests.integration.conftest import NOW, Clock, Service


async def one(service: Service, content: str = "The boiler is in the attic.", **fields: object) -> str:
    written = await service.add(texts=[{"content": content, **fields}])
    return written["items"][0]["id"]


async def read(service: Service, memory_id: str, **params: object) -> dict:
    response = await service.client.get(f"/v1/memories/{memory_id}", params=params)
    assert response.status_code == 200, response.text
    return response.json()


async def patch(service: Service, memory_id: str, **fields: object) -> dict:
    response = await service.client.patch(f"/v1/memories/{memory_id}", json=fields)
    assert response.status_code == 200, response.text
    return response.json()


async def move(service: Service, memory_id: str, state: str, **fields: object) -> dict:
    response = await service.client.post(f"/v1/memories/{memory_id}/state", json={"state": state, **fields})
    assert response.status_code == 200, response.text
    return response.json()


async def undo(service: Service, operation_id: str) -> dict:
    response = await service.client.post(f"/v1/operations/{operation_id}/undo", json={"reason": "a mistake"})
    assert response.status_code == 200, response.text
    return response.json()


async def texts(service: Service, query: str, **request: object) -> set[str]:
    return {hit["memory"]["content"] for hit in (await service.recall(query, k=50, **request))["results"]}


@pytest.mark.parametrize("start", sorted(TRANSITIONS))
async def test_the_table_of_transitions_is_what_the_service_does(service: Service, owner, start: str) -> None:
    from sqlalchemy import text

    for target in sorted(TRANSITIONS):
        memory_id = await one(service, f"from {start} to {target}")
        owner.execute(text("UPDATE memories SET state = :state WHERE id = :id"), {"state": start, "id": memory_id})
        owner.commit()
        response = await service.client.post(f"/v1/memories/{memory_id}/state", json={"state": target})
        if target in TRANSITIONS[start]:
            assert response.status_code == 200, (start, target, response.text)
            assert response.json()["state"] == target
        else:
            assert response.status_code == 409
            assert response.json()["errors"][0]["field"] == "state"


@pytest.mark.parametrize("state", sorted(set(TRANSITIONS) - EDITABLE))
async def test_what_may_not_be_edited_is_not(service: Service, owner, state: str) -> None:
    from sqlalchemy import text

    memory_id, other = await one(service), await one(service, "another")
    owner.execute(text("UPDATE memories SET state = :state WHERE id = :id"), {"state": state, "id": memory_id})
    owner.commit()
    for response in (
        await service.client.patch(f"/v1/memories/{memory_id}", json={"content": "changed"}),
        await service.client.patch(f"/v1/memories/{memory_id}", json={"importance": 1}),
        await service.client.delete(f"/v1/memories/{memory_id}", params={"mode": "expire"}),
        await service.client.post(f"/v1/memories/{memory_id}/supersede", json={"by": other}),
    ):
        assert (response.status_code, response.json()["code"]) == (409, "frozen")
        assert "/state" in response.json()["remedy"]
    assert (await read(service, memory_id))["content"] == "The boiler is in the attic."


async def test_a_lost_update_is_a_412(service: Service) -> None:
    memory_id = await one(service)
    first = await service.client.get(f"/v1/memories/{memory_id}")
    assert first.headers["ETag"] == '"1"'
    changed = await service.client.patch(
        f"/v1/memories/{memory_id}", json={"importance": 0.9}, headers={"If-Match": first.headers["ETag"]}
    )
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    headers = {"If-Match": first.headers["ETag"]}
    for response in (
        await service.client.patch(f"/v1/memories/{memory_id}", json={"content": "lost"}, headers=headers),
        await service.client.post(f"/v1/memories/{memory_id}/state", json={"state": "archived"}, headers=headers),
        await service.client.delete(f"/v1/memories/{memory_id}", headers=headers),
        await service.client.delete(f"/v1/memories/{memory_id}", params={"mode": "archive"}, headers=headers),
        await service.client.put(f"/v1/memories/{memory_id}/hold", json={"on": True}, headers=headers),
    ):
        assert (response.status_code, response.json()["code"]) == (412, "precondition_failed")
        assert "version 2, not 1" in response.json()["detail"]
    assert (await read(service, memory_id))["version"] == 2
    garbled = await service.client.patch(
        f"/v1/memories/{memory_id}", json={"importance": 0.1}, headers={"If-Match": "two"}
    )
    assert (garbled.status_code, garbled.json()["errors"][0]["field"]) == (422, "If-Match")


async def test_history_tells_who_what_when_and_why(service: Service) -> None:
    memory_id = await one(service)
    await patch(service, memory_id, content="The boiler is in the cellar.", reason="it was moved")
    await move(service, memory_id, "frozen", reason="settled")
    history = (await service.client.get(f"/v1/memories/{memory_id}/history")).json()["versions"]
    assert [(v["version"], v["operation"], v["actor"], v["reason"]) for v in history] == [
        (1, "add", "tester", None),
        (2, "edit", "tester", "it was moved"),
        (3, "frozen", "tester", "settled"),
    ]
    assert history[1]["changed"]["content"] == {
        "before": "The boiler is in the attic.",
        "after": "The boiler is in the cellar.",
    }
    assert history[2]["changed"] == {"state": {"before": "generated", "after": "frozen"}}
    assert history[0]["memory"]["content"] == "The boiler is in the attic."
    assert [v["known_to"] for v in history][-1] is None
    assert history[0]["known_to"] == history[1]["known_from"]
    operations = (await service.client.get("/v1/operations")).json()["items"]
    assert [(o["kind"], o["number"]) for o in operations] == [("frozen", 3), ("edit", 2), ("add", 1)]
    detail = (await service.client.get(f"/v1/operations/{operations[1]['id']}")).json()
    assert [(c["memory_id"], c["version_before"], c["version_after"]) for c in detail["changes"]] == [(memory_id, 1, 2)]
    assert "content" in detail["changes"][0]["changed"]


async def test_operations_are_paged_newest_first(service: Service) -> None:
    memory_id = await one(service)
    for importance in (0.1, 0.2, 0.3, 0.4):
        await patch(service, memory_id, importance=importance)
    seen, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await service.client.get("/v1/operations", params=params)).json()
        seen += [operation["number"] for operation in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [5, 4, 3, 2, 1]


async def test_undo_brings_back_content_header_and_search(service: Service) -> None:
    memory_id = await one(service, importance=0.3, metadata={"a": 1})
    before = await read(service, memory_id)
    edited = await patch(service, memory_id, content="A heron stands in the pond.", importance=0.9, metadata={"b": 2})
    assert await texts(service, "heron pond") == {"A heron stands in the pond."}
    done = await undo(service, edited["operation_id"])
    assert (done["restored"], done["archived"]) == ([memory_id], [])
    after = await read(service, memory_id)
    changing = {"version", "updated_at", "operation_id", "last_accessed_at", "access_count"}
    assert {k: v for k, v in after.items() if k not in changing} == {
        k: v for k, v in before.items() if k not in changing
    }
    assert after["version"] == 3
    assert "The boiler is in the attic." in await texts(service, "where is the boiler")
    await undo(service, done["operation_id"])
    assert (await read(service, memory_id))["content"] == "A heron stands in the pond."


async def test_undoing_an_add_archives_and_redoing_brings_back(service: Service) -> None:
    memory_id = await one(service)
    operation = (await read(service, memory_id))["operation_id"]
    done = await undo(service, operation)
    assert done["archived"] == [memory_id]
    assert await texts(service, "boiler attic") == set()
    await undo(service, done["operation_id"])
    assert await texts(service, "boiler attic") == {"The boiler is in the attic."}
    listed = {o["id"]: o for o in (await service.client.get("/v1/operations")).json()["items"]}
    assert listed[operation]["undone_by"] is None


async def test_undo_is_refused_when_something_stands_on_it(service: Service) -> None:
    memory_id = await one(service)
    first = await patch(service, memory_id, importance=0.8)
    second = await patch(service, memory_id, importance=0.9)
    refused = await service.client.post(f"/v1/operations/{first['operation_id']}/undo")
    assert refused.status_code == 409
    assert memory_id in refused.json()["detail"]
    await undo(service, second["operation_id"])
    again = await service.client.post(f"/v1/operations/{second['operation_id']}/undo")
    assert (again.status_code, "was undone by" in again.json()["detail"]) == (409, True)

    source = await one(service, "source")
    made = (await read(service, source))["operation_id"]
    await one(service, "derived", derived_from=[source])
    refused = await service.client.post(f"/v1/operations/{made}/undo")
    assert (refused.status_code, "derived" in refused.json()["detail"]) == (409, True)
    missing = await service.client.post("/v1/operations/01890000-0000-7000-8000-000000000001/undo")
    assert missing.status_code == 404


async def test_what_was_derived_and_brought_back_after_its_undo_stands_on_its_source_again(service: Service) -> None:
    source = await one(service, "source")
    made = (await read(service, source))["operation_id"]
    derived = await one(service, "derived", derived_from=[source])
    await undo(service, (await read(service, derived))["operation_id"])
    moved = await service.client.post(f"/v1/memories/{derived}/state", json={"state": "activated"})
    assert moved.status_code == 200, moved.text
    refused = await service.client.post(f"/v1/operations/{made}/undo")
    assert (refused.status_code, derived in refused.json()["detail"]) == (409, True)
    await undo(service, moved.json()["operation_id"])
    assert (await undo(service, made))["archived"] == [source]


async def test_known_time_through_get_list_and_recall(service: Service, clock: Clock) -> None:
    start = clock.now
    memory_id = await one(service, "The meeting is on Tuesday.")
    gone = await one(service, "The meeting room is the green one.")
    clock.advance(days=1)
    await patch(service, memory_id, content="The meeting is on Friday.")
    clock.advance(days=1)
    await service.client.delete(f"/v1/memories/{gone}", params={"mode": "archive"})
    await one(service, "The meeting needs a projector.")

    assert (await read(service, memory_id))["content"] == "The meeting is on Friday."
    moments = [start + timedelta(hours=1), start + timedelta(days=1, hours=1), clock.now + timedelta(hours=1)]
    expected = [
        {"The meeting is on Tuesday.", "The meeting room is the green one."},
        {"The meeting is on Friday.", "The meeting room is the green one."},
        {"The meeting is on Friday.", "The meeting needs a projector."},
    ]
    for moment, contents in zip(moments, expected, strict=True):
        known = moment.isoformat()
        for recipe in ("fast", "balanced"):
            assert await texts(service, "when and where is the meeting", as_of_known=known, recipe=recipe) == contents
        listed = (await service.client.get("/v1/memories", params={"as_of_known": known})).json()["items"]
        assert {m["content"] for m in listed if m["state"] == "generated"} == contents
        context = await service.client.post(
            "/v1/context", json={"query": "when and where is the meeting", "as_of_known": known}
        )
        assert all(content in context.json()["text"] for content in contents)
    assert (await read(service, memory_id, as_of_known=moments[0].isoformat()))["content"] == (
        "The meeting is on Tuesday."
    )
    before = await service.client.get(
        f"/v1/memories/{memory_id}", params={"as_of_known": (start - timedelta(days=1)).isoformat()}
    )
    assert before.status_code == 404


async def test_valid_time_with_its_precision(service: Service) -> None:
    home = await one(service, "Ana lives in Lisbon.", valid_from="2024", valid_to="2025-03")
    new = await one(service, "Ana lives in Porto.", valid_from="2025-04-01")
    plan = await one(service, "Ana lives in Faro.", valid_from="2030")
    memory = await read(service, home)
    assert (memory["valid_from"], memory["valid_from_precision"]) == ("2024-01-01T00:00:00Z", "year")
    assert (memory["valid_to"], memory["valid_to_precision"]) == ("2025-04-01T00:00:00Z", "month")
    assert ((await read(service, new))["valid_to"], (await read(service, new))["valid_from_precision"]) == (None, "day")
    assert await texts(service, "where does Ana live") == {"Ana lives in Porto."}
    for moment, expected in {
        "2023-12-31T23:59:59Z": set(),
        "2024-01-01T00:00:00Z": {"Ana lives in Lisbon."},
        "2025-03-31T23:59:59Z": {"Ana lives in Lisbon."},
        "2025-04-01T00:00:00Z": {"Ana lives in Porto."},
        "2031-01-01T00:00:00Z": {"Ana lives in Porto.", "Ana lives in Faro."},
    }.items():
        assert await texts(service, "where does Ana live", as_of_valid=moment) == expected, moment
        listed = (await service.client.get("/v1/memories", params={"as_of_valid": moment})).json()["items"]
        assert {m["content"] for m in listed} == expected
    assert (await service.client.get(f"/v1/memories/{plan}")).status_code == 200
    then = await service.client.get(f"/v1/memories/{plan}", params={"as_of_valid": NOW.isoformat()})
    assert then.status_code == 404


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"valid_from": "soon"}, "texts[0].valid_from"),
        ({"valid_from": "2024-13"}, "texts[0].valid_from"),
        ({"valid_to": "2024-02-30"}, "texts[0].valid_to"),
        ({"valid_from": "2025", "valid_to": "2024"}, "texts[0].valid_to"),
        ({"derived_from": ["01890000-0000-7000-8000-000000000001"]}, "texts[0].derived_from"),
        ({"supersedes": ["01890000-0000-7000-8000-000000000001"]}, "texts[0].supersedes"),
    ],
)
async def test_what_cannot_be_related_or_dated_is_refused(service: Service, fields: dict, field: str) -> None:
    response = await service.client.post("/v1/memories", json={"texts": [{"content": "x", **fields}]})
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, field)
    assert (await service.client.get("/v1/memories")).json()["items"] == []


async def test_supersede_closes_validity_and_shows_the_chain_on_request(service: Service, clock: Clock) -> None:
    old = await one(service, "The gate code is 4711.", valid_from="2025-01-01")
    before = clock.now
    clock.advance(days=3)
    written = await service.add(
        texts=[{"content": "The gate code is 9923.", "valid_from": "2026-02-01", "supersedes": [old]}]
    )
    new = written["items"][0]["id"]
    memory = await read(service, old)
    assert (memory["valid_to"], memory["superseded_by"]) == ("2026-02-01T00:00:00Z", new)
    assert await texts(service, "gate code") == {"The gate code is 9923."}
    both = {"The gate code is 4711.", "The gate code is 9923."}
    assert await texts(service, "gate code", include_superseded=True) == both
    assert await texts(service, "gate code", as_of_valid="2025-06-01T00:00:00Z") == {"The gate code is 4711."}
    # What was known before the change: the old code, held to be true now as well.
    assert await texts(service, "gate code", as_of_known=before.isoformat()) == {"The gate code is 4711."}
    lineage = (await service.client.get(f"/v1/memories/{old}/lineage")).json()
    assert (lineage["superseded_by"], lineage["supersedes"]) == ([new], [])
    lineage = (await service.client.get(f"/v1/memories/{new}/lineage")).json()
    assert (lineage["superseded_by"], lineage["supersedes"]) == ([], [old])

    third = await one(service, "The gate has no code any more.")
    again = await service.client.post(f"/v1/memories/{old}/supersede", json={"by": third})
    assert (again.status_code, again.json()["errors"][0]["field"]) == (409, "by")
    back = await service.client.post(f"/v1/memories/{new}/supersede", json={"by": old})
    assert (back.status_code, "is itself superseded" in back.json()["detail"]) == (409, True)
    done = await service.client.post(
        f"/v1/memories/{new}/supersede", json={"by": third, "at": "2026-02", "reason": "new gate"}
    )
    assert (done.status_code, done.json()["valid_to"]) == (200, "2026-02-01T00:00:00Z")
    await undo(service, done.json()["operation_id"])
    assert await texts(service, "gate code 9923") >= {"The gate code is 9923."}


async def test_lineage_up_and_down_with_depth(service: Service) -> None:
    first, second = await one(service, "turn one"), await one(service, "turn two")
    fact = await one(service, "a fact of both", derived_from=[first, second])
    summary = await one(service, "a summary", derived_from=[fact], kind="summary")
    up = (await service.client.get(f"/v1/memories/{summary}/lineage")).json()["up"]
    assert (up[0]["derived_id"], up[0]["source_id"], up[0]["depth"]) == (summary, fact, 1)
    assert {(e["source_id"], e["depth"]) for e in up[1:]} == {(first, 2), (second, 2)}
    near = (await service.client.get(f"/v1/memories/{summary}/lineage", params={"depth": 1})).json()["up"]
    assert [e["source_id"] for e in near] == [fact]
    down = (await service.client.get(f"/v1/memories/{first}/lineage", params={"direction": "down"})).json()
    assert ([e["derived_id"] for e in down["down"]], down["up"]) == ([fact, summary], [])
    await patch(service, first, content="turn one, corrected")
    again = (await service.client.get(f"/v1/memories/{fact}/lineage")).json()["up"]
    assert {e["source_version"] for e in again} == {1}
    assert len({e["operation_id"] for e in again}) == 1


async def test_expiry_and_retention_hold_before_any_sweep(service: Service, clock: Clock) -> None:
    soon = await one(service, "The voucher is worth ten euros.", expires_at=(clock.now + timedelta(days=1)).isoformat())
    await one(service, "The voucher is in the drawer.", kind="preference")
    assert len(await texts(service, "voucher")) == 2
    response = await service.client.put(
        "/v1/spaces/default", json={"policies": {"ttl_days": 30, "kinds": {"preference": {"ttl_days": 2}}}}
    )
    assert response.status_code == 200, response.text
    assert response.json()["policies"]["kinds"] == {"preference": {"ttl_days": 2.0}}
    clock.advance(days=1, seconds=1)
    assert await texts(service, "voucher") == {"The voucher is in the drawer."}
    assert (await service.client.get(f"/v1/memories/{soon}")).status_code == 404
    clock.advance(days=1)
    assert await texts(service, "voucher") == set()
    await one(service, "The voucher was a gift.")
    assert await texts(service, "voucher") == {"The voucher was a gift."}
    clock.advance(days=31)
    assert await texts(service, "voucher", as_of_known=(clock.now - timedelta(days=2)).isoformat()) == set()
    await service.client.put("/v1/spaces/default", json={"policies": {}})
    assert await texts(service, "voucher") == {"The voucher was a gift.", "The voucher is in the drawer."}


async def test_expire_at_a_time_and_archive(service: Service, clock: Clock) -> None:
    memory_id = await one(service, "The password hint is the dog.")
    moment = datetime(2026, 3, 5, tzinfo=UTC)
    path = f"/v1/memories/{memory_id}"
    assert (await service.client.delete(path, params={"mode": "expire", "at": moment.isoformat()})).status_code == 204
    assert await texts(service, "password hint") == {"The password hint is the dog."}
    clock.advance(days=5)
    assert await texts(service, "password hint") == set()
    other = await one(service, "The dog is called Rex.")
    assert (await service.client.delete(f"/v1/memories/{other}", params={"mode": "archive"})).status_code == 204
    assert await texts(service, "dog called") == set()
    assert (await move(service, other, "activated"))["state"] == "activated"
    assert await texts(service, "dog called") == {"The dog is called Rex."}
    wrong = await service.client.delete(f"/v1/memories/{other}", params={"mode": "archive", "at": moment.isoformat()})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "at")


async def test_operations_are_undone_one_after_the_other_from_the_last(service: Service) -> None:
    added = await service.add(texts=[{"content": "the door code is 4711"}])
    memory = added["items"][0]["id"]
    for content in ("the door code is 4712", "the door code is 4713"):
        edited = await service.client.patch(f"/v1/memories/{memory}", json={"content": content})
        assert edited.status_code == 200, edited.text
    operations = (await service.client.get("/v1/operations", params={"space": "default"})).json()["items"]
    edits = [operation["id"] for operation in operations if operation["kind"] == "edit"]
    assert len(edits) == 2
    refused = await service.client.post(f"/v1/operations/{edits[1]}/undo", json={})
    assert refused.status_code == 409
    for operation, content in zip(edits, ("the door code is 4712", "the door code is 4711"), strict=True):
        undone = await service.client.post(f"/v1/operations/{operation}/undo", json={})
        assert undone.status_code == 200, undone.text
        assert (await service.client.get(f"/v1/memories/{memory}")).json()["content"] == content
