"""What each method sends and returns."""

import json
from datetime import UTC, datetime
from uuid import UUID

import httpx
import pytest
from sdk_samples import CONTEXT, MEMORY, MEMORY_ID, RECALL, RECEIPT_ID, Recorded, receipt, written

from memsvc.sdk import ApiError, AsyncMemoryClient, InvalidRequest, MemoryClient, MessageIn, TextIn, TimedOut


def client(recorded: Recorded) -> MemoryClient:
    return MemoryClient("http://memsvc.test", "msk_a_b", transport=recorded.transport)


def json_answer(body: object, status: int = 200) -> Recorded:
    return Recorded([httpx.Response(status, json=body)])


def test_add_takes_models_dicts_and_strings() -> None:
    recorded = Recorded(written)
    answer = client(recorded).add(
        messages=[MessageIn(role="user", content="Hello."), {"role": "assistant", "content": "Hi."}],
        texts=["Likes tea.", {"content": "Lives in Lisbon.", "kind": "preference"}, TextIn(content="x")],
        space="sam",
        wait=False,
    )
    assert answer.receipt.stored == 5
    (request,) = recorded.requests
    assert (request.method, request.url.path) == ("POST", "/v1/memories")
    assert request.headers["Authorization"] == "Bearer msk_a_b"
    assert UUID(request.headers["Idempotency-Key"])
    # Only what was said: a default is the service's to choose.
    assert recorded.body == {
        "space": "sam",
        "wait": False,
        "messages": [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hi."}],
        "texts": [
            {"content": "Likes tea."},
            {"content": "Lives in Lisbon.", "kind": "preference"},
            {"content": "x"},
        ],
    }


def test_one_string_is_one_text() -> None:
    recorded = Recorded(written)
    client(recorded).add(texts="Likes tea.")
    assert recorded.body["texts"] == [{"content": "Likes tea."}]


def test_a_timestamp_without_an_offset_is_left_to_the_service() -> None:
    recorded = Recorded(written)
    message = MessageIn(role="user", content="x", timestamp=datetime(2024, 5, 7, 10, 30))
    client(recorded).add(messages=[message], timezone="Europe/Lisbon")
    assert recorded.body["messages"][0]["timestamp"] == "2024-05-07T10:30:00"


def test_a_key_of_the_callers_is_sent() -> None:
    recorded = Recorded(written)
    client(recorded).add(texts="x", idempotency_key="import-7")
    assert recorded.requests[0].headers["Idempotency-Key"] == "import-7"


def test_add_points_to_add_many_past_a_thousand_items() -> None:
    recorded = Recorded(written)
    with pytest.raises(ValueError, match=r"at most 1000 items, not 1001; use add_many\(\)"):
        client(recorded).add(texts=["x"] * 1001)
    assert recorded.requests == []


def test_a_malformed_request_is_refused_before_it_is_sent() -> None:
    recorded = Recorded(written)
    with pytest.raises(InvalidRequest) as caught:
        client(recorded).add(messages=[{"role": "user", "content": "x", "timestamp": "never"}])
    assert [error.field for error in caught.value.errors] == ["messages[0].timestamp"]
    with pytest.raises(InvalidRequest, match="kk: Extra inputs"):
        client(recorded).recall("x", kk=3)  # type: ignore[call-arg]
    assert recorded.requests == []


def test_recall() -> None:
    recorded = json_answer(RECALL)
    answer = client(recorded).recall(
        "Where does Ada live?",
        space="sam",
        k=3,
        filters={"kinds": ["turn"]},
        as_of_known=datetime(2024, 6, 1, tzinfo=UTC),
        explain=True,
    )
    assert answer.results[0].memory.content == "My sister Ada moved to Lisbon in spring."
    assert recorded.requests[0].url.path == "/v1/recall"
    assert recorded.body == {
        "query": "Where does Ada live?",
        "spaces": ["sam"],
        "k": 3,
        "filters": {"kinds": ["turn"]},
        "as_of_known": "2024-06-01T00:00:00Z",
        "explain": True,
    }


def test_recall_leaves_the_defaults_to_the_service() -> None:
    recorded = json_answer(RECALL)
    client(recorded).recall("x")
    assert recorded.body == {"query": "x"}
    client(recorded).recall("x", spaces=("a", "b"))
    assert recorded.body == {"query": "x", "spaces": ["a", "b"]}


def test_recall_takes_space_or_spaces() -> None:
    with pytest.raises(ValueError, match="either space or spaces"):
        client(json_answer(RECALL)).recall("x", space="a", spaces=["b"])


def test_context() -> None:
    recorded = json_answer(CONTEXT)
    assert client(recorded).context("x", token_budget=300).text == "[1] Sam: Ada moved to Lisbon."
    assert recorded.requests[0].url.path == "/v1/context"
    assert recorded.body == {"query": "x", "token_budget": 300}


def test_get_update_delete() -> None:
    recorded = json_answer(MEMORY)
    memory_client = client(recorded)
    assert memory_client.get(MEMORY_ID).id == UUID(MEMORY_ID)
    memory_client.update(UUID(MEMORY_ID), importance=0.9, expires_at=None)
    assert recorded.body == {"importance": 0.9, "expires_at": None}
    recorded = Recorded([httpx.Response(204)])
    client(recorded).delete(MEMORY_ID)
    assert recorded.requests[0].method == "DELETE"
    assert recorded.requests[0].url.path == f"/v1/memories/{MEMORY_ID}"
    assert dict(recorded.requests[0].url.params) == {"mode": "erase"}
    recorded = json_answer(MEMORY)
    client(recorded).update(MEMORY_ID, version=4, content="x")
    assert recorded.requests[0].headers["If-Match"] == '"4"'


def test_what_is_no_id_is_never_part_of_a_path() -> None:
    recorded = json_answer(MEMORY)
    with pytest.raises(ValueError, match="UUID"):
        client(recorded).get("../spaces")
    assert recorded.requests == []


def test_list_sends_what_is_set() -> None:
    recorded = json_answer({"items": [MEMORY], "next_cursor": "c2"})
    page = client(recorded).list(space="sam", kind="turn", limit=5, cursor=None)
    assert page.next_cursor == "c2"
    assert dict(recorded.requests[0].url.params) == {"space": "sam", "kind": "turn", "limit": "5"}
    with pytest.raises(TypeError, match="no parameter kinds"):
        client(recorded).list(kinds="turn")  # type: ignore[call-arg]


def test_iterate_follows_the_cursor() -> None:
    def pages(request: httpx.Request) -> httpx.Response:
        last = request.url.params.get("cursor") == "c2"
        return httpx.Response(200, json={"items": [MEMORY], "next_cursor": None if last else "c2"})

    recorded = Recorded(pages)
    assert len(list(client(recorded).iterate(session="s1"))) == 2
    assert [dict(request.url.params) for request in recorded.requests] == [
        {"session": "s1"},
        {"session": "s1", "cursor": "c2"},
    ]


def test_wait_searchable_polls_until_nothing_is_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    pending, done = (
        httpx.Response(200, json={"receipt": receipt(stored=2, pending=count), "items": []}) for count in (1, 0)
    )
    recorded = Recorded([pending, pending, done])
    assert client(recorded).wait_searchable(RECEIPT_ID).searchable
    assert slept == [0.05, 0.1]
    with pytest.raises(TimedOut, match=f"1 items of receipt {RECEIPT_ID}"):
        client(Recorded([pending])).wait_searchable(RECEIPT_ID, timeout=0)


def test_health_and_spaces() -> None:
    recorded = json_answer({"status": "ok", "version": "0.1.0"})
    assert client(recorded).health().status == "ok"
    assert recorded.requests[0].url.path == "/healthz"
    assert client(json_answer({"items": []})).spaces().items == []


def test_not_ready_is_an_answer() -> None:
    recorded = json_answer({"status": "unavailable", "version": "0.1.0", "checks": {"database": "down"}}, status=503)
    assert client(recorded).ready().checks == {"database": "down"}
    assert len(recorded.requests) == 1


def test_fields_of_a_newer_service_are_ignored() -> None:
    newer = {**RECALL, "results": [{**RECALL["results"][0], "mood": "sunny"}], "weather": "fine"}
    assert client(json_answer(newer)).recall("x").results[0].rank == 1


@pytest.mark.parametrize("body", [b"<html>It works!</html>", b"{}", b""])
def test_a_stranger_that_answers_200_is_named(body: bytes) -> None:
    with pytest.raises(ApiError, match=r"http://memsvc\.test/v1/spaces does not answer like memsvc") as caught:
        client(Recorded([httpx.Response(200, content=body)])).spaces()
    assert caught.value.code == "unexpected_response"


def test_a_path_in_the_url_is_kept() -> None:
    recorded = json_answer({"items": []})
    MemoryClient("https://host.test/memory/", "k", transport=recorded.transport).spaces()
    assert str(recorded.requests[0].url) == "https://host.test/memory/v1/spaces"


async def test_the_asynchronous_client() -> None:
    recorded = Recorded(
        lambda request: (
            written(request)
            if request.method == "POST"
            else httpx.Response(200, json={"items": [MEMORY], "next_cursor": None})
        )
    )
    async with AsyncMemoryClient("http://memsvc.test", "k", transport=recorded.transport) as memory_client:
        assert (await memory_client.add(texts="x")).receipt.created == 1
        assert [memory.id async for memory in memory_client.iterate()] == [UUID(MEMORY_ID)]
    with pytest.raises(RuntimeError, match="closed"):
        await memory_client.health()


def test_the_client_closes_its_connections() -> None:
    with client(json_answer({"items": []})) as memory_client:
        memory_client.spaces()
    with pytest.raises(RuntimeError, match="closed"):
        memory_client.spaces()


def test_bodies_are_utf8() -> None:
    recorded = Recorded(written)
    client(recorded).add(texts="café 🙂")
    assert "café 🙂".encode() in recorded.requests[0].content
    assert json.loads(recorded.requests[0].content)["texts"][0]["content"] == "café 🙂"
