"""The job queue's statements, over procrastinate's tables. Those have no row-level security: each names its tenant.

A job's arguments hold ids and numbers. The one thing that is added to them is `error`, the class of what its last
attempt failed with: procrastinate keeps no errors, and a message could quote what somebody said.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.rows import namedtuple_row, tuple_row
from sqlalchemy import text

from memsvc.ids import OperationId, SpaceId, TenantId
from memsvc.store.database import Database, ReadSession, WriteSession
from memsvc.store.migrate import owner_engine

JobState = Literal["waiting", "running", "retrying", "dead"]
# The kinds of operations that upkeep records; they are no news for consolidation.
UPKEEP = ("consolidate", "forget", "compress")

# Among the jobs that may run: the highest priority first, then the tenant that this worker served least recently
# (`turns`, least recent first), then the oldest; `urgent` false leaves the priority out. As in procrastinate's own
# statement, a job may run when none with its lock is running, and none that is due goes before it. Of each tenant a few
# are looked at, and not its first alone, since another worker may be taking that one; this way nothing large is sorted.
TAKE = """
WITH due AS NOT MATERIALIZED (
    SELECT id, lock, priority, args ->> 'tenant_id' AS tenant FROM procrastinate_jobs
    WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now())
        AND (%(queues)s::text[] IS NULL OR queue_name = ANY (%(queues)s::text[]))
), heads AS (
    SELECT d.priority, d.tenant, (array_agg(d.id ORDER BY d.id))[:8] AS ids FROM due d
    WHERE d.lock IS NULL OR (
        d.lock NOT IN (SELECT lock FROM procrastinate_jobs WHERE status = 'doing' AND lock IS NOT NULL)
        AND (d.lock NOT IN (SELECT lock FROM due WHERE lock IS NOT NULL GROUP BY lock HAVING count(*) > 1)
            OR NOT EXISTS (SELECT 1 FROM due o WHERE o.lock = d.lock
                AND (o.priority > d.priority OR (o.priority = d.priority AND o.id < d.id)))))
    GROUP BY d.priority, d.tenant
), chosen AS (
    SELECT j.id FROM heads h CROSS JOIN unnest(h.ids) AS first(id) JOIN procrastinate_jobs j ON j.id = first.id
    LEFT JOIN unnest(%(turns)s::text[]) WITH ORDINALITY AS t(tenant, turn) ON t.tenant = h.tenant
    WHERE j.status = 'todo'
    ORDER BY CASE WHEN %(urgent)s THEN h.priority END DESC, t.turn NULLS FIRST, j.id
    LIMIT 1 FOR UPDATE OF j SKIP LOCKED
)
UPDATE procrastinate_jobs j SET status = 'doing', worker_id = %(worker_id)s FROM chosen WHERE j.id = chosen.id
RETURNING j.id, j.status, j.task_name, j.priority, j.lock, j.queueing_lock, j.args - 'error' AS args, j.scheduled_at,
    j.queue_name, j.attempts, j.worker_id
"""

# A worker that was taken for dead may be alive: what it says of a job counts only while the job is still its own.
_OWN = "WHERE id = %(id)s AND status = 'doing' AND worker_id IS NOT DISTINCT FROM %(worker_id)s"
_WAKE = (
    "SELECT id, pg_notify('procrastinate_any_queue_v1', "
    "json_build_object('type', 'job_inserted', 'job_id', id)::text)::text FROM again"
)
RETRY = (
    "WITH again AS (UPDATE procrastinate_jobs SET status = 'todo', attempts = attempts + 1, scheduled_at = %(at)s "
    f"{_OWN} RETURNING id) {_WAKE}"
)
# What died earlier on the same errand is settled by a later job that is done, and repeated by one that dies.
_EARLIER = (
    "WITH earlier AS (DELETE FROM procrastinate_jobs WHERE status = 'failed' AND queueing_lock = %(queueing_lock)s) "
)
REMOVE = f"{_EARLIER}DELETE FROM procrastinate_jobs {_OWN}"
BURY = (
    f"{_EARLIER}UPDATE procrastinate_jobs SET status = %(status)s::procrastinate_job_status, attempts = attempts + 1 "
    f"{_OWN}"
)
NOTE_ERROR = (
    "UPDATE procrastinate_jobs SET args = args || jsonb_build_object('error', %(error)s::text) "
    "WHERE id = %(id)s AND status = 'doing'"
)
MEASURE = """
SELECT j.task_name AS job, count(*) FILTER (WHERE j.status = 'todo') AS waiting,
    count(*) FILTER (WHERE j.status = 'failed') AS dead,
    coalesce(extract(epoch FROM now() - min(coalesce(j.scheduled_at, e.at))
        FILTER (WHERE j.status = 'todo' AND coalesce(j.scheduled_at <= now(), true))), 0)::float8 AS oldest_s
