"""The fake service with recipes: two arms and a cue, which are enough to be removed and run alone."""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import httpx
from evals_samples import words
from evals_upkept import Upkept

from memsvc.wire.recipes import RecipeOut, RecipeSettings

WEIGHTS = {"words": 2.0, "words_window": 1.0, "early": 0.5, "late": 0.0}
ARMS = ("words", "words_window", "late")


def built_in(name: str = "balanced", **settings: Any) -> RecipeOut:
    """A built-in recipe with these stages and a few settings."""
    values = {
        "weights": WEIGHTS,
        "second_stage": True,
        "candidates": 100,
        "window": [1.0, 0.5],
        "bm25": {"k1": 0.9, "b": 0.4},
        "diversity": {"threshold": 0.9, "penalty": 2.0, "spread": 1.0},
        "archived": False,
        **settings,
    }
    return RecipeOut(
        name=name,
        version=None,
        base=None,
        description="",
        settings=RecipeSettings.model_validate(values),
        changes={},
        created_by=None,
        created_at=None,
    )


@dataclass
class Recipes(Upkept):
    """Finds nothing without `words`; a recipe without any arm is refused."""

    recipes: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    asked: list[tuple[str, int, str]] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """One request."""
        parts = [unquote(part) for part in request.url.raw_path.decode().split("?")[0].split("/")]
        if parts[2:3] == ["spaces"] and parts[4:5] == ["recipes"]:
            return self._recipes(request, parts[3], parts[5] if len(parts) > 5 else None)
        return super().answer(request)

    def _recipes(self, request: httpx.Request, space: str, name: str | None) -> httpx.Response:
        known = [built_in(), built_in("plain", second_stage=False)]
        if name is None:
            return httpx.Response(200, json={"items": [one.model_dump(mode="json") for one in known]})
        body = json.loads(request.content)
        weights = {**WEIGHTS, **(body.get("weights") or {})}
        if not any(weights[arm] for arm in ARMS):
            problem = {"type": "t", "title": "Invalid", "status": 422, "detail": "nothing finds anything"}
            return httpx.Response(422, json={**problem, "code": "invalid_request", "remedy": "Weigh an arm."})
        self.recipes[space, name] = weights
        own = {**known[0].model_dump(mode="json"), "name": name, "version": 1, "base": "balanced"}
        return httpx.Response(200, json=own)

    def _recall(self, body: dict[str, Any]) -> dict[str, Any]:
        space, recipe = body["spaces"][0], body.get("recipe", "balanced")
        self.asked.append((body["query"], body["k"], recipe))
        weights = WEIGHTS if recipe in {"balanced", "plain"} else self.recipes[space, recipe]
        found = super()._recall(body)
        if not weights["words"]:
            found["results"] = []
        for result in found["results"]:
            shared = len(words(body["query"]) & words(result["memory"]["content"]))
            reasons = [("words", shared), ("early", 1.0 / result["rank"]), ("unknown", 3.0)]
            result["reasons"] = [
                {"stage": stage, "raw": raw, "contribution": raw * weights.get(stage, 1.0)}
                for stage, raw in reasons
                if raw * weights.get(stage, 1.0)
            ]
        return found
