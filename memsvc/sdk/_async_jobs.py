"""`client.jobs`. The synchronous form is generated from this file by `tools/generate_sync.py`."""

from collections.abc import AsyncIterator

from memsvc.sdk import requests
from memsvc.sdk import requests_upkeep as upkeep
from memsvc.sdk._async_send import Send
from memsvc.sdk.requests_moving import space_path
from memsvc.wire.jobs import JobName, JobOut, JobPage, JobState, RequeueResponse, UpkeepProgress


class AsyncJobs:
    """Background jobs that are not done. All methods but `progress` need the scope `admin`.

    All methods raise what the client's do.
    """

    def __init__(self, send: Send) -> None:
        self._send = send

    async def list(
        self,
        *,
        state: JobState | None = None,
        job: JobName | None = None,
        space: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> JobPage:
        """One page of the tenant's jobs, oldest first, and how many are in which state."""
        params = {"state": state, "job": job, "space": space, "limit": limit, "cursor": cursor}
        return await self._send(requests.fetch("/v1/jobs", JobPage, params))

    async def iterate(
        self,
        *,
        state: JobState | None = None,
        job: JobName | None = None,
        space: str | None = None,
        limit: int = 100,
    ) -> AsyncIterator[JobOut]:
        """All jobs that `list` would page through."""
        cursor: str | None = None
        while True:
            page = await self.list(state=state, job=job, space=space, limit=limit, cursor=cursor)
            for one in page.items:
                yield one
            cursor = page.next_cursor
            if cursor is None:
                return

    async def get(self, job_id: int) -> JobOut:
        """One job; `NotFound` when it is done."""
        return await self._send(requests.fetch(upkeep.job_path(job_id), JobOut))

    async def requeue(self, job_id: int) -> RequeueResponse:
        """Let a dead job run again; `Conflict` when it is not dead. The job that waits now may be another one."""
        return await self._send(upkeep.requeue(job_id))

    async def progress(self, space: str = "default") -> UpkeepProgress:
        """How far the upkeep of a space is: what it still has to read, its latest runs, its jobs."""
        return await self._send(requests.fetch(space_path(space, "upkeep"), UpkeepProgress))
