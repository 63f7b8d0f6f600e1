"""Writing the facts of a bundle, once the memories that they are and were found in are there."""

from collections.abc import Collection, Sequence
from uuid import UUID

from psycopg.rows import tuple_row

from memsvc.ids import SpaceId
from memsvc.store.database import ReadSession, WriteSession

_FACTS = (
    'ROWS FROM (jsonb_to_recordset(%(lines)s::jsonb) AS (memory uuid, source uuid, start int, "end" int, subject text, '
    "attribute text, value text, negated boolean, confidence float8, extractor text, share float8), "
    'unnest(%(contents)s::bigint[])) AS r(memory, source, start, "end", subject, attribute, value, negated, '
    "confidence, extractor, share, content)"
)
_INSERT_FACTS = (
    "INSERT INTO facts (tenant_id, memory_id, space_id, source_id, start_char, end_char, subject, attribute, value, "
    'negated, confidence, extractor) SELECT %(tenant)s, r.memory, %(space)s, r.source, r.start, r."end", r.subject, '
    f"r.attribute, r.value, r.negated, r.confidence, r.extractor FROM {_FACTS}"
)
_SET_KEYS = (
    "UPDATE {} m SET key_of = r.content, key_share = r.share "
    f"FROM {_FACTS} WHERE m.tenant_id = %(tenant)s AND m.id = r.memory AND r.share IS NOT NULL"
)


async def find_contents(session: ReadSession, versions: Collection[tuple[UUID, int]]) -> dict[tuple[UUID, int], int]:
    """The numbers of what these memories said in these versions."""
    rows = await session.fetch(
        "SELECT v.id, v.version, v.content_number FROM unnest(%(ids)s::uuid[], %(versions)s::int[]) AS w(id, version) "
        "JOIN (SELECT id, version, content_number FROM memories WHERE tenant_id = %(tenant)s AND id = ANY (%(ids)s) "
        "UNION ALL SELECT id, version, content_number FROM memory_history WHERE tenant_id = %(tenant)s "
        "AND id = ANY (%(ids)s)) v ON v.id = w.id AND v.version = w.version",
        {
            "tenant": session.tenant_id,
            "ids": [memory for memory, _ in versions],
            "versions": [version for _, version in versions],
        },
        tuple_row,
    )
    return {(row[0], row[1]): row[2] for row in rows}


async def insert_facts(
    session: WriteSession, space_id: SpaceId, lines: Sequence[bytes], contents: Sequence[int]
) -> None:
    """Insert lines of facts.jsonl whose both memories are there; `contents` numbers what each was found in."""
    values = {
        "tenant": session.tenant_id,
        "space": space_id,
        "lines": f"[{b','.join(lines).decode()}]",
        "contents": list(contents),
    }
    for statement in (_INSERT_FACTS, _SET_KEYS.format("memories"), _SET_KEYS.format("memory_history")):
        await session.run(statement, values)
