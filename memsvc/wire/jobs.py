"""Background jobs, and how far a space's upkeep is."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from memsvc.wire import Model

JobState = Literal["waiting", "running", "retrying", "dead"]
JobName = Literal[
    "embed", "deliver", "index", "consolidate", "forget_space", "compress_space", "vacuum", "delete_blobs"
]


class JobOut(Model):
    """One job that is not done."""

    id: int
    job: str = Field(description="What it does; docs/workers.md lists the jobs.")
    space: str | None = Field(None, description="In which space.")
    state: JobState = Field(
        description="retrying: it failed, or its worker did, and runs again; dead: it was given up."
    )
    attempts: int = Field(description="Attempts that ended without success.")
    enqueued_at: datetime
    runs_at: datetime | None = Field(None, description="Not before.")
    changed_at: datetime = Field(description="When its state last changed.")
    error: str | None = Field(None, description="The class of what its last attempt failed with; the log has more.")


class JobPage(Model):
    """The tenant's jobs, oldest first; those that are done are gone."""

    counts: dict[JobState, int] = Field(description="Of all the tenant's jobs.")
    items: list[JobOut]
    next_cursor: str | None


class RequeueResponse(Model):
    """The job that waits now; another one when it waited on the same errand already."""

    id: int


class UpkeepRun(Model):
    """The latest run of its kind that changed something."""

    kind: Literal["consolidate", "forget", "compress"]
    operation_id: UUID
    recorded_at: datetime


class UpkeepProgress(Model):
    """How far the upkeep of a space is."""

    space: str
    pending_operations: int = Field(description="Changes of the space that consolidation has not read.")
    pending_memories: int = Field(description="The memories that they made or changed.")
    pending_embeddings: int = Field(description="Memories whose embeddings are still to come.")
    waiting_since: datetime | None = Field(description="When the first of these changes was made.")
    runs: list[UpkeepRun] = Field(description="The latest run of each kind that changed something.")
    jobs: list[JobOut] = Field(description="The space's jobs that are not done, 100 at most.")
    dead_jobs: int = Field(description="How many of them are dead; POST /v1/jobs/{id}/requeue lets one run again.")