FROM procrastinate_jobs j LEFT JOIN procrastinate_events e ON e.job_id = j.id AND e.type = 'deferred'
WHERE j.status IN ('todo', 'doing', 'failed') GROUP BY j.task_name
"""


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job that is not done. `attempts` are those that ended; `runs_at`: not before, when it is for later."""

    id: int
    name: str
    tenant: str | None
    space: str | None
    state: JobState
    attempts: int
    enqueued_at: datetime
    runs_at: datetime | None
    changed_at: datetime
    error: str | None


_REQUEUE = f"""
WITH dead AS (
    SELECT id, queueing_lock FROM procrastinate_jobs
    WHERE id = %(job)s AND status = 'failed' AND (%(tenant)s::text IS NULL OR args ->> 'tenant_id' = %(tenant)s)
), serving AS (
    SELECT w.id FROM procrastinate_jobs w JOIN dead d ON d.queueing_lock = w.queueing_lock WHERE w.status = 'todo'
), gone AS (
    DELETE FROM procrastinate_jobs j USING dead d WHERE j.id = d.id AND EXISTS (SELECT 1 FROM serving)
), again AS (
    UPDATE procrastinate_jobs j SET status = 'todo', attempts = 0, scheduled_at = NULL, args = j.args - 'error'
    FROM dead d WHERE j.id = d.id AND NOT EXISTS (SELECT 1 FROM serving) RETURNING j.id
), woken AS ({_WAKE})
SELECT id FROM woken UNION ALL SELECT id FROM serving
"""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs to list; None is any."""

    state: JobState | None = None
    name: str | None = None
    space: str | None = None
    job_id: int | None = None


_STATE = (
    "CASE j.status WHEN 'doing' THEN 'running' WHEN 'failed' THEN 'dead' ELSE "
    "CASE j.attempts WHEN 0 THEN 'waiting' ELSE 'retrying' END END"
)
_LIVE = "j.status IN ('todo', 'doing', 'failed')"
_JOBS = f"""
SELECT j.id, j.task_name AS name, t.name AS tenant, sp.name AS space, {_STATE} AS state, j.attempts,
    coalesce(e.first, now()) AS enqueued_at, j.scheduled_at AS runs_at, coalesce(e.last, now()) AS changed_at,
    j.args ->> 'error' AS error
FROM procrastinate_jobs j
LEFT JOIN tenants t ON t.tenant_id = (j.args ->> 'tenant_id')::uuid
LEFT JOIN spaces sp ON sp.tenant_id = t.tenant_id AND sp.id = (j.args ->> 'space_id')::uuid
LEFT JOIN LATERAL (SELECT min(at) FILTER (WHERE type = 'deferred') AS first, max(at) FILTER (WHERE type <> 'scheduled')
    AS last FROM procrastinate_events WHERE job_id = j.id) e ON true
WHERE {_LIVE}
    AND (%(tenant)s::text IS NULL OR j.args ->> 'tenant_id' = %(tenant)s)
    AND (%(state)s::text IS NULL OR {_STATE} = %(state)s)
    AND (%(name)s::text IS NULL OR j.task_name = %(name)s)
    AND (%(space)s::text IS NULL OR sp.name = %(space)s)
    AND (%(job)s::bigint IS NULL OR j.id = %(job)s)
    AND (%(after)s::bigint IS NULL OR j.id > %(after)s)
