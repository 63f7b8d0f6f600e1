"""Answers of the service as JSON, and a transport that gives them and keeps what was asked."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import httpx

MEMORY_ID = "01890000-0000-7000-8000-000000000001"
RECEIPT_ID = "01890000-0000-7000-8000-0000000000ff"

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
            "reasons": [{"stage": "bm25", "raw": 7.25, "contribution": 0.5}],
            "neighbours": [],
        }
    ],
    "recipe": "balanced",
    "encoder": "test",
    "tokens": 9,
    "candidates": 12,
    "degraded": False,
    "notes": [],
    "timings_ms": {"total": 3.5},
}
CONTEXT: dict[str, Any] = {
    "text": "[1] Sam: Ada moved to Lisbon.",
    "citations": [{"ref": 1, "id": MEMORY_ID, "session": "s1", "occurred_at": None}],
    "core": [],
    "tokens": 9,
    "degraded": False,
    "notes": [],
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
