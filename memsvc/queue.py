"""The job queue: the procrastinate app, how its jobs are taken and ended, and how to enqueue in a transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import procrastinate
from procrastinate.connector import BaseConnector
from procrastinate.exceptions import AlreadyEnqueued, UniqueViolation
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from sqlalchemy.engine import URL, make_url

from memsvc.ids import SpaceId
from memsvc.store import jobs
from memsvc.store.database import WriteSession

JobName = Literal["embed", "deliver", "index", "consolidate", "forget_space", "compress_space", "vacuum"]
Periodic = Literal["tend", "sweep", "forget", "compress", "sweep_blobs"]
# Higher runs first: what recall waits for, before what others wait for, before what makes memory better or smaller.
PRIORITY: dict[JobName | Periodic | Literal["delete_blobs"], int] = {
    "embed": 60,
    "deliver": 50,
    "index": 40,
    "tend": 35,
    "consolidate": 30,
    "sweep": 25,
    "forget": 20,
    "forget_space": 20,
    "compress": 10,
    "compress_space": 10,
    "vacuum": 0,
    "sweep_blobs": 0,
    "delete_blobs": 0,
}
# These run beside the other jobs of their space.
APART: frozenset[JobName] = frozenset({"deliver", "consolidate", "forget_space", "compress_space"})
# Of so many jobs a worker takes one without regard to priority: a flood of urgent work delays the rest, not for ever.
OPEN_TURN = 8
# Tenants of whom a worker knows when it served them last; any other comes first, as one that was not served.
MOST_TURNS = 1000
# A job that cost so many workers their lives is what kills them.
MOST_DEATHS = 20
KILLED = "WorkerDied"


class Queue(procrastinate.App):
    """The app. `consolidate_after_s`: when a space is consolidated after a write, in seconds; None: not by itself."""

    def __init__(self, connector: BaseConnector, *, consolidate_after_s: float | None = None) -> None:
        super().__init__(connector=connector)
        self.consolidate_after_s = consolidate_after_s
        self.job_manager: _Jobs = _Jobs(connector)


class _Jobs(JobManager):
    """Takes turns between tenants, and lets nobody end a job that is no longer his.

    A retry gives way to a job on the same errand that waits already: it serves for both. Both may be there, since a
    running job does not keep another from being enqueued. Setting it back to waiting is then refused; left as running,
    it would hold its lock, and so its space, for ever.
    """

    def __init__(self, connector: BaseConnector) -> None:
        super().__init__(connector)
        self._turns: dict[str, None] = {}
        self._taken = 0

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """The next job, now running; see `store.jobs.TAKE` for which that is."""
        try:
            rows = await self.connector.execute_query_all_async(
                jobs.TAKE,
                queues=None if queues is None else list(queues),
                worker_id=worker_id,
                turns=list(self._turns)[-MOST_TURNS:],
                urgent=(self._taken + 1) % OPEN_TURN != 0,
            )
        except UniqueViolation:  # another worker has just taken one with the same lock
            return None
        if not rows:
            return None
        job = Job.from_row(rows[0])
        self._taken += 1
        tenant = job.task_kwargs.get("tenant_id")
        if isinstance(tenant, str):
            self._turns.pop(tenant, None)
            self._turns[tenant] = None
            if len(self._turns) > MOST_TURNS:
                del self._turns[next(iter(self._turns))]
        return job

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """The job is done, or dead."""
        own = {"id": job.id, "worker_id": job.worker_id, "queueing_lock": job.queueing_lock}
        if delete_job:
            await self.connector.execute_query_async(jobs.REMOVE, **own)
        else:
            await self.connector.execute_query_async(jobs.BURY, **own, status=status.value)

    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,
        priority: int | None = None,  # noqa: ARG002 - no retry of ours changes it, or what follows
        queue: str | None = None,  # noqa: ARG002
        lock: str | None = None,  # noqa: ARG002
    ) -> None:
        """Let the job run again at that time, or be over."""
        own = {"id": job.id, "worker_id": job.worker_id}
        try:
            await self.connector.execute_query_async(jobs.RETRY, **own, at=retry_at or datetime.now(UTC))
        except UniqueViolation:
            await self.connector.execute_query_async(jobs.REMOVE, **own, queueing_lock=None)

    async def note_error(self, job: Job, error: str) -> None:
        """Keep the class of what the job failed with beside it."""
        await self.connector.execute_query_async(jobs.NOTE_ERROR, id=job.id, error=error)

    async def rescue(self, *, silent_s: float) -> list[tuple[Job, bool]]:
        """Take up the jobs of workers that were silent for so long; each with whether it may run again."""
        found = []
        for job in await self.get_stalled_jobs(seconds_since_heartbeat=silent_s):
            again = job.attempts < MOST_DEATHS
            if again:
                await self.retry_job(job)
            else:
                await self.note_error(job, KILLED)
                await self.finish_job(job, Status.FAILED, delete_job=False)
            found.append((job, again))
        return found


def make_app(url: str, *, pool_size: int = 2, consolidate_after_s: float | None = None) -> Queue:
    """A queue on the application role's database; open it before use."""
    return Queue(
        procrastinate.PsycopgConnector(
            conninfo=libpq_url(make_url(url)),
            min_size=1,
            max_size=pool_size,
            kwargs={"prepare_threshold": None},
            configure=_uncompiled,
        ),
        consolidate_after_s=consolidate_after_s,
    )


