"""What the client's methods on recipes send, and what `memsvc recipes` prints."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sdk_samples import PROBLEM, RECALL, RECIPE, Recorded
from typer.testing import CliRunner

import memsvc.sdk
from memsvc.cli import app
from memsvc.sdk import AsyncMemoryClient, InvalidRequest, MemoryClient, PreconditionFailed
from memsvc.wire.recipes import RecipeIn

BALANCED = {**RECIPE, "name": "balanced", "version": None, "base": None, "changes": {}, "created_by": None}
PATH = "/v1/spaces/home%2Fours/recipes"
NAME = "%2E%2E"  # a name of two dots is no way up the path

run = partial(CliRunner().invoke, app)
Serve = Callable[..., Recorded]


def client(*answers: httpx.Response) -> tuple[MemoryClient, Recorded]:
    recorded = Recorded(list(answers))
    return MemoryClient("http://memsvc.test", "k", transport=recorded.transport), recorded


def sent(recorded: Recorded) -> tuple[str, str]:
    request = recorded.requests[-1]
    return request.method, request.url.raw_path.decode()


def test_reading() -> None:
    memory, recorded = client(httpx.Response(200, json={"items": [BALANCED, RECIPE]}), httpx.Response(200, json=RECIPE))
    assert [item.name for item in memory.list_recipes("home/ours").items] == ["balanced", "words"]
    assert sent(recorded) == ("GET", PATH)
    assert memory.get_recipe("home/ours", "..", version=1).settings.candidates == 100
    assert sent(recorded) == ("GET", f"{PATH}/{NAME}?version=1")


@pytest.mark.parametrize(
    "recipe",
    [{"base": "balanced", "weights": {"dense": 0}}, RecipeIn(base="balanced", weights={"dense": 0})],
    ids=["dict", "model"],
)
def test_setting_sends_what_is_set_alone(recipe: RecipeIn | dict[str, object]) -> None:
    memory, recorded = client(httpx.Response(200, json=RECIPE))
    assert memory.set_recipe("home/ours", "..", recipe, version=1).version == 2
    assert sent(recorded) == ("PUT", f"{PATH}/{NAME}")
    assert recorded.body == {"base": "balanced", "weights": {"dense": 0}}
    assert recorded.requests[-1].headers["If-Match"] == '"1"'


def test_a_slip_is_told_before_anything_is_sent() -> None:
    memory, recorded = client()
    with pytest.raises(InvalidRequest, match="candidates"):
        memory.set_recipe("home", "mine", {"candidates": -1})
    assert recorded.requests == []


def test_removing_is_tried_once() -> None:
    memory, recorded = client(httpx.Response(503, json={**PROBLEM, "status": 503}))
    with pytest.raises(memsvc.sdk.Unavailable):
        memory.delete_recipe("home/ours", "..")
    assert sent(recorded) == ("DELETE", f"{PATH}/{NAME}")
    assert len(recorded.requests) == 1


async def test_the_asynchronous_client_does_the_same() -> None:
    recorded = Recorded([httpx.Response(412, json={**PROBLEM, "status": 412, "code": "precondition_failed"})])
    async with AsyncMemoryClient("http://memsvc.test", "k", transport=recorded.transport) as memory:
        with pytest.raises(PreconditionFailed):
            await memory.set_recipe("home", "mine", {}, version=3)


def test_recall_names_its_recipe_and_deadline() -> None:
    memory, recorded = client(httpx.Response(200, json={**RECALL, "recipe": "words", "recipe_version": 2}))
    answer = memory.recall("Where?", space="home", recipe="words", deadline_ms=80)
    assert (answer.recipe, answer.recipe_version) == ("words", 2)
    assert recorded.body == {"query": "Where?", "spaces": ["home"], "recipe": "words", "deadline_ms": 80}


# The command line


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Lets the commands talk to a service that gives this answer."""

    def answer(body: dict[str, Any] | None = None) -> Recorded:
        recorded = Recorded([httpx.Response(204) if body is None else httpx.Response(200, json=body)])
        real = memsvc.sdk._sync.MemoryClient
        monkeypatch.setattr(memsvc.sdk, "MemoryClient", partial(real, retries=0, transport=recorded.transport))
        return recorded

    monkeypatch.setenv("MEMSVC_URL", "http://memsvc.test")
    monkeypatch.setenv("MEMSVC_API_KEY", "k")
    return answer


def test_listing(serve: Serve) -> None:
    serve({"items": [BALANCED, {**RECIPE, "description": "\x1b[2J"}]})
    result = run(["recipes", "list"])
    assert result.exit_code == 0
    for part in ("balanced", "built in", "words", "{'weights': {'dense': 0.0}}"):
        assert part in result.stdout
    assert "\x1b[2J" not in result.stdout


def test_showing(serve: Serve) -> None:
    recorded = serve(RECIPE)
    result = run(["recipes", "show", "words", "-s", "home", "--version", "2"])
    assert sent(recorded) == ("GET", "/v1/spaces/home/recipes/words?version=2")
    assert result.stdout.startswith("words (version 2, from balanced): No vectors.\n")
    assert "candidates      100\n" in result.stdout


@pytest.mark.parametrize("written", ["out", "in a file"])
def test_setting_by_command(serve: Serve, tmp_path: Path, written: str) -> None:
    recorded = serve(RECIPE)
    given = '{"base": "balanced", "weights": {"dense": 0}}'
    if written == "in a file":
        (tmp_path / "recipe.json").write_text(given)
        given = str(tmp_path / "recipe.json")
    result = run(["recipes", "set", "words", given, "--space", "home", "--json"])
    assert sent(recorded) == ("PUT", "/v1/spaces/home/recipes/words")
    assert recorded.body == {"base": "balanced", "weights": {"dense": 0}}
    assert json.loads(result.stdout) == RECIPE


def test_what_is_no_recipe_is_told(serve: Serve) -> None:
    serve(RECIPE)
    result = run(["recipes", "set", "words", "[1]"])
    assert result.exit_code == 2
    assert "RECIPE" in result.output


def test_deleting(serve: Serve) -> None:
    recorded = serve()
    result = run(["recipes", "delete", "words", "-s", "home"])
    assert sent(recorded) == ("DELETE", "/v1/spaces/home/recipes/words")
    assert result.stdout == "The recipe words is gone.\n"


def test_recall_by_command(serve: Serve) -> None:
    recorded = serve(RECALL)
    assert run(["recall", "Where?", "--recipe", "words", "--deadline-ms", "80"]).exit_code == 0
    assert (recorded.body["recipe"], recorded.body["deadline_ms"]) == ("words", 80)
