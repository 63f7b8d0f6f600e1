"""What the methods on recipes send: pure, shared by both clients."""

from collections.abc import Mapping
from dataclasses import replace

from memsvc.sdk.requests import Call, fetch, name_segment, read_nothing, validated
from memsvc.wire.recipes import RecipeIn, RecipeList, RecipeOut


def list_recipes(space: str) -> Call[RecipeList]:
    """`GET /v1/spaces/{space}/recipes`."""
    return fetch(_path(space), RecipeList)


def get_recipe(space: str, name: str, version: int | None) -> Call[RecipeOut]:
    """`GET /v1/spaces/{space}/recipes/{name}`."""
    return fetch(_path(space, name), RecipeOut, {"version": version})


def set_recipe(space: str, name: str, recipe: RecipeIn | Mapping[str, object], version: int | None) -> Call[RecipeOut]:
    """`PUT /v1/spaces/{space}/recipes/{name}`; with a version not retried, as success refuses it."""
    wanted = recipe if isinstance(recipe, RecipeIn) else validated(RecipeIn, recipe)
    body = wanted.model_dump_json(exclude_unset=True).encode()
    call = fetch(_path(space, name), RecipeOut)
    return replace(call, method="PUT", body=body, version=version, retried=version is None)


def delete_recipe(space: str, name: str, version: int | None) -> Call[None]:
    """`DELETE /v1/spaces/{space}/recipes/{name}`; not retried, as what is gone is not found."""
    return Call("DELETE", _path(space, name), read_nothing, version=version, retried=False)


def _path(space: str, name: str | None = None) -> str:
    path = f"/v1/spaces/{name_segment(space)}/recipes"
    return path if name is None else f"{path}/{name_segment(name)}"