async def _uncompiled(connection: AsyncConnection[TupleRow]) -> None:
    """Taking a job costs milliseconds; where Postgres thinks it dear and compiles it, ten times that."""
    await connection.execute("SET jit = off")
    await connection.commit()


def libpq_url(url: URL) -> str:
    """The same URL for libpq, which knows no driver names."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


@dataclass(frozen=True, slots=True)
class Later:
    """Not before so many seconds have passed; of several jobs with one `key` (None: of one space) the first stands."""

    key: str | None
    seconds: float


async def enqueue(
    app: procrastinate.App, session: WriteSession, job: JobName, space_id: SpaceId, *, later: Later | None = None
) -> None:
    """Enqueue one job of a space in the transaction of `session`; a waiting one serves for both.

    The job exists if, and only if, the transaction commits. A clash with a waiting job aborts the statement, so it
    runs in a savepoint, and the driver's connection is taken inside that savepoint: taken before, the savepoint would
    not cover it and the clash would take the caller's rows with it.
    """
    target = f"{session.tenant_id}:{space_id}"
    # A waiting job holds its lock against those behind it: one for later has a lock of its own. And a delivery waits
    # for other people's servers, a consolidation for models, and what goes has to be found in the whole space: none of
    # them must hold up the space's embeddings.
    own = f"{job}:{target}" if later is None or later.key is None else f"{job}:{later.key}"
    apart = later is not None or job in APART
    wait = None if later is None else {"milliseconds": round(later.seconds * 1000)}
    try:
        async with session.connection.begin_nested():
            await app.configure_task(
                job,
                lock=own if apart else target,
                queueing_lock=own,
                priority=PRIORITY[job],
                schedule_in=wait,
                connection=await session.driver(),
            ).defer_async(tenant_id=str(session.tenant_id), space_id=str(space_id))
    except AlreadyEnqueued:
        return


async def enqueue_blob_deletion(app: procrastinate.App, session: WriteSession, hashes: Sequence[bytes]) -> None:
    """Let the bytes of these blobs be deleted once the transaction that took their rows away commits."""
    if hashes:
        await app.configure_task(
            "delete_blobs",
            lock=f"{session.tenant_id}:blobs",
            priority=PRIORITY["delete_blobs"],
            connection=await session.driver(),
        ).defer_async(tenant_id=str(session.tenant_id), hashes=[each.hex() for each in hashes])
