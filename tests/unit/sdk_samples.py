"""Answers of the service as JSON, and a transport that gives them and keeps what was asked."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import httpx

MEMORY_ID = "01890000-0000-7000-8000-000000000001"
RECEIPT_ID = "01890000-0000-7000-8000-0000000000ff"
OPERATION_ID = "01890000-0000-7000-8000-0000000000aa"
CONFLICT_ID = "01890000-0000-7000-8000-0000000000cc"

MEMORY: dict[str, Any] = {
    "id": MEMORY_ID,
    "space": "default",
    "kind": "turn",
    "payload_type": "plaintext",
    "content": "My sister Ada moved to Lisbon in spring.",
    "role": "user",
    "name": "Sam",
    "session": "s1",
    "position": 0,
    "origin": "api",
    "actor": "default",
    "occurred_at": "2024-05-07T10:30:00Z",
    "occurred_zone": "UTC",
    "valid_from": None,
    "valid_from_precision": None,
    "valid_to": None,
    "valid_to_precision": None,
    "superseded_by": None,
    "recorded_at": "2024-05-07T10:30:01Z",
    "updated_at": "2024-05-07T10:30:01Z",
    "operation_id": "01890000-0000-7000-8000-0000000000aa",
    "state": "activated",
    "version": 1,
    "importance": 0.5,
    "strength": 1.0,
    "trust": 1.0,
    "access_count": 0,
    "last_accessed_at": None,
    "sensitivity": "normal",
    "visibility": "space",
    "expires_at": None,
    "retained_until": None,
    "legal_hold": False,
    "content_hash": "00",
    "searchable": True,
    "packed": False,
    "metadata": {},
}
RECALL: dict[str, Any] = {
    "results": [
        {
            "rank": 1,
            "score": 0.8125,
            "memory": MEMORY,
            "snippet_start": 0,
            "snippet_end": 40,
            "tokens": 9,
            "matched_terms": ["lisbon"],
            "key": None,
            "reasons": [{"stage": "bm25", "raw": 7.25, "contribution": 0.5}],
            "neighbours": [],
        }
    ],
    "recipe": "balanced",
    "recipe_version": None,
    "encoder": "test",
    "tokens": 9,
    "candidates": 12,
    "degraded": False,
    "notes": [],
    "timings_ms": {"total": 3.5},
    "confidence": 0.75,
    "no_evidence": False,
    "signals": {},
}
CONTEXT: dict[str, Any] = {
    "text": "[1] Sam: Ada moved to Lisbon.",
    "citations": [{"ref": 1, "id": MEMORY_ID, "session": "s1", "occurred_at": None}],
    "core": [],
    "recipe": "balanced",
    "recipe_version": None,
    "tokens": 9,
    "degraded": False,
    "notes": [],
    "confidence": 0.75,
    "no_evidence": False,
}
RECIPE: dict[str, Any] = {
    "name": "words",
    "version": 2,
    "base": "balanced",
    "description": "No vectors.",
    "settings": {
        "weights": {"dense": 0.0, "lexical": 8.0},
        "second_stage": True,
        "candidates": 100,
        "window": [1.0, 1.0, 0.5],
        "bm25": {"k1": 0.9, "b": 0.4},
        "diversity": {"threshold": 0.95, "penalty": 2.0, "spread": 1.4},
        "archived": False,
        "nearest_chunks": 400,
        "lexical_chunks": 400,
        "timely": 20,
        "timely_chunks": 400,
        "deadline_ms": None,
    },
    "changes": {"weights": {"dense": 0.0}},
    "created_by": "ana",
    "created_at": "2026-01-01T00:00:00Z",
}
CONFLICT: dict[str, Any] = {
    "id": CONFLICT_ID,
    "space": "home",
    "first": MEMORY,
    "second": {**MEMORY, "content": "My sister Ada moved to Porto."},
    "reason": "two cities for one person",
    "state": "open",
    "resolution": None,
    "operation_id": OPERATION_ID,
    "found_at": "2024-06-01T08:00:00Z",
    "settled_by": None,
    "settled_at": None,
}
RUN: dict[str, Any] = {
    "space": "home",
    "dry_run": False,
    "operation_id": OPERATION_ID,
    "further": [],
    "changes": [
        {
            "action": "learn",
            "memory_id": MEMORY_ID,
            "sources": [MEMORY_ID],
            "content": "Ada lives in Lisbon.",
            "reason": "she moved there",
        }
    ],
    "more": False,
}
RETENTION: dict[str, Any] = {
    "id": MEMORY_ID,
    "kind": "turn",
    "state": "activated",
    "importance": 0.5,
    "strength": 2.0,
    "stability_days": 180.0,
    "since": "2024-05-07T10:30:00Z",
    "retention": 0.75,
    "history": {
        "reinforcements": [
            {
                "at": "2024-05-07T10:30:00Z",
                "cause": "helpful",
                "retention": 0.4,
                "strength": 2.0,
                "stability_days": 180.0,
            }
        ],
        "curve": [{"at": "2024-05-07T10:30:00Z", "retention": 1.0}],
    },
    "forecast": [{"days": 30, "at": "2024-07-01T00:00:00Z", "retention": 0.635}],
    "archive": {"below": 0.3, "at": "2024-12-09T00:00:00Z"},
    "forget": {"below": 0.05, "at": "2025-10-28T00:00:00Z"},
    "policy": {"action": "nothing", "at": None, "kept_by": "pinned", "reason": "it is pinned", "pack_at": None},
}
FEEDBACK: dict[str, Any] = {
    "items": [
        {
            "id": MEMORY_ID,
            "status": "recorded",
            "state": "activated",
            "revived": True,
            "trust": 0.8,
            "strength": 1.5,
        }
    ],
    "operations": [OPERATION_ID],
}
SCRATCH: dict[str, Any] = {
    "space": "home",
    "session": "booking",
    "revision": 3,
    "parent": 2,
    "tokens": 16,
    "token_limit": 2048,
    "entries": [
        {"id": "1.1", "content": "Goal: a table.", "tokens": 4, "pinned": True, "pruned": [], "revision": 1},
        {"id": "3.1", "content": "The Anchor is full.", "tokens": 12, "pinned": False, "pruned": ["a"], "revision": 3},
    ],
    "evicted": [],
    "recorded_at": "2024-06-01T08:00:00Z",
}
REVISION: dict[str, Any] = {
    "revision": 3,
    "parent": 2,
    "operation": "prune",
    "actor": "ana",
    "recorded_at": "2024-06-01T08:00:00Z",
    "tokens": 16,
    "pruned": ["a"],
    "evicted": [],
    "added": [SCRATCH["entries"][1]],
    "changed": [],
    "removed": ["a"],
}
JOB: dict[str, Any] = {
    "id": 4711,
    "job": "embed",
    "space": "home",
    "state": "dead",
    "attempts": 5,
    "enqueued_at": "2024-06-01T08:00:00Z",
    "runs_at": None,
    "changed_at": "2024-06-01T08:05:00Z",
    "error": "ValueError",
}
PROBLEM: dict[str, Any] = {
    "type": "about:blank",
    "title": "Invalid request",
    "status": 422,
    "detail": "The request does not have the right form.",
    "code": "invalid_request",
    "remedy": "Correct the fields.",
    "request_id": "r-1",
    "errors": [{"field": "messages[3].timestamp", "problem": "is no date", "remedy": "Write it as ISO 8601."}],
}

Handler = Callable[[httpx.Request], httpx.Response]


def receipt(*, stored: int = 1, pending: int = 0) -> dict[str, Any]:
    """A receipt of `stored` new items."""
    return {
        "id": RECEIPT_ID,
        "space": "default",
        "stored": stored,
        "created": stored,
        "duplicates": 0,
        "pending": pending,
        "searchable": pending == 0,
        "recorded_at": "2024-05-07T10:30:01Z",
    }


def written(request: httpx.Request) -> httpx.Response:
    """The 201 for a write."""
    body = json.loads(request.content)
    count = len(body.get("messages", [])) + len(body.get("texts", []))
    item = {"id": MEMORY_ID, "status": "created", "state": "activated", "version": 1, "chunks": 1, "searchable": True}
    return httpx.Response(201, json={"receipt": receipt(stored=count), "items": [item] * count})


class Recorded:
    """Requests in the order they came, and a handler that answers them one by one, then with the last answer."""

    def __init__(self, answers: Iterable[httpx.Response | Exception] | Handler) -> None:
        self.requests: list[httpx.Request] = []
        self._handler = answers if callable(answers) else None
        self._answers = [] if callable(answers) else list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self._handler is not None:
            return self._handler(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def transport(self) -> httpx.MockTransport:
        """What a client sends through."""
        return httpx.MockTransport(self)

    @property
    def body(self) -> Any:
        """The last request's body."""
        return json.loads(self.requests[-1].content)
