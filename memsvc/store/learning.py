"""What consolidation reads and writes: what changed since its last run, the facts there are, and new ones."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import namedtuple_row, tuple_row

from memsvc.ids import MemoryId, PrincipalId, SessionId, SpaceId
from memsvc.store.arrays import read_vector
from memsvc.store.database import ReadSession, WriteSession
from memsvc.store.scope import CURRENT_STATES
from memsvc.store.writes import Vectors

EXTRACTED = "extracted"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where consolidation stands in a space: all up to `operation` is read, and of the next one up to `memory`."""

    operation: int
    memory: int
    head: int
    name: str
    policies: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Read:
    """A memory as consolidation reads it. `operation` is the number of the one that made its version."""

    operation: int
    id: MemoryId
    number: int
    content_number: int
    version: int
    kind: str
    payload_type: str
    origin: str
    role: str | None
    name: str | None
    session_id: SessionId | None
    position: int | None
    content: str
    occurred_at: datetime | None
    occurred_zone: str | None
    recorded_at: datetime
    state: str
    superseded: bool
    visibility: str
    principal_id: PrincipalId
    sensitivity: str
    importance: float
    trust: float
    expires_at: datetime | None

    @property
    def current(self) -> bool:
        """Whether recall may return it."""
        return self.state in CURRENT_STATES and not self.superseded


@dataclass(frozen=True, slots=True)
class Known:
    """A fact that is held true now, and where it was found."""

    id: MemoryId
    version: int
    content: str
    subject: str
    attribute: str
    value: str
    negated: bool
    confidence: float
    fingerprint: bytes
    said_at: datetime
    said_number: int
    session_id: SessionId | None
    speaker: str | None
    visibility: str
    principal_id: PrincipalId
    kind: str
    frozen: bool
    own: bool


@dataclass(frozen=True, slots=True)
class NewFact:
    """The row of a fact that is a memory already."""

    memory_id: MemoryId
    source_id: MemoryId
    start: int
    end: int
    subject: str
    attribute: str
    value: str
    negated: bool
    confidence: float
    extractor: str


_READ = """
o.number AS operation, m.id, m.number, m.content_number, m.version, m.kind, m.payload_type, m.origin, m.role, m.name,
m.session_id, m.position, v.content, m.occurred_at, m.occurred_zone, m.recorded_at, m.state,
m.superseded_by IS NOT NULL AS superseded, m.visibility, m.principal_id, m.sensitivity, m.importance, m.trust,
m.expires_at
"""
_READ_JOINS = """
JOIN operations o ON o.tenant_id = m.tenant_id AND o.id = m.operation_id
JOIN contents v ON v.tenant_id = m.tenant_id AND v.memory_id = m.id AND v.number = m.content_number
"""


async def find_progress(session: ReadSession, space_id: SpaceId) -> Progress:
    """Where consolidation stands in a space that exists."""
    rows = await session.fetch(
        "SELECT tended_operation, tended_memory, next_operation - 1, name, policies FROM spaces "
        "WHERE tenant_id = %(tenant)s AND id = %(space)s",
        {"tenant": session.tenant_id, "space": space_id},
        tuple_row,
    )
    return Progress(*rows[0])


async def read_pending(session: ReadSession, space_id: SpaceId, progress: Progress, *, limit: int) -> list[Read]:
    """What changed since, in the order of the feed."""
    rows = await session.fetch(
        f"SELECT {_READ} FROM operations x JOIN memories m ON m.tenant_id = x.tenant_id AND m.operation_id = x.id "
        f"AND m.space_id = x.space_id {_READ_JOINS} "
        "WHERE x.tenant_id = %(tenant)s AND x.space_id = %(space)s AND x.number > %(operation)s "
        "AND (x.number > %(operation)s + 1 OR m.number > %(memory)s) ORDER BY x.number, m.number LIMIT %(limit)s",
        {
            "tenant": session.tenant_id,
            "space": space_id,
            "operation": progress.operation,
            "memory": progress.memory,
            "limit": limit,
        },
        namedtuple_row,
    )
    return [_to_read(row) for row in rows]


