"""The recipes of spaces: every version of each, never changed; the highest one is in force."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg.rows import tuple_row

from memsvc.ids import PrincipalId, SpaceId
from memsvc.store import access
from memsvc.store.database import PipelinedSession, ReadSession, WriteSession
from memsvc.store.keys import Caller


@dataclass(frozen=True, slots=True)
class StoredRecipe:
    """One version of a space's recipe; `settings` is what it sets otherwise than its base."""

    name: str
    version: int
    base: str
    settings: Mapping[str, Any]
    description: str
    created_by: str
    created_at: datetime


_COLUMNS = "r.name, r.version, r.base, r.settings, r.description, p.name, r.created_at"
_AUTHOR = "JOIN principals p ON p.tenant_id = r.tenant_id AND p.id = r.created_by"
_CURRENT = f"""
SELECT DISTINCT ON (r.name) {_COLUMNS} FROM recipes r {_AUTHOR}
WHERE r.tenant_id = %(tenant)s AND r.space_id = %(space)s {{where}} ORDER BY r.name, r.version DESC
"""
_ASKED = f"""
FROM unnest(%(spaces)s::text[]) WITH ORDINALITY AS asked(name, place)
JOIN spaces sp ON sp.tenant_id = %(tenant)s AND sp.name = asked.name
JOIN recipes r ON r.tenant_id = sp.tenant_id AND r.space_id = sp.id {_AUTHOR}
WHERE {access.space_allows("read", "sp.id")}
"""
_FIRST = f"SELECT {_COLUMNS} {_ASKED} AND r.name = %(recipe)s ORDER BY asked.place, r.version DESC LIMIT 1"
_NAMES = f"SELECT DISTINCT r.name {_ASKED} ORDER BY r.name"


async def list_recipes(session: ReadSession, space_id: SpaceId) -> list[StoredRecipe]:
    """The space's recipes by name, each in the version in force."""
    rows = await session.fetch(_CURRENT.format(where=""), {"tenant": session.tenant_id, "space": space_id}, tuple_row)
    return [StoredRecipe(*row) for row in rows]


async def get_recipe(
    session: ReadSession, space_id: SpaceId, name: str, *, version: int | None = None
) -> StoredRecipe | None:
    """A recipe of the space in that version, by default the one in force; None when there is none."""
    where = "AND r.name = %(name)s" + ("" if version is None else " AND r.version = %(version)s")
    rows = await session.fetch(
        _CURRENT.format(where=where),
        {"tenant": session.tenant_id, "space": space_id, "name": name, "version": version},
        tuple_row,
    )
    return StoredRecipe(*rows[0]) if rows else None


async def count_recipes(session: ReadSession, space_id: SpaceId) -> int:
    """How many recipes the space has, their versions aside."""
    rows = await session.fetch(
        "SELECT count(DISTINCT name) FROM recipes WHERE tenant_id = %(tenant)s AND space_id = %(space)s",
        {"tenant": session.tenant_id, "space": space_id},
        tuple_row,
    )
    return int(rows[0][0])


async def insert_version(
    session: WriteSession, space_id: SpaceId, recipe: StoredRecipe, *, principal_id: PrincipalId
) -> None:
    """Keep a version of a recipe, made by that principal; the space must be locked."""
    await session.run(
        "INSERT INTO recipes (tenant_id, space_id, name, version, base, settings, description, created_by, created_at) "
        "VALUES (%(tenant)s, %(space)s, %(name)s, %(version)s, %(base)s, %(settings)s::jsonb, %(description)s, "
        "%(principal)s, %(now)s)",
        {
            "tenant": session.tenant_id,
            "space": space_id,
            "name": recipe.name,
            "version": recipe.version,
            "base": recipe.base,
            "settings": orjson.dumps(recipe.settings).decode(),
            "description": recipe.description,
            "principal": principal_id,
            "now": recipe.created_at,
        },
    )


async def delete_recipe(session: WriteSession, space_id: SpaceId, name: str) -> None:
    """Remove a recipe with all its versions."""
    await session.run(
        "DELETE FROM recipes WHERE tenant_id = %(tenant)s AND space_id = %(space)s AND name = %(name)s",
        {"tenant": session.tenant_id, "space": space_id, "name": name},
    )


async def find_asked(
    session: PipelinedSession, caller: Caller, spaces: Sequence[str], name: str
) -> StoredRecipe | None:
    """The recipe of that name in the first of these spaces that has it and that the caller may read."""
    rows = await session.fetch(_FIRST, {**_asked(session, caller, spaces), "recipe": name}, tuple_row)
    return StoredRecipe(*rows[0]) if rows else None


async def list_asked(session: PipelinedSession, caller: Caller, spaces: Sequence[str]) -> list[str]:
    """The names of all recipes in those of these spaces that the caller may read."""
    rows = await session.fetch(_NAMES, _asked(session, caller, spaces), tuple_row)
    return [row[0] for row in rows]


def _asked(session: PipelinedSession, caller: Caller, spaces: Sequence[str]) -> dict[str, object]:
    return {
        "tenant": session.tenant_id,
        "principal": caller.principal_id,
        "admin": caller.admin,
        "spaces": list(spaces),
    }
