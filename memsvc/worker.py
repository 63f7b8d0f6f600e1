"""The worker process: background jobs, alone or inside `memsvc serve`."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from procrastinate.exceptions import ConnectorException
from prometheus_client import start_http_server

from memsvc.config import Settings
from memsvc.consolidation.jobs import register
from memsvc.consolidation.observed import show_queue
from memsvc.deployment import deploy
from memsvc.errors import ConfigurationError
from memsvc.observability import configure_logs
from memsvc.queue import Queue
from memsvc.runtime import Runtime, open_runtime
from memsvc.store.jobs import MEASURE

log = structlog.get_logger(__name__)

# A worker beats three times before it counts as silent.
BEATS = 3
MEASURE_EVERY_S = 15.0
# Jobs for later are not announced when their time has come.
POLL_S = 2.0
STOP_S = 10.0
AGAIN_S = 1.0


@asynccontextmanager
async def working(runtime: Runtime, settings: Settings) -> AsyncIterator[None]:
    """Run jobs for as long as the block; at its end a running job gets `STOP_S` seconds to finish."""
    queue = runtime.queue
    register(queue, runtime.upkeep, runtime.tensors, runtime.signer)
    logging.getLogger("procrastinate.worker").addFilter(_without_messages)
    tasks = [
        asyncio.create_task(_work(queue, jobs=settings.worker_jobs, silent_s=settings.worker_silent_s)),
        asyncio.create_task(_rescue(queue, silent_s=settings.worker_silent_s)),
        asyncio.create_task(_measure(queue)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def _work(queue: Queue, *, jobs: int, silent_s: float) -> None:
    """Run jobs, and begin again when the database was lost: procrastinate's worker ends then, without an error too."""
    while True:
        try:
            await queue.run_worker_async(
                concurrency=jobs,
                install_signal_handlers=False,
                listen_notify=True,
                delete_jobs="successful",
                fetch_job_polling_interval=POLL_S,
                shutdown_graceful_timeout=STOP_S,
                update_heartbeat_interval=silent_s / BEATS,
                stalled_worker_timeout=silent_s,
            )
        except ConnectorException as error:
            log.warning("worker_interrupted", error=type(error).__name__)
        await asyncio.sleep(AGAIN_S)


def _without_messages(record: logging.LogRecord) -> bool:
    """A job's error is logged where it is noted; its own message and traceback could quote a memory."""
    record.exc_info = None
    return True


async def _rescue(queue: Queue, *, silent_s: float) -> None:
    """Take up the jobs of workers that died, this machine's last `kill -9` included."""
    while True:
        with suppress(ConnectorException):
            for job, again in await queue.job_manager.rescue(silent_s=silent_s):
                log.warning("job_rescued" if again else "job_killed_its_workers", job=job.id, task=job.task_name)
        await asyncio.sleep(silent_s / BEATS)


async def _measure(queue: Queue) -> None:
    """Keep the gauges of the queue."""
    while True:
        with suppress(ConnectorException):
            show_queue(await queue.connector.execute_query_all_async(MEASURE))
        await asyncio.sleep(MEASURE_EVERY_S)


def run(settings: Settings) -> None:
    """Run the worker alone until SIGTERM or Ctrl-C."""
    configure_logs(settings)
    with deploy(settings) as deployment:
        asyncio.run(_run(settings, deployment.app_url))


async def _run(settings: Settings, app_url: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_runtime(settings, app_url) as runtime, working(runtime, settings):
        _serve_metrics(settings)
        log.info("worker_ready")
        await stop.wait()


def _serve_metrics(settings: Settings) -> None:
    if settings.worker_metrics_port is None:
        return
    try:
        start_http_server(settings.worker_metrics_port, addr=settings.host)
    except OSError as error:
        raise ConfigurationError(
            f"MEMSVC_WORKER_METRICS_PORT: cannot listen on {settings.host}:{settings.worker_metrics_port}: "
            f"{error.strerror}",
            remedy="Choose a free port, or unset it.",
        ) from error
