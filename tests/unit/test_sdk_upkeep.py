"""What `client.upkeep`, `client.scratch` and `client.jobs` send, and what they send again."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sdk_samples import (
    CONFLICT,
    CONFLICT_ID,
    FEEDBACK,
    JOB,
    MEMORY_ID,
    OPERATION_ID,
    PROBLEM,
    RETENTION,
    REVISION,
    RUN,
    SCRATCH,
    Recorded,
)

from memsvc.sdk import AsyncMemoryClient, Conflict, InvalidRequest, MemoryClient, PreconditionFailed, Unavailable
from memsvc.sdk.requests import core_path
from memsvc.sdk.requests_moving import space_path
from memsvc.wire.scratch import ScratchDraft

RESTORED = {"dry_run": False, "operation_id": OPERATION_ID, "restored": [MEMORY_ID], "more": False}
USAGE = {"model": "m", "tokens_a_day": None, "tokens_today": 12, "days": []}
PROPOSALS = {
    "space": "home",
    "proposals": [{"label": "human", "text": "Likes tea.", "sources": [MEMORY_ID], "reason": "said twice"}],
}
CONFLICTS = {"items": [CONFLICT], "next_cursor": None}
REVISIONS = {"items": [REVISION], "next_before": None}
JOBS = {"counts": {"dead": 1}, "items": [JOB], "next_cursor": None}
PROGRESS = {
    "space": "to do",
    "pending_operations": 2,
    "pending_memories": 3,
    "pending_embeddings": 0,
    "waiting_since": "2024-06-01T08:00:00Z",
    "runs": [{"kind": "forget", "operation_id": OPERATION_ID, "recorded_at": "2024-06-01T08:00:00Z"}],
    "jobs": [JOB],
    "dead_jobs": 1,
}

Call = Callable[[Any], Any]
Case = tuple[Call, dict[str, Any], str, str, Any]
CASES: list[Case] = [
    (lambda c: c.upkeep.consolidate(), RUN, "POST", "/v1/consolidate", {}),
    (
        lambda c: c.upkeep.consolidate(space="home", dry_run=True, limit=5, reason="now"),
        RUN,
        "POST",
        "/v1/consolidate",
        {"space": "home", "dry_run": True, "limit": 5, "reason": "now"},
    ),
    (lambda c: c.upkeep.forget(share=0.25), RUN, "POST", "/v1/forget", {"share": 0.25}),
    (
        lambda c: c.upkeep.compress(space="home", archived_days=30, superseded=True),
        RUN,
        "POST",
        "/v1/compress",
        {"space": "home", "archived_days": 30.0, "superseded": True},
    ),
    (
        lambda c: c.upkeep.restore(MEMORY_ID, level="topic"),
        RESTORED,
        "POST",
        f"/v1/memories/{MEMORY_ID}/restore",
        {"level": "topic", "dry_run": False, "reason": None},
    ),
    (lambda c: c.upkeep.retention(MEMORY_ID), RETENTION, "GET", f"/v1/memories/{MEMORY_ID}/retention", None),
    (
        lambda c: c.upkeep.feedback([MEMORY_ID], "helpful", episode="trip", note="it named the hotel"),
        FEEDBACK,
        "POST",
        "/v1/feedback",
        {"memories": [MEMORY_ID], "verdict": "helpful", "episode": "trip", "note": "it named the hotel"},
    ),
    (
        lambda c: c.upkeep.conflicts(space="home", state="open", cursor="c1"),
        CONFLICTS,
        "GET",
        "/v1/conflicts?space=home&state=open&limit=100&cursor=c1",
        None,
    ),
    (
        lambda c: c.upkeep.settle(CONFLICT_ID, "second"),
        {**CONFLICT, "state": "settled", "resolution": "second"},
        "POST",
        f"/v1/conflicts/{CONFLICT_ID}/settle",
        {"keep": "second", "reason": None},
    ),
    (lambda c: c.upkeep.proposals(space="home"), PROPOSALS, "GET", "/v1/core/proposals?space=home", None),
    (lambda c: c.upkeep.usage(days=7), USAGE, "GET", "/v1/usage?days=7", None),
    (
        lambda c: c.scratch.get("to do/1", space="home", revision=2),
        SCRATCH,
        "GET",
        "/v1/scratch/to%20do%2F1?space=home&revision=2",
        None,
    ),
    (
        lambda c: c.scratch.revisions("booking", before=4),
        REVISIONS,
        "GET",
        "/v1/scratch/booking/revisions?space=default&before=4&limit=50",
        None,
    ),
    (
        lambda c: c.scratch.write(
            "booking",
            ["Goal.", {"content": "Full.", "id": "a"}, ScratchDraft.model_validate({"content": "x", "pinned": True})],
            on_overflow="evict",
            space="home",
        ),
        SCRATCH,
        "POST",
        "/v1/scratch/booking/write?space=home",
        {
            "entries": [{"content": "Goal."}, {"content": "Full.", "id": "a"}, {"content": "x", "pinned": True}],
            "on_overflow": "evict",
        },
    ),
    (
        lambda c: c.scratch.write("booking", "Goal."),
        SCRATCH,
        "POST",
        "/v1/scratch/booking/write?space=default",
        {"entries": [{"content": "Goal."}], "on_overflow": "refuse"},
    ),
    (
        lambda c: c.scratch.rewrite("booking", [{"id": "a", "content": "Free."}], scope="named"),
        SCRATCH,
        "POST",
        "/v1/scratch/booking/rewrite?space=default",
        {"entries": [{"id": "a", "content": "Free."}], "scope": "named", "on_overflow": "refuse"},
    ),
    (
        lambda c: c.scratch.prune("booking", ["a", "b"], "Both full."),
        SCRATCH,
        "POST",
        "/v1/scratch/booking/prune?space=default",
        {"ids": ["a", "b"], "summary": "Both full."},
    ),
    (
        lambda c: c.scratch.prune("booking", ["a"], "Full.", summary_id="s"),
        SCRATCH,
        "POST",
        "/v1/scratch/booking/prune?space=default",
        {"ids": ["a"], "summary": "Full.", "id": "s"},
    ),
    (
        lambda c: c.scratch.set_limit("booking", 512, on_overflow="evict", space="home"),
        SCRATCH,
        "PUT",
        "/v1/scratch/booking?space=home",
        {"token_limit": 512, "on_overflow": "evict"},
    ),
    (lambda c: c.scratch.delete("booking"), {}, "DELETE", "/v1/scratch/booking?space=default", None),
    (
        lambda c: c.jobs.list(state="dead", job="embed", space="home"),
        JOBS,
        "GET",
        "/v1/jobs?state=dead&job=embed&space=home&limit=100",
        None,
    ),
    (lambda c: c.jobs.get(4711), JOB, "GET", "/v1/jobs/4711", None),
    (lambda c: c.jobs.requeue(4711), {"id": 4712}, "POST", "/v1/jobs/4711/requeue", None),
    (lambda c: c.jobs.progress("to do"), PROGRESS, "GET", "/v1/spaces/to%20do/upkeep", None),
]

ONCE: list[Call] = [
    lambda c: c.upkeep.consolidate(),
    lambda c: c.upkeep.forget(share=0.5),
    lambda c: c.upkeep.compress(),
    lambda c: c.upkeep.restore(MEMORY_ID),
    lambda c: c.upkeep.settle(CONFLICT_ID, "both"),
    lambda c: c.scratch.set_limit("booking", 512, revision=3),
    lambda c: c.scratch.delete("booking"),
    lambda c: c.jobs.requeue(4711),
]
AGAIN: list[Call] = [
    lambda c: c.upkeep.feedback([MEMORY_ID], "used"),
    lambda c: c.scratch.write("booking", "Goal.", revision=3),
    lambda c: c.scratch.rewrite("booking", []),
    lambda c: c.scratch.prune("booking", ["a"], "Full."),
    lambda c: c.scratch.set_limit("booking", 512),
]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have waited."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    return slept


def client_of(recorded: Recorded, retries: int = 2) -> MemoryClient:
    return MemoryClient("http://memsvc.test", "k", retries=retries, transport=recorded.transport)


def pages(*bodies: dict[str, Any]) -> Recorded:
    return Recorded([httpx.Response(200, json=body) for body in bodies])


def check(recorded: Recorded, method: str, path: str, body: object) -> None:
    (request,) = recorded.requests
    assert (request.method, request.url.raw_path.decode()) == (method, path)
    assert (json.loads(request.content) if request.content else None) == body


@pytest.mark.parametrize(("call", "answer", "method", "path", "body"), CASES)
def test_each_method_sends_its_request_and_reads_the_answer(
    call: Call, answer: dict[str, Any], method: str, path: str, body: object
) -> None:
    recorded = pages(answer)
    given = call(client_of(recorded))
    check(recorded, method, path, body)
    assert (given is None) if method == "DELETE" else (given == type(given).model_validate(answer))


@pytest.mark.parametrize(("call", "answer", "method", "path", "body"), CASES)
async def test_the_asynchronous_client_sends_the_same(
    call: Call, answer: dict[str, Any], method: str, path: str, body: object
) -> None:
    recorded = pages(answer)
    async with AsyncMemoryClient("http://memsvc.test", "k", transport=recorded.transport) as client:
        await call(client)
    check(recorded, method, path, body)


@pytest.mark.parametrize("call", ONCE)
def test_what_would_be_done_twice_is_sent_once(call: Call, pauses: list[float]) -> None:
    recorded = Recorded([httpx.Response(503, json={**PROBLEM, "status": 503})])
    with pytest.raises(Unavailable):
        call(client_of(recorded))
    assert (len(recorded.requests), pauses) == (1, [])


@pytest.mark.parametrize("call", AGAIN)
def test_what_counts_once_is_tried_again_as_it_was(call: Call, pauses: list[float]) -> None:
    recorded = Recorded([httpx.Response(503, json={**PROBLEM, "status": 503})])
    with pytest.raises(Unavailable):
        call(client_of(recorded))
    assert (len(recorded.requests), len(pauses)) == (3, 2)
    sent = {
        (each.content, each.headers.get("Idempotency-Key"), each.headers.get("If-Match")) for each in recorded.requests
    }
    assert len(sent) == 1


def test_every_edit_of_a_scratch_has_a_key_of_its_own_or_the_callers() -> None:
    recorded = pages(SCRATCH)
    scratch = client_of(recorded).scratch
    scratch.write("booking", "a")
    scratch.write("booking", "a")
    scratch.prune("booking", ["a"], "b", idempotency_key="step-7")
    first, second, third = (request.headers["Idempotency-Key"] for request in recorded.requests)
    assert first != second
    assert third == "step-7"


def test_a_revision_is_sent_as_if_match() -> None:
    recorded = Recorded([httpx.Response(412, json={**PROBLEM, "status": 412})])
    scratch = client_of(recorded).scratch
    calls: list[Callable[[], object]] = [
        lambda: scratch.write("booking", "a", revision=3),
        lambda: scratch.rewrite("booking", ["a"], revision=0),
        lambda: scratch.prune("booking", ["a"], "b", revision=3),
        lambda: scratch.set_limit("booking", 512, revision=3),
        lambda: scratch.delete("booking", revision=3),
    ]
    for call in calls:
        with pytest.raises(PreconditionFailed):
            call()
    assert [request.headers["If-Match"] for request in recorded.requests] == ['"3"', '"0"', '"3"', '"3"', '"3"']


@pytest.mark.parametrize(
    ("session", "segment"), [("..", "%2E%2E"), ("a/../b", "a%2F%2E%2E%2Fb"), ("v1.2?", "v1%2E2%3F")]
)
def test_whatever_a_session_is_called_it_is_one_segment(session: str, segment: str) -> None:
    recorded = pages(SCRATCH)
    client_of(recorded).scratch.write(session, "a")
    assert recorded.requests[0].url.raw_path.decode() == f"/v1/scratch/{segment}/write?space=default"
    assert core_path(session) == f"/v1/core/{segment}"
    assert space_path(session, "fork") == f"/v1/spaces/{segment}/fork"


def test_listings_follow_their_cursor() -> None:
    recorded = pages({**CONFLICTS, "next_cursor": "c2"}, CONFLICTS)
    found = list(client_of(recorded).upkeep.iterate_conflicts(space="home", state="open"))
    assert [str(conflict.id) for conflict in found] == [CONFLICT_ID, CONFLICT_ID]
    assert dict(recorded.requests[1].url.params) == {"space": "home", "state": "open", "limit": "100", "cursor": "c2"}

    recorded = pages({**REVISIONS, "next_before": 3}, REVISIONS)
    assert [one.revision for one in client_of(recorded).scratch.iterate_revisions("booking", space="home")] == [3, 3]
    assert dict(recorded.requests[1].url.params) == {"space": "home", "before": "3", "limit": "50"}

    recorded = pages({**JOBS, "next_cursor": "9"}, JOBS)
    assert [one.id for one in client_of(recorded).jobs.iterate(state="dead")] == [4711, 4711]
    assert dict(recorded.requests[1].url.params) == {"state": "dead", "limit": "100", "cursor": "9"}


async def test_the_asynchronous_client_follows_them_too() -> None:
    recorded = pages({**CONFLICTS, "next_cursor": "c2"}, CONFLICTS)
    async with AsyncMemoryClient("http://memsvc.test", "k", transport=recorded.transport) as client:
        found = [conflict.reason async for conflict in client.upkeep.iterate_conflicts()]
    assert found == ["two cities for one person"] * 2


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda c: c.upkeep.forget(share=2), "share"),
        (lambda c: c.upkeep.consolidate(spaces=["a"]), "spaces"),
        (lambda c: c.upkeep.feedback([], "used"), "memories"),
        (lambda c: c.upkeep.feedback([MEMORY_ID], "great"), "verdict"),
        (lambda c: c.upkeep.settle(CONFLICT_ID, "third"), "keep"),
        (lambda c: c.upkeep.restore(MEMORY_ID, level="space"), "level"),
        (lambda c: c.scratch.write("booking", []), "entries"),
        (lambda c: c.scratch.set_limit("booking", 3), "token_limit"),
    ],
)
def test_what_cannot_be_asked_is_not_sent(call: Call, field: str) -> None:
    recorded = pages({})
    with pytest.raises(InvalidRequest) as caught:
        call(client_of(recorded))
    assert [problem.field for problem in caught.value.errors] == [field]
    assert recorded.requests == []


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda c: c.scratch.write("booking", "a", spaec="home"), TypeError),
        (lambda c: c.upkeep.retention("../keys"), ValueError),
        (lambda c: c.upkeep.settle("7", "first"), ValueError),
        (lambda c: c.jobs.get("4711/requeue"), ValueError),
    ],
)
def test_slips_are_no_requests(call: Call, kind: type[Exception]) -> None:
    recorded = pages({})
    with pytest.raises(kind):
        call(client_of(recorded))
    assert recorded.requests == []


def test_a_settled_conflict_is_a_conflict() -> None:
    recorded = Recorded([httpx.Response(409, json={**PROBLEM, "status": 409})])
    with pytest.raises(Conflict):
        client_of(recorded).upkeep.settle(CONFLICT_ID, "first")
