"""What is measured and logged of jobs: their names, numbers and classes of errors, never content."""

import asyncio
import time
import traceback
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from procrastinate import JobContext
from procrastinate.exceptions import ConnectorException
from prometheus_client import Counter, Gauge, Histogram

from memsvc.consolidation.backoff import RETRY
from memsvc.queue import Queue

log = structlog.get_logger(__name__)

JOBS = Counter("memsvc_jobs_total", "Jobs that ended, by how: done, retry, dead, stopped.", ["job", "outcome"])
SECONDS = Histogram(
    "memsvc_job_seconds",
    "One attempt of a job.",
    ["job"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800),
)
ATTEMPTS = Histogram(
    "memsvc_job_attempts", "Attempts that a job took until it was done or dead.", ["job"], buckets=(1, 2, 3, 5, 10, 20)
)
WAITING = Gauge("memsvc_jobs_waiting", "Jobs that wait, those for later included.", ["job"])
DEAD = Gauge("memsvc_jobs_dead", "Jobs that were given up and wait for a person.", ["job"])
OLDEST = Gauge("memsvc_jobs_oldest_seconds", "For how long the oldest job that may run has waited.", ["job"])
CONSOLIDATED = Counter("memsvc_memories_consolidated_total", "Memories that consolidation has read.")
CHANGES = Counter("memsvc_upkeep_changes_total", "What consolidation did to memories.", ["action"])


@asynccontextmanager
async def observed(context: JobContext) -> AsyncIterator[None]:
    """Around one attempt of a job. What it fails with is noted beside it and raised again."""
    job, started = context.job, time.monotonic()
    outcome = "done"
    try:
        yield
    except asyncio.CancelledError:
        outcome = "stopped"
        raise
    except Exception as error:
        outcome = "dead" if RETRY.get_retry_decision(exception=error, job=job) is None else "retry"
        name = type(error).__name__
        # Where, and not what: a message may quote a memory.
        where = traceback.format_list(traceback.extract_tb(error.__traceback__))
        log.warning("job_failed", job=job.id, task=job.task_name, error=name, outcome=outcome, where="".join(where))
        if isinstance(context.app, Queue):
            with suppress(ConnectorException):  # what failed may be the database
                await context.app.job_manager.note_error(job, name)
        raise
    finally:
        JOBS.labels(job.task_name, outcome).inc()
        SECONDS.labels(job.task_name).observe(time.monotonic() - started)
        if outcome in {"done", "dead"}:
            ATTEMPTS.labels(job.task_name).observe(job.attempts + 1)


def show_queue(rows: Sequence[Mapping[str, Any]]) -> None:
    """Set the gauges to what `store.jobs.MEASURE` found."""
    for gauge, column in ((WAITING, "waiting"), (DEAD, "dead"), (OLDEST, "oldest_s")):
        known = {row["job"]: row[column] for row in rows}
        for labels in {sample.labels["job"] for metric in gauge.collect() for sample in metric.samples} - known.keys():
            gauge.labels(labels).set(0)
        for name, value in known.items():
            gauge.labels(name).set(value)
