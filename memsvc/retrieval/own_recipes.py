"""Recipes of one's own: a built-in one with other settings, kept in a space. What may be set is what `Recipe` holds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from types import MappingProxyType
from typing import Any

from memsvc.errors import FieldError, InvalidRequestError
from memsvc.retrieval.plan import RecallPlan
from memsvc.retrieval.recipes import RECIPES, Recipe, Weights
from memsvc.store import recipes
from memsvc.store.database import Database

STAGES = tuple(stage.name for stage in fields(Weights))
SETTINGS = tuple(setting.name for setting in fields(Recipe) if setting.name not in {"name", "description"})
# The stages that live on what an arm reads: without a weight on any of them, it has nothing to read.
ARMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"dense": ("dense", "dense_window"), "lexical": ("lexical", "lexical_window")}
)


def is_on(recipe: Recipe, arm: str) -> bool:
    """Whether any stage of that arm has a weight."""
    return any(getattr(recipe.weights, stage) for stage in ARMS[arm])


def resolve(name: str, base: str, settings: Mapping[str, Any], description: str = "") -> Recipe:
    """The base with these settings in the place of its own.

    A setting, a stage or a base that there is no longer (they were valid when they were stored) is passed over.
    """
    recipe = RECIPES.get(base, RECIPES["balanced"])
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        before, given = getattr(recipe, setting), settings.get(setting)
        if given is None:
            continue
        if is_dataclass(before) and not isinstance(before, type):
            known = {part.name for part in fields(before)}
            values[setting] = replace(before, **{part: value for part, value in given.items() if part in known})
        else:
            values[setting] = tuple(given) if isinstance(before, tuple) else given
    return replace(recipe, name=name, description=description, **values)


def show(recipe: Recipe) -> dict[str, Any]:
    """All settings of a recipe, as plain values."""
    values = asdict(recipe)
    return {setting: values[setting] for setting in SETTINGS}


def check(base: str, settings: Mapping[str, Any]) -> None:
    """`InvalidRequestError` unless a recipe of these settings, each of the right form, can rank anything."""
    faults: list[FieldError] = []
    if base not in RECIPES:
        faults.append(FieldError("base", f"{base!r} is not built in", f"Send one of {', '.join(RECIPES)}."))
    unknown = [stage for stage in settings.get("weights", {}) if stage not in STAGES]
    faults += [
        FieldError(f"weights.{stage}", "is no stage", f"The stages are {', '.join(STAGES)}.") for stage in unknown
    ]
    if settings.get("window", [1])[0] == 0:
        faults.append(
            FieldError("window[0]", "is 0", "Give the memory itself a weight above 0; its neighbours come after it.")
        )
    if not faults and not any(is_on(resolve("", base, settings), arm) for arm in ARMS):
        stages = ", ".join(stage for of_arm in ARMS.values() for stage in of_arm)
        faults.append(
            FieldError("weights", "leaves no arm that finds anything", f"Give one of {stages} a weight above 0.")
        )
    if faults:
        raise InvalidRequestError(f"{len(faults)} field(s) cannot be used", fields=tuple(faults))


async def find_recipe(database: Database, plan: RecallPlan) -> tuple[Recipe, int | None]:
    """The recipe that a plan asks for, with its version; a built-in one has none, and costs no look-up.

    One of one's own is that of the first of the plan's spaces that has it. `InvalidRequestError` when none has.
    """
    if (built_in := RECIPES.get(plan.recipe)) is not None:
        return built_in, None
    async with database.pipeline(plan.caller.tenant_id) as session:
        found = await recipes.find_asked(session, plan.caller, plan.spaces, plan.recipe)
        if found is None:
            raise _unknown(plan.recipe, await recipes.list_asked(session, plan.caller, plan.spaces))
    return resolve(plan.recipe, found.base, found.settings, found.description), found.version


def _unknown(name: str, own: Sequence[str]) -> InvalidRequestError:
    problem = f"there is no recipe {name!r} in the spaces asked"
    remedy = f"Send one of {', '.join([*RECIPES, *own])}; PUT /v1/spaces/{{space}}/recipes/{{name}} makes one."
    return InvalidRequestError(problem, fields=(FieldError("recipe", problem, remedy),), remedy=remedy)
