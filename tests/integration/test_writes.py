"""`POST /v1/memories` and what belongs to it, on a real Postgres."""

import asyncio
import json
from uuid import UUID

import pytest

from memsvc.consolidation.jobs import embed_pending
from memsvc.deployment import Deployment
from memsvc.store import spaces
from tests.integration.conftest import Service, open_service


def turn(content: str, **fields: object) -> dict:
    return {"role": "user", "content": content, **fields}


async def stored(service: Service, space: str = "default") -> list[dict]:
    response = await service.client.get("/v1/memories", params={"space": space, "limit": 1000})
    return response.json()["items"]


async def space_id(service: Service, name: str = "default") -> object:
    async with service.services.database.read(service.caller.tenant_id) as session:
        return (await spaces.list_spaces(session, service.caller, [name]))[0].id


async def test_what_is_stored_comes_back_whole(service: Service) -> None:
    written = await service.add(
        space="diary",
        session="monday",
        timezone="Europe/Paris",
        messages=[
            {
                "role": "user",
                "name": "Zoé",
                "content": "Merci 🙏 — j'ai adopté un chat,\n« Pixel ».",
                "timestamp": "2026-01-05T09:30:00",
                "importance": 0.9,
                "metadata": {"source": "app", "n": 3},
            }
        ],
        texts=[{"kind": "preference", "content": "Prefers metric units."}],
    )
    assert written["receipt"] == written["receipt"] | {
        "space": "diary",
        "stored": 2,
        "created": 2,
        "duplicates": 0,
        "pending": 0,
        "searchable": True,
    }
    memory = (await service.client.get(f"/v1/memories/{written['items'][0]['id']}")).json()
    assert memory == memory | {
        "space": "diary",
        "kind": "turn",
        "content": "Merci 🙏 — j'ai adopté un chat,\n« Pixel ».",
        "role": "user",
        "name": "Zoé",
        "session": "monday",
        "position": 0,
        "actor": "tester",
        "occurred_at": "2026-01-05T08:30:00Z",
        "occurred_zone": "Europe/Paris",
        "recorded_at": "2026-03-01T12:00:00Z",
        "state": "generated",
        "version": 1,
        "importance": 0.9,
        "metadata": {"source": "app", "n": 3},
        "searchable": True,
    }


async def test_a_batch_sent_again_doubles_nothing(service: Service) -> None:
    batch = {"session": "s", "messages": [turn("ok"), turn("ok"), turn("fine")]}
    first = await service.add(**batch)
    second = await service.add(**batch)
    assert [item["status"] for item in first["items"]] == ["created"] * 3
    assert [item["status"] for item in second["items"]] == ["duplicate"] * 3
    assert [item["id"] for item in second["items"]] == [item["id"] for item in first["items"]]
    assert [memory["position"] for memory in await stored(service)] == [0, 1, 2]


async def test_the_same_words_at_another_time_or_place_are_another_turn(service: Service) -> None:
    await service.add(session="s", messages=[turn("ok", timestamp="2026-01-01T10:00:00Z")])
    await service.add(session="s", messages=[turn("ok", timestamp="2026-01-01T11:00:00Z")])
    await service.add(session="t", messages=[turn("ok", timestamp="2026-01-01T10:00:00Z")])
    assert len(await stored(service)) == 3


async def test_an_idempotency_key_replays_its_receipt_and_refuses_another_request(service: Service) -> None:
    headers = {"Idempotency-Key": "abc"}
    body = {"messages": [turn("once")]}
    first = await service.client.post("/v1/memories", json=body, headers=headers)
    again = await service.client.post("/v1/memories", json=body, headers=headers)
    other = await service.client.post("/v1/memories", json={"messages": [turn("else")]}, headers=headers)
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replay"] == "true"
    assert (other.status_code, other.json()["errors"][0]["field"]) == (409, "Idempotency-Key")
    assert len(await stored(service)) == 1


async def test_many_copies_of_one_request_at_once_store_it_once(service: Service) -> None:
    body = {"session": "s", "messages": [turn(f"line {number}") for number in range(20)]}
    answers = await asyncio.gather(
        *(service.client.post("/v1/memories", json=body, headers={"Idempotency-Key": "k"}) for _ in range(8))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["receipt"]["id"] for answer in answers}) == 1
    assert len(await stored(service)) == 20


async def test_writers_of_one_session_at_once_leave_no_gap_and_no_clash(service: Service) -> None:
    await asyncio.gather(*(service.add(session="s", messages=[turn(f"from {writer}")]) for writer in range(12)))
    assert sorted(memory["position"] for memory in await stored(service)) == list(range(12))


async def test_a_given_id_is_kept_and_refused_for_other_content(service: Service) -> None:
    given = "0198c0de-0000-7000-8000-000000000001"
    first = await service.add(texts=[{"id": given, "content": "Likes tea."}])
    again = await service.add(texts=[{"id": given, "content": "Likes tea."}])
    clash = await service.client.post("/v1/memories", json={"texts": [{"id": given, "content": "Likes coffee."}]})
    assert UUID(first["items"][0]["id"]) == UUID(given)
    assert again["items"][0]["status"] == "duplicate"
    assert clash.status_code == 409
    assert clash.json()["errors"][0]["field"] == "texts[0].id"


