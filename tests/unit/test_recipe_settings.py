"""Recipes of one's own and the deadline of a recall, without a store."""

import asyncio
from dataclasses import fields, replace

import pytest

from memsvc.errors import InvalidRequestError
from memsvc.retrieval.bm25 import Bm25
from memsvc.retrieval.deadline import Watch
from memsvc.retrieval.diversify import Diversity
from memsvc.retrieval.own_recipes import ARMS, SETTINGS, STAGES, check, is_on, resolve, show
from memsvc.retrieval.recipes import BALANCED, RECIPES, Recipe
from memsvc.wire import recipes as wire


def test_what_may_be_set_is_what_a_recipe_holds() -> None:
    assert set(wire.RecipeSettings.model_fields) == set(SETTINGS)
    assert set(SETTINGS) == {setting.name for setting in fields(Recipe)} - {"name", "description"}
    for model, settings in ((wire.Bm25, Bm25), (wire.Diversity, Diversity)):
        assert set(model.model_fields) == {setting.name for setting in fields(settings)}


def test_an_arm_is_known_by_its_stages() -> None:
    assert {stage for stages in ARMS.values() for stage in stages} <= set(STAGES)
    assert all(is_on(recipe, arm) for recipe in RECIPES.values() for arm in ARMS)


@pytest.mark.parametrize("name", RECIPES)
def test_a_built_in_recipe_is_within_what_may_be_set_and_made_from_its_own_settings(name: str) -> None:
    shown = show(RECIPES[name])
    given = wire.RecipeIn.model_validate({**shown, "base": "balanced", "description": RECIPES[name].description})
    settings = given.model_dump(mode="json", exclude={"base", "description"}, exclude_none=True)
    check(given.base, settings)
    assert resolve(name, given.base, settings, given.description) == RECIPES[name]
    assert RECIPES[name].description


def test_what_is_not_set_is_the_bases() -> None:
    made = resolve("mine", "deep", {"weights": {"dense": 0}, "window": [1, 0.25], "bm25": {"k1": 1.2, "b": 0.5}})
    deep = RECIPES["deep"]
    assert made == replace(
        deep,
        name="mine",
        description="",
        weights=replace(deep.weights, dense=0),
        window=(1, 0.25),
        bm25=Bm25(k1=1.2, b=0.5),
    )


def test_what_there_is_no_longer_is_passed_over() -> None:
    kept = {"weights": {"dense": 2, "astrology": 9}, "moon": True, "candidates": 7}
    assert resolve("old", "departed", kept) == replace(
        BALANCED, name="old", description="", weights=replace(BALANCED.weights, dense=2), candidates=7
    )


@pytest.mark.parametrize(
    ("weights", "on"),
    [
        ({}, {"dense", "lexical"}),
        ({"dense": 0}, {"dense", "lexical"}),
        ({"dense": 0, "dense_window": 0}, {"lexical"}),
        ({"lexical": 0, "lexical_window": 0}, {"dense"}),
    ],
)
def test_an_arm_is_off_when_all_its_weights_are_zero(weights: dict[str, float], on: set[str]) -> None:
    recipe = resolve("mine", "balanced", {"weights": weights})
    assert {arm for arm in ARMS if is_on(recipe, arm)} == on


def test_a_recipe_without_any_arm_is_refused() -> None:
    none = {stage: 0 for stages in ARMS.values() for stage in stages}
    with pytest.raises(InvalidRequestError) as caught:
        check("balanced", {"weights": none})
    assert caught.value.fields[0].field == "weights"
    check("balanced", {"weights": {**none, "lexical_window": 0.1}})


class Hands:
    """A monotonic clock that goes on only when it is moved."""

    def __init__(self) -> None:
        self.now = 5.0

    def __call__(self) -> float:
        return self.now


def test_there_is_time_until_the_deadline() -> None:
    hands = Hands()
    watch = Watch(hands, 100)
    hands.now += 0.099
    assert watch.has_time("rerank")
    hands.now += 0.002
    assert not watch.has_time("rerank")
    assert watch.notes == ["rerank: cut, the deadline of 100 ms had passed"]


def test_without_a_deadline_there_is_always_time() -> None:
    hands = Hands()
    watch = Watch(hands)
    hands.now += 1e6
    assert watch.has_time("rerank")
    assert watch.notes == []


def test_a_lap_is_the_time_since_the_one_before() -> None:
    hands = Hands()
    watch = Watch(hands)
    for stage, seconds in (("encode", 0.25), ("score", 0.5)):
        hands.now += seconds
        watch.lap(stage)
    assert watch.timings_ms == {"encode": 250.0, "score": 500.0}


async def test_what_is_there_in_time_is_taken() -> None:
    hands = Hands()
    task = asyncio.create_task(asyncio.sleep(0, "vector"))
    assert await Watch(hands, 60_000).wait_for(task, "dense") == "vector"
    assert await Watch(hands).wait_for(asyncio.create_task(asyncio.sleep(0, "vector")), "dense") == "vector"


async def test_what_is_there_already_is_taken_after_the_deadline_too() -> None:
    hands = Hands()
    watch = Watch(hands, 100)
    task = asyncio.create_task(asyncio.sleep(0, "vector"))
    await task
    hands.now += 1
    assert await watch.wait_for(task, "dense") == "vector"
    assert watch.notes == []


async def test_what_is_not_there_by_the_deadline_is_cut_and_goes_on() -> None:
    hands = Hands()
    watch = Watch(hands, 100)
    done = asyncio.Event()
    task = asyncio.create_task(done.wait())
    hands.now += 1
    assert await watch.wait_for(task, "dense") is None
    assert watch.notes == ["dense: cut, the deadline of 100 ms had passed"]
    done.set()
    assert await task is True


async def test_a_failure_of_what_is_waited_for_is_its_askers() -> None:
    async def fail() -> None:
        raise LookupError("no")

    for deadline_ms in (None, 60_000):
        with pytest.raises(LookupError):
            await Watch(Hands(), deadline_ms).wait_for(asyncio.create_task(fail()), "dense")
