"""`/v1/jobs` and `/v1/spaces/{name}/upkeep`: what runs in the background, what was given up, and how far upkeep is."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from memsvc.api.auth import Admin, Reader
from memsvc.api.services import ServicesDep
from memsvc.errors import ConflictError, FieldError, InvalidRequestError, NotFoundError
from memsvc.store import access, jobs
from memsvc.store.jobs import JobFilter, StoredJob
from memsvc.wire.jobs import JobName, JobOut, JobPage, JobState, RequeueResponse, UpkeepProgress, UpkeepRun

router = APIRouter(prefix="/v1")
LARGEST = 2**63 - 1
MOST_JOBS = 100
JobId = Annotated[int, Path(ge=1, le=LARGEST)]


@router.get("/jobs", summary="List the jobs that are not done")
async def list_jobs(
    caller: Admin,
    services: ServicesDep,
    state: JobState | None = None,
    job: JobName | None = None,
    space: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
) -> JobPage:
    """The tenant's background jobs, oldest first, and how many are in which state."""
    after = None if cursor is None else _parse_cursor(cursor)
    async with services.database.read(caller.tenant_id) as session:
        counts = await jobs.count_jobs(session)
        found = await jobs.list_jobs(session, JobFilter(state, job, space), after=after, limit=limit + 1)
    page = found[:limit]
    more = len(found) > limit
    return JobPage(counts=counts, items=[_job(one) for one in page], next_cursor=str(page[-1].id) if more else None)


@router.get("/jobs/{job_id}", summary="Get one job")
async def get_job(job_id: JobId, caller: Admin, services: ServicesDep) -> JobOut:
    """A job that is not done; one that is done is not there any more."""
    async with services.database.read(caller.tenant_id) as session:
        return _job(_only(await jobs.list_jobs(session, JobFilter(job_id=job_id)), job_id))


@router.post("/jobs/{job_id}/requeue", summary="Let a dead job run again")
async def requeue(job_id: JobId, caller: Admin, services: ServicesDep) -> RequeueResponse:
    """It runs as if it were new. A job that is not dead is left alone: 409."""
    async with services.database.write(caller.tenant_id) as session:
        waiting = await jobs.requeue_job(session, job_id)
        if waiting is None:
            found = _only(await jobs.list_jobs(session, JobFilter(job_id=job_id)), job_id)
            problem = f"is {found.state}, and only a dead job is requeued"
            remedy = "Leave it: it runs by itself. GET /v1/jobs?state=dead lists those that do not."
            raise ConflictError(
                f"job {job_id} {problem}", fields=(FieldError("job_id", problem, remedy),), remedy=remedy
            )
    return RequeueResponse(id=waiting)


@router.get("/spaces/{name}/upkeep", summary="How far the upkeep of a space is")
async def upkeep_progress(name: str, caller: Reader, services: ServicesDep) -> UpkeepProgress:
    """What consolidation still has to read, the latest runs, and the space's jobs."""
    async with services.database.read(caller.tenant_id) as session:
        space_id = await access.require(session, caller, name, "read")
        progress = await jobs.read_progress(session, space_id)
        found = await jobs.list_jobs(session, JobFilter(space=name), limit=MOST_JOBS)
    return UpkeepProgress(
        space=name,
        pending_operations=progress.operations,
        pending_memories=progress.memories,
        pending_embeddings=progress.vectors,
        waiting_since=progress.waiting_since,
        runs=[_run(one) for one in progress.runs],
        jobs=[_job(one) for one in found],
        dead_jobs=sum(one.state == "dead" for one in found),
    )


def _only(found: list[StoredJob], job_id: int) -> StoredJob:
    if not found:
        raise NotFoundError(
            f"there is no job {job_id}", remedy="It may be done; GET /v1/jobs lists those that are not."
        )
    return found[0]


def _parse_cursor(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= LARGEST):
        fault = FieldError("cursor", "is not a cursor of this listing", "Pass `next_cursor` of the page before.")
        raise InvalidRequestError("the cursor cannot be used", fields=(fault,))
    return int(text)


def _job(job: StoredJob) -> JobOut:
    values: dict[str, Any] = {name: getattr(job, name) for name in JobOut.model_fields if name != "job"}
    return JobOut(job=job.name, **values)


def _run(run: jobs.PastRun) -> UpkeepRun:
    values: dict[str, Any] = {"kind": run.kind, "operation_id": run.operation_id, "recorded_at": run.recorded_at}
    return UpkeepRun(**values)
