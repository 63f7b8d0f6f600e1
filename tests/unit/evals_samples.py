"""Small invented data in the suites' schemas, and a service in memory that ranks by shared words."""

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx

from memsvc.sdk import MemoryClient

MOMENT = datetime(2024, 5, 1, tzinfo=UTC).isoformat()


def locomo_sample() -> dict[str, Any]:
    """Two sessions of two people; labels of every malformed kind; an announced session without turns."""
    return {
        "sample_id": "pair-1",
        "conversation": {
            "speaker_a": "Ines",
            "speaker_b": "Tomas",
            "session_1_date_time": "1:56 pm on 8 May, 2023",
            "session_1": [
                {"speaker": "Ines", "dia_id": "D1:1", "text": "I planted a quince tree behind the workshop."},
                {"speaker": "Tomas", "dia_id": "D1:2", "text": "My kayak needs a new rudder."},
            ],
            "session_2_date_time": "12:05 am on 30 June, 2023",
            "session_2": [
                {"speaker": "Ines", "dia_id": "D2:1", "text": "Look!", "blip_caption": "a heron on a jetty"},
                {"speaker": "Tomas", "dia_id": "D2:2", "text": "The rudder arrived from Bergen yesterday."},
            ],
            "session_3_date_time": "9:00 am on 2 July, 2023",
        },
        "qa": [
            {"question": "Which quince tree was planted?", "answer": "one", "evidence": ["D1:1"], "category": 4},
            {"question": "What became of the rudder?", "answer": "came", "evidence": ["D1:2; D2:02"], "category": 1},
            {"question": "When did the heron sit there?", "answer": "June", "evidence": ["D:2:1"], "category": 2},
            {"question": "Would she sail?", "answer": "maybe", "evidence": [], "category": 3},
            {"question": "Whose boat sank?", "answer": "-", "evidence": ["D", "D9:9", "D1:1"], "category": 5},
        ],
    }


def beam_chat() -> list[dict[str, Any]]:
    """Two batches of one exchange each; user turns end in the planning marker."""
    return [
        {
            "batch_number": 1,
            "time_anchor": None,
            "turns": [
                [
                    {"role": "user", "id": 0, "time_anchor": "March-15-2024", "content": "Plan my loom. ->-> 1,1"},
                    {"role": "assistant", "id": 1, "content": "Start with the warp beam."},
                ]
            ],
        },
        {
            "batch_number": 2,
            "time_anchor": None,
            "turns": [
                [
                    {"role": "user", "id": 2, "time_anchor": "April-05-2024", "content": "The shed is 9 cm.\n->-> N/A"},
                    {"role": "assistant", "id": 3, "content": "Noted; a -> b ->-> c stays."},
                ]
            ],
        },
    ]


def beam_questions() -> dict[str, list[dict[str, Any]]]:
    """Labels of every shape, one of which names no turn."""
    return {
        "abstention": [{"question": "Which dye?"}],
        "knowledge_update": [{"question": "How large?", "source_chat_ids": {"original": [0], "updated": [[2]]}}],
        "information_extraction": [{"question": "What first?", "source_chat_ids": [1, 1, "chat_id: 77"]}],
        "preference_following": [{"question": "Which style?", "source_chat_ids": []}],
    }


def longmemeval_instance(question_id: str = "q1") -> dict[str, Any]:
    """Three sessions: a distractor, one with the answer in a user turn, one with it in an assistant's alone."""
    return {
        "question_id": question_id,
        "question_type": "multi-session",
        "question": "Which trumpet did I buy?",
        "answer": "a flugelhorn",
        "question_date": "2023/05/30 (Tue) 23:40",
        "answer_session_ids": ["answer_a_1", "answer_a_2"],
        "haystack_dates": ["2023/05/20 (Sat) 02:21", "2023/05/21 (Sun) 10:00", "2023/05/22 (Mon) 11:00"],
        "haystack_session_ids": ["other_7", "answer_a_1", "answer_a_2"],
        "haystack_sessions": [
            [{"role": "user", "content": "Bake rye bread"}, {"role": "assistant", "content": "With caraway."}],
            [
                {"role": "user", "content": "Hello trumpet shop", "has_answer": False},
                {"role": "assistant", "content": "Hello", "has_answer": False},
                {"role": "user", "content": "I bought a trumpet, a flugelhorn", "has_answer": True},
            ],
            [
                {"role": "user", "content": "Which did I buy", "has_answer": False},
                {"role": "assistant", "content": "You bought a flugelhorn", "has_answer": True},
            ],
        ],
    }


