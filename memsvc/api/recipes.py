"""`/v1/spaces/{space}/recipes`: named plans for recall, the built-in ones and a space's own."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from memsvc.api.auth import Reader, Writer
from memsvc.api.etags import IfMatch, expected_version, set_etag
from memsvc.api.services import ServicesDep
from memsvc.lifecycle.recipes import RecipeOrder, no_recipe, remove_recipe, set_recipe
from memsvc.retrieval.own_recipes import resolve, show
from memsvc.retrieval.recipes import RECIPES, Recipe
from memsvc.store import access, recipes
from memsvc.store.recipes import StoredRecipe
from memsvc.wire.recipes import RecipeIn, RecipeList, RecipeOut, RecipeSettings

router = APIRouter(prefix="/v1")
# Like every name; `:path` lets a slash be part of it.
Named = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


@router.get("/spaces/{space}/recipes", summary="List recipes")
async def list_recipes(space: str, caller: Reader, services: ServicesDep) -> RecipeList:
    """The built-in recipes, then the space's own by name; each with all its settings."""
    async with services.database.read(caller.tenant_id) as session:
        space_id = await access.require(session, caller, space, "read")
        own = await recipes.list_recipes(session, space_id)
    return RecipeList(items=[*map(_built_in, RECIPES.values()), *map(_own, own)])


@router.get("/spaces/{space}/recipes/{name:path}", summary="Get one recipe")
async def get_recipe(
    space: str,
    name: Named,
    caller: Reader,
    services: ServicesDep,
    response: Response,
    version: Annotated[int | None, Query(ge=1, description="An earlier one of a space's own.")] = None,
) -> RecipeOut:
    """A recipe in the version in force, or an earlier one. The ETag is its version."""
    async with services.database.read(caller.tenant_id) as session:
        space_id = await access.require(session, caller, space, "read")
        if name in RECIPES and version is None:
            return _built_in(RECIPES[name])
        found = await recipes.get_recipe(session, space_id, name, version=version)
    if found is None:
        raise no_recipe(space, name, version)
    set_etag(response, found.version)
    return _own(found)


@router.put("/spaces/{space}/recipes/{name:path}", summary="Set a recipe")
async def put_recipe(
    space: str,
    name: Named,
    request: RecipeIn,
    caller: Writer,
    services: ServicesDep,
    response: Response,
    if_match: IfMatch = None,
) -> RecipeOut:
    """Make its next version, in force at once; the same again makes none. The space is made when it is new."""
    order = RecipeOrder(caller=caller, space=space, name=name, version=expected_version(if_match), now=services.clock())
    made = await set_recipe(services.ingest, order, request)
    set_etag(response, made.version)
    return _own(made)


@router.delete("/spaces/{space}/recipes/{name:path}", status_code=204, summary="Remove a recipe")
async def delete_recipe(
    space: str, name: Named, caller: Writer, services: ServicesDep, if_match: IfMatch = None
) -> None:
    """It goes with all its versions."""
    order = RecipeOrder(caller=caller, space=space, name=name, version=expected_version(if_match), now=services.clock())
    await remove_recipe(services.ingest, order)


def _built_in(recipe: Recipe) -> RecipeOut:
    return RecipeOut(
        name=recipe.name,
        version=None,
        base=None,
        description=recipe.description,
        settings=RecipeSettings.model_validate(show(recipe)),
        changes={},
        created_by=None,
        created_at=None,
    )


def _own(stored: StoredRecipe) -> RecipeOut:
    resolved = resolve(stored.name, stored.base, stored.settings, stored.description)
    return RecipeOut(
        name=stored.name,
        version=stored.version,
        base=stored.base,
        description=stored.description,
        settings=RecipeSettings.model_validate(show(resolved)),
        changes=dict(stored.settings),
        created_by=stored.created_by,
        created_at=stored.created_at,
    )