async def read_before(session: ReadSession, turns: Sequence[Read], *, reach: int) -> list[Read]:
    """The turns that stand up to `reach` places before these in their sessions, these left out."""
    placed = [turn for turn in turns if turn.session_id is not None and turn.position is not None]
    if not placed:
        return []
    rows = await session.fetch(
        f"SELECT DISTINCT ON (m.session_id, m.position) {_READ} "
        "FROM unnest(%(sessions)s::uuid[], %(positions)s::int[]) AS w(session, position) "
        "JOIN memories m ON m.tenant_id = %(tenant)s AND m.session_id = w.session "
        "AND m.position BETWEEN w.position - %(reach)s AND w.position - 1 "
        f"{_READ_JOINS} WHERE m.id <> ALL (%(ids)s) ORDER BY m.session_id, m.position",
        {
            "tenant": session.tenant_id,
            "sessions": [turn.session_id for turn in placed],
            "positions": [turn.position for turn in placed],
            "reach": reach,
            "ids": [turn.id for turn in turns],
        },
        namedtuple_row,
    )
    return [_to_read(row) for row in rows]


def _to_read(row: Any) -> Read:
    return Read(*row)


@dataclass(frozen=True, slots=True)
class Extract:
    """What was extracted from a source: from which of its contents, and whether somebody changed it since."""

    id: MemoryId
    source_id: MemoryId
    content_number: int | None
    state: str
    version: int


async def find_extracts(session: ReadSession, sources: Collection[MemoryId]) -> list[Extract]:
    """The memories that were extracted from these."""
    rows = await session.fetch(
        "SELECT m.id, f.source_id, m.key_of, m.state, m.version FROM facts f "
        "JOIN memories m ON m.tenant_id = f.tenant_id AND m.id = f.memory_id "
        "WHERE f.tenant_id = %(tenant)s AND f.source_id = ANY (%(sources)s) AND f.memory_id <> f.source_id "
        "ORDER BY m.number",
        {"tenant": session.tenant_id, "sources": list(sources)},
        tuple_row,
    )
    return [Extract(*row) for row in rows]


_KNOWN = """
SELECT m.id, m.version, v.content, f.subject, f.attribute, f.value, f.negated, f.confidence, m.fingerprint,
    coalesce(s.occurred_at, s.recorded_at) AS said_at, s.number AS said_number, s.session_id,
    coalesce(s.name, s.role) AS speaker, m.visibility, m.principal_id, m.kind, m.state = 'frozen' AS frozen,
    f.source_id = m.id AS own
FROM memories m JOIN facts f ON f.tenant_id = m.tenant_id AND f.memory_id = m.id
JOIN memories s ON s.tenant_id = f.tenant_id AND s.id = f.source_id
JOIN contents v ON v.tenant_id = m.tenant_id AND v.memory_id = m.id AND v.number = m.content_number
WHERE m.tenant_id = %(tenant)s AND m.space_id = %(space)s
"""
_HOLDS = """
AND m.state = ANY (%(states)s) AND m.superseded_by IS NULL
    AND (m.valid_to IS NULL OR m.valid_to > %(now)s) AND (m.expires_at IS NULL OR m.expires_at > %(now)s)
    AND (m.retained_until IS NULL OR m.retained_until > %(now)s)
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which facts new ones bear on: of these (subject, attribute) matters, with these fingerprints, and those of these
    subjects whose value is, or begins with, what a new one says is over."""

    matters: Collection[tuple[str, str]]
    fingerprints: Collection[bytes]
    over: Collection[tuple[str, str]] = ()


