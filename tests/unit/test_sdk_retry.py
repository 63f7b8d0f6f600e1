"""What is tried again, how often and after how long."""

from datetime import UTC, datetime

import httpx
import pytest
from sdk_samples import PROBLEM, RECALL, Recorded, receipt, written

from memsvc.sdk import ApiError, AsyncMemoryClient, Busy, ConnectionFailed, MemoryClient, TimedOut, Unavailable
from memsvc.sdk.errors import retry_after_s
from memsvc.sdk.retry import delay_s


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("time.sleep", pauses.append)
    monkeypatch.setattr("asyncio.sleep", pause)
    monkeypatch.setattr("random.uniform", max)
    return pauses


def client(recorded: Recorded, retries: int = 3) -> MemoryClient:
    return MemoryClient("http://memsvc.test", "k", retries=retries, transport=recorded.transport)


@pytest.mark.parametrize(
    "failure",
    [
        httpx.Response(429),
        httpx.Response(502),
        httpx.Response(503),
        httpx.Response(504),
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.ReadTimeout("slow"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("closed without an answer"),
    ],
    ids=repr,
)
def test_a_write_is_sent_again_with_the_same_key(failure: httpx.Response | Exception, slept: list[float]) -> None:
    recorded = Recorded([failure, failure, httpx.Response(201, json={"receipt": receipt(), "items": []})])
    client(recorded).add(texts="once")
    keys = [request.headers["Idempotency-Key"] for request in recorded.requests]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert slept == [0.25, 0.5]


async def test_the_asynchronous_client_does_the_same(slept: list[float]) -> None:
    recorded = Recorded([httpx.ConnectError("refused"), httpx.Response(503), httpx.Response(200, json=RECALL)])
    async with AsyncMemoryClient("http://memsvc.test", "k", transport=recorded.transport) as memory_client:
        assert (await memory_client.recall("x")).recipe == "balanced"
    assert slept == [0.25, 0.5]


def test_two_calls_have_two_keys() -> None:
    recorded = Recorded(written)
    memory_client = client(recorded)
    memory_client.add(texts="x")
    memory_client.add(texts="x")
    assert len({request.headers["Idempotency-Key"] for request in recorded.requests}) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500, 501])
def test_other_errors_are_final(status: int, slept: list[float]) -> None:
    recorded = Recorded([httpx.Response(status, json=PROBLEM)])
    with pytest.raises(ApiError):
        client(recorded).spaces()
    assert len(recorded.requests) == 1


def test_retry_after_is_obeyed(slept: list[float]) -> None:
    recorded = Recorded([httpx.Response(429, headers={"Retry-After": "7"}), httpx.Response(200, json=RECALL)])
    client(recorded).recall("x")
    assert slept == [7.25]


def test_a_long_retry_after_is_the_callers_to_decide(slept: list[float]) -> None:
    with pytest.raises(Busy) as caught:
        client(Recorded([httpx.Response(429, headers={"Retry-After": "900"}, json=PROBLEM)])).recall("x")
    assert caught.value.retry_after_s == 900.0
    assert slept == []


def test_the_last_failure_is_raised(slept: list[float]) -> None:
    recorded = Recorded([httpx.Response(503, json=PROBLEM)])
    with pytest.raises(Unavailable):
        client(recorded, retries=2).recall("x")
    assert len(recorded.requests) == 3
    with pytest.raises(ConnectionFailed, match=r"(?s)http://memsvc\.test: refused.*memsvc serve"):
        client(Recorded([httpx.ConnectError("refused")]), retries=0).recall("x")
    with pytest.raises(TimedOut, match="did not answer in time"):
        client(Recorded([httpx.ReadTimeout("")]), retries=0).recall("x")


def test_a_request_that_cannot_be_sent_is_not_repeated(slept: list[float]) -> None:
    recorded = Recorded([httpx.LocalProtocolError("illegal header value")])
    with pytest.raises(ConnectionFailed):
        client(recorded).recall("x")
    assert len(recorded.requests) == 1


def test_waits_grow_to_eight_seconds_and_vary() -> None:
    delays = [delay_s(httpx.ReadTimeout(""), attempt) or 0.0 for attempt in range(12)]
    ceilings = [min(8.0, 0.25 * 2**attempt) for attempt in range(12)]
    assert all(ceiling / 2 <= delay <= ceiling for delay, ceiling in zip(delays, ceilings, strict=True))
    assert len({delay_s(httpx.ReadTimeout(""), 3) for _ in range(5)}) > 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        ("Tue, 07 May 2024 10:00:30 GMT", 30.0),
        ("Tue, 07 May 2024 09:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_both_forms_of_retry_after(value: str, seconds: float | None) -> None:
    response = httpx.Response(429, headers={"Retry-After": value})
    assert retry_after_s(response, now=datetime(2024, 5, 7, 10, tzinfo=UTC)) == seconds