async def test_a_position_holds_one_turn(service: Service) -> None:
    first = await service.add(session="s", messages=[turn("a", position=4), turn("b")])
    again = await service.add(session="s", messages=[turn("a", position=4)])
    clash = await service.client.post("/v1/memories", json={"session": "s", "messages": [turn("z", position=5)]})
    assert [memory["position"] for memory in await stored(service)] == [4, 5]
    assert again["items"][0]["id"] == first["items"][0]["id"]
    assert clash.status_code == 409
    assert clash.json()["errors"][0]["field"] == "messages[0].position"
    assert len(await stored(service)) == 2


async def test_without_waiting_the_write_is_stored_and_embedded_by_a_job(service: Service) -> None:
    written = await service.add(wait=False, texts=[{"content": "The spare key is under the blue pot."}])
    receipt = written["receipt"]["id"]
    assert (written["receipt"]["searchable"], written["receipt"]["pending"]) == (False, 1)
    found = await service.recall("spare key")
    assert [hit["memory"]["id"] for hit in found["results"]] == [written["items"][0]["id"]]  # by its words
    await embed_pending(service.services.ingest, service.caller.tenant_id, await space_id(service))
    later = (await service.client.get(f"/v1/receipts/{receipt}")).json()
    assert (later["receipt"]["searchable"], later["items"][0]["searchable"]) == (True, True)


async def test_an_encoder_outage_neither_rejects_nor_loses_a_write(service: Service) -> None:
    service.encoder.fail = True
    written = await service.add(messages=[turn("The meeting moved to Thursday.")])
    assert written["receipt"]["searchable"] is False
    service.encoder.fail = False
    await asyncio.sleep(0)
    assert await embed_pending(service.services.ingest, service.caller.tenant_id, await space_id(service)) == 1
    assert (await stored(service))[0]["searchable"] is True


async def test_long_content_is_cut_into_chunks_and_never_truncated(service: Service) -> None:
    sentences = [f"Fact number {number} is about topic {number}." for number in range(400)]
    written = await service.add(texts=[{"kind": "document", "content": " ".join(sentences)}])
    assert written["items"][0]["chunks"] > 10
    found = await service.recall("fact number 399 topic 399")
    hit = found["results"][0]
    assert "Fact number 399" in hit["memory"]["content"][hit["snippet_start"] : hit["snippet_end"]]


async def test_a_megabyte_is_one_memory(service: Service) -> None:
    content = "The quick brown fox jumps over the lazy dog. " * 23_000
    written = await service.add(wait=False, texts=[{"kind": "document", "content": content}])
    memory = (await service.client.get(f"/v1/memories/{written['items'][0]['id']}")).json()
    assert memory["content"] == content


BAD = [
    ({"messages": []}, 422, "messages"),
    ({"texts": [{"content": "x"}] * 1001}, 422, "messages"),
    ({"messages": [turn("   ")]}, 422, "messages[0].content"),
    ({"messages": [turn("a\x00b")]}, 422, "messages[0].content"),
    ({"messages": [turn("x", timestamp="2027-01-01T00:00:00Z")]}, 422, "messages[0].timestamp"),
    ({"messages": [turn("x", timestamp="yesterday")]}, 422, "messages[0].timestamp"),
    ({"timezone": "Mars/Olympus", "messages": [turn("x")]}, 422, "timezone"),
    ({"messages": [turn("x", colour="red")]}, 422, "messages[0].colour"),
    ({"messages": [{"role": "robot", "content": "x"}]}, 422, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, 422, "messages[0].content"),
    ({"messages": [turn("x", position=1)]}, 422, "messages[0].position"),
    ({"texts": [{"content": "x", "expires_at": "2020-01-01T00:00:00Z"}]}, 422, "texts[0].expires_at"),
    ({"texts": [{"content": "x", "metadata": {"a": "b\x00"}}]}, 422, "texts[0].metadata"),
    ({"texts": [{"content": "x", "importance": 2}]}, 422, "texts[0].importance"),
]


@pytest.mark.parametrize(("body", "status", "field"), BAD, ids=lambda value: str(value)[:40])
async def test_a_bad_request_names_the_field_and_the_remedy(
    service: Service, body: dict, status: int, field: str
) -> None:
    response = await service.client.post("/v1/memories", json=body)
    problem = response.json()
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["errors"][0]["field"] == field
    assert problem["errors"][0]["problem"]
    assert problem["errors"][0]["remedy"]
    assert problem["request_id"] == response.headers["x-request-id"]
    assert await stored(service) == []


async def test_text_that_is_no_json_or_holds_a_lone_surrogate_is_refused(service: Service) -> None:
    for body in (b"{", b'{"texts": [{"content": "\\ud800"}]}'):
        response = await service.client.post("/v1/memories", content=body, headers={"Content-Type": "application/json"})
        assert response.status_code == 422
        assert response.json()["errors"]


