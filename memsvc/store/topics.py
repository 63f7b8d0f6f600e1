"""Reading facts, and the summaries of a space that are made of them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from psycopg.rows import namedtuple_row, tuple_row

from memsvc.ids import MemoryId, SpaceId
from memsvc.store import access
from memsvc.store.access import When
from memsvc.store.contents import read_texts
from memsvc.store.database import ReadSession
from memsvc.store.keys import Caller
from memsvc.store.scope import CURRENT_STATES
from memsvc.store.summaries import (
    CONTENT,
    COUNTED,
    IS_OVERVIEW,
    LIVE,
    OVERVIEW,
    SOURCE,
    VECTOR,
    Overview,
    Source,
    Vectors,
    to_overview,
    to_source,
    to_unit,
)


@dataclass(frozen=True, slots=True)
class KnownFact:
    """A fact that holds, and characters [start, end) of the turn that says it, which stands at a place of a session.

    `vector` as in `Turn`.
    """

    source: Source
    kind: str
    content: str
    name: str | None
    subject: str
    attribute: str
    confidence: float
    said_in: MemoryId
    session: str | None
    position: int | None
    start: int
    end: int
    recorded_at: datetime
    vector: Vectors | None = field(repr=False)


_HOLDS = "({0}.valid_from IS NULL OR {0}.valid_from <= %(now)s) AND ({0}.valid_to IS NULL OR {0}.valid_to > %(now)s)"
_SPACE_OVERVIEW = f"{IS_OVERVIEW.format('s')} AND s.metadata ->> 'level' = 'space'"
_FACTS = f"""
SELECT {SOURCE.format("m")}, m.kind, v.content, v.pack_id IS NOT NULL AS packed, m.name, f.subject, f.attribute,
    f.confidence, f.source_id AS said_in, se.name AS session, t.position, f.start_char AS start, f.end_char AS "end",
    m.recorded_at, {VECTOR.format("m")} AS vec