@dataclass
class FakeService:
    """Meets the REST contract of writes, recall, context and storage, in memory. `requests` counts by path."""

    spaces: dict[str, dict[UUID, dict[str, Any]]] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)
    fail_after_recalls: int | None = None

    def client(self) -> MemoryClient:
        """A real client whose requests this service answers."""
        return MemoryClient("http://127.0.0.1:1", "key", transport=httpx.MockTransport(self.answer), retries=0)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """One request."""
        path = request.url.path
        self.requests[path] = self.requests.get(path, 0) + 1
        body = json.loads(request.content) if request.content else {}
        if path == "/v1/memories":
            return httpx.Response(201, json=self._write(body))
        if path == "/v1/recall":
            if self.fail_after_recalls is not None and self.requests[path] > self.fail_after_recalls:
                return httpx.Response(500, text="stopped")
            return httpx.Response(200, json=self._recall(body))
        if path == "/v1/context":
            return httpx.Response(
                200,
                json={
                    "text": "-",
                    "citations": [],
                    "recipe": "balanced",
                    "tokens": 120,
                    "degraded": False,
                    "notes": [],
                },
            )
        if path == "/v1/admin/storage":
            stored = sum(len(memories) for memories in self.spaces.values())
            return httpx.Response(200, json={"bytes": 1000 * stored, "memories": stored})
        return httpx.Response(200, json={"status": "ok", "version": "0"})

    def _write(self, body: dict[str, Any]) -> dict[str, Any]:
        space = self.spaces.setdefault(body["space"], {})
        items = []
        for message in body["messages"]:
            identity = UUID(message["id"]) if message.get("id") else uuid4()
            status = "duplicate" if identity in space else "created"
            space[identity] = message
            items.append(
                {
                    "id": str(identity),
                    "status": status,
                    "state": "generated",
                    "version": 1,
                    "chunks": 1,
                    "searchable": True,
                }
            )
        created = sum(item["status"] == "created" for item in items)
        receipt = {
            "id": str(uuid4()),
            "space": body["space"],
            "stored": len(items),
            "created": created,
            "duplicates": len(items) - created,
            "pending": 0,
            "searchable": True,
            "recorded_at": MOMENT,
        }
        return {"receipt": receipt, "items": items}

    def _recall(self, body: dict[str, Any]) -> dict[str, Any]:
        wanted = words(body["query"])
        memories = self.spaces[body["spaces"][0]]
        scored = [(len(wanted & words(message["content"])), identity) for identity, message in memories.items()]
        best = sorted(scored, key=lambda pair: -pair[0])[: body["k"]]
        results = [
            {
                "rank": rank,
                "score": float(score),
                "memory": memory(identity, memories[identity], body["spaces"][0]),
                "snippet_start": 0,
                "snippet_end": 1,
                "tokens": 5,
                "matched_terms": [],
            }
            for rank, (score, identity) in enumerate(best, start=1)
        ]
        return {
            "results": results,
            "recipe": body.get("recipe", "balanced"),
            "encoder": "words",
            "tokens": 5 * len(results),
            "candidates": len(scored),
            "degraded": False,
            "notes": [],
            "timings_ms": {},
        }


def words(text: str) -> set[str]:
    """Lower-case words."""
    return set(re.findall(r"\w+", text.lower()))


def memory(identity: UUID, message: dict[str, Any], space: str) -> dict[str, Any]:
    """A stored message as the service shows it."""
    return {
        "id": str(identity),
        "space": space,
        "kind": "turn",
        "payload_type": "plaintext",
        "content": message["content"],
        "role": message["role"],
        "name": message.get("name"),
        "session": message.get("session"),
        "position": 0,
        "origin": "user_input",
        "actor": "test",
        "occurred_at": message.get("timestamp"),
        "occurred_zone": "UTC",
        "recorded_at": MOMENT,
        "updated_at": MOMENT,
        "state": "generated",
        "version": 1,
        "importance": 0.5,
        "strength": 1.0,
        "trust": 0.5,
        "access_count": 0,
        "last_accessed_at": None,
        "sensitivity": "normal",
        "visibility": "space",
        "expires_at": None,
        "legal_hold": False,
        "content_hash": "00",
        "searchable": True,
        "metadata": {},
    }