async def find_known(session: ReadSession, space_id: SpaceId, wanted: Wanted, *, now: datetime) -> list[Known]:
    """The facts held true now that new ones bear on, in the order in which they were stored."""
    if not (wanted.matters or wanted.fingerprints or wanted.over):
        return []
    rows = await session.fetch(
        f"{_KNOWN} {_HOLDS} AND m.id IN ("
        "SELECT k.memory_id FROM unnest(%(subjects)s::text[], %(attributes)s::text[]) AS w(subject, attribute) "
        "JOIN facts k ON k.tenant_id = %(tenant)s AND k.space_id = %(space)s "
        "AND k.subject = w.subject AND k.attribute = w.attribute "
        "UNION SELECT k.memory_id FROM unnest(%(owners)s::text[], %(values)s::text[]) AS w(subject, value) "
        "JOIN facts k ON k.tenant_id = %(tenant)s AND k.space_id = %(space)s "
        "AND k.subject = w.subject AND (starts_with(k.value, w.value) OR starts_with(w.value, k.value)) "
        "AND k.value <> '' "
        "UNION SELECT x.id FROM memories x WHERE x.tenant_id = %(tenant)s AND x.space_id = %(space)s "
        "AND x.fingerprint = ANY (%(fingerprints)s)) ORDER BY m.number",
        {
            "tenant": session.tenant_id,
            "space": space_id,
            "states": list(CURRENT_STATES),
            "now": now,
            "subjects": [subject for subject, _ in wanted.matters],
            "attributes": [attribute for _, attribute in wanted.matters],
            "owners": [subject for subject, _ in wanted.over],
            "values": [value for _, value in wanted.over],
            "fingerprints": list(wanted.fingerprints),
        },
        namedtuple_row,
    )
    return [Known(*row) for row in rows]


async def find_past(session: ReadSession, space_id: SpaceId, fingerprints: Collection[bytes]) -> list[Known]:
    """The facts with these fingerprints that another one has taken the place of: what only repeats them is no news."""
    if not fingerprints:
        return []
    rows = await session.fetch(
        f"{_KNOWN} AND m.state = ANY (%(states)s) AND m.superseded_by IS NOT NULL "
        "AND m.fingerprint = ANY (%(fingerprints)s) ORDER BY m.number",
        {
            "tenant": session.tenant_id,
            "space": space_id,
            "states": list(CURRENT_STATES),
            "fingerprints": list(fingerprints),
        },
        namedtuple_row,
    )
    return [Known(*row) for row in rows]


async def read_vectors(session: ReadSession, ids: Sequence[MemoryId]) -> dict[MemoryId, Vectors]:
    """The mean vector, float32[d], of each memory's chunks; none for one without."""
    rows = await session.fetch(
        "SELECT c.memory_id, vector_send(avg(c.vec)) FROM memories m JOIN chunks c ON c.tenant_id = m.tenant_id "
        "AND c.memory_id = m.id AND c.content_number = m.content_number "
        "WHERE m.tenant_id = %(tenant)s AND m.id = ANY (%(ids)s) AND c.vec IS NOT NULL GROUP BY c.memory_id",
        {"tenant": session.tenant_id, "ids": list(ids)},
        tuple_row,
    )
    return {memory: read_vector(sent) for memory, sent in rows}


_NEAR = """
SELECT w.id, n.memory_id
FROM (
    SELECT m.id, c.vec FROM memories m JOIN chunks c ON c.tenant_id = m.tenant_id AND c.memory_id = m.id
    AND c.content_number = m.content_number WHERE m.tenant_id = %(tenant)s AND m.id = ANY (%(ids)s)
    AND c.vec IS NOT NULL AND c.dimension = {dimension}
) w CROSS JOIN LATERAL (
    SELECT c.memory_id FROM chunks c JOIN memories t ON t.tenant_id = c.tenant_id AND t.id = c.memory_id
    AND t.content_number = c.content_number
    WHERE c.tenant_id = %(tenant)s AND c.space_id = %(space)s AND c.dimension = {dimension} {indexed}
    AND t.kind = 'turn' AND t.role IS DISTINCT FROM 'assistant' AND t.state = ANY (%(states)s)
    AND t.superseded_by IS NULL AND t.id <> w.id
    ORDER BY {by} LIMIT %(limit)s
) n
"""


