"""What callers reported of memories."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg.rows import scalar_row

from memsvc.ids import MemoryId, PrincipalId, new_uuid
from memsvc.store.database import ReadSession, WriteSession

Verdict = Literal["used", "helpful", "wrong", "success", "failure"]


@dataclass(frozen=True, slots=True)
class Report:
    """One verdict of one principal; `episode` is the caller's name for the task that was tried."""

    principal_id: PrincipalId
    verdict: Verdict
    episode: str | None
    note: str | None
    at: datetime


async def reported(
    session: ReadSession, ids: Collection[MemoryId], report: Report, *, since: datetime
) -> list[MemoryId]:
    """Those of these memories of which the same was reported: in the same episode, or without one since then."""
    return await session.fetch(
        "SELECT DISTINCT memory_id FROM feedback WHERE tenant_id = %(tenant)s AND memory_id = ANY (%(ids)s) "
        "AND principal_id = %(principal)s AND verdict = %(verdict)s AND episode IS NOT DISTINCT FROM %(episode)s "
        "AND (%(episode)s::text IS NOT NULL OR recorded_at > %(since)s)",
        {**_keys(session, ids, report), "episode": report.episode, "since": since},
        scalar_row,
    )


async def ever_reported(session: ReadSession, ids: Collection[MemoryId], report: Report) -> list[MemoryId]:
    """Those of these memories on which this principal gave this verdict at any time."""
    return await session.fetch(
        "SELECT DISTINCT memory_id FROM feedback WHERE tenant_id = %(tenant)s AND memory_id = ANY (%(ids)s) "
        "AND principal_id = %(principal)s AND verdict = %(verdict)s",
        _keys(session, ids, report),
        scalar_row,
    )


async def insert(session: WriteSession, ids: Sequence[MemoryId], report: Report) -> None:
    """Note the report of each of these memories."""
    await session.run(
        "INSERT INTO feedback (tenant_id, id, space_id, memory_id, principal_id, verdict, episode, note, recorded_at) "
        "SELECT %(tenant)s, new.id, m.space_id, m.id, %(principal)s, %(verdict)s, %(episode)s, %(note)s, %(at)s "
        "FROM unnest(%(rows)s::uuid[], %(ids)s::uuid[]) AS new(id, memory_id) "
        "JOIN memories m ON m.tenant_id = %(tenant)s AND m.id = new.memory_id",
        {
            **_keys(session, ids, report),
            "rows": [new_uuid() for _ in ids],
            "episode": report.episode,
            "note": report.note,
            "at": report.at,
        },
    )


def _keys(session: ReadSession, ids: Collection[MemoryId], report: Report) -> dict[str, object]:
    return {
        "tenant": session.tenant_id,
        "ids": list(ids),
        "principal": report.principal_id,
        "verdict": report.verdict,
    }
