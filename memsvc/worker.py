"""The worker process: background jobs, alone or inside `memsvc serve`."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import procrastinate
import structlog

from memsvc.config import Settings
from memsvc.consolidation.jobs import register
from memsvc.deployment import deploy
from memsvc.lifecycle.blobs import TensorStore
from memsvc.lifecycle.signing import Signer
from memsvc.observability import configure_logs
from memsvc.runtime import open_runtime
from memsvc.upkeep.model import Upkeep

log = structlog.get_logger(__name__)

CONCURRENCY = 2
# A worker beats every 10 s; one that was silent for three beats is dead, and its jobs are taken up again.
SILENT_S = 30.0
RESCUE_EVERY_S = 10.0
STOP_S = 10.0


@asynccontextmanager
async def working(app: procrastinate.App, upkeep: Upkeep, tensors: TensorStore, signer: Signer) -> AsyncIterator[None]:
    """Run jobs for as long as the block; at its end a running job gets `STOP_S` seconds to finish."""
    register(app, upkeep, tensors, signer)
    tasks = [
        asyncio.create_task(
            app.run_worker_async(
                concurrency=CONCURRENCY,
                install_signal_handlers=False,
                listen_notify=True,
                delete_jobs="successful",
                shutdown_graceful_timeout=STOP_S,
            )
        ),
        asyncio.create_task(_rescue(app)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def _rescue(app: procrastinate.App) -> None:
    """Take up the jobs of workers that died, this machine's last `kill -9` included."""
    while True:
        with suppress(procrastinate.exceptions.ConnectorException):
            for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=SILENT_S):
                log.warning("job_rescued", job=job.id, task=job.task_name)
                await app.job_manager.retry_job(job)
        await asyncio.sleep(RESCUE_EVERY_S)


def run(settings: Settings) -> None:
    """Run the worker alone until SIGTERM or Ctrl-C."""
    configure_logs(settings)
    with deploy(settings) as deployment:
        asyncio.run(_run(settings, deployment.app_url))


async def _run(settings: Settings, app_url: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with (
        open_runtime(settings, app_url) as runtime,
        working(runtime.queue, runtime.upkeep, runtime.tensors, runtime.signer),
    ):
        log.info("worker_ready")
        await stop.wait()
