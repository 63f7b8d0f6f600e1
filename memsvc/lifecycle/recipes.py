"""The recipes of a space: setting one, which keeps the versions before it, and removing one."""

from dataclasses import dataclass
from datetime import datetime

from memsvc.errors import ConflictError, FieldError, NotFoundError, PreconditionFailedError
from memsvc.ingest.write import Ingest
from memsvc.lifecycle.policies import lock_to_set
from memsvc.retrieval.own_recipes import check
from memsvc.retrieval.recipes import RECIPES
from memsvc.store import access, recipes
from memsvc.store.keys import Caller
from memsvc.store.recipes import StoredRecipe
from memsvc.wire.recipes import RecipeIn

MOST_RECIPES = 100


@dataclass(frozen=True, slots=True)
class RecipeOrder:
    """A recipe to set or remove. `version`: what it must still be (0: not there yet; None: any)."""

    caller: Caller
    space: str
    name: str
    version: int | None
    now: datetime


async def set_recipe(ingest: Ingest, order: RecipeOrder, wanted: RecipeIn) -> StoredRecipe:
    """Make the next version of a recipe, the first when it is new; none when nothing would change.

    `InvalidRequestError` with every field at fault; `ConflictError` for the name of a built-in one, and in a space that
    has as many as it may.
    """
    _check_own(order.name)
    settings = wanted.model_dump(mode="json", exclude={"base", "description"}, exclude_none=True)
    check(wanted.base, settings)
    async with ingest.database.write(order.caller.tenant_id) as session:
        space = await lock_to_set(session, order.caller, order.space)
        before = await recipes.get_recipe(session, space.id, order.name)
        _check_version(before, order)
        said = (wanted.base, settings, wanted.description)
        if before is not None and (before.base, before.settings, before.description) == said:
            return before
        if before is None and await recipes.count_recipes(session, space.id) >= MOST_RECIPES:
            problem = f"the space {order.space!r} has {MOST_RECIPES} recipes already"
            remedy = "Remove one that is no longer used, or change one instead."
            raise ConflictError(problem, fields=(FieldError("name", problem, remedy),), remedy=remedy)
        made = StoredRecipe(
            name=order.name,
            version=1 if before is None else before.version + 1,
            base=wanted.base,
            settings=settings,
            description=wanted.description,
            created_by=order.caller.principal,
            created_at=order.now,
        )
        await recipes.insert_version(session, space.id, made, principal_id=order.caller.principal_id)
        return made


async def remove_recipe(ingest: Ingest, order: RecipeOrder) -> None:
    """Remove a recipe with all its versions; one of that name made later begins at 1 again."""
    _check_own(order.name)
    async with ingest.database.write(order.caller.tenant_id) as session:
        await access.require(session, order.caller, order.space, "write")
        space = await lock_to_set(session, order.caller, order.space)
        before = await recipes.get_recipe(session, space.id, order.name)
        if before is None:
            raise no_recipe(order.space, order.name)
        _check_version(before, order)
        await recipes.delete_recipe(session, space.id, order.name)


def no_recipe(space: str, name: str, version: int | None = None) -> NotFoundError:
    """There is none of that name, or not in that version."""
    what = f"recipe {name!r}" if version is None else f"version {version} of recipe {name!r}"
    problem = f"the space {space!r} has no {what}"
    remedy = "GET /v1/spaces/{space}/recipes lists those that there are; versions count from 1."
    field = "name" if version is None else "version"
    return NotFoundError(problem, fields=(FieldError(field, problem, remedy),), remedy=remedy)


def _check_own(name: str) -> None:
    if name in RECIPES:
        problem = f"the recipe {name!r} is built in and cannot be changed"
        remedy = f'Choose another name; {{"base": "{name}"}} starts from it.'
        raise ConflictError(problem, fields=(FieldError("name", problem, remedy),), remedy=remedy)


def _check_version(before: StoredRecipe | None, order: RecipeOrder) -> None:
    current = 0 if before is None else before.version
    if order.version is not None and order.version != current:
        problem = f"the recipe {order.name!r} is at version {current}, not {order.version}"
        raise PreconditionFailedError(
            problem, fields=(FieldError("If-Match", problem, PreconditionFailedError.remedy),)
        )
