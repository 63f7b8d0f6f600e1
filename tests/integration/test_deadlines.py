"""A recall that would pass its deadline returns what it has, and says what was cut."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from memsvc.deployment import Deployment
from memsvc.retrieval import recall as recalling
from tests.integration.conftest import Service, open_service


async def put(service: Service, name: str, body: dict) -> None:
    response = await service.client.put(f"/v1/spaces/default/recipes/{name}", json=body)
    assert response.status_code == 200, response.text


def contents(answer: dict) -> list[str]:
    return [hit["memory"]["content"] for hit in answer["results"]]


@dataclass
class Hands:
    """A monotonic clock that goes on only when it is moved."""

    now: float = field(default=100.0)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
async def timed(deployment: Deployment, hands: Hands) -> AsyncIterator[Service]:
    """A service whose recalls run by `hands`, with two memories."""
    async with open_service(deployment, ticks=hands) as service:
        await service.add(
            session="s",
            messages=[
                {"role": "user", "content": "The umbrella is in the car."},
                {"role": "user", "content": "Umbrella stand: mended by Bo Lee in 2024."},
            ],
        )
        yield service


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, hands: Hands) -> Callable[[object, str, float], None]:
    """Lets a function of a module take so many seconds."""

    def take(module: object, name: str, seconds: float) -> None:
        real = getattr(module, name)

        def delayed(*args: object, **options: object) -> object:
            hands.now += seconds
            return real(*args, **options)

        monkeypatch.setattr(module, name, delayed)

    return take


Slow = Callable[[object, str, float], None]


async def test_within_its_deadline_a_recall_is_whole(timed: Service, slow: Slow) -> None:
    slow(recalling, "first_stage", 0.05)
    found = await timed.recall("umbrella", deadline_ms=100, explain=True)
    assert (found["degraded"], found["notes"]) == (False, [])
    assert found["timings_ms"]["fuse"] == 50


async def test_without_a_deadline_it_may_take_any_time(timed: Service, slow: Slow) -> None:
    slow(recalling.search, "find_ground", 3600)
    slow(recalling, "first_stage", 3600)
    assert (await timed.recall("umbrella", explain=True))["degraded"] is False


async def test_the_encoder_is_waited_for_within_the_deadline_alone(timed: Service, slow: Slow) -> None:
    timed.encoder.hold = "queries"
    timed.encoder.pause()
    slow(recalling.search, "find_ground", 0.2)
    try:
        found = await timed.recall("umbrella", deadline_ms=150)
    finally:
        timed.encoder.resume()
    assert set(contents(found)) == {"The umbrella is in the car.", "Umbrella stand: mended by Bo Lee in 2024."}
    assert found["degraded"] is True
    assert found["notes"] == [
        "dense: cut, the deadline of 150 ms had passed",
        "rerank: cut, the deadline of 150 ms had passed",
    ]


async def test_an_encoder_that_never_answers_is_left_behind(service: Service) -> None:
    """By the real clock: what must be true is that there is an answer at all."""
    await service.add(texts=[{"content": "The umbrella is in the car."}])
    service.encoder.hold = "queries"
    service.encoder.pause()
    try:
        found = await service.recall("umbrella", deadline_ms=20)
    finally:
        service.encoder.resume()
    assert contents(found) == ["The umbrella is in the car."]
    assert found["notes"][0] == "dense: cut, the deadline of 20 ms had passed"


async def test_a_vector_that_is_there_is_used_though_the_time_is_over(timed: Service, slow: Slow) -> None:
    await timed.recall("umbrella")  # from now on the query's vector is known
    slow(recalling.search, "find_ground", 0.2)
    found = await timed.recall("umbrella", deadline_ms=150, explain=True)
    assert found["notes"] == [
        "rerank: cut, the deadline of 150 ms had passed",
        "neighbours: cut, the deadline of 150 ms had passed",
    ]
    assert "dense" in {reason["stage"] for hit in found["results"] for reason in hit["reasons"]}
    assert all(hit["neighbours"] == [] for hit in found["results"])


@pytest.mark.parametrize("late", ["first_stage", "_hydrate"])
async def test_the_second_stage_is_cut_when_the_time_is_over(timed: Service, slow: Slow, late: str) -> None:
    question = "When was the umbrella stand mended, in 2024?"
    whole = await timed.recall(question, explain=True)
    slow(recalling, late, 0.2)
    found = await timed.recall(question, deadline_ms=150, explain=True)
    assert found["notes"][0] == "rerank: cut, the deadline of 150 ms had passed"
    assert len(found["results"]) == len(whole["results"]) == 2
    first_stage = {"dense", "lexical", "dense_window", "lexical_window"}
    stages = [{reason["stage"] for hit in answer["results"] for reason in hit["reasons"]} for answer in (whole, found)]
    assert "time" in stages[0] - first_stage
    assert stages[1] <= first_stage


async def test_candidates_that_no_second_stage_will_see_are_not_read(timed: Service, slow: Slow) -> None:
    assert (await timed.recall("umbrella", k=1))["candidates"] == 2
    slow(recalling.search, "score_all", 0.2)
    assert (await timed.recall("umbrella", k=1, deadline_ms=150))["candidates"] == 1


async def test_a_recipes_deadline_holds_unless_the_request_names_one(timed: Service, slow: Slow) -> None:
    await put(timed, "quick", {"deadline_ms": 50})
    slow(recalling, "_hydrate", 0.1)
    found = await timed.recall("umbrella", recipe="quick")
    assert (found["recipe"], found["notes"]) == ("quick", ["rerank: cut, the deadline of 50 ms had passed"])
    assert (await timed.recall("umbrella", recipe="quick", deadline_ms=500))["degraded"] is False
    context = await timed.client.post("/v1/context", json={"query": "umbrella", "recipe": "quick"})
    assert (context.json()["degraded"], len(context.json()["citations"])) == (True, 2)


async def test_looking_up_a_recipe_is_part_of_the_time(timed: Service, slow: Slow) -> None:
    await put(timed, "quick", {"deadline_ms": 50})
    slow(recalling, "find_recipe", 0.1)
    assert (await timed.recall("umbrella", recipe="quick"))["notes"][-1].startswith("rerank: cut")


async def test_vectors_alone_and_no_time_for_them_find_nothing(timed: Service, slow: Slow) -> None:
    await put(timed, "vectors", {"weights": {"lexical": 0, "lexical_window": 0}})
    timed.encoder.hold = "queries"
    timed.encoder.pause()
    slow(recalling.search, "find_ground", 0.2)
    try:
        found = await timed.recall("umbrella", recipe="vectors", deadline_ms=150)
    finally:
        timed.encoder.resume()
    assert (found["results"], found["degraded"]) == ([], True)
    assert found["notes"][0].startswith("dense: cut")
