"""The fake service with upkeep, for the evaluation of workers."""

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
from evals_samples import MOMENT, FakeService, memory


@dataclass
class Upkept(FakeService):
    """The fake service with upkeep: consolidation learns one fact of every turn, forgetting keeps to the budget."""

    facts: dict[UUID, UUID] = field(default_factory=dict)
    budgets: dict[str, int] = field(default_factory=dict)
    archived: set[UUID] = field(default_factory=set)
    feedback: list[dict[str, Any]] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    runs: dict[str, int] = field(default_factory=dict)
    refuses_undo: bool = False
    per_run: int = 5

    def answer(self, request: httpx.Request) -> httpx.Response:
        """One request."""
        path = request.url.path
        body = json.loads(request.content) if request.content else {}
        if path == "/v1/memories" and request.method == "GET":
            return httpx.Response(200, json={"items": self._list(request.url.params), "next_cursor": None})
        if path in {"/v1/consolidate", "/v1/forget", "/v1/compress"}:
            self.runs[path] = self.runs.get(path, 0) + 1
            return httpx.Response(200, json=self._run(path, body))
        if path == "/v1/conflicts":
            return httpx.Response(200, json={"items": [], "next_cursor": None})
        if path == "/v1/feedback":
            self.feedback.append(body)
            return httpx.Response(200, json={"items": [], "operations": []})
        if path.startswith("/v1/spaces/"):
            budget = body["policies"]["forget"]
            turns = budget["kinds"]["turn"] if "kinds" in budget else budget
            self.budgets[path.rpartition("/")[2]] = turns["budget"]["memories"]
            return httpx.Response(200, json={})
        if path.endswith("/lineage"):
            return httpx.Response(200, json=self._lineage(UUID(path.split("/")[3])))
        if path.endswith("/undo"):
            if self.refuses_undo:
                problem = {"type": "t", "title": "Conflict", "status": 409, "detail": "it was changed since"}
                return httpx.Response(409, json={**problem, "code": "conflict", "remedy": "Do not."})
            self.undone.append(path.split("/")[3])
            return httpx.Response(200, json={"operation_id": str(uuid4()), "restored": [], "archived": []})
        if path.endswith("/supersede"):
            return httpx.Response(404, text="there is none")
        return super().answer(request)

    def _list(self, params: httpx.QueryParams) -> list[dict[str, Any]]:
        space = params["space"]
        found = [memory(identity, message, space) for identity, message in self.spaces.get(space, {}).items()]
        for each in found:
            each["state"] = "archived" if UUID(each["id"]) in self.archived else "generated"
            each["kind"] = "fact" if UUID(each["id"]) in self.facts else "turn"
        wanted = {name: params[name] for name in ("kind", "state") if name in params}
        return [each for each in found if all(each[name] == value for name, value in wanted.items())]

    def _run(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        space = self.spaces.setdefault(body["space"], {})
        changes: list[dict[str, Any]] = []
        left = 0
        if path == "/v1/consolidate":
            turns = [one for one in space if one not in self.facts and one not in self.facts.values()]
            left = len(turns) - self.per_run
            for turn in turns[: self.per_run]:
                fact = uuid4()
                self.facts[fact] = turn
                space[fact] = {**space[turn], "content": f"Known: {space[turn]['content']}"}
                changes.append({"action": "learn", "memory_id": str(fact), "sources": [str(turn)], "reason": "said"})
        elif path == "/v1/forget" and body["space"] in self.budgets:
            hot = [one for one in space if one not in self.facts and one not in self.archived]
            over = len(hot) - self.budgets[body["space"]]
            left = over - self.per_run
            for turn in hot[: max(0, min(over, self.per_run))]:
                self.archived.add(turn)
                changes.append({"action": "archive", "memory_id": str(turn), "sources": [], "reason": "over budget"})
        operation = str(uuid4()) if changes else None
        return {
            "space": body["space"],
            "dry_run": body["dry_run"],
            "operation_id": operation,
            "changes": changes,
            "more": left > 0,
        }

    def _recall(self, body: dict[str, Any]) -> dict[str, Any]:
        found = super()._recall(body)
        for result in found["results"]:
            result["memory"]["kind"] = "fact" if UUID(result["memory"]["id"]) in self.facts else "turn"
        return found

    def _lineage(self, identity: UUID) -> dict[str, Any]:
        up = []
        if identity in self.facts:
            edge = {"derived_id": str(identity), "source_id": str(self.facts[identity]), "source_version": 1}
            up = [{**edge, "operation_id": str(uuid4()), "recorded_at": MOMENT, "depth": 1}]
        return {"id": str(identity), "up": up, "down": [], "superseded_by": [], "supersedes": []}