ORDER BY j.id LIMIT %(limit)s
"""


async def list_jobs(
    session: ReadSession, wanted: JobFilter, *, after: int | None = None, limit: int = 100
) -> list[StoredJob]:
    """The tenant's jobs that are not done, oldest first, from the one after the job `after` on."""
    rows = await session.fetch(_JOBS, _parameters(wanted, str(session.tenant_id), after, limit), namedtuple_row)
    return [StoredJob(*row) for row in rows]


async def count_jobs(session: ReadSession) -> dict[JobState, int]:
    """How many of the tenant's jobs are in which state."""
    rows = await session.fetch(
        f"SELECT {_STATE}, count(*) FROM procrastinate_jobs j WHERE {_LIVE} AND j.args ->> 'tenant_id' = %(tenant)s "
        "GROUP BY 1",
        {"tenant": str(session.tenant_id)},
        tuple_row,
    )
    counts: dict[JobState, int] = {"waiting": 0, "running": 0, "retrying": 0, "dead": 0}
    return counts | dict(rows)


async def requeue_job(session: WriteSession, job_id: int) -> int | None:
    """Let a dead job of the tenant run again, as if it were new; the job that waits now, None when it is not dead.

    When another waits on the same errand, that one serves for both.
    """
    rows = await session.fetch(_REQUEUE, {"job": job_id, "tenant": str(session.tenant_id)}, tuple_row)
    return rows[0][0] if rows else None


def _parameters(wanted: JobFilter, tenant: str | None, after: int | None, limit: int) -> dict[str, object]:
    return {
        "tenant": tenant,
        "state": wanted.state,
        "name": wanted.name,
        "space": wanted.space,
        "job": wanted.job_id,
        "after": after,
        "limit": limit,
    }


def list_all_jobs(owner_url: str, wanted: JobFilter, *, limit: int) -> list[StoredJob]:
    """Every tenant's jobs and the service's own, as the database's owner sees them."""
    with owner_engine(owner_url).connect() as connection:
        rows = connection.exec_driver_sql(_JOBS, _parameters(wanted, None, None, limit))
        return [StoredJob(*row) for row in rows]


def requeue_any_job(owner_url: str, job_id: int) -> int | None:
    """`requeue_job` for the database's owner."""
    with owner_engine(owner_url).begin() as connection:
        row = connection.exec_driver_sql(_REQUEUE, {"job": job_id, "tenant": None}).first()
        return None if row is None else row[0]


@dataclass(frozen=True, slots=True)
class Untended:
    """A space in which consolidation has something to read: since when, and when it was last written.

    `policies` are the space's. Both times are those of operations that are not upkeep's own; None: there is none.
    """

    name: str
    policies: Mapping[str, Any]
    tended_operation: int
    tended_memory: int
    first_at: datetime | None
    latest_at: datetime | None
    pending_vectors: bool


# The first of them may be upkeep's own, which only makes the space due earlier.
_UNTENDED = """
SELECT sp.name, sp.policies, sp.tended_operation, sp.tended_memory,
    (SELECT o.recorded_at FROM operations o WHERE o.tenant_id = sp.tenant_id AND o.space_id = sp.id
        AND o.number = sp.tended_operation + 1),
    (SELECT o.recorded_at FROM operations o WHERE o.tenant_id = sp.tenant_id AND o.space_id = sp.id
        AND o.number > sp.tended_operation AND o.kind <> ALL (%(upkeep)s) ORDER BY o.number DESC LIMIT 1),
    EXISTS (SELECT 1 FROM memories m WHERE m.tenant_id = sp.tenant_id AND m.space_id = sp.id AND NOT m.searchable)
FROM spaces sp WHERE sp.tenant_id = %(tenant)s AND sp.id = %(space)s AND sp.tended_operation < sp.next_operation - 1
"""


async def find_untended(session: ReadSession, space_id: SpaceId) -> Untended | None:
    """What consolidation has to do in a space; None when nothing, or the space is gone."""
    rows = await session.fetch(
        _UNTENDED, {"tenant": session.tenant_id, "space": space_id, "upkeep": list(UPKEEP)}, tuple_row
    )
    return Untended(*rows[0]) if rows else None