FROM facts f JOIN memories m ON m.tenant_id = f.tenant_id AND m.id = f.memory_id {CONTENT.format("m")}
JOIN memories t ON t.tenant_id = f.tenant_id AND t.id = f.source_id
LEFT JOIN sessions se ON se.tenant_id = t.tenant_id AND se.id = t.session_id
WHERE f.tenant_id = %(tenant)s AND f.space_id = %(space)s AND {COUNTED.format("m")} AND {_HOLDS.format("m")}
AND {{condition}} ORDER BY m.number DESC LIMIT %(limit)s
"""
_UNTOLD = f"""
m.state = ANY (%(states)s) AND NOT EXISTS (
    SELECT 1 FROM lineage l JOIN memories s ON s.tenant_id = l.tenant_id AND s.id = l.derived_id
    WHERE l.tenant_id = m.tenant_id AND l.source_id = m.id AND {_SPACE_OVERVIEW}
)
"""


_FACT_COLUMNS = [name for name in KnownFact.__slots__ if name not in ("source", "content", "vector")]


async def read_untold_facts(
    session: ReadSession, space_id: SpaceId, *, encoder_id: int, now: datetime, skipped: str, limit: int
) -> list[KnownFact]:
    """Facts that hold and of which no summary of the space tells, nor ever told; the latest first.

    `skipped` is an attribute that is left out.
    """
    values = {"encoder": encoder_id, "now": now, "limit": limit, "skipped": skipped}
    return await _read_facts(session, space_id, f"f.attribute <> %(skipped)s AND {_UNTOLD}", values)


async def read_facts(
    session: ReadSession, space_id: SpaceId, ids: Collection[MemoryId], *, encoder_id: int, now: datetime
) -> list[KnownFact]:
    """Those of these facts that hold, archived ones among them, the latest first."""
    values = {"encoder": encoder_id, "now": now, "limit": len(ids), "ids": list(ids)}
    return await _read_facts(session, space_id, "m.id = ANY (%(ids)s)", values)


async def _read_facts(
    session: ReadSession, space_id: SpaceId, condition: str, values: Mapping[str, object]
) -> list[KnownFact]:
    keys = {"tenant": session.tenant_id, "space": space_id, "states": list(CURRENT_STATES), **values}
    rows: list[Any] = await session.fetch(_FACTS.format(condition=condition), keys, namedtuple_row)
    packed = await read_texts(session, [(row.id, row.content_number) for row in rows if row.packed])
    return [
        KnownFact(
            source=to_source(row),
            content=packed.get((row.id, row.content_number), row.content),
            vector=to_unit(row.vec),
            **{name: getattr(row, name) for name in _FACT_COLUMNS},
        )
        for row in rows
    ]


async def read_space_overviews(
    session: ReadSession, space_id: SpaceId, *, subjects: Collection[str], most_members: int, now: datetime, limit: int
) -> list[Overview]:
    """Summaries of facts in recall that may take in another fact on these subjects, or have lost one; latest first.

    `members` are all the facts that they were ever made of.
    """
    rows: list[Any] = await session.fetch(
        f"SELECT * FROM (SELECT {OVERVIEW}, s.number, told.members, told.lost FROM memories s {CONTENT.format('s')} "
        "JOIN LATERAL (SELECT array_agg(m.id ORDER BY m.number) AS members, "
        f"count(*) FILTER (WHERE NOT ({COUNTED.format('m')} AND {_HOLDS.format('m')})) AS lost FROM lineage l "
        "JOIN memories m ON m.tenant_id = l.tenant_id AND m.id = l.source_id "
        "WHERE l.tenant_id = s.tenant_id AND l.derived_id = s.id) told ON true "
        f"WHERE s.tenant_id = %(tenant)s AND s.space_id = %(space)s AND {_SPACE_OVERVIEW} AND {LIVE.format('s')}) o "
        "WHERE (o.metadata ->> 'subject' = ANY (%(subjects)s) AND cardinality(o.members) - o.lost < %(most)s) "
        "OR (o.lost > 0 AND (o.metadata -> 'facts') IS DISTINCT FROM to_jsonb(cardinality(o.members) - o.lost)) "
        "ORDER BY o.number DESC LIMIT %(limit)s",
        {
            "tenant": session.tenant_id,
            "space": space_id,
            "now": now,
            "states": list(CURRENT_STATES),
            "subjects": list(subjects),
            "most": most_members,
            "limit": limit,
        },
        namedtuple_row,
    )
    return [replace(to_overview(row, row.content), members=tuple(row.members or ())) for row in rows]


@dataclass(frozen=True, slots=True)
class Claim:
    """A fact as a profile sees it. `sources` counts what it was derived from, `used` how often recall returned it;
    `speaker` and `role` are of the turn that says it, and `type` is that of its statement."""

    id: MemoryId
    kind: str
    content: str
    subject: str
    attribute: str
    confidence: float
    importance: float
    sources: int
    used: int
    speaker: str | None
    role: str | None
    type: str | None
    said_at: datetime


async def list_claims(
    session: ReadSession, space_id: SpaceId, *, caller: Caller, when: When, limit: int
) -> list[Claim]:
    """Facts that hold, that the caller may read and every reader of the space as well, and that nothing contradicts:
    the latest first."""
    rows = await session.fetch(
        "SELECT m.id, m.kind, v.content, f.subject, f.attribute, f.confidence, m.importance, "
        "(SELECT count(*) FROM lineage l WHERE l.tenant_id = m.tenant_id AND l.derived_id = m.id), m.access_count, "
        "t.name, t.role, m.metadata ->> 'type', coalesce(t.occurred_at, t.recorded_at) "
        f"FROM facts f JOIN memories m ON m.tenant_id = f.tenant_id AND m.id = f.memory_id {CONTENT.format('m')} "
        "JOIN memories t ON t.tenant_id = f.tenant_id AND t.id = f.source_id "
        f"WHERE f.tenant_id = %(tenant)s AND f.space_id = %(space)s AND {LIVE.format('m')} AND {access.HOLDS} "
        f"AND {access.visible('%(space)s')} AND NOT EXISTS (SELECT 1 FROM conflicts c WHERE c.tenant_id = m.tenant_id "
        "AND c.space_id = m.space_id AND c.state = 'open' AND m.id IN (c.first_id, c.second_id)) "
        "ORDER BY m.number DESC LIMIT %(limit)s",
        {
            **access.parameters(session, caller, when),
            "space": space_id,
            "states": list(CURRENT_STATES),
            "limit": limit,
        },
        tuple_row,
    )
    return [Claim(*row) for row in rows]