async def read_near(
    session: ReadSession, space_id: SpaceId, turns: Sequence[MemoryId], *, dimension: int, limit: int
) -> list[tuple[MemoryId, Read]]:
    """Each turn with each of the `limit` turns, not an assistant's, whose chunks are nearest to one of its own."""
    tenant = {"tenant": session.tenant_id}
    found = await session.fetch(
        "SELECT ann FROM spaces WHERE tenant_id = %(tenant)s AND id = %(space)s",
        {**tenant, "space": space_id},
        tuple_row,
    )
    [(ann,)] = found
    by = f"c.vec::halfvec({dimension}) <#> w.vec::halfvec({dimension})" if ann else "c.vec <#> w.vec"
    if ann:  # as in `search.score_nearest`
        await session.run("SELECT set_config('enable_sort', 'off', true)", {})
    rows = await session.fetch(
        _NEAR.format(dimension=dimension, indexed="AND c.ann" if ann else "", by=by),
        {**tenant, "space": space_id, "ids": list(turns), "states": list(CURRENT_STATES), "limit": limit},
        tuple_row,
    )
    reads = await session.fetch(
        f"SELECT {_READ} FROM memories m {_READ_JOINS} WHERE m.tenant_id = %(tenant)s AND m.id = ANY (%(ids)s)",
        {**tenant, "ids": list({near for _, near in rows})},
        namedtuple_row,
    )
    by_id = {read.id: read for read in map(_to_read, reads)}
    return [(turn, by_id[near]) for turn, near in dict.fromkeys(rows)]


@dataclass(frozen=True, slots=True)
class Taught:
    """A fact that was learned from characters [start, end) of a turn. `holds`: it is held true now."""

    id: MemoryId
    version: int
    source_id: MemoryId
    start: int
    end: int
    attribute: str
    holds: bool


async def find_taught(session: ReadSession, sources: Collection[MemoryId], *, now: datetime) -> list[Taught]:
    """What was learned from these, in the order in which it was stored; what is frozen counts as not to be ended."""
    rows = await session.fetch(
        "SELECT m.id, m.version, f.source_id, f.start_char, f.end_char, f.attribute, "
        f"m.state <> 'frozen' {_HOLDS} FROM facts f JOIN memories m ON m.tenant_id = f.tenant_id "
        "AND m.id = f.memory_id WHERE f.tenant_id = %(tenant)s AND f.source_id = ANY (%(sources)s) ORDER BY m.number",
        {"tenant": session.tenant_id, "sources": list(sources), "states": list(CURRENT_STATES), "now": now},
        tuple_row,
    )
    return [Taught(*row) for row in rows]


async def find_versions(session: ReadSession, ids: Collection[MemoryId]) -> dict[MemoryId, int]:
    """The version that each of these memories has now; those that are gone have none."""
    rows = await session.fetch(
        "SELECT id, version FROM memories WHERE tenant_id = %(tenant)s AND id = ANY (%(ids)s)",
        {"tenant": session.tenant_id, "ids": list(ids)},
        tuple_row,
    )
    return dict(rows)


async def insert_facts(session: WriteSession, space_id: SpaceId, facts: Sequence[NewFact]) -> None:
    """Note what these memories say, of whom, and where it was said."""
    if not facts:
        return
    await session.run(
        "INSERT INTO facts (tenant_id, memory_id, space_id, source_id, start_char, end_char, subject, attribute, "
        "value, negated, confidence, extractor) SELECT %(tenant)s, f.memory, %(space)s, f.source, f.s, f.e, f.subject, "
        "f.attribute, f.value, f.negated, f.confidence, f.extractor "
        "FROM unnest(%(memories)s::uuid[], %(sources)s::uuid[], "
        "%(starts)s::int[], %(ends)s::int[], %(subjects)s::text[], %(attributes)s::text[], %(values)s::text[], "
        "%(negated)s::boolean[], %(confidences)s::float8[], %(extractors)s::text[]) "
        "AS f(memory, source, s, e, subject, attribute, value, negated, confidence, extractor) "
        "ON CONFLICT (tenant_id, memory_id) DO UPDATE SET start_char = excluded.start_char, "
        "end_char = excluded.end_char, subject = excluded.subject, attribute = excluded.attribute, "
        "value = excluded.value, negated = excluded.negated, confidence = excluded.confidence, "
        "extractor = excluded.extractor",
        {
            "tenant": session.tenant_id,
            "space": space_id,
            "memories": [fact.memory_id for fact in facts],
            "sources": [fact.source_id for fact in facts],
            "starts": [fact.start for fact in facts],
            "ends": [fact.end for fact in facts],
            "subjects": [fact.subject for fact in facts],
            "attributes": [fact.attribute for fact in facts],
            "values": [fact.value for fact in facts],
            "negated": [fact.negated for fact in facts],
            "confidences": [fact.confidence for fact in facts],
            "extractors": [fact.extractor for fact in facts],
        },
    )
