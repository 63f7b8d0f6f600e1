"""Many items: batches, order within a session, progress, and going on after a failure."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sdk_samples import PROBLEM, Recorded, written

from memsvc.sdk import AsyncMemoryClient, InvalidRequest, MemoryClient, MessageIn, NotFound, TextIn
from memsvc.sdk.bulk import ItemLike


def client(recorded: Recorded) -> MemoryClient:
    return MemoryClient("http://memsvc.test", "k", retries=0, transport=recorded.transport)


def async_client(transport: httpx.AsyncBaseTransport) -> AsyncMemoryClient:
    return AsyncMemoryClient("http://memsvc.test", "k", retries=0, transport=transport)


def bodies(recorded: Recorded) -> list[Any]:
    return [json.loads(request.content) for request in recorded.requests]


def test_items_go_in_batches() -> None:
    recorded, progress = Recorded(written), list[int]()
    result = client(recorded).add_many(
        (f"fact {number}" for number in range(7)), batch_size=3, on_progress=progress.append, space="sam"
    )
    assert (result.stored, result.created, result.duplicates, result.pending) == (7, 7, 0, 0)
    assert len(result.receipts) == 3
    assert progress == [3, 6, 7]
    assert [len(body["texts"]) for body in bodies(recorded)] == [3, 3, 1]
    assert {body["space"] for body in bodies(recorded)} == {"sam"}


def test_messages_and_texts_are_told_apart() -> None:
    recorded = Recorded(written)
    items: list[ItemLike] = ["a", {"content": "b"}, TextIn(content="c"), {"role": "user", "content": "d"}]
    client(recorded).add_many([*items, MessageIn(role="tool", content="e")])
    (body,) = bodies(recorded)
    assert [text["content"] for text in body["texts"]] == ["a", "b", "c"]
    assert [message["content"] for message in body["messages"]] == ["d", "e"]


def test_long_items_make_smaller_batches() -> None:
    recorded = Recorded(written)
    client(recorded).add_many(["x" * 1_500_000] * 5)
    assert [len(body["texts"]) for body in bodies(recorded)] == [2, 2, 1]


def test_nothing_is_sent_for_nothing() -> None:
    recorded = Recorded(written)
    assert client(recorded).add_many([]).receipts == ()
    assert recorded.requests == []


def test_each_batch_has_a_key_that_a_repeated_call_has_again() -> None:
    recorded = Recorded(written)
    for _ in range(2):
        client(recorded).add_many(["a", "b"], batch_size=1, idempotency_key="import-7")
    keys = [request.headers["Idempotency-Key"] for request in recorded.requests]
    assert keys == ["import-7:0", "import-7:1"] * 2


def test_a_bad_item_is_named_by_its_place_in_the_whole() -> None:
    recorded = Recorded(written)
    with pytest.raises(InvalidRequest) as caught:
        client(recorded).add_many(["a", "b", {"content": "c", "importance": 2}], batch_size=1)
    assert caught.value.errors[0].field == "items[2].importance"
    with pytest.raises(TypeError, match=r"items\[0\] must be"):
        client(recorded).add_many([7])  # type: ignore[list-item]


def test_a_failure_says_how_far_it_came_and_how_to_go_on() -> None:
    def second_fails(request: httpx.Request) -> httpx.Response:
        refused = request.headers["Idempotency-Key"].endswith(":1")
        return httpx.Response(404, json=PROBLEM) if refused else written(request)

    with pytest.raises(NotFound) as caught:
        client(Recorded(second_fails)).add_many(["a", "b", "c"], batch_size=1, idempotency_key="import-7")
    (note,) = caught.value.__notes__
    assert note.startswith("1 items are stored.")
    assert "import-7" in note


@pytest.mark.parametrize("size", [0, 1001])
def test_batch_size_has_limits(size: int) -> None:
    with pytest.raises(ValueError, match="batch_size must be from 1 to 1000"):
        client(Recorded(written)).add_many(["a"], batch_size=size)


class Overlapping(httpx.AsyncBaseTransport):
    """Yields to other requests before it answers, and keeps how many overlapped and which sessions did."""

    def __init__(self) -> None:
        self.running: list[set[str | None]] = []
        self.most = 0
        self.order: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        messages = json.loads(request.content)["messages"]
        sessions = {message.get("session") for message in messages}
        assert not any(sessions & other for other in self.running)
        self.running.append(sessions)
        self.most = max(self.most, len(self.running))
        for _ in range(5):
            await asyncio.sleep(0)
        self.running.remove(sessions)
        self.order += [message["content"] for message in messages]
        return written(request)


def message(session: str, number: int) -> MessageIn:
    return MessageIn(role="user", session=session, content=f"{session}{number}")


async def test_batches_overlap_up_to_the_concurrency() -> None:
    transport = Overlapping()
    items = [message(f"s{number}", number) for number in range(10)]
    result = await async_client(transport).add_many(items, batch_size=1, concurrency=3)
    assert result.stored == 10
    assert transport.most == 3


async def test_one_sessions_messages_arrive_in_order() -> None:
    transport = Overlapping()
    items = [message(session, number) for number in range(4) for session in "ab"]
    await async_client(transport).add_many(items, batch_size=1, concurrency=4)
    assert [content for content in transport.order if content.startswith("a")] == ["a0", "a1", "a2", "a3"]
    assert transport.most == 2


async def test_after_a_failure_nothing_new_is_sent_and_what_runs_is_counted() -> None:
    taken: list[int] = []

    def items() -> Iterator[str]:
        for number in range(100):
            taken.append(number)
            yield f"fact {number}"

    def first_fails(request: httpx.Request) -> httpx.Response:
        refused = request.headers["Idempotency-Key"].endswith(":0")
        return httpx.Response(404, json=PROBLEM) if refused else written(request)

    recorded = Recorded(first_fails)
    with pytest.raises(NotFound) as caught:
        await async_client(recorded.transport).add_many(items(), batch_size=1, concurrency=3)
    assert len(recorded.requests) <= 5
    assert len(taken) <= 7
    assert caught.value.__notes__[0].startswith(f"{len(recorded.requests) - 1} items are stored.")


async def test_a_cancelled_call_leaves_nothing_running() -> None:
    class Stuck(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.Event().wait()
            raise AssertionError("never set")

    before = asyncio.all_tasks()
    call = asyncio.create_task(async_client(Stuck()).add_many(["a", "b"], batch_size=1))
    for _ in range(10):
        await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert asyncio.all_tasks() == before


async def test_concurrency_must_be_positive() -> None:
    with pytest.raises(ValueError, match="concurrency must be at least 1"):
        await async_client(Overlapping()).add_many(["a"], concurrency=0)