async def find_all_untended(database: Database) -> dict[TenantId, list[SpaceId]]:
    """The spaces, of every tenant, in which consolidation has something to read."""
    async with database.untenanted() as connection:
        rows = await connection.execute(text("SELECT tenant_id, space_id FROM memsvc_untended_spaces() WHERE untended"))
        found: dict[TenantId, list[SpaceId]] = {}
        for row in rows:
            found.setdefault(TenantId(row.tenant_id), []).append(SpaceId(row.space_id))
    return found


async def without_job(session: ReadSession, space_ids: Collection[SpaceId]) -> list[SpaceId]:
    """Those that are to be consolidated and have no job for it: none that waits or runs, and no dead one."""
    rows = await session.fetch(
        "SELECT sp.id FROM spaces sp WHERE sp.tenant_id = %(tenant)s AND sp.id = ANY (%(spaces)s) "
        "AND sp.tended_operation < sp.next_operation - 1 AND coalesce(sp.policies ->> 'consolidate', 'auto') <> 'off' "
        "AND NOT EXISTS (SELECT 1 FROM procrastinate_jobs j WHERE j.task_name = 'consolidate' "
        f"AND {_LIVE} AND j.args ->> 'tenant_id' = sp.tenant_id::text AND j.args ->> 'space_id' = sp.id::text) "
        "ORDER BY sp.id",
        {"tenant": session.tenant_id, "spaces": list(space_ids)},
        tuple_row,
    )
    return [row[0] for row in rows]


async def count_read(
    session: ReadSession, space_id: SpaceId, *, start: tuple[int, int], end: tuple[int, int] | None = None
) -> int:
    """Memories whose current version was made after the place `start` of the feed, and not after `end`.

    A place is the last operation that was read whole, and the last memory that was read of the next.
    """
    rows = await session.fetch(
        "SELECT count(*) FROM operations o JOIN memories m ON m.tenant_id = o.tenant_id AND m.operation_id = o.id "
        "WHERE o.tenant_id = %(tenant)s AND o.space_id = %(space)s AND o.number > %(first)s "
        "AND (o.number > %(first)s + 1 OR m.number > %(first_memory)s) AND (%(last)s::bigint IS NULL "
        "OR o.number <= %(last)s OR (o.number = %(last)s + 1 AND m.number <= %(last_memory)s))",
        {
            "tenant": session.tenant_id,
            "space": space_id,
            "first": start[0],
            "first_memory": start[1],
            "last": None if end is None else end[0],
            "last_memory": None if end is None else end[1],
        },
        tuple_row,
    )
    return int(rows[0][0])


@dataclass(frozen=True, slots=True)
class PastRun:
    """The latest run of its kind that changed something."""

    kind: str
    operation_id: OperationId
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """How far consolidation has read a space, and what upkeep did there last."""

    operations: int
    memories: int
    vectors: int
    waiting_since: datetime | None
    runs: tuple[PastRun, ...]


async def read_progress(session: ReadSession, space_id: SpaceId) -> Progress:
    """What upkeep still has to do in a space, and its latest runs. `vectors`: memories that wait for theirs."""
    keys = {"tenant": session.tenant_id, "space": space_id, "upkeep": list(UPKEEP)}
    rows = await session.fetch(
        "SELECT sp.tended_operation, sp.tended_memory, sp.next_operation - 1 - sp.tended_operation, "
        "(SELECT count(*) FROM memories m WHERE m.tenant_id = sp.tenant_id AND m.space_id = sp.id "
        "AND NOT m.searchable), (SELECT o.recorded_at FROM operations o WHERE o.tenant_id = sp.tenant_id "
        "AND o.space_id = sp.id AND o.number = sp.tended_operation + 1) "
        "FROM spaces sp WHERE sp.tenant_id = %(tenant)s AND sp.id = %(space)s",
        keys,
        tuple_row,
    )
    runs = await session.fetch(
        "SELECT DISTINCT ON (kind) kind, id, recorded_at FROM operations WHERE tenant_id = %(tenant)s "
        "AND space_id = %(space)s AND kind = ANY (%(upkeep)s) ORDER BY kind, number DESC",
        keys,
        tuple_row,
    )
    operation, memory, operations, vectors, since = rows[0]
    read = await count_read(session, space_id, start=(operation, memory))
    return Progress(operations, read, vectors, since, tuple(PastRun(*row) for row in runs))
