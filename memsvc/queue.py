"""The job queue: the procrastinate app, and the one way to enqueue inside the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import procrastinate
from procrastinate.exceptions import AlreadyEnqueued, UniqueViolation
from procrastinate.jobs import Status
from procrastinate.manager import JobManager
from sqlalchemy.engine import URL, make_url

from memsvc.ids import SpaceId
from memsvc.store.database import WriteSession

JobName = Literal["embed", "index", "deliver", "vacuum"]
# Higher runs first: what recall waits for, before what only makes it faster.
PRIORITY: dict[JobName, int] = {"embed": 10, "deliver": 5, "index": 0, "vacuum": -5}


class _Jobs(JobManager):
    """Retries that give way to a job of the same kind that waits already: it serves for both.

    Both may be there, since a running job does not keep another from being enqueued. Setting it back to waiting is
    then refused; left as running, it would hold its lock, and so its space, for ever.
    """

    async def retry_job_by_id_async(
        self,
        job_id: int,
        retry_at: datetime,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """Let the job run again at that time, or be over."""
        try:
            await super().retry_job_by_id_async(job_id, retry_at, priority, queue, lock)
        except UniqueViolation:
            await self.finish_job_by_id_async(job_id, Status.FAILED, delete_job=True)


def make_app(url: str, *, pool_size: int = 2) -> procrastinate.App:
    """A procrastinate app on the application role's database; open it before use."""
    app = procrastinate.App(
        connector=procrastinate.PsycopgConnector(
            conninfo=libpq_url(make_url(url)), min_size=1, max_size=pool_size, kwargs={"prepare_threshold": None}
        )
    )
    app.job_manager = _Jobs(app.connector)
    return app


def libpq_url(url: URL) -> str:
    """The same URL for libpq, which knows no driver names."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


@dataclass(frozen=True, slots=True)
class Later:
    """Not before so many seconds have passed; of several jobs with one `key` the first that waits stands."""

    key: str
    seconds: int


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
    # for other people's servers, which must not hold up the space's embeddings.
    own = f"{job}:{target}" if later is None else f"{job}:{later.key}"
    try:
        async with session.connection.begin_nested():
            await app.configure_task(
                job,
                lock=own if job == "deliver" or later is not None else target,
                queueing_lock=own,
                priority=PRIORITY[job],
                schedule_in=None if later is None else {"seconds": later.seconds},
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
            priority=PRIORITY["vacuum"],
            connection=await session.driver(),
        ).defer_async(tenant_id=str(session.tenant_id), hashes=[each.hex() for each in hashes])