async def test_all_faults_of_a_request_are_told_at_once(service: Service) -> None:
    response = await service.client.post(
        "/v1/memories", json={"timezone": "Nowhere", "messages": [turn(" "), turn("fine"), turn("\x00")]}
    )
    fields = [error["field"] for error in response.json()["errors"]]
    assert fields == ["timezone", "messages[0].content", "messages[2].content"]


async def test_a_patch_makes_a_new_version_that_recall_finds_and_the_old_words_do_not(service: Service) -> None:
    written = await service.add(texts=[{"content": "The gate code is zebra."}])
    path = f"/v1/memories/{written['items'][0]['id']}"
    patched = await service.client.patch(path, json={"content": "The gate code is walrus.", "importance": 0.8})
    assert patched.json() == patched.json() | {
        "content": "The gate code is walrus.",
        "version": 2,
        "importance": 0.8,
        "searchable": True,
    }
    found = (await service.recall("walrus", explain=True))["results"][0]
    assert found["matched_terms"] == ["walrus"]
    assert all("zebra" not in hit["matched_terms"] for hit in (await service.recall("zebra"))["results"])


async def test_a_patch_that_says_nothing_or_null_is_refused(service: Service) -> None:
    written = await service.add(texts=[{"content": "x"}])
    path = f"/v1/memories/{written['items'][0]['id']}"
    assert (await service.client.patch(path, json={})).json()["errors"][0]["field"] == "body"
    assert (await service.client.patch(path, json={"content": None})).json()["errors"][0]["field"] == "content"


async def test_a_deleted_memory_is_gone_from_everywhere(service: Service) -> None:
    written = await service.add(texts=[{"content": "The safe opens with 4711."}, {"content": "Something else."}])
    path = f"/v1/memories/{written['items'][0]['id']}"
    assert (await service.client.delete(path)).status_code == 204
    assert (await service.client.get(path)).status_code == 404
    assert (await service.client.delete(path)).status_code == 404
    assert [memory["content"] for memory in await stored(service)] == ["Something else."]
    assert all("4711" not in hit["memory"]["content"] for hit in (await service.recall("safe 4711"))["results"])
    async with service.services.database.read(service.caller.tenant_id) as session:
        rows = await session.fetch("SELECT term FROM postings WHERE term = '4711'", {}, _tuple_rows())
    assert rows == []


def _tuple_rows():
    from psycopg.rows import tuple_row

    return tuple_row


async def test_pages_of_a_listing_do_not_shift_while_others_write(service: Service) -> None:
    await service.add(texts=[{"content": f"note {number}"} for number in range(5)])
    first = (await service.client.get("/v1/memories", params={"limit": 2})).json()
    await service.add(texts=[{"content": "note 5"}])
    seen = [memory["content"] for memory in first["items"]]
    cursor = first["next_cursor"]
    while cursor:
        page = (await service.client.get("/v1/memories", params={"limit": 2, "cursor": cursor})).json()
        seen += [memory["content"] for memory in page["items"]]
        cursor = page["next_cursor"]
    assert seen == [f"note {number}" for number in range(6)]
    assert (await service.client.get("/v1/memories", params={"cursor": "junk"})).status_code == 422


async def test_a_write_waits_only_so_long_for_its_embeddings(deployment: Deployment) -> None:
    async with open_service(deployment, write_wait_s=0.01) as service:
        service.encoder.pause()
        written = await service.add(texts=[{"content": "a very long book about herons"}])
        assert written["receipt"]["pending"] == 1
        assert written["receipt"]["searchable"] is False
        found = await service.client.patch(
            f"/v1/memories/{written['items'][0]['id']}", json={"content": "about egrets"}
        )
        assert (found.status_code, found.json()["searchable"]) == (200, False)
        service.encoder.resume()
        assert await embed_pending(service.services.ingest, service.caller.tenant_id, await space_id(service)) == 1
        receipt = await service.client.get(f"/v1/receipts/{written['receipt']['id']}")
        assert receipt.json()["receipt"]["searchable"] is True


@pytest.mark.parametrize(
    "metadata",
    [{"a": "x\u0000y"}, {"a\u0000": 1}, {"a": ["\ud800"]}, {"a": {"b": 1e100}}, {"a": 2**63}, {"a": -(2**70)}],
)
async def test_metadata_that_would_not_come_back_is_refused(service: Service, metadata: dict) -> None:

    body = json.dumps({"texts": [{"content": "x", "metadata": metadata}]})
    headers = {"Content-Type": "application/json"}
    response = await service.client.post("/v1/memories", content=body, headers=headers)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "texts[0].metadata")
    written = await service.add(texts=[{"content": "x", "metadata": {"literally": "\\u0000", "n": 2.5, "m": 2**62}}])
    path = f"/v1/memories/{written['items'][0]['id']}"
    refused = await service.client.patch(path, content=json.dumps({"metadata": metadata}), headers=headers)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "metadata")
    stored = (await service.client.get(path)).json()
    assert stored["metadata"] == {"literally": "\\u0000", "n": 2.5, "m": 2**62}
