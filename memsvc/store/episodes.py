"""Reading episodes: tasks that callers tried, with the memories that they used and how it ended."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.rows import namedtuple_row, tuple_row

from memsvc.ids import SpaceId
from memsvc.store.database import ReadSession
from memsvc.store.scope import CURRENT_STATES
from memsvc.store.summaries import (
    CONTENT,
    ECHOES,
    LEARNED,
    LIVE,
    OVERVIEW,
    SOURCE,
    Overview,
    Source,
    to_overview,
    to_source,
)


@dataclass(frozen=True, slots=True)
class Used:
    """A memory of an episode, that every reader of the space may know of."""

    source: Source
    kind: str
    origin: str
    content: str
    role: str | None
    name: str | None


@dataclass(frozen=True, slots=True)
class Episode:
    """A task by the caller's name for it; `outcome` is the last that was reported."""

    name: str
    outcome: Literal["success", "failure"]
    memories: tuple[Used, ...]


_CONCEPT = f"s.kind = 'concept' AND s.origin = '{LEARNED}'"
# The index leads from the space to its feedback; an episode that a concept names, in whatever state, is learned.
_OUTCOMES = f"""
SELECT o.episode, o.verdict FROM (
    SELECT DISTINCT ON (f.episode) f.episode, f.verdict, f.recorded_at FROM feedback f
    WHERE f.tenant_id = %(tenant)s AND f.space_id = %(space)s AND f.episode IS NOT NULL
    AND f.verdict IN ('success', 'failure') ORDER BY f.episode, f.recorded_at DESC, f.id DESC
) o WHERE NOT EXISTS (
    SELECT 1 FROM memories s WHERE s.tenant_id = %(tenant)s AND s.space_id = %(space)s AND {_CONCEPT}
    AND s.metadata -> 'used_in' ? o.episode
) ORDER BY o.recorded_at DESC, o.episode LIMIT %(limit)s
"""
# What was wrong in an episode that went well is no part of why.
_USED = f"""
SELECT f.episode, {SOURCE.format("m")}, m.kind, m.origin, v.content, m.role, m.name
FROM (
    SELECT episode, memory_id FROM feedback WHERE tenant_id = %(tenant)s AND space_id = %(space)s
    AND episode = ANY (%(episodes)s) GROUP BY episode, memory_id
    HAVING NOT bool_or(verdict = 'wrong') OR bool_or(verdict = 'failure')
) f JOIN memories m ON m.tenant_id = %(tenant)s AND m.id = f.memory_id {CONTENT.format("m")}
WHERE {LIVE.format("m")} AND (m.kind <> 'turn' OR NOT {ECHOES.format("m")})
ORDER BY coalesce(m.occurred_at, m.recorded_at), m.session_number, m.position, m.number
"""


async def read_episodes(session: ReadSession, space_id: SpaceId, *, now: datetime, limit: int) -> list[Episode]:
    """Episodes of known outcome that no concept has learned from, oldest first; of more than `limit`, the latest."""
    keys = {"tenant": session.tenant_id, "space": space_id, "now": now, "states": list(CURRENT_STATES)}
    outcomes = await session.fetch(_OUTCOMES, {**keys, "limit": limit}, tuple_row)
    rows: list[Any] = await session.fetch(_USED, {**keys, "episodes": [name for name, _ in outcomes]}, namedtuple_row)
    used: dict[str, list[Used]] = {}
    for row in rows:
        used.setdefault(row.episode, []).append(
            Used(to_source(row), row.kind, row.origin, row.content, row.role, row.name)
        )
    return [Episode(name, outcome, tuple(used.get(name, ()))) for name, outcome in reversed(outcomes)]


async def read_lessons(session: ReadSession, space_id: SpaceId, *, limit: int) -> list[Overview]:
    """The latest concepts in recall that upkeep made, and the procedures made of them; by time."""
    rows: list[Any] = await session.fetch(
        f"SELECT * FROM (SELECT {OVERVIEW}, s.kind, s.number FROM memories s {CONTENT.format('s')} "
        "WHERE s.tenant_id = %(tenant)s AND s.space_id = %(space)s AND s.kind IN ('concept', 'procedure') "
        f"AND s.origin = '{LEARNED}' AND s.state = ANY (%(states)s) AND s.superseded_by IS NULL "
        "ORDER BY s.number DESC LIMIT %(limit)s) o ORDER BY o.number",
        {"tenant": session.tenant_id, "space": space_id, "states": list(CURRENT_STATES), "limit": limit},
        namedtuple_row,
    )
    return [to_overview(row, row.content) for row in rows]
